"""What became of one model call: told to plugins when it has ended."""

from collections.abc import Mapping

import msgspec


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One model call that has ended, in numbers: nothing of what was asked or answered is here.

    ``outcome`` is ``ok``, ``cancelled`` (whoever asked went away), or the code of the error that it ended in. ``model``
    is what was asked for, and ``info_id`` what that stands for.

    Seconds are those that it waited for the model to load (``load_seconds``) and then for its turn (``queue_seconds``),
    from its turn to its first event (``prefill_seconds``), from there to the end (``generate_seconds``), from its
    beginning to its first event (``first_seconds``, None where there was none), and all together (``seconds``).

    Tokens are those that the model reported, 0 where it did not come so far; ``tokens_cached`` of ``tokens_in`` had
    been read before. ``generates`` is whether the task writes text token by token. ``pictures`` are those made, and
    ``audio_seconds`` what was heard or spoken. ``settings`` are the request's sampling fields that have a value.
    ``trace`` holds the headers ``traceparent`` and ``tracestate`` that the request came with.
    """

    request_id: str
    model: str
    info_id: str
    task: str
    backend: str
    outcome: str
    seconds: float
    queue_seconds: float = 0.0
    load_seconds: float = 0.0
    prefill_seconds: float = 0.0
    first_seconds: float | None = None
    generate_seconds: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    tokens_reasoning: int = 0
    generates: bool = False
    pictures: int = 0
    audio_seconds: float = 0.0
    finish_reasons: tuple[str, ...] = ()
    settings: Mapping[str, float | int] = {}
    trace: Mapping[str, str] = {}

    @property
    def failed(self) -> bool:
        """Whether it ended in an error."""
        return self.outcome not in ("ok", "cancelled")
