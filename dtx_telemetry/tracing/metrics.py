"""Our metrics. Their attributes are of low cardinality (route, method, status, task, consumer) and never an id."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.metrics import Counter, Histogram, UpDownCounter
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_VERSION
from opentelemetry.semconv.attributes.url_attributes import URL_SCHEME
from opentelemetry.semconv.metrics.http_metrics import HTTP_SERVER_REQUEST_DURATION

from ..guard import never_raises
from .sdk.processes import PerProcess
from .sdk.providers import Providers

__all__ = ["Measures"]

# Semantic conventions, HTTP metrics: the advised boundaries, in seconds.
_HTTP_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
# Tasks wait and run for longer than requests do.
_TASK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)


class _Instruments:
    def __init__(self, providers: Providers) -> None:
        meter = providers.meter()
        self.request: Histogram = meter.create_histogram(
            HTTP_SERVER_REQUEST_DURATION,
            "s",
            "Duration of HTTP server requests.",
            explicit_bucket_boundaries_advisory=_HTTP_SECONDS,
        )
        self.queue: Histogram = meter.create_histogram(
            "dtx.task.queue.duration",
            "s",
            "Time between the publishing and the start of a task.",
            explicit_bucket_boundaries_advisory=_TASK_SECONDS,
        )
        self.task: Histogram = meter.create_histogram(
            "dtx.task.duration", "s", "Duration of tasks.", explicit_bucket_boundaries_advisory=_TASK_SECONDS
        )
        self.connections: UpDownCounter = meter.create_up_down_counter(
            "dtx.websocket.connections", "{connection}", "Open WebSocket connections."
        )
        self.messages: Counter = meter.create_counter(
            "dtx.websocket.messages", "{message}", "WebSocket messages received and sent."
        )
        self.lost: Counter = meter.create_counter("dtx.log.lines_lost", "{line}", "Log lines that could not be written.")


class Measures:
    """Measures. The instruments are made at first use.

    Args:
        providers: make instruments.
    """

    def __init__(self, providers: Providers) -> None:
        self._instruments = PerProcess(lambda: _Instruments(providers))

    def request(self, seconds: float, request: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
        """Measure a request by its attributes at the start and those that it came to."""
        if (made := self._instruments.get()) is not None:
            known = {HTTP_REQUEST_METHOD: request[HTTP_REQUEST_METHOD], URL_SCHEME: request[URL_SCHEME]}
            if NETWORK_PROTOCOL_VERSION in request:
                known[NETWORK_PROTOCOL_VERSION] = request[NETWORK_PROTOCOL_VERSION]
            made.request.record(seconds, {**known, **outcome})

    def task_queued(self, task: str, seconds: float) -> None:
        """Measure how long a task waited."""
        if (made := self._instruments.get()) is not None:
            made.queue.record(seconds, {"task.name": task})

    def task_done(self, task: str, seconds: float, outcome: str) -> None:
        """Measure how long a task ran."""
        if (made := self._instruments.get()) is not None:
            made.task.record(seconds, {"task.name": task, "outcome": outcome})

    def connection(self, consumer: str, change: int) -> None:
        """Count a connection that opened (1) or closed (-1)."""
        if (made := self._instruments.get()) is not None:
            made.connections.add(change, {"consumer": consumer})

    def message(self, consumer: str, direction: str) -> None:
        """Count a message."""
        if (made := self._instruments.get()) is not None:
            made.messages.add(1, {"consumer": consumer, "direction": direction})

    @never_raises
    def lines_lost(self, count: int) -> None:
        """Count lines."""
        if (made := self._instruments.get()) is not None:
            made.lost.add(count)
