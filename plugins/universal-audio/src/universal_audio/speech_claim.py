"""Which models the text-to-speech backends offer to run, and which of those backends can run here."""

from collections.abc import Iterable
from importlib.util import find_spec

from universal_audio.speech.options import KokoroOptions, SpeechOptions
from universal_core import Backend, Claim, ModelInfo, ModelRef

TASKS = ("speak", "list_voices")
KOKORO_REPOSITORY = "hexgrad/Kokoro-82M"

KOKORO = Backend(
    name="kokoro",
    model="universal_audio.speech.kokoro_model:KokoroModel",
    tasks=TASKS,
    options=KokoroOptions,
    preload=("torch", "transformers", "kokoro", "universal_audio.speech.kokoro_model"),
    engine="pytorch",
)
TRANSFORMERS = Backend(
    name="text-to-speech",
    model="universal_audio.speech.transformers_model:SpeechModel",
    tasks=TASKS,
    options=SpeechOptions,
    preload=("torch", "transformers", "universal_audio.speech.transformers_model"),
    engine="pytorch",
)

_NEEDED = {KOKORO.name: ("kokoro", "sentencex"), TRANSFORMERS.name: ("transformers", "torch", "sentencex")}
_SHORT_NAMES = {"kokoro": KOKORO_REPOSITORY, "kokoro-82m": KOKORO_REPOSITORY}
_ARCHITECTURES = frozenset({"VitsModel", "SpeechT5ForTextToSpeech", "BarkModel"})
_BESIDE_WEIGHTS = (
    *("config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json"),
    *("tokenizer*.json", "vocab.*", "*.model", "special_tokens_map.json", "added_tokens.json"),
    *("speaker_embeddings_path.json", "speaker_embeddings/*", "voices/*.npy", "vocoder/*"),
)


def backends() -> Iterable[Backend]:
    """Return the text-to-speech backends whose libraries are installed."""
    return tuple(backend for backend in (KOKORO, TRANSFORMERS) if all(map(find_spec, _NEEDED[backend.name])))


def claims(info: ModelInfo) -> Iterable[Claim]:
    """Return the offers of the text-to-speech backends to run a model."""
    able = {backend.name for backend in backends()}
    found = (claim_kokoro(info), claim_transformers(info))
    return tuple(claim for claim in found if claim is not None and claim.backend in able)


def expand_name(ref: ModelRef) -> str | None:
    """Return the repository of a model that is known by a short name, None for any other name."""
    return _SHORT_NAMES.get(ref.name.lower())


def claim_kokoro(info: ModelInfo) -> Claim | None:
    """Offer to run a folder in Kokoro's layout: its config.json, a .pth file, and voices."""
    weights = [file for file in info.matching("*.pth") if "/" not in file.name]
    voices = info.matching("voices/*.pt")
    if not {"istftnet", "plbert", "vocab"} <= info.config.keys() or len(weights) != 1 or not voices:
        return None
    return Claim(
        backend=KOKORO.name,
        tasks=TASKS,
        rank=60,
        reason=f"config.json describes a Kokoro model, with weights in {weights[0].name} and {len(voices)} voices",
        slots=KokoroOptions().slots,
        fields=("speed", "language", "seed"),
        files=("config.json", weights[0].name, "voices/*.pt"),
    )


def claim_transformers(info: ModelInfo) -> Claim | None:
    """Offer to run what the text-to-audio pipeline of transformers loads and speaks with."""
    architecture = next((name for name in info.architectures if name in _ARCHITECTURES), None)
    weights = weights_of(info)
    if architecture is None or not weights:
        return None
    return Claim(
        backend=TRANSFORMERS.name,
        tasks=TASKS,
        reason=f"config.json names the speech model {architecture}",
        slots=SpeechOptions().slots,
        fields=("seed", "speed") if architecture == "VitsModel" else ("seed",),
        files=(*weights, *_BESIDE_WEIGHTS),
    )


def weights_of(info: ModelInfo) -> tuple[str, ...]:
    """Return the files of a model's weights: safetensors, or else .bin, which transformers reads as mere numbers."""
    for suffix in ("safetensors", "bin"):
        stem = "model" if suffix == "safetensors" else "pytorch_model"
        files = info.matching(f"{stem}.{suffix}", f"{stem}-*.{suffix}", f"{stem}.{suffix}.index.json")
        if found := tuple(file.name for file in files if "/" not in file.name):
            return found
    return ()
