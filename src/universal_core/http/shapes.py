"""The shape of errors where an API has one of its own: OpenAI's is everybody else's."""

from collections.abc import Callable, Collection
from typing import Any

from starlette.routing import Match, Route
from starlette.types import Scope

from universal_core.errors import UniversalError
from universal_core.http.defaults import explained

SHAPE = "universal.error_shape"

ErrorShape = Callable[[UniversalError, Scope], Any]
"""What is told of an error, ready to be written as JSON; the scope is that of the request."""


class ShapedRoute(Route):
    """A route all of whose errors have the shape of its API, even those that come before its endpoint is asked."""

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        shape: ErrorShape,
        methods: Collection[str] | None = None,
    ) -> None:
        super().__init__(path, endpoint, methods=methods)
        self._shape = shape

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the path is this one; a wrong method is refused here, and not by some other route."""
        match, child = super().matches(scope)
        if match is Match.NONE:
            return match, child
        return Match.FULL, {**child, SHAPE: self._shape}


def shaped(error: UniversalError, scope: Scope | None) -> Any:
    """Return what is told of an error to a client of this request."""
    error = explained(error, scope)
    shape: ErrorShape | None = scope.get(SHAPE) if scope else None
    return shape(error, scope) if shape and scope else error.body()
