"""One life of a scope: left as it was found, and ended once, with its closing event.

A scope is one request, one connection, one handled message, one execution of a task, one command, one operation. An edge calls
`enter` or `enter_root` and, once, `Scope.end` with one of `dtx_telemetry.events`. What else goes with a beginning and an end is
done by the participants.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

from ..errors import error_text
from ..events import Event, Kind
from ..guard import report
from . import binding
from .binding import replace, switch
from .participants import PARTICIPANTS, End

__all__ = ["Scope", "current", "current_scope", "current_scope_id", "milliseconds", "with_own_fields"]

_R = TypeVar("_R")


class Scope:
    """One entered scope. Made by `enter` and `enter_root`, ended by `end`, left by `leave`.

    Attributes:
        kind: its kind. ``None`` for a block of `bind_fields`, which is a part of the scope around it.
        outer: the scope around this one, ``None`` for the outermost.
        base: what the process had bound before its outermost scope. It does not travel.
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
        """What is bound in this scope itself, or was when it was last left."""
        inner = _inner_scopes(self)
        if inner is None:
            return with_own_fields(self._inside, self)
        return with_own_fields(dict(inner[-1]._found) if inner else binding.bound(), self)

    def set_field(self, key: str, value: Any) -> None:
        """Set a field of the scope's own, or take it away if *value* is ``None``, also if a nested scope is current."""
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
        """End the scope with *event*, once and wherever this is called. A later call returns False. Raises nothing.

        Args:
            event: the closing event. ``None`` if another process tells of it.
            fields: its own fields. ``duration_ms`` and ``error`` are added if the event has them.
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
            return True  # it was opened before a fork, by a process that will end it
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
        self.failure = None  # its traceback holds the scope: that would be a reference cycle

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


def milliseconds(seconds: float) -> float:
    """Return *seconds* as milliseconds, to a hundredth. ``round`` takes four times as long."""
    return int(seconds * 100_000 + 0.5) / 100


def _leave_inner_scopes(scope: Scope) -> bool:
    """Leave the scopes that are still open inside *scope*, or return False if it is not current."""
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
    except PermissionError:  # it is another user's now
        pass
    return True


def _inner_scopes(scope: Scope) -> list[Scope] | None:
    """Return the scopes that are open inside *scope*, the innermost first, or ``None`` if it is not current."""
    inner: list[Scope] = []
    candidate = current.get()
    while candidate is not None:
        if candidate is scope:
            return inner
        inner.append(candidate)
        candidate = candidate.outer
    return None


def with_own_fields(fields: dict[str, Any], scope: Scope | None) -> dict[str, Any]:
    """Return *fields* with those that *scope* is known by, if the application has cleared them."""
    return fields if scope is None or scope.own.keys() <= fields.keys() else {**scope.own, **fields}


def _set(fields: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    if value is None:
        fields.pop(key, None)
    else:
        fields[key] = value
    return fields
