"""WebSocket connections and channel layer messages. OpenTelemetry has no conventions for them yet. Ours follow SignalR's.

An idle connection holds no span: the handshake, each message and the disconnect have one each, linked to the handshake's.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from opentelemetry import propagate, trace
from opentelemetry.context import Context, attach
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_NAME
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_SCHEME
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind

from ..context import End, Scope
from ..guard import never_raises
from .current import ROOT, Current
from .failures import Failures
from .metrics import Measures
from .requests import RequestSpans
from .sdk.providers import Providers
from .spans import ScopeSpan, ScopeSpans

__all__ = ["ConnectionSpans", "SocketSpans", "route_of"]

_WEBSOCKET = {NETWORK_PROTOCOL_NAME: "websocket"}
_PROCESS = {
    "messaging.system": "channels",
    "messaging.operation.type": "process",
    "messaging.operation.name": "process",
}
#: The client's messages that have a span of their own.
_EVENTS = {
    "websocket.receive": ("receive", SpanKind.SERVER),
    "websocket.disconnect": ("disconnect", SpanKind.INTERNAL),
}


class Handshake(Protocol):
    """The request that opens a connection.

    Attributes:
        scope: ASGI's.
        consumer: the name of the consumer's class.
        meta: its headers, named as in Django's ``META``.
    """

    @property
    def scope(self) -> Mapping[str, Any]: ...
    @property
    def consumer(self) -> str: ...
    @property
    def meta(self) -> Mapping[str, Any]: ...


class SocketSpans:
    """Begins the spans of connections and of messages.

    Args:
        providers: make spans.
        failures: records what they fail with.
        measures: the metrics.
        requests: reads what a handshake's request brings.
        message_spans: ``child`` of its sender's span, ``link`` (a trace of its own), or ``off`` (no span).
    """

    def __init__(
        self,
        providers: Providers,
        failures: Failures,
        measures: Measures,
        requests: RequestSpans,
        message_spans: str,
    ) -> None:
        self.failures = failures
        self.measures = measures
        self.spans = ScopeSpans(providers, failures)
        self._providers = providers
        self._requests = requests
        self._message_spans = message_spans

    def moments(self) -> dict[str, Callable[..., Any]]:
        """Return what the edge tells of connections by `dtx_telemetry.context.tell`, with what hears it."""
        return {
            "ws_accepted": _telling(ConnectionSpans.accepted),
            "ws_received": _telling(ConnectionSpans.received),
            "ws_sent": _telling(ConnectionSpans.sent),
            "ws_handling": _telling(ConnectionSpans.begin_event),
            "ws_handled": _telling(ConnectionSpans.end_event),
            "ws_failing": _telling(ConnectionSpans.show_failed),
        }

    @never_raises
    def connect(self, scope: Scope, about: Handshake | None) -> "ConnectionSpans | None":
        """Begin the span of a handshake. It is current in the handler of the connect event alone.

        Args:
            scope: the connection's.
            about: the handshake, ``None`` if its path is excluded.
        """
        if about is None:
            return None
        path = str(about.scope.get("path", ""))
        context, links = self._requests.origin(about.meta, ROOT)
        scheme = str(about.scope.get("scheme", "ws"))
        attributes = {**_WEBSOCKET, URL_SCHEME: scheme, URL_PATH: path, HTTP_REQUEST_METHOD: "GET"}
        name = "GET"
        if (route := route_of(path, about.scope.get("url_route"))) is not None:
            attributes[HTTP_ROUTE] = route
            name = f"GET {route}"
        span = self._providers.tracer().start_span(name, context, SpanKind.SERVER, attributes, links)
        handshake = ScopeSpan(span, context, self.failures)
        handshake.leave()
        return ConnectionSpans(self, handshake, about.consumer)

    @never_raises
    def process(self, scope: Scope, about: tuple[str, Mapping[str, str], Scope | None]) -> Current:
        """Begin the span of a channel layer message and make it current.

        Args:
            scope: the message's.
            about: the message's type, what the sender put into it by `inject`, and the scope of the connection that gets it,
                which is ``None`` for a channel that a worker listens on.
        """
        kind, carrier, receiver = about
        connection = receiver.span if receiver is not None and isinstance(receiver.span, ConnectionSpans) else None
        sender = propagate.extract(carrier, ROOT)
        if self._message_spans == "off":
            return Current(sender)
        links = [Link(connection.handshake)] if connection is not None else []
        if self._message_spans == "link":
            context = trace.get_current_span(sender).get_span_context()
            links = [Link(context), *links] if context.is_valid else links
            sender = ROOT
        span = self._providers.tracer().start_span(f"process {kind}", sender, SpanKind.CONSUMER, _PROCESS, links)
        return _MessageSpan(span, sender, self.failures, connection)


def _telling(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return what calls *method* of the spans of a connection, if it has some."""

    def told(scope: Scope, *facts: Any) -> Any:
        return method(scope.span, *facts) if scope.span is not None else None

    return told


