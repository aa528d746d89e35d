"""One step of a model for all rows at once."""

import time
from typing import Any

from torch import Tensor

from universal_core.continuous_batching import Cache, Pace
from universal_core.conversation import Row, Sequence
from universal_text.causal.adapters import Adapters
from universal_text.causal.attention import Abandoned
from universal_text.causal.forward import Forward
from universal_text.causal.step import Segment, Step
from universal_text.causal.store import Store


class BatchRunner:
    """Reads the tokens of all rows in one forward pass, or one for each adapter."""

    def __init__(self, model: Any, store: Store, cache: Cache, pace: Pace, adapters: Adapters) -> None:
        """``model`` has the attention of this package."""
        self._model = model
        self._forward = Forward(model)
        self._store = store
        self._cache = cache
        self._pace = pace
        self._adapters = adapters
        self._together = model.device.type != "cpu"
        self._abandoned = False
        self._step: Step | None = None

    def step(self, rows: list[Row]) -> list[Any]:
        """Return the logits after each row, None where they are not wanted or nobody waits any more."""
        outcomes: dict[int, Any] = {}
        for places in self._by_adapter(rows):
            outcomes.update(zip(places, self._read([rows[place] for place in places]), strict=True))
        return [outcomes[place] for place in range(len(rows))]

    def copy(self, source: Sequence, target: Sequence) -> None:
        """Copy what the source has read; where there is no room, the target waits for its turn to read it."""
        target.state = self._cache.fork(source.state)

    def release(self, sequence: Sequence) -> None:
        """Keep what the sequence has read, for those that begin alike."""
        held, sequence.state = sequence.state, None
        if held is not None:
            self._cache.keep(held)

    def interrupt(self, wanted: bool) -> None:
        """Let the running step end before its next layer."""
        self._abandoned = wanted
        if wanted and (step := self._step) is not None:
            step.abandoned = True

    def _by_adapter(self, rows: list[Row]) -> list[list[int]]:
        """Return the places of the rows, those of one adapter together: a forward pass has but one."""
        groups: dict[str | None, list[int]] = {}
        for place, row in enumerate(rows):
            groups.setdefault(row.sequence.adapter, []).append(place)
        return list(groups.values())

    def _read(self, rows: list[Row]) -> list[Any]:
        """Read rows of one adapter."""
        self._adapters.use(rows[0].sequence.adapter)
        began = time.perf_counter()
        try:
            logits = self._run(rows)
        except Exception as error:
            for row in rows:
                row.sequence.state.broken = True
            if isinstance(error, Abandoned):
                return [None] * len(rows)
            if isinstance(error, RuntimeError):  # torch's own, out of memory among them
                return [error] * len(rows)
            raise
        answers = sum(row.wanted == 1 == len(row.tokens) for row in rows)
        self._pace.observe(answers, sum(len(row.tokens) for row in rows) - answers, time.perf_counter() - began)
        return self._outcomes(rows, logits)

    def _run(self, rows: list[Row]) -> Tensor:
        """Return the logits after all tokens that they are wanted after, ``[wanted, vocabulary]``."""
        for row in rows:
            self._cache.extend(row.sequence.state, row.tokens)
            self._store.fit(row.sequence.state.number, row.sequence.read)
        segments: list[Segment] = []
        wanted: list[int] = []
        place = 0
        for row in rows:
            start = self._store.start(row.sequence.state.number)
            segments.append(Segment(place, len(row.tokens), start, row.sequence.read))
            place += len(row.tokens)
            wanted.extend(range(place - row.wanted, place))
        step = self._step = Step(self._store, segments, together=self._together)
        step.abandoned = self._abandoned
        return self._forward(step, [token for row in rows for token in row.tokens], wanted)

    def _outcomes(self, rows: list[Row], logits: Tensor) -> list[Any]:
        outcomes: list[Any] = []
        place = 0
        for row in rows:
            after = logits[place : place + row.wanted]
            outcomes.append(None if not row.wanted else after[0] if row.wanted == 1 else after)
            place += row.wanted
        return outcomes
