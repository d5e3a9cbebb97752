"""Putting scopes on one axis of time, although the clocks of machines differ."""

from collections.abc import Iterable

from .scope import Scope

__all__ = ["place"]

# Seconds by which two clocks that agree may seem to differ.
_AGREEMENT = 0.002


def place(scopes: Iterable[Scope]) -> list[Scope]:
    """Make a tree of *scopes* whose parents are set, in order of time; return its roots.

    A scope that would begin before its cause is moved to it (`Scope.shift`), and what it caused with it where need be.
    """
    roots: list[Scope] = []
    for scope in sorted(scopes, key=lambda scope: (scope.start, scope.attempt or 0)):
        (roots if scope.parent is None else scope.parent.children).append(scope)
        scope.lines.sort(key=lambda line: line.time)
    waiting = roots.copy()
    while waiting:
        scope = waiting.pop()
        for child in scope.children:
            child.shift = _shift(child, scope)
        scope.children.sort(key=lambda child: child.start + child.shift)
        waiting += scope.children
    return roots


def _shift(scope: Scope, parent: Scope) -> float:
    cause = parent.start + parent.shift
    # The time in the queue is reckoned from the publisher's clock, so only a task that seems not to have waited can show that
    # its own is behind.
    if not scope.queued and scope.published is not None and scope.asker is not None:
        cause = max(cause, scope.published.time + scope.asker.shift)
    missing = cause - (scope.start - scope.queued)
    return missing if missing > _AGREEMENT else 0.0
