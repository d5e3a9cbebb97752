"""One life of a scope: entered, and left again as it was found; ended once, with its closing event.

A scope is one request, one connection, one handled message, one execution of a task, one command, one operation. An edge calls
`enter` or `enter_root` and, once, `Scope.end` with one of `dtx_telemetry.events`. What else goes with a beginning and an end is
done by the participants.
"""

import os
import time
from collections.abc import Callable, Collection, Generator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

from ..errors import error_text
from ..events import Event, Kind
from ..guard import report
from . import binding
from .binding import OWN_KEYS, replace, switch
from .participants import PARTICIPANTS, End
from .request_ids import new_scope_id

__all__ = [
    "Scope",
    "bind_fields",
    "bound",
    "current_scope",
    "current_scope_id",
    "enter",
    "enter_root",
    "get_request_id",
    "milliseconds",
    "no_scope",
    "outside_context",
]

_R = TypeVar("_R")


class Scope:
    """One entered scope. Made by `enter` and `enter_root`, ended by `end`, left by `leave`.

    Attributes:
        kind: its kind; ``None`` for a block of `bind_fields`, which is a part of the scope around it.
        outer: the scope around this one, ``None`` for the outermost.
        base: what the process had bound before its outermost scope; it does not travel.
        ended: True once `end` was called.
        own: the fields that the scope is known by. They stay on its lines when the application clears structlog's context.
        failure: the exception that ended the scope's work, if an edge learnt of it before the end.
        kept: what its edge keeps of it, if signals are all that the edge has.
        outside: the context that an outermost scope was entered in, for what outlives the scope.
        queries: what it asked of the database, as the participant of that name keeps it.
        span: what tracing keeps of it.
        told: whether the scope's closing event was printed.
        waiting: lines of frameworks that wait for it, each with whether it is printed in any case.
    """

    __slots__ = (
        *("__weakref__", "_found", "_inside", "_process", "_started"),
        *("base", "ended", "failure", "kept", "kind", "outer", "outside", "own", "queries", "span", "told", "waiting"),
    )

    def __init__(
        self, kind: Kind | None, outer: "Scope | None", base: dict[str, Any], own: dict[str, Any], inside: dict[str, Any]
    ) -> None:
        self.kind = kind
        self.outer = outer
        self.base = base
        self.own = own
        self.failure: BaseException | None = None
        self.kept: object = None
        self.outside: Context | None = None
        self.queries: Any = None
        self.span: Any = None
        self.told = False
        self.waiting: tuple[tuple[bool, Callable[[], None]], ...] = ()
        self.ended = False
        self._found: dict[str, Any] = {}
        self._inside = inside
        self._process = os.getpid()
        self._started = time.perf_counter()

    @property
    def duration_ms(self) -> float:
        """Milliseconds since the scope was entered, to a hundredth."""
        return milliseconds(time.perf_counter() - self._started)

    @property
    def is_entered(self) -> bool:
        """True if this scope, or one nested in it, is current."""
        return _inner_scopes(self) is not None

    @property
    def inside(self) -> dict[str, Any]:
        """What is bound in this scope itself; if it is not current, what was bound when it was last left."""
        inner = _inner_scopes(self)
        if inner is None:
            return _with_own_fields(self._inside, self)
        return _with_own_fields(dict(inner[-1]._found) if inner else binding.bound(), self)

    def set_field(self, key: str, value: Any) -> None:
        """Change a field of the scope's own, whichever scope nested in it is current; ``None`` takes it away."""
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

    def end(
        self,
        event: Event | None,
        fields: Mapping[str, Any] | None = None,
        *,
        error: BaseException | None = None,
        level: int | None = None,
        with_traceback: bool = True,
        is_printed: bool = True,
        outcome: str | None = None,
        **facts: Any,
    ) -> bool:
        """End the scope with *event*, once: a later call does nothing and returns False. Raises nothing.

        Wherever it is called, the event is logged inside the scope. Scopes nested in it that are still open, because a
        generator was left half way, are left first.

        Args:
            event: the closing event; ``None`` if another process tells of it.
            fields: the event's own fields. ``duration_ms`` and ``error`` are added if the event has them.
            error: what the scope failed with.
            level: another level than the event's own.
            with_traceback: print the traceback of *error*.
            is_printed: log the event at all.
            outcome: another outcome than the event's own.
            facts: what is not printed and tracing wants to know.
        """
        if self.ended:
            return False
        self.ended = True
        if self._process != os.getpid() and _is_running(self._process):
            return True  # of a process that was forked in the scope: the one that opened it ends it
        end = End(event, dict(fields or ()), error, with_traceback, is_printed, facts)
        try:
            self._complete(end, level, outcome)
        except Exception as failure:
            report("the end of a scope", failure)
        if current.get() is self or _leave_inner_scopes(self):
            self._finish(end)
        else:  # a server, another thread or the garbage collector ends it elsewhere
            self.run(self._finish, end)
        return True

    def _complete(self, end: End, level: int | None, outcome: str | None) -> None:
        """Add to *end* what follows from its event."""
        event, fields = end.event, end.fields
        if event is None:
            end.outcome = outcome or ""
            return
        end.level = event.level if level is None else level
        end.outcome = outcome or event.outcome or ""
        is_timed = self.kind is None or self.kind.is_timed
        if is_timed and "duration_ms" in event.fields and "duration_ms" not in fields:
            fields["duration_ms"] = self.duration_ms
        if end.error is not None and "error" in event.fields:
            fields.setdefault("error", error_text(end.error))

    def _finish(self, end: End) -> None:
        for ending in PARTICIPANTS.ending:
            ending(self)
        for ended in PARTICIPANTS.ended:
            try:
                ended(self, end)
            except Exception as failure:
                report(ended.__qualname__, failure)
        self.failure = None  # its traceback holds the scope: neither would be freed before the garbage collector comes by

    def run(self, function: Callable[..., _R], *args: object) -> _R:
        """Return what *function* does, called inside the scope itself, whichever scope is current.

        It runs in a copy of the current context, so that nothing changes here.
        """
        return copy_context().run(self._run, function, *args)

    def _run(self, function: Callable[..., _R], *args: object) -> _R:
        replace(self.inside)
        current.set(self)
        for resumed in PARTICIPANTS.resumed:
            resumed(self)
        return function(*args)

    def leave(self) -> None:
        """Leave the scope: what was bound when it was entered is bound again, and nothing else.

        If it is not current nothing happens: the garbage collector ends a coroutine in whatever context it runs itself.
        """
        if current.get() is not self and not _leave_inner_scopes(self):
            return
        self._inside = inside = binding.bound()
        switch(inside, self._found)
        current.set(self.outer)
        if self.kind is not None:
            for left in PARTICIPANTS.left:
                left(self)
        # A server that starts each request of a connection in the context of the one before would chain them all.
        self.outer = None


