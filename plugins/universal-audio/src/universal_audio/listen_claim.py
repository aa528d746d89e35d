"""Which models the speech-to-text backends offer to run, and which of those backends can run here."""

from collections.abc import Iterable

from universal_core import Backend, Claim, ModelInfo, ModelRef


def backends() -> Iterable[Backend]:
    """Return the speech-to-text backends whose libraries are installed."""
    return ()


def claims(info: ModelInfo) -> Iterable[Claim]:
    """Return the offers of the speech-to-text backends to run a model."""
    return ()


def expand_name(ref: ModelRef) -> str | None:
    """Return the repository of a model that is known by a short name, None for any other name."""
    return None
