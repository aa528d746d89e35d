"""Pix2Struct: reads a picture in patches of any number, and a question off the picture itself."""

from typing import Any

from huggingface_hub import try_to_load_from_cache
from PIL import Image, ImageFont

from universal_core import LoadFailed
from universal_vision.captions.writer import Prepared, Writer, check_room, positions_of
from universal_vision.loading import Inputs, Loaded

# Where transformers finds the letters that its questions are drawn with.
_LETTERS = ("ybelkada/fonts", "Arial.TTF")


class Pix2Struct(Writer):
    """Describes a picture, going on from the prompt; one that was trained for questions answers them."""

    def __init__(self, loaded: Loaded, processor: Any, num_beams: int | None) -> None:
        """Raises LoadFailed where there are no letters to write questions with."""
        super().__init__(loaded, processor, num_beams)
        if processor.image_processor.is_vqa:
            _write_with(letters(), processor.image_processor)

    def for_caption(self, image: Image.Image, prompt: str | None, max_length: int) -> Prepared:
        """Return the inputs for a description, which begins with the prompt."""
        inputs = self.read(image, prompt, "prompt")
        # The mark of a beginning stands before the prompt.
        given = 1 + (inputs["decoder_input_ids"].shape[1] if prompt else 0)
        check_room(given, max_length, positions_of(self.model.config.text_config))
        return Prepared(inputs=inputs, max_length=max_length, given=given, shown=True, read=given + _patches_in(inputs))

    def for_question(self, image: Image.Image, question: str, max_length: int) -> Prepared:
        """Return the inputs for an answer, the question written above the picture."""
        inputs = self.read(image, question, "question")
        check_room(1, max_length, positions_of(self.model.config.text_config))
        return Prepared(inputs=inputs, max_length=max_length, read=_patches_in(inputs))


def letters() -> dict[str, Any]:
    """Return the font that questions are drawn with, as the library's settings: Arial as in training, or Pillow's own.

    The library would load Arial from the hub with each question; here it is used where it is in the cache.
    """
    found = try_to_load_from_cache(*_LETTERS)
    if isinstance(found, str):
        return {"font_path": found}
    return {"font_bytes": _own_letters()}


def _write_with(font: dict[str, Any], image_processor: Any) -> None:
    """Let an image processor write questions in a font; it has a setting for it, which its processor does not pass."""
    write = image_processor.render_header
    image_processor.render_header = lambda image, header, **_: write(image, header, **font)


def _own_letters() -> bytes:
    font = ImageFont.load_default(size=36)
    data = getattr(font, "font_bytes", None) or getattr(getattr(font, "path", None), "getvalue", bytes)()
    if not data:
        raise LoadFailed("Pillow was built without FreeType, so no question can be written; install another build")
    return bytes(data)


def _patches_in(inputs: Inputs) -> int:
    return int(inputs["attention_mask"].sum())
