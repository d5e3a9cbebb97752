"""The context of a scope: enter it, leave it as it was found, carry it out, carry it in.

A scope is one request, one connection, one execution of a task, one command. It knows no Django, Celery, Channels.
"""

import functools
import time
from collections.abc import Callable, Collection, Generator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, ParamSpec, TypeVar

from .binding import (
    OWN_KEYS,
    bind,
    bound,
    bound_but_tasks,
    carried_keys,
    get_request_id,
    replace,
    switch,
    unbind,
    variables,
)
from .request_ids import MAX_REQUEST_ID_LENGTH, new_request_id, valid_request_id

__all__ = [
    "MAX_REQUEST_ID_LENGTH",
    "OWN_KEYS",
    "Scope",
    "bind",
    "bind_fields",
    "bound",
    "carried_keys",
    "carry_context",
    "current_scope",
    "enter",
    "enter_root",
    "get_request_id",
    "leave",
    "milliseconds",
    "new_request_id",
    "travelling",
    "unbind",
    "valid_request_id",
    "variables",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")


class Scope:
    """One entered scope. Made by `enter` and `enter_root`, ended by `leave`.

    Attributes:
        base: what the process had bound before its outermost scope; it does not travel.
        closed: whether its closing event was logged; an edge sets it.
        failure: the exception that ended the scope's work, where an edge learnt of it before the end.
    """

    __slots__ = ("_found", "_inside", "_started", "base", "closed", "failure", "outer")

    def __init__(self, outer: "Scope | None", base: dict[str, Any], found: dict[str, Any], inside: dict[str, Any]) -> None:
        self.outer = outer
        self.base = base
        self.closed = False
        self.failure: BaseException | None = None
        self._found = found
        self._inside = inside
        self._started = time.perf_counter()

    @property
    def duration_ms(self) -> float:
        """Milliseconds since the scope was entered, to a hundredth."""
        return int((time.perf_counter() - self._started) * 100_000 + 0.5) / 100  # as `milliseconds`, without a call

    @property
    def inside(self) -> dict[str, Any]:
        """What was bound inside when the scope was last left."""
        return self._inside

    def resume(self) -> tuple[dict[str, Any], "Scope | None"]:
        """Be inside the scope again after it was left, for a piece of the body of a response, until `pause`.

        Returns what `pause` needs to make everything outside as it was.
        """
        outside = replace(self._inside), _current.get()
        _current.set(self)
        return outside

    def pause(self, outside: tuple[dict[str, Any], "Scope | None"]) -> None:
        """Be outside again; what was bound since `resume` is there again after the next one."""
        self._inside = replace(outside[0])
        _current.set(outside[1])


_current: ContextVar[Scope | None] = ContextVar("dtx_telemetry_scope", default=None)


def current_scope() -> Scope | None:
    """Return the innermost scope that was entered here, or ``None`` outside any."""
    return _current.get()


def enter(fields: Mapping[str, Any], *, drop: Collection[str] = ()) -> Scope:
    """Enter a scope inside what is bound here: an eager task, a message of a connection.

    Args:
        fields: what to bind for the scope.
        drop: bound keys that do not hold inside.
    """
    found, outer = bound(), _current.get()
    base = outer.base if outer is not None else {key: value for key, value in found.items() if key not in OWN_KEYS}
    inside = {key: value for key, value in found.items() if key not in drop}
    inside.update(fields)
    scope = Scope(outer, base, found, inside)
    switch(found, inside)
    _current.set(scope)
    return scope


def enter_root(fields: dict[str, Any], *, own: AbstractSet[str] = OWN_KEYS) -> Scope:
    """Enter a scope that starts from what the process itself has bound: a request, a connection, a task.

    What an earlier scope left behind here (a server may start a request in the context of the one before) does not hold inside.

    Args:
        fields: what to bind for the scope, which keeps it.
        own: the keys that are never the process's own.
    """
    found, outer = bound(), _current.get()
    base = outer.base if outer is not None else found
    if base and not own.isdisjoint(base):
        base = {key: value for key, value in base.items() if key not in own}
    inside = {**base, **fields} if base else fields
    scope = Scope(outer, base, found, inside)
    switch(found, inside)
    _current.set(scope)
    return scope


def leave(scope: Scope) -> None:
    """Leave *scope*: what was bound when it was entered is bound again, and nothing else.

    Where it was not entered nothing happens: the garbage collector ends a coroutine in whatever context it runs itself.
    """
    inner = _current.get()
    while inner is not None and inner is not scope:
        inner = inner.outer
    if inner is None:
        return
    scope._inside = inside = bound()
    switch(inside, scope._found)
    _current.set(scope.outer)
    # A server that starts each request of a connection in the context of the one before would chain them all.
    scope.outer = None


@contextmanager
def bind_fields(**fields: Any) -> Generator[None]:
    """Bind *fields* for a block: on all its lines, and in what it publishes and sends.

    As a decorator it is for functions that are not asynchronous.
    """
    scope = enter(fields)
    try:
        yield
    finally:
        leave(scope)


def carry_context(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return *function* bound to the context of now, for a thread of a pool to call: ``pool.submit(carry_context(work), 1)``.

    May be called any number of times, also at the same time: each call runs in a copy of its own.
    """
    context = copy_context()

    @functools.wraps(function)
    def carried(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        return context.copy().run(function, *args, **kwargs)

    return carried


def milliseconds(seconds: float) -> float:
    """Return *seconds*, at least 0, as milliseconds to a hundredth: as ``round`` does it, in a fraction of its time."""
    return int(seconds * 100_000 + 0.5) / 100


def travelling(keys: Collection[str] | None = None) -> dict[str, Any]:
    """Return what is bound here and goes along with a message, by reference and as it is.

    That is what the scopes around bound, not what the process had bound before its outermost scope, and no ``task.*``.

    Args:
        keys: the only keys that may go along, ``request.id`` aside; ``None`` for all.
    """
    scope = _current.get()
    fields = bound_but_tasks()
    if keys is not None:
        fields = {key: value for key, value in fields.items() if key in keys or key == "request.id"}
    if scope is None or not scope.base:
        return fields
    base = scope.base
    return {key: value for key, value in fields.items() if key not in base or base[key] is not value}
