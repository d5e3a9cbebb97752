"""What stands between a provider and its exporters: queues that each process fills and exports for itself."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Generic, TypeVar

from opentelemetry.sdk._logs import LogRecordProcessor, ReadWriteLogRecord
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor

from .processes import PerProcess

__all__ = ["RecordBatches", "SpanBatches"]

_P = TypeVar("_P", SpanProcessor, LogRecordProcessor)
_WARNING_SECONDS = 60.0


class _Batches(Generic[_P]):
    """This process's batch processors, made with their exporters when the first span or record comes."""

    def __init__(self, make: Callable[[], list[_P]]) -> None:
        self._made: PerProcess[list[tuple[_P, _Room]]] = PerProcess(
            lambda: [(processor, _Room(processor)) for processor in make()]
        )

    def with_room(self) -> Iterator[_P]:
        """Yield each, with room for one more in its queue."""
        for processor, room in self._made.get() or ():
            room.make()
            yield processor

    def force_flush(self, timeout_millis: int) -> bool:
        made = self._made.get() if self._made.is_made else None
        flushed = [processor.force_flush(timeout_millis) for processor, _ in made or ()]
        return all(flushed)


class SpanBatches(SpanProcessor):
    """Hands each sampled span to this process's batch processors."""

    def __init__(self, make: Callable[[], list[SpanProcessor]]) -> None:
        self._batches = _Batches(make)

    def on_end(self, span: ReadableSpan) -> None:
        if span.context is not None and span.context.trace_flags.sampled:
            for processor in self._batches.with_room():
                processor.on_end(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._batches.force_flush(timeout_millis)


class RecordBatches(LogRecordProcessor):
    """Hands each log record to this process's batch processors."""

    def __init__(self, make: Callable[[], list[LogRecordProcessor]]) -> None:
        self._batches = _Batches(make)

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        for processor in self._batches.with_room():
            processor.on_emit(log_record)

    def shutdown(self) -> None:
        """No-op: each process's closer does it."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._batches.force_flush(timeout_millis)


class _Room:
    """Makes room in the queue of a batch processor, so that what comes next finds it not full.

    The SDK drops the oldest as well, and logs a warning each time, at more than all else that it does for a span. So it is left
    to the SDK once a minute.

    Args:
        processor: one of the SDK's. If its queue is not found, it is left alone.
    """

    __slots__ = ("_next_warning", "_queue")

    def __init__(self, processor: Any) -> None:
        queue = getattr(getattr(processor, "_batch_processor", None), "_queue", None)
        self._queue: deque[Any] | None = queue if isinstance(queue, deque) else None
        self._next_warning = 0.0

    def make(self) -> None:
        """Drop the oldest if the queue is full."""
        queue = self._queue
        if queue is None or len(queue) != queue.maxlen:
            return
        now = time.monotonic()
        if now >= self._next_warning:
            self._next_warning = now + _WARNING_SECONDS
            return
        with suppress(IndexError):  # the exporting thread has just taken everything
            queue.pop()
