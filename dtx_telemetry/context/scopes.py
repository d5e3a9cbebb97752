"""Scopes: enter one, leave it as it was found, and what belongs to it while it lasts.

A scope is one request, one connection, one execution of a task, one command, one operation.
"""

import time
from collections.abc import Callable, Collection, Generator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from . import binding
from .binding import OWN_KEYS, replace, switch
from .companion import Companion

__all__ = [
    "Outside",
    "Scope",
    "bind_fields",
    "bound",
    "current_scope",
    "enter",
    "enter_root",
    "get_request_id",
    "leave",
    "milliseconds",
    "outgoing_fields",
    "outside_scopes",
]

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
        if not early and _current.get() is not self:
            _leave_inner(self)
        return True

    @property
    def inside(self) -> dict[str, Any]:
        """What is bound in this scope itself; where it is not entered here, what was bound when it was last left."""
        return _with_own(self._inside_now(), self)

    def set_field(self, key: str, value: Any) -> None:
        """Change a field of the scope's own, whichever scope inside it is current; ``None`` takes it away."""
        own = self.own
        if value is None:
            own.pop(key, None)
        else:
            own[key] = value
        current = _current.get()
        inner = _inner_scopes(self)
        for scope in inner or ():
            _set(scope._found, key, value)
        if inner is None:
            self._inside = _set(dict(self._inside), key, value)
        elif current is not None and current.own is own:  # an inner scope with fields of its own keeps them
            binding.bind({key: ... if value is None else value})

    def remember(self) -> None:
        """Keep what is bound in this scope now, for `resume` in another thread or task."""
        self._inside = self._inside_now()

    def resume(self) -> Outside:
        """Enter the scope again, for a piece of a response's body or an event of a connection, until `pause`.

        Returns what `pause` needs.
        """
        outside = replace(self._inside_now()), _current.get(), self.span and self.span.resume()
        _current.set(self._innermost or self)
        return outside

    def pause(self, outside: Outside) -> None:
        """Leave the scope again. What was bound since `resume`, and inner scopes still open, are back at the next one."""
        current = _current.get()
        self._innermost = None if current is self or _inner_scopes(self) is None else current
        self._inside = replace(outside[0])
        _current.set(outside[1])
        if self.span is not None:
            self.span.pause(outside[2])
        if inner := _inner_scopes(self):
            inner[-1]._found = self._inside

    def _inside_now(self) -> dict[str, Any]:
        inner = _inner_scopes(self)
        if inner is None:
            return self._inside
        return dict(inner[-1]._found) if inner else binding.bound()


_current: ContextVar[Scope | None] = ContextVar("dtx_telemetry_scope", default=None)


def current_scope() -> Scope | None:
    """Return the innermost scope that was entered here, or ``None`` outside any."""
    return _current.get()


def bound() -> dict[str, Any]:
    """Return everything that is bound here, the application's own included, as a new dict.

    The own fields of the current scope are part of it even after ``structlog.contextvars.clear_contextvars()``, which
    structlog's guide tells applications to call at the start of a request.
    """
    fields, scope = binding.bound(), _current.get()
    return fields if scope is None or scope.own.keys() <= fields.keys() else {**scope.own, **fields}


def get_request_id() -> str | None:
    """Return the ``request.id`` of here, or ``None`` where there is none.

    .. versionadded:: 0.1.0
    """
    value = binding.bound_request_id()
    if value is None and (scope := _current.get()) is not None:
        value = scope.own.get("request.id")
    return value


def outgoing_fields(keys: Collection[str] | None = None) -> dict[str, Any]:
    """Return what a message published here takes along, as a new dict.

    That is what the scopes bound. What the process had bound before its outermost scope stays at home, and so does ``task.*``:
    a message of Celery's names its parent task itself.

    Args:
        keys: only these travel, besides ``request.id``; ``None``: all of them.
    """
    fields = binding.bound_but_tasks()
    scope = _current.get()
    if scope is not None and not scope.own.keys() <= fields.keys():
        fields = {key: value for key, value in scope.own.items() if not key.startswith("task.")} | fields
    if keys is not None:
        fields = {key: value for key, value in fields.items() if key in keys or key == "request.id"}
    if scope is None or not scope.base:
        return fields
    base = scope.base
    return {key: value for key, value in fields.items() if key not in base or base[key] is not value}


def enter(fields: Mapping[str, Any], *, drop: Collection[str] = (), around: Scope | None = None) -> Scope:
    """Enter a scope inside the one of here: an eager task, a message of a connection.

    Args:
        fields: what to bind for the scope; its own.
        drop: bound keys that do not hold inside.
        around: the scope to start from instead of the one of here, of which nothing holds inside then.
    """
    outer = around or _current.get()
    own = {key: value for key, value in outer.own.items() if key not in drop} if outer is not None else {}
    own.update(fields)
    return _enter_inside(own, fields, drop, around)


