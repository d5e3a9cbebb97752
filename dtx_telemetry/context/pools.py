"""Children of process pools: one that is forked in a scope serves others too, and is in none."""

import os
import sys
from typing import Any

from ..events import COMMAND
from .scope import current

__all__: list[str] = []

# Their functions run as long as a pool's child lives. Any other child of multiprocessing works for the scope that starts it.
_POOLS = frozenset({"concurrent.futures.process", "multiprocessing.pool"})
_is_registered = False


def _before_fork() -> None:
    """Ask multiprocessing to call us in its child, if it may be about to fork one in a scope. It is slow to load."""
    global _is_registered  # noqa: PLW0603 - set once
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None and not _is_registered and current.get() is not None:
        _is_registered = True
        util.register_after_fork(_leave_in_child, _leave_in_child)


def _leave_in_child(_: object) -> None:
    """Leave all scopes in a pool's child, but for the command that its process runs: a fork copies the thread's context."""
    target = getattr(sys.modules["multiprocessing.process"].current_process(), "_target", None)
    if getattr(target, "__module__", None) not in _POOLS:
        return
    scope, outermost = current.get(), None
    while scope is not None:
        if scope.kind is not COMMAND:
            outermost = scope
        scope = scope.outer
    if outermost is not None:
        outermost.leave()


os.register_at_fork(before=_before_fork)
