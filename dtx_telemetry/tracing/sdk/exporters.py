"""Exporters that export only in the process that made them, and whose complaints name the address that they sent to.

The SDK's batch processors and metric readers start their threads again in a forked child, and there they still hold the
parent's exporter. A child has its own (see `processes.PerProcess`), so the parent's must not send anything from it.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Generic, Protocol, TypeVar
from weakref import WeakSet

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from .complaints import about
from .endpoints import mistake_in
from .processes import PerProcess, gevent_has_patched

__all__ = ["OwnLogExporter", "OwnMetricExporter", "OwnSpanExporter", "among_greenlets"]

# A fork in the midst of a gRPC call loses what is sent or leaves the child hanging. Longer than this no fork waits for one.
_FORK_WAITS_SECONDS = 0.05

_T = TypeVar("_T")


class _Exporter(Protocol):
    """What the exporters of the three signals have in common."""

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30000) -> bool: ...


_E = TypeVar("_E", bound=_Exporter)


class _Own(Generic[_E]):
    """An exporter and the process that made it.

    Args:
        exporter: what exports.
        signal: ``traces``, ``metrics`` or ``logs``.
    """

    def __init__(self, exporter: _E, signal: str) -> None:
        self.exporter = exporter
        self._maker = os.getpid()
        self._calls: AbstractContextManager[None] = _GrpcCalls() if _is_grpc(exporter) else nullcontext()
        self._told: dict[str, str] = {}
        if endpoint := getattr(exporter, "_endpoint", None):  # OTLP's have one, of either protocol
            self._told["endpoint"] = str(endpoint)
            if mistake := mistake_in(str(endpoint), signal, is_grpc=_is_grpc(exporter)):
                self._told["hint"] = mistake

    def is_mine(self) -> bool:
        """Return True in the process that made it."""
        return os.getpid() == self._maker

    @contextmanager
    def exporting(self) -> Iterator[None]:
        """Let what is logged in the block name the address, and no fork meet a call of gRPC's."""
        with about(self._told), self._calls:
            yield

    def end(self) -> None:
        if self.is_mine():
            self.exporter.shutdown()

    def flush(self, timeout_millis: float) -> bool:
        return self.exporter.force_flush(int(timeout_millis)) if self.is_mine() else True


class OwnSpanExporter(SpanExporter):
    """Exports spans in the process that made it."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._own = _Own(exporter, "traces")

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export *spans*, or drop them in another process."""
        if not self._own.is_mine():
            return SpanExportResult.FAILURE
        with self._own.exporting():
            return self._own.exporter.export(spans)

    def shutdown(self) -> None:
        self._own.end()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._own.flush(timeout_millis)


class OwnLogExporter(LogRecordExporter):
    """Exports log records in the process that made it."""

    def __init__(self, exporter: LogRecordExporter) -> None:
        self._own = _Own(exporter, "logs")

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export *batch*, or drop it in another process."""
        if not self._own.is_mine():
            return LogRecordExportResult.FAILURE
        with self._own.exporting():
            return self._own.exporter.export(batch)

    def shutdown(self) -> None:
        self._own.end()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._own.flush(timeout_millis)


class OwnMetricExporter(MetricExporter):
    """Exports metrics in the process that made it."""

    def __init__(self, exporter: MetricExporter) -> None:
        # The reader asks for both by these names.
        super().__init__(exporter._preferred_temporality, exporter._preferred_aggregation)
        self._own = _Own(exporter, "metrics")

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: object) -> MetricExportResult:
        """Export *metrics_data*, or drop it in another process."""
        if not self._own.is_mine():
            return MetricExportResult.FAILURE
        with self._own.exporting():
            return self._own.exporter.export(metrics_data, timeout_millis=timeout_millis, **kwargs)

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: object) -> None:
        self._own.end()

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return self._own.flush(timeout_millis)


def among_greenlets(make: Callable[..., _T]) -> Callable[..., _T]:
    """Return *make*, but what it makes lets other greenlets run while it waits for an answer.

    gRPC waits in C, which would stop all greenlets of the process for as long as a collector does not answer.

    Args:
        make: makes an exporter that uses gRPC.
    """

    def made(**options: object) -> _T:
        _gevent_support.get()
        return make(**options)

    return made


def _switch_on_gevent_support() -> bool:
    """Switch gRPC's support for gevent on. It has to come before anything of gRPC's is made, so this is settled only once."""
    if gevent_has_patched():
        from grpc.experimental.gevent import init_gevent

        init_gevent()
    return True


_gevent_support = PerProcess(_switch_on_gevent_support)


def _is_grpc(exporter: object) -> bool:
    return ".grpc." in type(exporter).__module__


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
