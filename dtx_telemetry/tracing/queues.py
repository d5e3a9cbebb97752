"""Full queues: a collector that does not answer leaves every span and record one too many."""

import time
from collections import deque
from contextlib import suppress
from typing import Any

__all__ = ["Room"]

_SECONDS = 60.0


class Room:
    """Makes room in the queue of a batch processor, so that what comes next finds it not full.

    The SDK drops the oldest as well, and logs a warning each time, at more than all else that it does for a span. So it is left
    to the SDK once a minute.

    Args:
        processor: one of the SDK's. Where its queue is not found, it is left alone.
    """

    __slots__ = ("_next_warning", "_queue")

    def __init__(self, processor: Any) -> None:
        queue = getattr(getattr(processor, "_batch_processor", None), "_queue", None)
        self._queue: deque[Any] | None = queue if isinstance(queue, deque) else None
        self._next_warning = 0.0

    def make(self) -> None:
        """Drop the oldest where the queue is full."""
        queue = self._queue
        if queue is None or len(queue) != queue.maxlen:
            return
        now = time.monotonic()
        if now >= self._next_warning:
            self._next_warning = now + _SECONDS
            return
        with suppress(IndexError):  # the exporting thread has just taken everything
            queue.pop()
