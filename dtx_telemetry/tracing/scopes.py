"""OpenTelemetry's part in the life of each scope: a span that begins with it, is current while it is, and ends with it."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from opentelemetry.trace import get_current_span

from ..context import End, Participant, Scope
from ..events import Kind
from .spans import ScopeSpan

__all__ = ["SpansOfScopes"]

#: What a scope asked of the database. The statements are on the spans of the drivers' instrumentations.
_TOTALS = ("db.query_count", "db.duration_ms")


class Companion(Protocol):
    """What goes along with a scope as ``scope.span``: mostly a span, which is current in it."""

    def attach(self) -> None:
        """Make it current, in a context that is thrown away afterwards."""

    def finish_scope(self, scope: Scope, end: End) -> None:
        """End with the scope, and stay current until it is left."""

    def leave(self) -> None:
        """Make current what was before."""


#: Begins the span of a scope and makes it current, or returns None. It gets the scope, and what its edge knows of it.
Begin = Callable[[Scope, Any], Companion | None]


class SpansOfScopes(Participant):
    """Begins and ends the spans of scopes.

    Args:
        begin: what begins the span of a scope, by the scope's kind.
    """

    def __init__(self, begin: Mapping[Kind, Begin]) -> None:
        self._begin = begin

    def entered(self, scope: Scope, about: Any) -> None:
        """Begin the span."""
        begin = self._begin.get(scope.kind) if scope.kind is not None else None
        if begin is not None:
            scope.span = begin(scope, about)

    def resumed(self, scope: Scope) -> None:
        """Make the span current once more."""
        if scope.span is not None:
            scope.span.attach()

    def ending(self, scope: Scope) -> None:
        """Make the scope's span the current one, also if the application attached another and never detached it."""
        span = scope.span
        if isinstance(span, ScopeSpan) and get_current_span() is not span.span:
            span.attach()

    def ended(self, scope: Scope, end: End) -> None:
        """End the span, which stays current until the scope is left."""
        span = scope.span
        if span is None:
            return
        if "db.query_count" in end.fields and isinstance(span, ScopeSpan) and span.span.is_recording():
            span.span.set_attributes({name: end.fields[name] for name in _TOTALS})
        span.finish_scope(scope, end)

    def left(self, scope: Scope) -> None:
        """Make current again what was before."""
        if scope.span is not None:
            scope.span.leave()
