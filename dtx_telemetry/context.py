"""The context of a scope: enter it, leave it as it was found, carry it out, carry it in.

A scope is one request, one connection, one execution of a task, one command. What is bound in it stands in
``structlog.contextvars``, so what the application binds there itself is part of it. It knows no Django, Celery, Channels.
"""

import functools
import os
import re
import time
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import Any, ParamSpec, TypeVar

from structlog import contextvars as _structlog

__all__ = [
    "MAX_REQUEST_ID_LENGTH",
    "OWN_KEYS",
    "Scope",
    "bind",
    "bind_fields",
    "bound",
    "carry_context",
    "current_scope",
    "enter",
    "enter_root",
    "get_request_id",
    "knows",
    "leave",
    "new_request_id",
    "travelling",
    "unbind",
    "valid_request_id",
    "variables",
]

MAX_REQUEST_ID_LENGTH = 128
# In the order in which lines show them.
_OWN_KEYS = ("request.id", "user.id", "labels", "ws.conn_id", "task.id", "task.name", "command.name")
#: The keys that this library binds, the ids of resources aside (those depend on the configured table).
OWN_KEYS = frozenset(_OWN_KEYS)

_REQUEST_ID = re.compile(rf"[A-Za-z0-9._\-:/+=~@]{{1,{MAX_REQUEST_ID_LENGTH}}}", re.ASCII)
_PREFIX = _structlog.STRUCTLOG_KEY_PREFIX
_PREFIX_LENGTH = len(_PREFIX)
# structlog's registry of its variables: reading it costs what is bound, while walking the whole context
# (structlog's get_contextvars) costs what every other library holds there too. It has been there since structlog 21.1.
_VARIABLES: dict[str, ContextVar[Any]] = _structlog._CONTEXT_VARS
# So many that an application must have made up keys as it went along; then the context may be the shorter one to walk.
_MANY = 64
# structlog makes a key's variable when it is first bound, and of two threads that do so at once one loses what it bound:
# ours are made here, before there are threads.
copy_context().run(_structlog.bind_contextvars, **dict.fromkeys(_OWN_KEYS))
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

    def __init__(self, outer: "Scope | None", base: dict[str, Any], found: dict[str, Any]) -> None:
        self.outer = outer
        self.base = base
        self.closed = False
        self.failure: BaseException | None = None
        self._found = found
        self._inside: dict[str, Any] = {}
        self._started = time.perf_counter()

    @property
    def duration_ms(self) -> float:
        """Milliseconds since the scope was entered, to a hundredth."""
        return round((time.perf_counter() - self._started) * 1000, 2)

    @property
    def inside(self) -> dict[str, Any]:
        """What was bound inside when the scope was last left."""
        return self._inside

    def resume(self) -> tuple[dict[str, Any], "Scope | None"]:
        """Be inside the scope again after it was left, for a piece of the body of a response, until `pause`.

        Returns what `pause` needs to make everything outside as it was.
        """
        outside = _replace(self._inside), _current.get()
        _current.set(self)
        return outside

    def pause(self, outside: tuple[dict[str, Any], "Scope | None"]) -> None:
        """Be outside again; what was bound since `resume` is there again after the next one."""
        self._inside = _replace(outside[0])
        _current.set(outside[1])


_current: ContextVar[Scope | None] = ContextVar("dtx_telemetry_scope", default=None)


def bound() -> dict[str, Any]:
    """Return everything that is bound now, the application's own included, as a new dict."""
    if len(_VARIABLES) > _MANY and len(context := copy_context()) < len(_VARIABLES):
        return {
            variable.name[_PREFIX_LENGTH:]: value
            for variable, value in context.items()
            if value is not ... and _VARIABLES.get(variable.name) is variable
        }
    return {name: value for name, read in _readers(len(_VARIABLES)) if (value := read()) is not ...}


@functools.lru_cache(maxsize=1)
def _readers(_count: int) -> tuple[tuple[str, Callable[[], Any]], ...]:
    """Return the keys ever bound, each with what reads it. structlog only adds variables: their number tells of new ones."""
    return tuple((name[_PREFIX_LENGTH:], variable.get) for name, variable in _VARIABLES.copy().items())


