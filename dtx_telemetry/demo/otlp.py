"""The click as a trace: a small receiver of OTLP over HTTP, and the tree of what it received."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

__all__ = ["Receiver", "Span", "environ", "tree"]

_KINDS = {1: "INTERNAL", 2: "SERVER", 3: "CLIENT", 4: "PRODUCER", 5: "CONSUMER"}


def environ(url: str) -> dict[str, str]:
    """Return the variables by which the demo's processes send everything to *url*."""
    return {"OTEL_ENABLED": "true", "OTEL_TRACES_SAMPLER_ARG": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": url}


@dataclass(frozen=True)
class Span:
    """A span as it was received, with times in seconds."""

    name: str
    kind: str
    trace_id: str
    span_id: str
    parent_id: str
    start: float
    end: float
    attributes: dict[str, Any]


class Receiver:
    """Receives on a free port of loopback for the block.

    Attributes:
        spans: what came so far.
        url: the address to send to.
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._server = _Server(("127.0.0.1", 0), _Handler, self.spans)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], spans: list[Span]) -> None:
        super().__init__(address, handler)
        self.spans = spans


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/v1/traces":
            self.server.spans += _spans(body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _spans(body: bytes) -> Iterator[Span]:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    for of_resource in request.resource_spans:
        for of_scope in of_resource.scope_spans:
            yield from map(_span, of_scope.spans)


def _span(span: Any) -> Span:
    return Span(
        name=span.name,
        kind=_KINDS.get(span.kind, ""),
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start=span.start_time_unix_nano / 1e9,
        end=span.end_time_unix_nano / 1e9,
        attributes={pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes},
    )


def tree(request_id: str, spans: Iterable[Span], lines: Iterable[tuple[str, dict[str, Any]]]) -> str:
    """Return the trace of a request as a tree, with the duration of each span and its lines below it.

    Args:
        request_id: the request's.
        spans: all that came.
        lines: each line with the name of the process that logged it.
    """
    ids = {span.trace_id for span in spans if span.attributes.get("request.id") == request_id and span.kind == "SERVER"}
    trace = sorted((span for span in spans if span.trace_id in ids), key=lambda span: span.start)
    known = {span.span_id for span in trace}
    roots = [span for span in trace if span.parent_id not in known]
    told = [line for line in lines if line[1].get("trace_id") in ids]
    text = [f"trace {trace_id}: {len(trace)} spans, {len(told)} lines" for trace_id in sorted(ids)]
    for root in roots:
        text += _branch(root, trace, told, depth=0)
    return "\n".join(text)


def _branch(span: Span, trace: list[Span], lines: list[tuple[str, dict[str, Any]]], *, depth: int) -> list[str]:
    margin = "  " * (depth + 1)
    text = [f"{margin}{span.kind:<8}  {span.name}  {(span.end - span.start) * 1000:.1f} ms"]
    text += [f"{margin}  - {process}: {line['event']}" for process, line in lines if line.get("span_id") == span.span_id]
    for child in trace:
        if child.parent_id == span.span_id:
            text += _branch(child, trace, lines, depth=depth + 1)
    return text
