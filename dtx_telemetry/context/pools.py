"""Children of process pools: one that is forked in a scope serves others too, and is in none."""

import os
import sys
from functools import partial
from typing import Any

from ..events import COMMAND
from .scope import current

__all__: list[str] = []

# Their functions run as long as a pool's child lives. Any other child of multiprocessing works for the scope that starts it.
_POOLS = frozenset({"concurrent.futures.process", "multiprocessing.pool", "billiard.pool"})
_registered: set[str] = set()


def _before_fork() -> None:
    """Ask multiprocessing, and billiard, to call us in their children if one may be about to be forked in a scope."""
    if current.get() is None:
        return
    for library in ("multiprocessing", "billiard"):
        util: Any = sys.modules.get(f"{library}.util")  # slow to load, and loaded where it forks
        if util is not None and library not in _registered:
            _registered.add(library)
            util.register_after_fork(_leave_in_child, partial(_leave_in_child, library))


def _leave_in_child(library: str, _: object) -> None:
    """Leave all scopes in a pool's child, but for the command that its process runs: a fork copies the thread's context."""
    target = getattr(sys.modules[f"{library}.process"].current_process(), "_target", None)
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
