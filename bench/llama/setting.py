"""The numbers that all measurements of GGUF models share."""

from typing import NamedTuple

from bench.asking import Load
from bench.setting import Setting


class Sizes(NamedTuple):
    """Types and shape of the models, the load, and the room that every server has; ``context`` is for all slots."""

    files: tuple[str, ...] = ("Q4_K_M", "Q8_0")
    shape: str = "qwen3-0.6b"
    clients: tuple[int, ...] = (1, 8, 16)
    requests: int = 2
    prompt: int = 128
    tokens: int = 48
    long_prompt: int = 4000
    turn_prompt: int = 2000
    documents: int = 512
    slots: int = 16
    context: int = 8192

    @property
    def load(self) -> Load:
        """What each client asks for."""
        return Load(self.requests, self.prompt, self.tokens)


QUICK = Sizes(
    files=("Q4_K_M",),
    shape="100m",
    clients=(1, 4),
    requests=1,
    prompt=48,
    tokens=16,
    long_prompt=500,
    turn_prompt=300,
    documents=64,
    slots=4,
)


def sizes_of(setting: Setting) -> Sizes:
    """Return the numbers of a run."""
    return setting.sizes(Sizes(), QUICK)