#: The innermost scope that was entered in this context.
current: ContextVar[Scope | None] = ContextVar("dtx_telemetry_scope", default=None)


#: Return the innermost scope that was entered in this context, or ``None`` outside any.
current_scope: Callable[[], Scope | None] = current.get


def current_scope_id() -> str | None:
    """Return the ``scope.id`` of the current scope, or ``None`` outside any."""
    scope = current.get()
    return None if scope is None else scope.own.get("scope.id")


def enter(
    kind: Kind | None,
    fields: Mapping[str, Any],
    *,
    drop: Collection[str] = (),
    around: Scope | None = None,
    about: Any = None,
) -> Scope:
    """Enter a scope nested in the current one: an eager task, a message of a connection.

    Args:
        kind: its kind.
        fields: what to bind for the scope; its own. Without a ``scope.cause`` the scope around it is its cause.
        drop: bound keys that are not inherited.
        around: the scope to start from; the current one's fields are not inherited then.
        about: what the edge knows of it, for the participants.
    """
    outer = around or current.get()
    own = {key: value for key, value in outer.own.items() if key not in drop} if outer is not None else {}
    new = {"scope.id": new_scope_id(), **fields}
    if "scope.cause" not in new and (caused_by := own.get("scope.id")) is not None:
        new["scope.cause"] = caused_by
    own.update(new)
    return _enter_inside(kind, own, new, drop, around, about)


def enter_root(
    kind: Kind,
    fields: dict[str, Any],
    *,
    own: AbstractSet[str] = OWN_KEYS,
    about: Any = None,
) -> Scope:
    """Enter a scope that starts from what the process itself has bound: a request, a connection, a task.

    What an earlier scope left behind is not inherited: a server may start a request in the context of the one before.

    Args:
        kind: its kind.
        fields: what to bind for the scope, which keeps the dict; with a ``scope.cause`` if another scope caused it.
        own: the keys that are never the process's own.
        about: what the edge knows of it, for the participants.
    """
    found, outer = binding.bound(), current.get()
    base = outer.base if outer is not None else found
    if base and not own.isdisjoint(base):
        base = {key: value for key, value in base.items() if key not in own}
    fields["scope.id"] = new_scope_id()
    scope = Scope(kind, outer, base, fields, {**base, **fields} if base else fields)
    if outer is None:
        scope.outside = copy_context()
    return _switch_to(scope, found, about)


