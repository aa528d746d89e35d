"""From requests to rows of token ids, with what is wrong about a request found before any work."""

from collections.abc import Iterator, Sequence

from universal_core import BadRequest, EmbedRequest
from universal_text.encoder.layout import Layout
from universal_text.encoder.network import Row
from universal_text.encoder.tokens import Tokens


class Reader:
    """Reads the requests of one model."""

    def __init__(self, tokens: Tokens, layout: Layout, *, vocabulary: int, size: int) -> None:
        """``vocabulary`` is the number of token ids that the model knows, ``size`` the length of its vectors."""
        self._tokens = tokens
        self._layout = layout
        self._vocabulary = vocabulary
        self._size = size

    def read(self, requests: Sequence[EmbedRequest]) -> list[list[Row] | BadRequest]:
        """Return the rows of each request in order, or what is wrong about it; all texts are tokenized together."""
        faults = [self._fault(request) for request in requests]
        sound = [request for request, fault in zip(requests, faults, strict=True) if fault is None]
        texts = [self.prompt_of(request) + item for request in sound for item in request.input if isinstance(item, str)]
        encoded = iter(self._tokens.of_texts(texts))
        return [fault or self._rows(request, encoded) for request, fault in zip(requests, faults, strict=True)]

    def prompt_of(self, request: EmbedRequest) -> str:
        """Return what is put before each input of a request."""
        return self._layout.prompts.get(request.prompt_name or self._layout.default_prompt or "", "")

    def _rows(self, request: EmbedRequest, encoded: Iterator[list[int]]) -> list[Row] | BadRequest:
        prompt = self.prompt_of(request)
        skipped = self._tokens.prompt_length(prompt) if prompt and not self._layout.include_prompt else 0
        ids = (next(encoded) if isinstance(item, str) else self._tokens.of_ids(item, prompt) for item in request.input)
        rows = [Row(row, skipped) for row in ids]
        empty = next((place for place, row in enumerate(rows) if not row.ids), None)
        if empty is None:
            return rows
        return BadRequest(f"Input {empty} has no tokens, so it has no vector; leave it out.", param="input")

    def _fault(self, request: EmbedRequest) -> BadRequest | None:
        return self._fault_of_dimensions(request) or self._fault_of_prompt(request) or self._fault_of_ids(request)

    def _fault_of_dimensions(self, request: EmbedRequest) -> BadRequest | None:
        if request.dimensions is None or 1 <= request.dimensions <= self._size:
            return None
        message = f"dimensions must be from 1 to {self._size} for this model, not {request.dimensions}."
        return BadRequest(message, param="dimensions")

    def _fault_of_prompt(self, request: EmbedRequest) -> BadRequest | None:
        if request.prompt_name is None or request.prompt_name in self._layout.prompts:
            return None
        known = ", ".join(sorted(self._layout.prompts)) or "none at all"
        message = f"This model has no prompt named {request.prompt_name!r}; it has {known}."
        return BadRequest(message, param="prompt_name")

    def _fault_of_ids(self, request: EmbedRequest) -> BadRequest | None:
        for place, item in enumerate(request.input):
            if isinstance(item, str) or not item or (min(item) >= 0 and max(item) < self._vocabulary):
                continue
            message = f"Input {place} has a token id outside of this model's range, 0 to {self._vocabulary - 1}."
            return BadRequest(message, param="input")
        return None
