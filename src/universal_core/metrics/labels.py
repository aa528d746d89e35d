"""The values of labels, kept from becoming too many."""

import re
from functools import lru_cache

MOST_MODELS = 200
"""Models that get a label of their own; each costs some sixty lines of a scrape a task."""

OTHER = "other"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CONVERTOR = re.compile(r":\w+}")


class Labels:
    """Names of models as labels: the first ones are kept, and what comes when there are enough is ``other``."""

    def __init__(self, most: int = MOST_MODELS) -> None:
        self._most = most
        self._kept: set[str] = set()

    def of(self, name: str) -> str:
        """Return the label for a model's name."""
        if name in self._kept:
            return name
        if len(self._kept) >= self._most:
            return OTHER
        self._kept.add(name)
        return name


def method_label(method: str) -> str:
    """Return an HTTP method; what a client has made up is ``other``."""
    return method if method in _METHODS else OTHER


@lru_cache(maxsize=512)
def route_label(path: str) -> str:
    """Return a route's path as the documentation has it, without the kinds of its parameters; ``other`` for none."""
    return _CONVERTOR.sub("}", path) or OTHER
