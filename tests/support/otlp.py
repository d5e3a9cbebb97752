"""A real OTLP receiver: HTTP and gRPC, all three signals, and the ways in which a collector fails."""

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

from .waiting import wait_until

__all__ = ["Collector", "Point", "Record", "Span", "otlp_collector"]

KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}
STATUSES = {0: "UNSET", 1: "OK", 2: "ERROR"}


@dataclass
class Span:
    """A span as it arrived; times in seconds."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    status: str
    description: str
    start: float
    end: float
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: str
    links: list[tuple[str, str]]
    events: list[tuple[str, dict[str, Any]]]

    @property
    def seconds(self) -> float:
        return self.end - self.start


@dataclass
class Record:
    """A log record as it arrived."""

    body: Any
    severity: int
    severity_text: str
    trace_id: str
    span_id: str
    timestamp: float
    attributes: dict[str, Any]
    resource: dict[str, Any]
    scope: str


@dataclass
class Point:
    """A data point of a metric as it arrived: the sum of a counter, the count and sum of a histogram.

    Attributes:
        kind: ``counter``, ``gauge`` or ``histogram``, as Prometheus calls them.
        buckets: how many were counted between two of the bounds, before the first and after the last.
    """

    name: str
    unit: str
    attributes: dict[str, Any]
    value: float
    count: int
    bounds: tuple[float, ...]
    resource: dict[str, Any]
    kind: str
    buckets: tuple[int, ...]


@dataclass
class Collector:
    """What arrived, and how the receiver behaves: `mode` is ``accept``, ``hang``, ``unavailable`` or ``slow``.

    Attributes:
        host: ``127.0.0.1``, or the name in the certificate.
        http_port, grpc_port: where it listens.
        headers: of the last request.
        requests: how many came, accepted or not.
        signals: what those were about: ``traces``, ``metrics``, ``logs``.
        seconds: how long ``slow`` takes, and what ``Retry-After`` says.
    """

    mode: str = "accept"
    seconds: float = 1.0
    scheme: str = "http"
    host: str = "127.0.0.1"
    http_port: int = 0
    grpc_port: int = 0
    requests: int = 0
    signals: set[str] = field(default_factory=set)
    headers: dict[str, str] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    def environ(self, protocol: str = "http/protobuf", **more: str) -> dict[str, str]:
        """Return the variables by which a process sends here, all of it and at once."""
        port = self.grpc_port if protocol == "grpc" else self.http_port
        return {
            "OTEL_ENABLED": "true",
            "OTEL_TRACES_SAMPLER_ARG": "1",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"{self.scheme}://{self.host}:{port}",
            **more,
        }

    def wait_for_spans(self, count: int = 1, *, deadline: float = 180, **fields: Any) -> list[Span]:
        """Return the spans with these fields, once *count* of them are there."""
        return self._wait_for(self.spans, count, deadline, fields)

    def span(self, name: str, **fields: Any) -> Span:
        """Return the only span of that name, once it is there."""
        found = self.wait_for_spans(1, name=name, **fields)
        assert len(found) == 1, found
        return found[0]

    def wait_for_records(self, count: int = 1, *, deadline: float = 180, **fields: Any) -> list[Record]:
        """Return the log records with these fields, once *count* of them are there."""
        return self._wait_for(self.records, count, deadline, fields)

    def wait_for_points(self, count: int = 1, *, deadline: float = 180, **fields: Any) -> list[Point]:
        """Return the data points with these fields, once *count* of them are there."""
        return self._wait_for(self.points, count, deadline, fields)

    def _wait_for(self, source: list[Any], count: int, deadline: float, fields: dict[str, Any]) -> list[Any]:
        def matching() -> list[Any]:
            return [item for item in tuple(source) if all(getattr(item, name) == value for name, value in fields.items())]

        try:
            wait_until(lambda: len(matching()) >= count, deadline=deadline, what=f"{count} of {fields}")
        except AssertionError as error:
            names = [getattr(item, "name", getattr(item, "body", None)) for item in source]
            raise AssertionError(f"{error}; there are {len(matching())}, and in all {names}") from None
        return matching()

    def take(self, request: Any) -> None:
        """Keep what *request* brought."""
        for resource_spans in getattr(request, "resource_spans", ()):
            resource = _attributes(resource_spans.resource.attributes)
            for scope in resource_spans.scope_spans:
                self.spans += [_span(span, resource, scope.scope.name) for span in scope.spans]
        for resource_logs in getattr(request, "resource_logs", ()):
            resource = _attributes(resource_logs.resource.attributes)
            for scope in resource_logs.scope_logs:
                self.records += [_record(record, resource, scope.scope.name) for record in scope.log_records]
        for resource_metrics in getattr(request, "resource_metrics", ()):
            resource = _attributes(resource_metrics.resource.attributes)
            for scope in resource_metrics.scope_metrics:
                for metric in scope.metrics:
                    self.points += _points(metric, resource)

    def behave(self, request: Any) -> bool:
        """Wait, or not, as `mode` says; return whether *request* is accepted."""
        self.requests += 1
        self.signals.add(_SIGNALS[type(request)])
        if self.mode == "hang":
            self.released.wait(120)
        elif self.mode == "slow":
            self.released.wait(self.seconds)
        return self.mode in {"accept", "slow"}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return None if kind is None else getattr(value, kind)


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _span(span: Any, resource: dict[str, Any], scope: str) -> Span:
    return Span(
        name=span.name,
        kind=KINDS.get(span.kind, str(span.kind)),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        status=STATUSES[span.status.code],
        description=span.status.message,
        start=span.start_time_unix_nano / 1e9,
        end=span.end_time_unix_nano / 1e9,
        attributes=_attributes(span.attributes),
        resource=resource,
        scope=scope,
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        events=[(event.name, _attributes(event.attributes)) for event in span.events],
    )


def _record(record: Any, resource: dict[str, Any], scope: str) -> Record:
    return Record(
        body=_value(record.body),
        severity=record.severity_number,
        severity_text=record.severity_text,
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        timestamp=record.time_unix_nano / 1e9,
        attributes=_attributes(record.attributes),
        resource=resource,
        scope=scope,
    )


def _points(metric: Any, resource: dict[str, Any]) -> Iterator[Point]:
    data = getattr(metric, metric.WhichOneof("data"))
    for point in data.data_points:
        is_histogram = hasattr(point, "explicit_bounds")
        yield Point(
            name=metric.name,
            unit=metric.unit,
            attributes=_attributes(point.attributes),
            value=point.sum if is_histogram else getattr(point, point.WhichOneof("value")),
            count=point.count if is_histogram else 1,
            bounds=tuple(point.explicit_bounds) if is_histogram else (),
            resource=resource,
            kind="histogram" if is_histogram else "counter" if getattr(data, "is_monotonic", False) else "gauge",
            buckets=tuple(point.bucket_counts) if is_histogram else (),
        )


_SIGNALS = {
    traces.ExportTraceServiceRequest: "traces",
    metrics.ExportMetricsServiceRequest: "metrics",
    logs.ExportLogsServiceRequest: "logs",
}
_PATHS: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "/v1/traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
    "/v1/metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
    "/v1/logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse),
}


def _http_handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.headers = {name.lower(): value for name, value in self.headers.items()}
            if self.path not in _PATHS:
                self._answer(404, b"404 page not found", {})
                return
            request, response = (make() for make in _PATHS[self.path])
            if not collector.behave(request):
                self._answer(503, b"", {"Retry-After": str(collector.seconds)})
                return
            request.ParseFromString(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            collector.take(request)
            self._answer(200, response.SerializeToString(), {"Content-Type": "application/x-protobuf"})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # the exporter has given up
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An exporter may go away at any time, and one that does not trust the certificate does."""


