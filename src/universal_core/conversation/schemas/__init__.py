"""JSON schemas that an answer can be kept to, and those that are refused by name."""

from universal_core.conversation.schemas.blame import blame
from universal_core.conversation.schemas.keywords import followable, relaxed

__all__ = ["blame", "followable", "relaxed"]
