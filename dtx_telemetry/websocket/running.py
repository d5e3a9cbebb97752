"""The calls of consumers that run in this process, by their consumers.

Channels gives an instance its messages and nothing else, and an application's object gets no attribute of ours. So a registry
says which call a message belongs to. Daphne, told to stop, ends without cancelling its consumers or telling them, and granian
does so in a child of multiprocessing: only the end of the process is left to notice it. So the registry ends them then.
"""

import atexit
import multiprocessing
import os
import sys
from typing import Generic, Protocol, TypeVar

__all__ = ["RunningCalls"]


class _Ends(Protocol):
    def end(self) -> None:
        """Log the closing event, if there was none."""


_Call = TypeVar("_Call", bound=_Ends)


class RunningCalls(Generic[_Call]):
    """The calls that run, never more than there are open connections and requests."""

    def __init__(self) -> None:
        self._start()
        os.register_at_fork(after_in_child=self._start)
        atexit.register(self._end_all)

    def _start(self) -> None:
        self._calls: dict[int, _Call] = {}
        self._is_finalized = False
        #: Returns the call of the consumer with that `id`, or ``None``.
        self.get = self._calls.get

    def add(self, consumer: object, call: _Call) -> None:
        """Note that *consumer* serves *call*, until `remove`."""
        self._calls[id(consumer)] = call
        # A child of multiprocessing runs no function of atexit, and forgets finalizers that were registered before its fork.
        if not self._is_finalized and multiprocessing.parent_process() is not None:
            self._is_finalized = True
            Finalize = sys.modules["multiprocessing.util"].Finalize  # noqa: N806 - loaded in every such child, and slow to load elsewhere
            Finalize(None, self._end_all, exitpriority=100)

    def remove(self, consumer: object) -> None:
        """Note that its call is over."""
        self._calls.pop(id(consumer), None)

    def _end_all(self) -> None:
        for call in list(self._calls.values()):
            call.end()