@contextmanager
def bind_fields(**fields: Any) -> Generator[None]:
    """Bind *fields* for a block: on all its lines, and in what it publishes and sends.

    As a decorator it is for functions that are not asynchronous.

    Args:
        fields: bound beside what is; ``**{"draft.id": 5}`` for a name with a point.

    .. versionadded:: 0.1.0
    """
    outer = current.get()
    scope = _enter_inside(None, outer.own if outer is not None else {}, fields, ())
    try:
        yield
    finally:
        scope.leave()


def bound() -> dict[str, Any]:
    """Return everything that is bound, the application's own included, as a new dict.

    The own fields of the current scope are part of it even after ``structlog.contextvars.clear_contextvars()``, which
    structlog's guide tells applications to call at the start of a request.
    """
    fields, scope = binding.bound(), current.get()
    return fields if scope is None or scope.own.keys() <= fields.keys() else {**scope.own, **fields}


def get_request_id() -> str | None:
    """Return the current ``request.id``, or ``None`` without one.

    .. versionadded:: 0.1.0
    """
    value = binding.bound_request_id()
    if value is None and (scope := current.get()) is not None:
        value = scope.own.get("request.id")
    return value


def outside_context(own: AbstractSet[str] = OWN_KEYS) -> Context:
    """Return a context that is in no scope, for what outlives the current one: a receiver, a pooled connection.

    What the process itself has bound is bound in it.

    Args:
        own: the keys that are never the process's own.
    """
    scope = current.get()
    if scope is not None:
        while scope.outer is not None:
            scope = scope.outer
        if scope.outside is not None:
            return scope.outside.copy()
    context = copy_context()
    context.run(_go_outside, own)
    return context


class no_scope:  # noqa: N801 - a block, as contextlib.suppress is
    """Be in no scope for a block, while what is bound stays bound: a connection that a pool opens in it holds no scope."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        """Be in no scope."""
        self._token = current.set(None)

    def __exit__(self, *error: object) -> None:
        """Be in the scope again."""
        try:
            current.reset(self._token)
        except ValueError:  # the garbage collector ends this in another context, which has nothing to be put back
            pass


def milliseconds(seconds: float) -> float:
    """Return *seconds* as milliseconds, to a hundredth. ``round`` takes four times as long."""
    return int(seconds * 100_000 + 0.5) / 100


def _enter_inside(
    kind: Kind | None,
    own: dict[str, Any],
    fields: Mapping[str, Any],
    drop: Collection[str],
    around: Scope | None = None,
    about: Any = None,
) -> Scope:
    found, outer = binding.bound(), current.get()
    base = outer.base if outer is not None else {key: value for key, value in found.items() if key not in OWN_KEYS}
    start = _with_own_fields(found, outer) if around is None else around.inside
    inside = {key: value for key, value in start.items() if key not in drop}
    inside.update(fields)
    return _switch_to(Scope(kind, outer, base, own, inside), found, about)


def _switch_to(scope: Scope, found: dict[str, Any], about: Any) -> Scope:
    scope._found = found
    switch(found, scope._inside)
    current.set(scope)
    if scope.kind is not None:
        for entered in PARTICIPANTS.entered:
            entered(scope, about)
    return scope


def _leave_inner_scopes(scope: Scope) -> bool:
    """Leave the scopes that are still open inside *scope*; return False if it is not current."""
    inner = _inner_scopes(scope)
    if inner is None:
        return False
    if inner:
        replace(inner[-1]._found)
        current.set(scope)
        for each in inner:
            for left in PARTICIPANTS.left:
                left(each)
    return True


def _is_running(process: int) -> bool:
    """Return False if there is no such process any more: one that daemonized itself left its scopes to its child."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's now
        return True
    return True


def _inner_scopes(scope: Scope) -> list[Scope] | None:
    """Return the scopes that are open inside *scope*, the innermost first; ``None`` if it is not current."""
    inner: list[Scope] = []
    candidate = current.get()
    while candidate is not None:
        if candidate is scope:
            return inner
        inner.append(candidate)
        candidate = candidate.outer
    return None


def _with_own_fields(fields: dict[str, Any], scope: Scope | None) -> dict[str, Any]:
    return fields if scope is None or scope.own.keys() <= fields.keys() else {**scope.own, **fields}


def _go_outside(own: AbstractSet[str]) -> None:
    scope, found = current.get(), binding.bound()
    base = scope.base if scope is not None else found
    switch(found, {key: value for key, value in base.items() if key not in own})
    current.set(None)


def _set(fields: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    if value is None:
        fields.pop(key, None)
    else:
        fields[key] = value
    return fields
