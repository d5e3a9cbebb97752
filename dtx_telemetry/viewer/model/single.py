"""Requests, commands and operations: what shares a ``request.id`` and is neither a task nor a connection."""

from collections.abc import Sequence
from math import inf

from ..reading.line import Line
from .carving import carve, names_of
from .scope import Scope
from .timeline import Timeline

__all__ = ["nest", "split_rest"]


def split_rest(lines: Sequence[Line]) -> list[Scope]:
    """Return the scopes that *lines*, in order of time, are of.

    As a rule that is one. A service that calls another with the same id has two requests, and a command that a view calls has
    its id too: there each closing event makes a scope, and each line is of the innermost that it fits.
    """
    scopes, left = carve(lines, lambda _: True)
    for line in left:
        _put(scopes, line)
    return scopes


def nest(inner: Sequence[Scope], around: Sequence[Scope]) -> None:
    """Let each of *inner* hang under the innermost of all scopes that began before it and ended after it."""
    wanted = set(map(id, inner))
    open_scopes: list[Scope] = []
    for scope in sorted([*inner, *around], key=lambda scope: (scope.start, -_end(scope))):
        while open_scopes and not _contains(open_scopes[-1], scope):
            open_scopes.pop()
        if open_scopes and id(scope) in wanted:
            scope.hang_under(open_scopes[-1])
        open_scopes.append(scope)


def _put(scopes: list[Scope], line: Line) -> None:
    """Give *line* to the scope with its names that is nearest in time; where there is none, it runs still."""
    names = names_of(line)
    fitting = [scope for scope in scopes if names_of(scope.lines[0]) == names]
    owner = Timeline(fitting).nearest(line.time)
    if owner is not None:
        owner.add(line)
        return
    command, operation = names
    scopes.append(Scope("command" if command else "operation" if operation else "request", [line]))


def _contains(outer: Scope, inner: Scope) -> bool:
    return outer.start < inner.start and _end(outer) > _end(inner)


def _end(scope: Scope) -> float:
    return scope.end if scope.closing is not None else inf
