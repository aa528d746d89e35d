"""ViLT: picks the answer to a question out of a list."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from PIL import Image

from universal_core import Usage
from universal_vision.captions.writer import Prepared, Writer, Written, check_read, positions_of


class Vilt(Writer):
    """Picks one of the answers that it was trained with; they are told apart one by one, so scores sum to no 1."""

    def for_question(self, image: Image.Image, question: str, max_length: int) -> Prepared:
        """Return the inputs for an answer."""
        inputs = self.read(image, question, "question")
        words = inputs["input_ids"].shape[1]
        check_read(words, positions_of(self.model.config), "question")
        patches = int(inputs["pixel_mask"].sum()) // self.model.config.patch_size**2
        # One more stands for the picture as a whole.
        return Prepared(inputs=inputs, max_length=max_length, read=words + patches + 1)

    @torch.inference_mode()
    def write(self, batch: Sequence[Prepared], left: Callable[[], bool]) -> list[Written]:
        """Return the likeliest answer to each question, and its probability."""
        scores = self.model(**self.stacked(batch)).logits.float().sigmoid().cpu()
        return [self._likeliest(prepared, row) for prepared, row in zip(batch, scores, strict=True)]

    def _likeliest(self, prepared: Prepared, scores: Any) -> Written:
        place = int(scores.argmax())
        label = self.model.config.id2label[place]
        return Written(text=label, score=float(scores[place]), usage=Usage(prompt_tokens=prepared.read))
