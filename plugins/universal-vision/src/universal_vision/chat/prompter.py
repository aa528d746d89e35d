"""From a conversation with pictures to what the model reads."""

from typing import Any

import msgspec
from PIL import Image

from universal_core import BadRequest, ChatMessage, ChatRequest, TextPart, TokenizeRequest
from universal_core.conversation import ChatTemplate, Prompter
from universal_text.causal import TokenizerVocabulary
from universal_vision.chat.inputs import PicturePrompt
from universal_vision.chat.pictures import pictures_in, seen

# What a processor returns and no step of a model takes from it: the prompt's own tokens, and what only training needs.
_LEFT_OUT = ("input_ids", "attention_mask", "labels")
_MODALITIES = ("image", "video", "audio")


class PicturePrompter(Prompter):
    """Writes prompts; where a conversation has pictures, with what the model's processor makes of them.

    Pictures of more than ``most_pixels`` are shrunk to that many first.
    """

    def __init__(
        self,
        vocabulary: TokenizerVocabulary,
        template: ChatTemplate | None,
        processor: Any,
        most_pixels: int | None = None,
    ) -> None:
        super().__init__(vocabulary, template)
        self._reading = vocabulary.reading
        self._processor = processor
        self._most_pixels = most_pixels
        self._mark: str = getattr(processor, "image_token", None) or ""
        self._places = places_of(processor)

    def read_chat(self, request: ChatRequest | TokenizeRequest) -> list[int]:
        """Return the tokens of a conversation; a PicturePrompt where it has pictures.

        Raises BadRequest for those that cannot be read, or that the model's template does not show.
        """
        given = pictures_in(request.messages)
        images = [seen(one, self._most_pixels) for one in given]
        text = self.write_chat(request)
        self._check_places(text, len(given))
        if not given:
            return self._vocabulary.encode(text, special=self._adds_special(text))
        return self._process(text, images)

    def write_chat(self, request: ChatRequest | TokenizeRequest) -> str:
        """Return the conversation as text, with a place for each picture. Raises BadRequest."""
        shown = msgspec.structs.replace(request, messages=tuple(map(self._harmless, request.messages)))
        if self.has_template:
            return super().write_chat(shown)
        places = self._mark * len(pictures_in(request.messages))
        # A model without a template was trained on an instruction of its own kind, not on conversations.
        plain = not (shown.chat_template_kwargs or shown.tools)
        alone = plain and len(shown.messages) == 1 and shown.messages[0].role == "user"
        return places + (shown.messages[0].text if alone else super().write_chat(shown))

    def read_text(self, prompt: str | tuple[int, ...]) -> list[int]:
        """Return the tokens of a text, or the given ones after a check."""
        if isinstance(prompt, str):
            return super().read_text(self._without_places(prompt))
        return super().read_text(prompt)

    def _process(self, text: str, images: list[Image.Image]) -> PicturePrompt:
        try:
            with self._reading:
                found = self._processor(
                    text=[text], images=[images], add_special_tokens=self._adds_special(text), return_tensors="pt"
                )
        except (ValueError, TypeError, LookupError) as error:
            raise BadRequest(
                f"messages: the model's processor cannot read these pictures: {error}", param="messages"
            ) from error
        given = {name: value for name, value in found.items() if name not in _LEFT_OUT}
        return PicturePrompt(found["input_ids"][0].tolist(), given)

    def _adds_special(self, text: str) -> bool:
        """Whether the tokenizer puts its tokens around a chat: apply_chat_template of processors lets it, unless
        the template has begun with the first of them.
        """
        first = self._processor.tokenizer.bos_token
        return first is None or not text.startswith(first)

    def _check_places(self, text: str, pictures: int) -> None:
        shown = text.count(self._mark) if self._mark else pictures
        if shown > pictures:
            raise BadRequest(
                f"messages: put together, the words of the parts have {self._mark}, which stands for a picture; "
                "leave it out",
                param="messages",
            )
        if shown < pictures:
            raise BadRequest(
                f"messages: the model's chat template shows {shown} of {pictures} pictures; send them in turns of the "
                "user",
                param="messages",
            )

    def _harmless(self, message: ChatMessage) -> ChatMessage:
        """Return a turn whose words are no places for pictures."""
        parts = [
            TextPart(text=self._without_places(part.text)) if isinstance(part, TextPart) else part
            for part in message.content
        ]
        return msgspec.structs.replace(message, content=tuple(parts))

    def _without_places(self, text: str) -> str:
        for place in self._places:
            text = text.replace(place, f"{place[0]} {place[1:]}")
        return text


def places_of(processor: Any) -> tuple[str, ...]:
    """Return the texts that a processor takes for the place of a picture, a video or a recording, longest first."""
    names = ("boi_token", *(f"{kind}_token" for kind in _MODALITIES))
    found = {getattr(part, name, None) for part in (processor, processor.tokenizer) for name in names}
    return tuple(sorted((place for place in found if isinstance(place, str) and len(place) > 1), key=len, reverse=True))
