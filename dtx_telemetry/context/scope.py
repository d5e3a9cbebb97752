"""One scope: what it is known by, what is bound in it, and entering it again.

A scope is one request, one connection, one execution of a task, one command, one operation.
"""

import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from . import binding
from .binding import replace
from .companion import Companion

__all__ = ["Outside", "Scope", "current", "current_scope", "leave_inner_scopes", "milliseconds", "with_own_fields"]

#: What `Scope.pause` needs to put back.
Outside = tuple[dict[str, Any], "Scope | None", object]


class Scope:
    """One entered scope. Made by `enter` and `enter_root`, ended by `leave`.

    Attributes:
        base: what the process had bound before its outermost scope; it does not travel.
        failure: the exception that ended the scope's work, where an edge learnt of it before the end.
        outer: the scope around this one, ``None`` for the outermost.
        told: whether the scope's closing event was printed.
        waiting: lines of frameworks that wait for it, each with whether it is printed in any case.
        own: the fields that the scope is known by. They stay on its lines when the application clears structlog's context.
        span: what is current along with the scope, where an edge has given it a span.
    """

    __slots__ = (
        *("__weakref__", "_closed", "_found", "_innermost", "_inside", "_started"),
        *("base", "failure", "outer", "own", "span", "told", "waiting"),
    )

    def __init__(self, outer: "Scope | None", base: dict[str, Any], own: dict[str, Any], inside: dict[str, Any]) -> None:
        self.outer = outer
        self.base = base
        self.own = own
        self.failure: BaseException | None = None
        self.span: Companion | None = None
        self.told = False
        self.waiting: tuple[tuple[bool, Callable[[], None]], ...] = ()
        self._closed = False
        self._found: dict[str, Any] = {}
        self._inside = inside
        # None for itself: a scope that held itself would not be freed before the garbage collector comes by.
        self._innermost: Scope | None = None
        self._started = time.perf_counter()

    @property
    def duration_ms(self) -> float:
        """Milliseconds since the scope was entered, to a hundredth."""
        return milliseconds(time.perf_counter() - self._started)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @property
    def is_entered(self) -> bool:
        """Whether the scope of here is this one, or one inside it. Not where the garbage collector ends its work elsewhere."""
        return _inner_scopes(self) is not None

    def close(self, *, early: bool = False) -> bool:
        """Return True at the first call: a scope has one closing event.

        Scopes inside this one that are still open (a generator was left half way) are ended first: the closing event has
        nothing of theirs.

        Args:
            early: the event comes before the scope's work ends, in the midst of an inner scope that goes on.
        """
        if self._closed:
            return False
        self._closed = True
        if not early and current.get() is not self:
            leave_inner_scopes(self)
        return True

    @property
    def inside(self) -> dict[str, Any]:
        """What is bound in this scope itself; where it is not entered here, what was bound when it was last left."""
        return with_own_fields(self._inside_now(), self)

    def set_field(self, key: str, value: Any) -> None:
        """Change a field of the scope's own, whichever scope inside it is current; ``None`` takes it away."""
        own = self.own
        if value is None:
            own.pop(key, None)
        else:
            own[key] = value
        innermost = current.get()
        inner = _inner_scopes(self)
        for scope in inner or ():
            _set(scope._found, key, value)
        if inner is None:
            self._inside = _set(dict(self._inside), key, value)
        elif innermost is not None and innermost.own is own:  # an inner scope with fields of its own keeps them
            binding.bind({key: ... if value is None else value})

    def remember(self) -> None:
        """Keep what is bound in this scope now, for `resume` in another thread or task."""
        self._inside = self._inside_now()

    def resume(self) -> Outside:
        """Enter the scope again, for a piece of a response's body or an event of a connection, until `pause`.

        Returns what `pause` needs.
        """
        outside = replace(self._inside_now()), current.get(), self.span and self.span.resume()
        current.set(self._innermost or self)
        return outside

    def pause(self, outside: Outside) -> None:
        """Leave the scope again. What was bound since `resume`, and inner scopes still open, are back at the next one."""
        innermost = current.get()
        self._innermost = None if innermost is self or _inner_scopes(self) is None else innermost
        self._inside = replace(outside[0])
        current.set(outside[1])
        if self.span is not None:
            self.span.pause(outside[2])
        if inner := _inner_scopes(self):
            inner[-1]._found = self._inside

    def _inside_now(self) -> dict[str, Any]:
        inner = _inner_scopes(self)
        if inner is None:
            return self._inside
        return dict(inner[-1]._found) if inner else binding.bound()


#: The innermost scope that was entered here.
current: ContextVar[Scope | None] = ContextVar("dtx_telemetry_scope", default=None)


def current_scope() -> Scope | None:
    """Return the innermost scope that was entered here, or ``None`` outside any."""
    return current.get()


def milliseconds(seconds: float) -> float:
    """Return *seconds* as milliseconds, to a hundredth. ``round`` takes four times as long."""
    return int(seconds * 100_000 + 0.5) / 100


def with_own_fields(fields: dict[str, Any], scope: Scope | None) -> dict[str, Any]:
    return fields if scope is None or scope.own.keys() <= fields.keys() else {**scope.own, **fields}


def leave_inner_scopes(scope: Scope) -> bool:
    """Leave the scopes that are still open inside *scope*; return False where it is not entered here."""
    inner = _inner_scopes(scope)
    if inner is None:
        return False
    if inner:
        replace(inner[-1]._found)
        current.set(scope)
        for span in [left.span for left in inner if left.span is not None]:
            span.leave()
    return True


def _inner_scopes(scope: Scope) -> list[Scope] | None:
    """Return the scopes that are open inside *scope*, the innermost first; ``None`` where it is not entered here."""
    inner: list[Scope] = []
    candidate = current.get()
    while candidate is not None:
        if candidate is scope:
            return inner
        inner.append(candidate)
        candidate = candidate.outer
    return None


def _set(fields: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    if value is None:
        fields.pop(key, None)
    else:
        fields[key] = value
    return fields
