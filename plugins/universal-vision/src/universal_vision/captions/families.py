"""Which family runs a model, and the parts that it is made of."""

from typing import Any, NamedTuple

import transformers
from transformers import DonutProcessor

from universal_core import LoadFailed, ModelInfo
from universal_vision.captions.blip import Blip, BlipForQuestions
from universal_vision.captions.claim import FLORENCE_ADVICE, is_original_florence
from universal_vision.captions.donut import Donut
from universal_vision.captions.encoder_decoder import VisionEncoderDecoder
from universal_vision.captions.florence2 import Florence2
from universal_vision.captions.git import Git
from universal_vision.captions.options import CaptionOptions
from universal_vision.captions.pix2struct import Pix2Struct
from universal_vision.captions.queries import Blip2, InstructBlip
from universal_vision.captions.vilt import Vilt
from universal_vision.captions.writer import Writer
from universal_vision.loading import load_image_processor, load_model, load_tokenizer
from universal_vision.processors import load_processor

WRITERS: dict[str, type[Writer]] = {
    "BlipForConditionalGeneration": Blip,
    "BlipForQuestionAnswering": BlipForQuestions,
    "Blip2ForConditionalGeneration": Blip2,
    "Florence2ForConditionalGeneration": Florence2,
    "GitForCausalLM": Git,
    "InstructBlipForConditionalGeneration": InstructBlip,
    "Pix2StructForConditionalGeneration": Pix2Struct,
    "ViltForQuestionAnswering": Vilt,
    "VisionEncoderDecoderModel": VisionEncoderDecoder,
}
"""The classes of transformers, and what runs them here."""


def open_writer(info: ModelInfo, options: CaptionOptions) -> Writer:
    """Return a model of any family from ``info.path``, ready to write. Raises LoadFailed."""
    name = next((name for name in info.architectures if name in WRITERS), None)
    if name is None:
        raise LoadFailed(f"{info.id} is none of {', '.join(WRITERS)}, but {', '.join(info.architectures) or 'unnamed'}")
    if is_original_florence(info):
        raise LoadFailed(
            f"{info.id} is laid out for code of its own that works with old versions of transformers only; "
            + FLORENCE_ADVICE
        )
    writer = Donut if _reads_documents(info) else WRITERS[name]
    processor = _processor_of(info, options, writer)
    return writer(load_model(info, getattr(transformers, name), options), processor, options.num_beams)


def _reads_documents(info: ModelInfo) -> bool:
    encoder = info.config.get("encoder")
    return isinstance(encoder, dict) and encoder.get("model_type") == "donut-swin"


def _processor_of(info: ModelInfo, options: CaptionOptions, writer: type[Writer]) -> Any:
    if not issubclass(writer, VisionEncoderDecoder):
        return load_processor(info, options.trust_remote_code)
    # The library has no processor for any encoder with any decoder.
    parts = load_image_processor(info, options), load_tokenizer(info, options)
    if writer is Donut:
        return DonutProcessor(*parts)  # type: ignore[no-untyped-call]  # the library has no types here
    return _Parts(*parts)


class _Parts(NamedTuple):
    image_processor: Any
    tokenizer: Any

    def __call__(self, images: Any, return_tensors: str) -> Any:
        return self.image_processor(images, return_tensors=return_tensors)

    def decode(self, tokens: list[int], *, skip_special_tokens: bool) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=skip_special_tokens))
