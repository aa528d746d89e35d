"""BLIP: one model that describes pictures, and one that answers questions about them."""

from typing import Any

from PIL import Image

from universal_vision.captions.writer import Prepared, Writer, check_read, check_room, positions_of


class _Blip(Writer):
    @property
    def eyes(self) -> Any:
        """The vision transformer, which the text looks at through cross attention."""
        return self.model.vision_model

    @property
    def hand(self) -> Any:
        """The text decoder."""
        return self.model.text_decoder

    @property
    def ends(self) -> frozenset[int]:
        """BLIP ends texts with what separates them elsewhere."""
        return frozenset({self.model.config.text_config.sep_token_id})


class Blip(_Blip):
    """Describes a picture; a prompt is the beginning that the description goes on from."""

    def for_caption(self, image: Image.Image, prompt: str | None, max_length: int) -> Prepared:
        """Return the inputs for a description, which begins with the prompt."""
        inputs = self.read(image, prompt, "prompt")
        # Without the last, which would end the text; the first becomes the mark of the decoder.
        given = inputs["input_ids"].shape[1] - 1 if prompt else 1
        check_room(given, max_length, positions_of(self.model.config.text_config))
        return Prepared(inputs=inputs, max_length=max_length, given=given, shown=True, read=given)


class BlipForQuestions(_Blip):
    """Answers questions about a picture."""

    def for_question(self, image: Image.Image, question: str, max_length: int) -> Prepared:
        """Return the inputs for an answer."""
        inputs = self.read(image, question, "question")
        read = inputs["input_ids"].shape[1]
        positions = positions_of(self.model.config.text_config)
        check_read(read, positions, "question")
        check_room(1, max_length, positions)
        return Prepared(inputs=inputs, max_length=max_length, read=read)
