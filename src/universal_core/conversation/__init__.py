"""Parts that every backend of conversations needs, free of machine-learning libraries."""

from universal_core.conversation.detokenize import Detokenizer
from universal_core.conversation.plain import PLAIN_STOPS, render_plain
from universal_core.conversation.stops import StopMatcher

__all__ = ["PLAIN_STOPS", "Detokenizer", "StopMatcher", "render_plain"]
