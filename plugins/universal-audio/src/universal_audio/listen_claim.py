"""Which models the speech-to-text backends offer to run, and which of those backends can run here."""

from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec

from universal_audio.listen.names import SHORT_NAMES
from universal_audio.listen.options import RecognitionOptions, WhisperOptions
from universal_core import Backend, Claim, ModelInfo, ModelRef

WHISPER = Backend(
    name="whisper",
    model="universal_audio.listen.whisper:Whisper",
    tasks=("transcribe", "translate", "listen"),
    options=WhisperOptions,
    preload=("av", "ctranslate2", "faster_whisper", "universal_audio.listen.whisper"),
    engine="ctranslate2",
)
RECOGNITION = Backend(
    name="speech-recognition",
    model="universal_audio.listen.recognition:Recognition",
    tasks=("transcribe", "translate"),
    options=RecognitionOptions,
    preload=(
        *("torch", "av", "transformers", "transformers.models.whisper.modeling_whisper"),
        *("transformers.pipelines.automatic_speech_recognition", "universal_audio.listen.recognition"),
    ),
    engine="pytorch",
)
LIBRARIES = {WHISPER.name: ("faster_whisper", "ctranslate2"), RECOGNITION.name: ("torch", "transformers")}
"""What each backend imports; it is registered where all of it is installed."""

WHISPER_FIELDS = ("language", "prompt", "temperature", "words", "vad_filter", "hotwords")
RECOGNITION_FIELDS = ("words",)
SEQUENCE_FIELDS = (*RECOGNITION_FIELDS, "language", "prompt", "temperature")

_CONVERTED = ("config.json", "model.bin", "tokenizer.json", "preprocessor_config.json", "vocabulary.*")
_SAVED = (
    *("config.json", "generation_config.json", "preprocessor_config.json", "processor_config.json"),
    *("tokenizer*", "vocab*", "merges.txt", "normalizer.json", "special_tokens_map.json", "added_tokens.json"),
    *("spiece.model", "sentencepiece*.model", "model.safetensors*", "model-*.safetensors"),
)


@cache
def is_installed(backend: str) -> bool:
    """Whether all libraries of a backend are there; nothing is imported to find out."""
    return all(find_spec(name) is not None for name in LIBRARIES[backend])


def backends() -> Iterable[Backend]:
    """Return the speech-to-text backends whose libraries are installed."""
    return [backend for backend in (WHISPER, RECOGNITION) if is_installed(backend.name)]


def claims(info: ModelInfo) -> Iterator[Claim]:
    """Yield the offers of the speech-to-text backends to run a model."""
    offers = (_claim_converted(info), _claim_to_convert(info), _claim_saved(info))
    yield from (claim for claim in offers if claim is not None and is_installed(claim.backend))


def expand_name(ref: ModelRef) -> str | None:
    """Return the repository of a Whisper that is known by a short name, None for any other name."""
    return SHORT_NAMES.get(ref.name.lower()) if ref.variant is None else None


def _claim_converted(info: ModelInfo) -> Claim | None:
    """Offer to run a Whisper in CTranslate2's format; other models in it are no speech models."""
    heads = {"alignment_heads", "suppress_ids_begin", "lang_ids"} & info.config.keys()
    if not (heads and info.matching("model.bin") and info.matching("vocabulary.*")):
        return None
    return Claim(
        backend=WHISPER.name,
        tasks=WHISPER.tasks,
        rank=60,
        reason="model.bin, a vocabulary and config.json are those of a Whisper in CTranslate2's format",
        slots=WhisperOptions().slots,
        fields=WHISPER_FIELDS,
        files=_CONVERTED,
    )


def _claim_to_convert(info: ModelInfo) -> Claim | None:
    """Offer to convert a Whisper of transformers once, for who asks for this backend; it ranks below the others."""
    if not (_is_whisper(info) and _has_weights(info) and is_installed(RECOGNITION.name)):
        return None
    return Claim(
        backend=WHISPER.name,
        tasks=WHISPER.tasks,
        rank=30,
        reason=f"config.json names {info.architectures[0]}, which is converted to CTranslate2's format once",
        slots=WhisperOptions().slots,
        fields=WHISPER_FIELDS,
        files=_SAVED,
    )


def _claim_saved(info: ModelInfo) -> Claim | None:
    """Offer to run whatever transformers' pipeline for speech recognition loads, in safetensors."""
    name = next(filter(is_recognizer, info.architectures), None)
    # A text model can have a CTC head too; what tells a speech model is that its input is made from sound.
    if name is None or not (_has_weights(info) and _hears(info)):
        return None
    return Claim(
        backend=RECOGNITION.name,
        tasks=RECOGNITION.tasks if _is_whisper(info) else ("transcribe",),
        rank=50,
        reason=f"config.json names the speech recognition model {name}, and its weights are safetensors",
        fields=SEQUENCE_FIELDS if _is_whisper(info) else RECOGNITION_FIELDS,
        files=_SAVED,
    )


def is_recognizer(architecture: str) -> bool:
    """Whether a class name of config.json is one of a model that turns sound into text.

    Those are the CTC heads, and the sequence models that read sound: what AutoModelForCTC and
    AutoModelForSpeechSeq2Seq load. The names stand here because asking transformers would import torch.
    """
    return architecture.endswith("ForCTC") or architecture in (
        *("WhisperForConditionalGeneration", "Speech2TextForConditionalGeneration", "SpeechEncoderDecoderModel"),
        *("MoonshineForConditionalGeneration", "SpeechT5ForSpeechToText"),
    )


def _is_whisper(info: ModelInfo) -> bool:
    return "WhisperForConditionalGeneration" in info.architectures


def _has_weights(info: ModelInfo) -> bool:
    return bool(info.matching("model.safetensors", "model.safetensors.index.json"))


def _hears(info: ModelInfo) -> bool:
    found = info.documents.get("preprocessor_config.json")
    return isinstance(found, dict) and ("sampling_rate" in found or "feature_extractor_type" in found)
