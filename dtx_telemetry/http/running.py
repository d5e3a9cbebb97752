"""The requests that run in this process.

A server that was told to stop gives them time, and then ends without them: their greenlet or their task is never run again, and
nobody tells. So they end with the process. One that is killed at that moment, as gunicorn's main process does it to a worker
whose threads do not end, takes them along.
"""

from weakref import WeakSet

from ..context import ProcessEnd
from .events import ServedRequest

__all__ = ["RunningRequests"]


class RunningRequests:
    """The requests that run, held weakly."""

    def __init__(self) -> None:
        self._start()
        self._process_end = ProcessEnd(self._end_all, self._start)
        #: Watch for the end of this process. Called before a request's span is made, whose export is to end later.
        self.watch_process = self._process_end.watch

    def _start(self) -> None:
        self._requests: WeakSet[ServedRequest] = WeakSet()
        #: Notes a request.
        self.add = self._requests.add

    def _end_all(self) -> None:
        for request in list(self._requests):
            request.end(None)