def enter_root(fields: dict[str, Any], *, own: AbstractSet[str] = OWN_KEYS) -> Scope:
    """Enter a scope that starts from what the process itself has bound: a request, a connection, a task.

    What an earlier scope left behind here (a server may start a request in the context of the one before) does not hold inside.

    Args:
        fields: what to bind for the scope, which keeps the dict.
        own: the keys that are never the process's own.
    """
    found, outer = binding.bound(), _current.get()
    base = outer.base if outer is not None else found
    if base and not own.isdisjoint(base):
        base = {key: value for key, value in base.items() if key not in own}
    return _switch_to(Scope(outer, base, fields, {**base, **fields} if base else fields), found)


def leave(scope: Scope) -> None:
    """Leave *scope*: what was bound when it was entered is bound again, and nothing else.

    Where it was not entered nothing happens: the garbage collector ends a coroutine in whatever context it runs itself.
    """
    if _current.get() is not scope and not _leave_inner(scope):
        return
    scope._inside = inside = binding.bound()
    scope._innermost = None
    switch(inside, scope._found)
    _current.set(scope.outer)
    if scope.span is not None:
        scope.span.leave()
    # A server that starts each request of a connection in the context of the one before would chain them all.
    scope.outer = None


@contextmanager
def bind_fields(**fields: Any) -> Generator[None]:
    """Bind *fields* for a block: on all its lines, and in what it publishes and sends.

    As a decorator it is for functions that are not asynchronous.

    Args:
        fields: bound beside what is; ``**{"draft.id": 5}`` for a name with a point.

    .. versionadded:: 0.1.0
    """
    outer = _current.get()
    scope = _enter_inside(outer.own if outer is not None else {}, fields, ())
    try:
        yield
    finally:
        leave(scope)


@contextmanager
def outside_scopes(*, keep_fields: bool = False, own: AbstractSet[str] = OWN_KEYS) -> Generator[None]:
    """Be in no scope for a block: what starts in it and outlives it, a receiver or a pooled connection, holds none for good.

    Args:
        keep_fields: what is bound here stays bound, for the lines of the block. Otherwise only what the process itself bound.
        own: the keys that are never the process's own.
    """
    scope, found = _current.get(), {} if keep_fields else binding.bound()
    if not keep_fields:
        base = scope.base if scope is not None else found
        switch(found, {key: value for key, value in base.items() if key not in own})
    token = _current.set(None)
    try:
        yield
    finally:
        try:
            _current.reset(token)
        except ValueError:  # the garbage collector ends this in another context, which has nothing to be put back
            pass
        else:
            if not keep_fields:
                replace(found)


def milliseconds(seconds: float) -> float:
    """Return *seconds* as milliseconds, to a hundredth. ``round`` takes four times as long."""
    return int(seconds * 100_000 + 0.5) / 100


def _enter_inside(own: dict[str, Any], fields: Mapping[str, Any], drop: Collection[str], around: Scope | None = None) -> Scope:
    found, outer = binding.bound(), _current.get()
    base = outer.base if outer is not None else {key: value for key, value in found.items() if key not in OWN_KEYS}
    start = _with_own(found, outer) if around is None else around.inside
    inside = {key: value for key, value in start.items() if key not in drop}
    inside.update(fields)
    return _switch_to(Scope(outer, base, own, inside), found)


def _with_own(fields: dict[str, Any], scope: Scope | None) -> dict[str, Any]:
    return fields if scope is None or scope.own.keys() <= fields.keys() else {**scope.own, **fields}


def _switch_to(scope: Scope, found: dict[str, Any]) -> Scope:
    scope._found = found
    switch(found, scope._inside)
    _current.set(scope)
    return scope


def _inner_scopes(scope: Scope) -> list[Scope] | None:
    """Return the scopes that are open inside *scope*, the innermost first; ``None`` where it is not entered here."""
    inner: list[Scope] = []
    candidate = _current.get()
    while candidate is not None:
        if candidate is scope:
            return inner
        inner.append(candidate)
        candidate = candidate.outer
    return None


def _leave_inner(scope: Scope) -> bool:
    """Leave the scopes that are still open inside *scope*; return False where it is not entered here."""
    inner = _inner_scopes(scope)
    if inner is None:
        return False
    if inner:
        replace(inner[-1]._found)
        _current.set(scope)
        for span in [left.span for left in inner if left.span is not None]:
            span.leave()
    return True


def _set(fields: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    if value is None:
        fields.pop(key, None)
    else:
        fields[key] = value
    return fields
