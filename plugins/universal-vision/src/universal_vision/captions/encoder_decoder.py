"""Any vision model with any text decoder behind it (VisionEncoderDecoderModel): captioners, TrOCR."""

from typing import Any

import torch
from PIL import Image

from universal_vision.captions.writer import Prepared, Writer, check_room, positions_of
from universal_vision.loading import Inputs


class VisionEncoderDecoder(Writer):
    """Goes on from the prompt."""

    @property
    def eyes(self) -> Any:
        """The vision model."""
        return self.model.get_encoder()

    def for_caption(self, image: Image.Image, prompt: str | None, max_length: int) -> Prepared:
        """Return the inputs for what comes after the prompt, which is told with it."""
        ids = self.processor.tokenizer(prompt or "", add_special_tokens=False)["input_ids"]
        given = self._begun(ids)
        check_room(len(given), max_length, positions_of(self.model.config.decoder))
        inputs: Inputs = {"pixel_values": self.read(image)["pixel_values"]}
        if prompt:
            inputs["decoder_input_ids"] = torch.tensor([given])
        return Prepared(inputs=inputs, max_length=max_length, given=len(given), shown=True, read=len(given))

    def _begun(self, ids: list[int]) -> list[int]:
        """Return the tokens behind the mark of a beginning, which a Donut's task is itself."""
        settings = self.model.generation_config
        start = settings.bos_token_id if settings.decoder_start_token_id is None else settings.decoder_start_token_id
        own_start = bool(ids) and (ids[0] == start or "donut" in self.model.config.encoder.model_type)
        return ids if own_start else [start, *ids]
