"""From a conversation with pictures and recordings to what the model reads."""

from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from universal_core import ChatRequest, TokenizeRequest, UnsupportedField
from universal_core.conversation import ChatTemplate, Prompter, room_for
from universal_gguf.generation.media import Given, media_in, with_markers
from universal_gguf.generation.projector import Projector
from universal_gguf.vocabulary import GgufVocabulary


class MediaPrompter(Prompter):
    """Writes prompts; where a projector is there, with what it makes of pictures and recordings.

    ``context`` says how many tokens prompt and answer may have where a request asks for no larger context.
    """

    def __init__(
        self,
        vocabulary: GgufVocabulary,
        template: ChatTemplate | None,
        projector: Projector | None,
        context: Callable[[], int],
    ) -> None:
        super().__init__(vocabulary, template)
        self._projector = projector
        self._context = context

    def read_chat(self, request: ChatRequest | TokenizeRequest) -> list[int]:
        """Return the tokens of a conversation; a MediaPrompt where it has pictures or recordings.

        Raises BadRequest for those that cannot be read, and UnsupportedField where the model does not take them.
        """
        given = media_in(request.messages)
        if not given:
            return super().read_chat(request)
        projector = self._able(given)
        shown = msgspec.structs.replace(request, messages=with_markers(request.messages, projector.marker))
        check = partial(self._check_room, request) if isinstance(request, ChatRequest) else None
        return projector.read(self.write_chat(shown), given, special=not self.has_template, check=check)

    def _check_room(self, request: ChatRequest, count: int) -> None:
        """Refuse what fits into no context of the model before anybody looks at it, which takes seconds a picture."""
        room_for(count, request, max(self._context(), request.n_ctx or 0), "messages")

    def _able(self, given: Sequence[Given]) -> Projector:
        """Return the projector, which takes all that is given."""
        for one in given:
            projector = self._projector
            if projector is None or not (projector.hears if one.is_audio else projector.sees):
                kind = "recordings" if one.is_audio else "pictures"
                raise UnsupportedField(
                    f"{one.part}: the model runs without a projector that takes {kind}; leave it out", param=one.part
                )
        assert self._projector is not None
        return self._projector
