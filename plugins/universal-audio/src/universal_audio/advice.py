"""What would take less than what is asked for."""

from collections.abc import Mapping

import msgspec

from universal_core import MemoryEstimate, Smaller

_WORTH = 0.97


def advised(found: MemoryEstimate, others: Mapping[str, MemoryEstimate]) -> MemoryEstimate:
    """Return an estimate with those of the others, by what to ask for, that take less in fact, largest first."""
    less = [Smaller(text, each.total) for text, each in others.items() if each.total < _WORTH * found.total]
    return msgspec.structs.replace(found, smaller=tuple(sorted(less, key=lambda one: -one.total)))
