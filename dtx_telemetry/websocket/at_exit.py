"""Consumers that still run as the process ends.

Daphne, told to stop, ends without cancelling its consumers or telling them; granian does so in a child of multiprocessing. Only
the end of the process is left to notice it, so there has to be a registry of what runs.
"""

import atexit
import multiprocessing
import os
import sys
from typing import Protocol
from weakref import WeakSet

__all__ = ["forget", "watch"]


class _Ends(Protocol):
    def end(self) -> None:
        """Log the closing event, if there was none."""


class _Running:
    """The calls that run in this process: never more than open connections and requests."""

    def __init__(self) -> None:
        self._start()
        os.register_at_fork(after_in_child=self._start)
        atexit.register(self.end_all)

    def _start(self) -> None:
        self._calls: WeakSet[_Ends] = WeakSet()
        self._is_finalized = False

    def add(self, call: _Ends) -> None:
        self._calls.add(call)
        # A child of multiprocessing runs no function of atexit, and forgets finalizers that were registered before its fork.
        if not self._is_finalized and multiprocessing.parent_process() is not None:
            self._is_finalized = True
            Finalize = sys.modules["multiprocessing.util"].Finalize  # noqa: N806 - loaded in every such child, and dear elsewhere
            Finalize(None, self.end_all, exitpriority=100)

    def discard(self, call: _Ends) -> None:
        self._calls.discard(call)

    def end_all(self) -> None:
        for call in list(self._calls):
            call.end()


_running = _Running()
watch = _running.add
forget = _running.discard
