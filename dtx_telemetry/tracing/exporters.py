"""Exporters that export only in the process that made them.

The SDK's batch processors and metric readers start their threads again in a forked child, and there they still hold the
parent's exporter. A child has its own (see `processes.PerProcess`); the parent's must not send anything from it.
"""

import os
import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from weakref import WeakSet

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

__all__ = ["OwnLogExporter", "OwnMetricExporter", "OwnSpanExporter"]

# A fork in the midst of a gRPC call loses what is sent or leaves the child hanging. Longer than this no fork waits for one.
_FORK_WAITS_SECONDS = 0.05


class _GrpcCalls:
    """A lock that is held during a call of gRPC, and by a fork, so that the two do not meet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held_by_fork = False
        _all_calls.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def before_fork(self, deadline: float) -> None:
        self._held_by_fork = self._lock.acquire(timeout=max(deadline - time.monotonic(), 0))

    def after_fork_in_parent(self) -> None:
        if self._held_by_fork:
            self._held_by_fork = False
            self._lock.release()

    def after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._held_by_fork = False


_all_calls: WeakSet[_GrpcCalls] = WeakSet()


def _before_fork() -> None:
    deadline = time.monotonic() + _FORK_WAITS_SECONDS
    for calls in list(_all_calls):
        calls.before_fork(deadline)


def _after_fork_in_parent() -> None:
    for calls in list(_all_calls):
        calls.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for calls in list(_all_calls):
        calls.after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


class _Own:
    """What the three have in common.

    Args:
        exporter: what exports.
    """

    def __init__(self, exporter: Any) -> None:
        self.exporter = exporter
        self._maker = os.getpid()
        self.calls: AbstractContextManager[None] = _GrpcCalls() if ".grpc." in type(exporter).__module__ else nullcontext()

    def is_mine(self) -> bool:
        return os.getpid() == self._maker

    def end(self, *args: Any, **kwargs: Any) -> None:
        if self.is_mine():
            self.exporter.shutdown(*args, **kwargs)

    def flush(self, timeout_millis: float) -> bool:
        return bool(self.exporter.force_flush(timeout_millis)) if self.is_mine() else True


class OwnSpanExporter(SpanExporter):
    """Exports spans in the process that made it."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._own = _Own(exporter)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export *spans*, or drop them in another process."""
        if not self._own.is_mine():
            return SpanExportResult.FAILURE
        with self._own.calls:
            return self._own.exporter.export(spans)  # type: ignore[no-any-return]

    def shutdown(self) -> None:
        self._own.end()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._own.flush(timeout_millis)


class OwnLogExporter(LogRecordExporter):
    """Exports log records in the process that made it."""

    def __init__(self, exporter: LogRecordExporter) -> None:
        self._own = _Own(exporter)

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export *batch*, or drop it in another process."""
        if not self._own.is_mine():
            return LogRecordExportResult.FAILURE
        with self._own.calls:
            return self._own.exporter.export(batch)  # type: ignore[no-any-return]

    def shutdown(self) -> None:
        self._own.end()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._own.flush(timeout_millis)


class OwnMetricExporter(MetricExporter):
    """Exports metrics in the process that made it."""

    def __init__(self, exporter: MetricExporter) -> None:
        # The reader asks for both by these names.
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._own = _Own(exporter)

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export *metrics_data*, or drop it in another process."""
        if not self._own.is_mine():
            return MetricExportResult.FAILURE
        with self._own.calls:
            return self._own.exporter.export(metrics_data, timeout_millis=timeout_millis, **kwargs)  # type: ignore[no-any-return]

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self._own.end()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._own.flush(timeout_millis)
