"""GIT: a decoder that reads a picture and words in one sequence."""

from typing import Any

import torch
from PIL import Image

from universal_vision.captions.writer import Prepared, Writer, check_room, positions_of


class Git(Writer):
    """Goes on from the words that it is given, a beginning or a question."""

    @property
    def eyes(self) -> Any:
        """The vision transformer."""
        return self.model.git.image_encoder

    def for_caption(self, image: Image.Image, prompt: str | None, max_length: int) -> Prepared:
        """Return the inputs for a description, which begins with the prompt."""
        return self._going_on(image, prompt, max_length, shown=True)

    def for_question(self, image: Image.Image, question: str, max_length: int) -> Prepared:
        """Return the inputs for an answer."""
        return self._going_on(image, question, max_length, shown=False)

    def _going_on(self, image: Image.Image, text: str | None, max_length: int, *, shown: bool) -> Prepared:
        words = self.processor.tokenizer(text or "", add_special_tokens=False)["input_ids"]
        # The mark that it was trained to begin with, and none that would end the words.
        ids = [self.processor.tokenizer.cls_token_id, *words]
        check_room(len(ids), max_length, positions_of(self.model.config), "prompt" if shown else "question")
        inputs = {**self.read(image), "input_ids": torch.tensor([ids])}
        return Prepared(inputs=inputs, max_length=max_length, given=len(ids), shown=shown, read=len(ids))