def route_of(path: str, matched: Mapping[str, Any] | None) -> str | None:
    """Return the pattern that *path* matched, as far as it can be told from the arguments that it gave.

    Channels' router tells those and not the pattern: each stands for the segment that it is equal to. Returns None if one is
    not equal to any, as an ``<int:id>`` of ``007`` is not: a name with an id in it would be of high cardinality.
    """
    if matched is None:
        return None
    segments = path.split("/")
    unnamed = {str(number): value for number, value in enumerate(matched.get("args") or ())}
    for name, value in {**(matched.get("kwargs") or {}), **unnamed}.items():
        if str(value) not in segments:
            return None
        segments[segments.index(str(value))] = f"<{name}>"
    return "/".join(segments)


class ConnectionSpans(Current):
    """The spans of one connection. Between its events nothing is current, so that an idle connection holds no span.

    Args:
        sockets: begins them.
        handshake: the handshake's.
        consumer: the name of the consumer.
    """

    __slots__ = ("_accepted", "_consumer", "_failed", "_handshake", "_sockets")

    def __init__(self, sockets: SocketSpans, handshake: ScopeSpan, consumer: str) -> None:
        super().__init__()
        self._sockets = sockets
        self._handshake = handshake
        self._consumer = consumer
        self._accepted = False
        #: The span of the last event that failed.
        self._failed: SpanContext | None = None

    @property
    def handshake(self) -> SpanContext:
        """The handshake's span, to be linked to."""
        return self._handshake.span.get_span_context()

    @never_raises
    def begin_event(self, message_type: str) -> ScopeSpan | None:
        """Make current what a message of the client is handled in: the handshake, or a span of the message's own."""
        if message_type == "websocket.connect":
            self._handshake.enter()
            return self._handshake
        if message_type not in _EVENTS:
            return None
        name, kind = _EVENTS[message_type]
        return self._sockets.spans.begin(
            f"{name} {self._consumer}", kind, parent=ROOT, attributes=_WEBSOCKET, link=self.handshake
        )

    @never_raises
    def end_event(self, event: ScopeSpan | None, error: BaseException | None) -> None:
        """End what `begin_event` returned. The handshake goes on until it is accepted or refused."""
        if event is None:
            return
        if error is not None:
            self.note_failed(event)
        if event is not self._handshake:
            event.end(error)
        event.leave_block()

    def note_failed(self, event: ScopeSpan) -> None:
        """Note that *event* failed, which may end the connection."""
        self._failed = event.span.get_span_context()

    @never_raises
    def show_failed(self) -> None:
        """Make the span of the last event that failed current, for the closing event of the connection."""
        if self._failed is not None:
            attach(self.around(NonRecordingSpan(self._failed), ROOT))

    @never_raises
    def accepted(self) -> None:
        """End the handshake's span and count the connection."""
        self._accepted = True
        self._handshake.span.set_attribute(HTTP_RESPONSE_STATUS_CODE, 101)
        self._handshake.end()
        self._sockets.measures.connection(self._consumer, 1)

    @never_raises
    def received(self) -> None:
        """Count a message from the client."""
        self._sockets.measures.message(self._consumer, "received")

    @never_raises
    def sent(self) -> None:
        """Count a message to the client."""
        self._sockets.measures.message(self._consumer, "sent")

    @never_raises
    def finish_scope(self, scope: Scope, end: End) -> None:
        """End what is still open because the connection was refused or failed, and stop counting it."""
        if self._accepted:
            self._accepted = False
            self._sockets.measures.connection(self._consumer, -1)
        elif not self._handshake.ended:
            if end.error is None:  # a consumer that just closes is a 403
                self._handshake.span.set_attribute(HTTP_RESPONSE_STATUS_CODE, end.facts.get("status") or 403)
            self._handshake.end(end.error)


class _MessageSpan(ScopeSpan):
    """The span of one message of a channel layer.

    Args:
        span: the span.
        parent: the context that it was started in.
        failures: records what it fails with.
        connection: that of the receiver, which may fail with the message.
    """

    __slots__ = ("_connection",)

    def __init__(self, span: Span, parent: Context, failures: Failures, connection: ConnectionSpans | None) -> None:
        super().__init__(span, parent, failures)
        self._connection = connection

    def finish_scope(self, scope: Scope, end: End) -> None:
        """End the span as *scope* ends."""
        if end.error is not None and self._connection is not None:
            self._connection.note_failed(self)
        super().finish_scope(scope, end)
