"""BLIP-2 and InstructBLIP: a few queries gather what is in a picture for a language model."""

from typing import Any, ClassVar

from PIL import Image

from universal_core import LoadFailed
from universal_vision.captions.writer import Prepared, Writer, check_read, check_room, positions_of
from universal_vision.loading import Loaded


class Blip2(Writer):
    """Writes with a language model after the picture's tokens; a prompt is what that goes on from."""

    question_prompt: ClassVar[str] = "Question: {question} Answer:"

    def __init__(self, loaded: Loaded, processor: Any, num_beams: int | None) -> None:
        """Raises LoadFailed for a model whose files do not tell which token stands for the picture."""
        super().__init__(loaded, processor, num_beams)
        config = self.model.config
        if getattr(config, "image_token_index", None) is None:
            raise LoadFailed(
                "config.json has no image_token_index, which tells where the picture stands among the words; "
                "use a later revision of this model"
            )
        # Without it the processor leaves the picture's tokens out, and the model would write about words alone.
        processor.num_query_tokens = processor.num_query_tokens or config.num_query_tokens

    @property
    def hand(self) -> Any:
        """The language model."""
        return self.model.language_model

    def for_caption(self, image: Image.Image, prompt: str | None, max_length: int) -> Prepared:
        """Return the inputs for what comes after the prompt."""
        if prompt is None and getattr(self.model.config.text_config, "bos_token_id", None) is not None:
            # Here the library writes the picture's tokens and the mark of a beginning by itself.
            return self._prepared(self.read(image), self.model.config.num_query_tokens + 1, max_length, "prompt")
        return self._asked(image, prompt or "", max_length, "prompt")

    def for_question(self, image: Image.Image, question: str, max_length: int) -> Prepared:
        """Return the inputs for an answer."""
        return self._asked(image, question, max_length, "question")

    def _asked(self, image: Image.Image, text: str, max_length: int, param: str) -> Prepared:
        inputs = self.read(image, text, param)
        self._check_queries(inputs, param)
        return self._prepared(inputs, inputs["input_ids"].shape[1], max_length, param)

    def _prepared(self, inputs: dict[str, Any], read: int, max_length: int, param: str) -> Prepared:
        writer = self.model.language_model.config
        # A language model with an encoder begins its answer anew; any other goes on from what it has read.
        given = 1 if writer.is_encoder_decoder else read
        check_room(given, max_length, positions_of(writer), param)
        return Prepared(inputs=inputs, max_length=max_length, given=given, read=read)

    def _check_queries(self, inputs: dict[str, Any], param: str) -> None:
        """Refuse words that the queries could not read; those of BLIP-2 read none."""


class InstructBlip(Blip2):
    """A BLIP-2 whose queries read the words too, so that there are always some."""

    question_prompt: ClassVar[str] = "{question}"
    _WISH = "A short image description:"

    def for_caption(self, image: Image.Image, prompt: str | None, max_length: int) -> Prepared:
        """Return the inputs for what comes after the prompt, or for a short description without one."""
        return self._asked(image, prompt or self._WISH, max_length, "prompt")

    def _check_queries(self, inputs: dict[str, Any], param: str) -> None:
        tokens = inputs["qformer_input_ids"].shape[1]
        check_read(tokens, positions_of(self.model.config.qformer_config), param)
