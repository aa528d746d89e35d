"""Which models the ``vision-captions`` backend offers to run, told from config.json and the list of files alone."""

from typing import Any, NamedTuple

import msgspec

from universal_core import Backend, Claim, ModelInfo
from universal_text.tables import class_in
from universal_vision.captions.options import CaptionOptions
from universal_vision.claiming import PRELOAD, offer

BACKEND = Backend(
    name="vision-captions",
    model="universal_vision.captions.model:CaptionModel",
    tasks=("caption", "answer_question"),
    options=CaptionOptions,
    preload=PRELOAD,
    engine="pytorch",
)

_BOTH = ("caption", "answer_question")
_TABLES = ("MODEL_FOR_IMAGE_TEXT_TO_TEXT", "MODEL_FOR_VISUAL_QUESTION_ANSWERING")


class _Kind(NamedTuple):
    """What a class of transformers can do, under the model_type of its config.json."""

    model_type: str
    tasks: tuple[str, ...]
    files: tuple[str, ...] = ()


_KINDS = {
    "BlipForConditionalGeneration": _Kind("blip", ("caption",)),
    "BlipForQuestionAnswering": _Kind("blip", ("answer_question",)),
    "Blip2ForConditionalGeneration": _Kind("blip-2", _BOTH),
    "Florence2ForConditionalGeneration": _Kind("florence2", _BOTH),
    "GitForCausalLM": _Kind("git", _BOTH),
    "InstructBlipForConditionalGeneration": _Kind("instructblip", _BOTH, ("qformer_tokenizer/*",)),
    "Pix2StructForConditionalGeneration": _Kind("pix2struct", _BOTH),
    "ViltForQuestionAnswering": _Kind("vilt", ("answer_question",)),
    "VisionEncoderDecoderModel": _Kind("vision-encoder-decoder", ("caption",)),
}

FLORENCE_ADVICE = (
    "the same weights for transformers are florence-community/Florence-2-base, -base-ft, -large and -large-ft"
)
"""What to do about a model that ``is_original_florence``."""

MODEL_TYPES = tuple(sorted({kind.model_type for kind in _KINDS.values()}))
"""The model types of config.json that this backend knows; other models that write about pictures are chat models."""


def claim(info: ModelInfo) -> Claim | None:
    """Return an offer for a model of this kind, None for anything else."""
    name = class_in(info, *_TABLES)
    kind = _KINDS.get(name or "")
    if name is None or kind is None or info.config.get("num_image_with_embedding"):
        # The last is a GIT that reads videos, as a number of pictures that it must be given.
        return None
    tasks = _tasks_of(info, kind)
    found = offer(
        info,
        BACKEND,
        tasks=tasks,
        reason=_reason(info, name),
        slots=CaptionOptions().slots,
        fields=("prompt",) if "caption" in tasks else (),
    )
    # Of one that will be refused, with the reason, nothing large is downloaded.
    files = ("config.json",) if is_original_florence(info) else (*(found.files if found else ()), *kind.files)
    return found and msgspec.structs.replace(found, files=files)


def is_original_florence(info: ModelInfo) -> bool:
    """Say whether a Florence-2 is laid out as by Microsoft, for code of its own, and not for transformers' class."""
    vision = info.config.get("vision_config")
    return isinstance(vision, dict) and vision.get("model_type") == "davit"


def _reason(info: ModelInfo, name: str) -> str:
    if is_original_florence(info):
        return f"config.json names {name} in Microsoft's own layout, which will be refused: {FLORENCE_ADVICE}"
    return f"config.json names {name}, which writes about a picture, and its weights are safetensors"


def _tasks_of(info: ModelInfo, kind: _Kind) -> tuple[str, ...]:
    if kind.model_type != "pix2struct":
        return kind.tasks
    # One that was trained for questions reads them off the picture, and has no other way to be asked.
    return ("answer_question",) if _is_for_questions(info) else ("caption",)


def _is_for_questions(info: ModelInfo) -> bool:
    settings: Any = info.documents.get("preprocessor_config.json")
    told = settings.get("is_vqa") if isinstance(settings, dict) else None
    return bool(info.config.get("is_vqa") if told is None else told)
