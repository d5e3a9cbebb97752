"""Entering scopes and leaving them as they were found."""

from collections.abc import Collection, Generator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from typing import Any

from . import binding
from .binding import OWN_KEYS, replace, switch
from .scope import Scope, current, leave_inner_scopes, with_own_fields

__all__ = ["bind_fields", "enter", "enter_root", "leave", "outside_scopes"]


def enter(fields: Mapping[str, Any], *, drop: Collection[str] = (), around: Scope | None = None) -> Scope:
    """Enter a scope inside the one of here: an eager task, a message of a connection.

    Args:
        fields: what to bind for the scope; its own.
        drop: bound keys that do not hold inside.
        around: the scope to start from instead of the one of here, of which nothing holds inside then.
    """
    outer = around or current.get()
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
    found, outer = binding.bound(), current.get()
    base = outer.base if outer is not None else found
    if base and not own.isdisjoint(base):
        base = {key: value for key, value in base.items() if key not in own}
    return _switch_to(Scope(outer, base, fields, {**base, **fields} if base else fields), found)


def leave(scope: Scope) -> None:
    """Leave *scope*: what was bound when it was entered is bound again, and nothing else.

    Where it was not entered nothing happens: the garbage collector ends a coroutine in whatever context it runs itself.
    """
    if current.get() is not scope and not leave_inner_scopes(scope):
        return
    scope._inside = inside = binding.bound()
    scope._innermost = None
    switch(inside, scope._found)
    current.set(scope.outer)
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
    outer = current.get()
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
    scope, found = current.get(), {} if keep_fields else binding.bound()
    if not keep_fields:
        base = scope.base if scope is not None else found
        switch(found, {key: value for key, value in base.items() if key not in own})
    token = current.set(None)
    try:
        yield
    finally:
        try:
            current.reset(token)
        except ValueError:  # the garbage collector ends this in another context, which has nothing to be put back
            pass
        else:
            if not keep_fields:
                replace(found)


def _enter_inside(own: dict[str, Any], fields: Mapping[str, Any], drop: Collection[str], around: Scope | None = None) -> Scope:
    found, outer = binding.bound(), current.get()
    base = outer.base if outer is not None else {key: value for key, value in found.items() if key not in OWN_KEYS}
    start = with_own_fields(found, outer) if around is None else around.inside
    inside = {key: value for key, value in start.items() if key not in drop}
    inside.update(fields)
    return _switch_to(Scope(outer, base, own, inside), found)


def _switch_to(scope: Scope, found: dict[str, Any]) -> Scope:
    scope._found = found
    switch(found, scope._inside)
    current.set(scope)
    return scope