class _Service:
    """Serves each of the three services, which have one method, of the same name."""

    def __init__(self, collector: Collector, response: Callable[[], Any]) -> None:
        self._collector = collector
        self._response = response

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - as the protocol calls it
        self._collector.headers = {key: str(value) for key, value in context.invocation_metadata()}
        if not self._collector.behave(request):
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")
        self._collector.take(request)
        return self._response()


def _grpc_server(collector: Collector, certificate: tuple[bytes, bytes] | None) -> grpc.Server:
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=[("grpc.so_reuseport", 0)])
    traces_grpc.add_TraceServiceServicer_to_server(_Service(collector, traces.ExportTraceServiceResponse), server)
    metrics_grpc.add_MetricsServiceServicer_to_server(_Service(collector, metrics.ExportMetricsServiceResponse), server)
    logs_grpc.add_LogsServiceServicer_to_server(_Service(collector, logs.ExportLogsServiceResponse), server)
    address = f"127.0.0.1:{collector.grpc_port}"
    if certificate is None:
        collector.grpc_port = server.add_insecure_port(address)
    else:
        collector.grpc_port = server.add_secure_port(address, grpc.ssl_server_credentials([certificate]))
    return server


@contextmanager
def otlp_collector(
    *, tls: tuple[Path, Path] | None = None, http_port: int = 0, grpc_port: int = 0, protocols: str = "http grpc"
) -> Iterator[Collector]:
    """Receive OTLP on loopback for the block.

    Args:
        tls: the files of a certificate and its key; ``None`` for no TLS.
        http_port: where to listen; 0 for any port.
        grpc_port: the same for gRPC.
        protocols: which of them to serve.
    """
    collector = Collector(http_port=http_port, grpc_port=grpc_port)
    stops: list[Callable[[], Any]] = []
    if tls is not None:
        collector.scheme, collector.host = "https", "localhost"
    if "http" in protocols:
        stops.append(_serve_http(collector, tls))
    if "grpc" in protocols:
        server = _grpc_server(collector, (tls[1].read_bytes(), tls[0].read_bytes()) if tls is not None else None)
        server.start()
        stops.append(lambda: server.stop(0).wait(5))
    try:
        yield collector
    finally:
        collector.released.set()
        for stop in stops:
            stop()


def _serve_http(collector: Collector, tls: tuple[Path, Path] | None) -> Callable[[], Any]:
    server = _Server(("127.0.0.1", collector.http_port), _http_handler(collector))
    collector.http_port = server.server_port
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join(5)

    return stop
