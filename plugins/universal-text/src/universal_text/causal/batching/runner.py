"""One step of a model for all rows at once."""

import itertools
import time
from typing import Any, cast

from torch import Tensor

from universal_core.continuous_batching import Cache, Pace
from universal_core.conversation import Row, Sequence
from universal_core.pytorch import use_threads
from universal_text.causal.adapters import Adapters
from universal_text.causal.batching.attention import Abandoned
from universal_text.causal.batching.forward import Forward
from universal_text.causal.batching.guessing import Guessing
from universal_text.causal.batching.step import Step, side_by_side
from universal_text.causal.batching.store import Store
from universal_text.causal.sampling import Sampler, choose_together


class BatchRunner:
    """Reads the tokens of all rows in one forward pass, or one for each adapter."""

    def __init__(
        self,
        model: Any,
        store: Store,
        cache: Cache,
        pace: Pace,
        adapters: Adapters,
        guessing: Guessing,
        threads: int | None = None,
    ) -> None:
        """``model`` has the attention of this package; it computes with ``threads``, None for what is free."""
        self._model = model
        self._forward = Forward(model)
        self._store = store
        self._cache = cache
        self._pace = pace
        self._adapters = adapters
        self._guessing = guessing
        self._threads = threads
        self._together = model.device.type != "cpu"
        self._abandoned = False
        self._step: Step | None = None

    def step(self, rows: list[Row]) -> list[Any]:
        """Return the logits after each row, None where they are not wanted or nobody waits any more."""
        use_threads(self._threads)
        rows = self._guessing.add(rows)
        outcomes: dict[int, Any] = {}
        for places in self._by_adapter(rows):
            outcomes.update(zip(places, self._read([rows[place] for place in places]), strict=True))
        return self._guessing.told([outcomes[place] for place in range(len(rows))])

    def copy(self, source: Sequence, target: Sequence) -> None:
        """Copy what the source has read; where there is no room, the target waits for its turn to read it."""
        target.state = self._cache.fork(source.state)

    def release(self, sequence: Sequence) -> None:
        """Keep what the sequence has read, for those that begin alike."""
        held, sequence.state = sequence.state, None
        if held is not None:
            self._cache.keep(held)
        self._guessing.forget(sequence)

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
        held = [row.sequence.state for row in rows]
        for one in held:
            one.broken = True  # until all layers have read it
        try:
            logits = self._run(rows)
        except Abandoned:
            return [None] * len(rows)
        except RuntimeError as error:  # torch's own, out of memory among them
            return [error] * len(rows)
        for one in held:
            one.broken = False
        prompts = [row for row in rows if not row.sequence.written or row.wanted < len(row.tokens)]
        prompt = sum(len(row.tokens) for row in prompts)
        self._pace.observe(len(rows) - len(prompts), prompt, time.perf_counter() - began)
        return self._outcomes(rows, logits)

    def _run(self, rows: list[Row]) -> Tensor:
        """Return the logits after all tokens that they are wanted after, ``[wanted, vocabulary]``."""
        for row in rows:
            self._cache.extend(row.sequence.state, row.tokens)
        held = ((row.sequence.state, len(row.tokens)) for row in rows)
        segments = side_by_side(self._store, ((one.number, tokens, len(one.tokens)) for one, tokens in held))
        ends = [one.place + one.tokens for one in segments]
        wanted = [place for row, end in zip(rows, ends, strict=True) for place in range(end - row.wanted, end)]
        step = self._step = Step(self._store, segments, together=self._together)
        step.abandoned = self._abandoned
        return self._forward(step, [token for row in rows for token in row.tokens], wanted)

    def _outcomes(self, rows: list[Row], logits: Tensor) -> list[Any]:
        """Return what each row gets: the logits after its tokens, or what its sampler chooses from them."""
        ends = list(itertools.accumulate(row.wanted for row in rows))
        outcomes: list[Any] = [
            logits[end - row.wanted : end] if row.wanted else None for row, end in zip(rows, ends, strict=True)
        ]
        writing = [place for place, row in enumerate(rows) if row.wanted == 1 and not row.sequence.is_scored]
        if writing:
            samplers = [cast(Sampler, rows[place].sequence.sampler) for place in writing]
            after = logits if len(writing) == len(logits) else logits[[ends[place] - 1 for place in writing]]
            for place, chosen in zip(writing, choose_together(samplers, after), strict=True):
                outcomes[place] = chosen
        return outcomes
