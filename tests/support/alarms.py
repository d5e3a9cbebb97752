"""A signal that comes again and again, for what may be interrupted anywhere."""

import signal
from collections.abc import Callable
from typing import Self

__all__ = ["Alarms"]

_MAX_DEPTH = 5


class Alarms:
    """Calls *call* by a signal, inside a ``with`` block: again some time after it returned, and in the midst of itself too.

    A regular timer would come faster than a busy machine handles it, until there is no stack left.

    Args:
        interval: seconds from one to the next.
        call: what each signal calls.

    Attributes:
        handled: how many there were.
    """

    def __init__(self, interval: float, call: Callable[[], object]) -> None:
        self.handled = 0
        self._interval = interval
        self._call = call
        self._depth = 0
        self._on = False

    def __enter__(self) -> Self:
        signal.signal(signal.SIGALRM, self._handle)
        self._on = True
        self._set()
        return self

    def __exit__(self, *error: object) -> None:
        self._on = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _set(self) -> None:
        if self._on:
            signal.setitimer(signal.ITIMER_REAL, self._interval)

    def _handle(self, *_: object) -> None:
        self.handled += 1
        self._depth += 1
        if self._depth < _MAX_DEPTH:
            self._set()
        self._call()
        self._depth -= 1
        self._set()
