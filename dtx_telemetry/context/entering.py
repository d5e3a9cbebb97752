"""Entering scopes, being in none, and what is bound."""

from collections.abc import Collection, Generator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any

from ..events import Kind
from . import binding
from .binding import OWN_KEYS, switch
from .participants import PARTICIPANTS
from .request_ids import new_scope_id
from .scope import Scope, current, with_own_fields

__all__ = ["bind_fields", "bound", "enter", "enter_root", "get_request_id", "no_scope", "outside_context"]


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
        fields: what to bind for the scope, as its own. Without a ``scope.cause`` the scope around it is its cause.
        drop: bound keys that are not inherited.
        around: the scope to start from. The current one's fields are not inherited then.
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
        fields: what to bind for the scope, which keeps the dict. It has a ``scope.cause`` if another scope caused it.
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
        if base is not found:  # what leaked into this context does not hold outside the scope either
            scope.outside.run(switch, found, base)
    return _switch_to(scope, found, about)


@contextmanager
def bind_fields(**fields: Any) -> Generator[None]:
    """Bind *fields* for a block: on all its lines, and in what it publishes and sends.

    As a decorator it is for functions that are not asynchronous.

    Args:
        fields: what to bind beside what is bound already. Write ``**{"draft.id": 5}`` for a name with a dot.

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
    return with_own_fields(binding.bound(), current.get())


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
    """Leave the current scope for a block and keep what is bound: a connection that a pool opens there holds no scope."""

    __slots__ = ("_token",)

    def __enter__(self) -> None:
        """Leave the current scope."""
        self._token = current.set(None)

    def __exit__(self, *error: object) -> None:
        """Return to the scope."""
        try:
            current.reset(self._token)
        except ValueError:  # the garbage collector ends this in another context, which has nothing to be put back
            pass


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
    start = with_own_fields(found, outer) if around is None else around.inside
    inside = {key: value for key, value in start.items() if key not in drop}
    inside.update(fields)
    return _switch_to(Scope(kind, outer, base, own, inside), found, about)


def _switch_to(scope: Scope, found: dict[str, Any], about: Any) -> Scope:
    outer = current.get()
    try:
        return _make_current(scope, found, about)
    except BaseException:
        # There may be no stack left, or a signal may raise: nobody would know of the scope, and leave it. What failed stands
        # deeper on the stack than this does.
        switch(scope._inside, found)
        current.set(outer)
        raise


def _make_current(scope: Scope, found: dict[str, Any], about: Any) -> Scope:
    scope._found = found
    switch(found, scope._inside)
    current.set(scope)
    if scope.kind is not None:
        for entered in PARTICIPANTS.entered:
            entered(scope, about)
    return scope


def _go_outside(own: AbstractSet[str]) -> None:
    scope, found = current.get(), binding.bound()
    base = scope.base if scope is not None else found
    switch(found, {key: value for key, value in base.items() if key not in own})
    current.set(None)