def bind(fields: Mapping[str, Any]) -> None:
    """Bind *fields* from here on, until the scope around is left."""
    _structlog.bind_contextvars(**fields)


def unbind(*keys: str) -> None:
    """Take *keys* out of what is bound; unknown ones are ignored."""
    _structlog.unbind_contextvars(*keys)


def current_scope() -> Scope | None:
    """Return the innermost scope that was entered here, or ``None`` outside any."""
    return _current.get()


def get_request_id() -> str | None:
    """Return the bound ``request.id``, or ``None`` where there is none."""
    variable = _VARIABLES.get(_PREFIX + "request.id")
    value = variable.get() if variable is not None else ...
    return None if value is ... else value


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
    return _enter(Scope(outer, base, found), found, inside)


def enter_root(fields: Mapping[str, Any], *, own: Collection[str] = OWN_KEYS) -> Scope:
    """Enter a scope that starts from what the process itself has bound: a request, a connection, a task.

    What an earlier scope left behind here (a server may start a request in the context of the one before) does not hold inside.

    Args:
        fields: what to bind for the scope.
        own: the keys that are never the process's own.
    """
    found, outer = bound(), _current.get()
    base = outer.base if outer is not None else found
    inside = {key: value for key, value in base.items() if key not in own}
    scope = Scope(outer, inside.copy(), found)
    inside.update(fields)
    return _enter(scope, found, inside)


def leave(scope: Scope) -> None:
    """Leave *scope*: what was bound when it was entered is bound again, and nothing else.

    Where it was not entered nothing happens: the garbage collector ends a coroutine in whatever context it runs itself.
    """
    inner = _current.get()
    while inner is not None and inner is not scope:
        inner = inner.outer
    if inner is None:
        return
    scope._inside = _replace(scope._found)
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


def knows(key: str) -> bool:
    """Whether *key* was bound in this process before."""
    return _PREFIX + key in _VARIABLES


def variables() -> int:
    """Return how many different keys were bound in this process so far; each one is kept for good."""
    return len(_VARIABLES)


def new_request_id() -> str:
    """Return a new random id, 32 hexadecimal digits (122 random bits, as a version 4 UUID of RFC 9562)."""
    digits = os.urandom(16).hex()
    return f"{digits[:12]}4{digits[13:16]}{'89ab'[int(digits[16], 16) & 3]}{digits[17:]}"


def valid_request_id(value: object) -> bool:
    """Whether *value* may be taken over as a request id: 1 to 128 characters of ``A-Z a-z 0-9 . _ - : / + = ~ @``."""
    return isinstance(value, str) and _REQUEST_ID.fullmatch(value) is not None


def travelling(keys: Collection[str] | None = None) -> dict[str, Any]:
    """Return what is bound here and goes along with a message, by reference and as it is.

    That is what the scopes around bound, not what the process had bound before its outermost scope, and no ``task.*``.

    Args:
        keys: the only keys that may go along, ``request.id`` aside; ``None`` for all.
    """
    scope = _current.get()
    base: Mapping[str, Any] = scope.base if scope is not None else {}
    return {
        key: value
        for key, value in bound().items()
        if not key.startswith("task.")
        and (keys is None or key in keys or key == "request.id")
        and (key not in base or base[key] is not value)
    }


def _enter(scope: Scope, found: Mapping[str, Any], inside: dict[str, Any]) -> Scope:
    scope._inside = inside
    _switch(found, inside)
    _current.set(scope)
    return scope


def _replace(then: Mapping[str, Any]) -> dict[str, Any]:
    """Make *then* what is bound; return what was."""
    now = bound()
    _switch(now, then)
    return now


def _switch(now: Mapping[str, Any], then: Mapping[str, Any]) -> None:
    """Make *then* what is bound, knowing that *now* is."""
    for key in now:
        if key not in then:
            _VARIABLES[_PREFIX + key].set(...)
    for key, value in then.items():
        if now.get(key, ...) is not value:
            variable = _VARIABLES.get(_PREFIX + key)
            if variable is None:
                _structlog.bind_contextvars(**{key: value})
            else:  # without the token that structlog makes
                variable.set(value)
