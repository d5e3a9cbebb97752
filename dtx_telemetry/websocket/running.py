"""The calls of consumers that run in this process, by their consumers.

Channels gives an instance its messages and nothing else, and an application's object gets no attribute of ours. So a registry
says which call a message belongs to. Daphne, told to stop, ends without cancelling its consumers or telling them, and granian
does so in a child of multiprocessing: only the end of the process is left to notice it. So the registry ends them then.
"""

from typing import Generic, Protocol, TypeVar

from ..context import ProcessEnd

__all__ = ["RunningCalls"]


class _Ends(Protocol):
    def end(self) -> None:
        """Log the closing event, if there was none."""


_Call = TypeVar("_Call", bound=_Ends)


class RunningCalls(Generic[_Call]):
    """The calls that run, never more than there are open connections and requests."""

    def __init__(self) -> None:
        self._start()
        self._process_end = ProcessEnd(self._end_all, self._start)

    def _start(self) -> None:
        self._calls: dict[int, _Call] = {}
        #: Returns the call of the consumer with that `id`, or ``None``.
        self.get = self._calls.get

    def add(self, consumer: object, call: _Call) -> None:
        """Note that *consumer* serves *call*, until `remove`."""
        self._calls[id(consumer)] = call
        self._process_end.watch()

    def remove(self, consumer: object) -> None:
        """Note that its call is over."""
        self._calls.pop(id(consumer), None)

    def _end_all(self) -> None:
        for call in list(self._calls.values()):
            call.end()
