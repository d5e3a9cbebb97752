"""WebSocket connections and channel layer messages. OpenTelemetry has no conventions for them yet; ours follow SignalR's.

An idle connection holds no span: the handshake, each message and the disconnect have one each, linked to the handshake's.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.semconv.attributes.http_attributes import HTTP_REQUEST_METHOD, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE
from opentelemetry.semconv.attributes.network_attributes import NETWORK_PROTOCOL_NAME
from opentelemetry.semconv.attributes.url_attributes import URL_PATH, URL_SCHEME
from opentelemetry.trace import Link, SpanContext, SpanKind

from ..guard import never_raises
from .current import ROOT, Current
from .failures import Failures
from .measures import Measures
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


class SocketSpans:
    """Begins the spans of connections and of messages.

    Args:
        providers: where spans come from.
        failures: records what they fail with.
        measures: the metrics.
        requests: reads what a handshake's request brings.
        message_spans: ``child``: a message's span is its sender's child; ``link``: a trace of its own; ``off``: none.
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

    @never_raises
    def connect(
        self, meta: Mapping[str, Any], scheme: str, path: str, matched: Mapping[str, Any] | None, consumer: str
    ) -> "ConnectionSpans":
        """Begin the span of a handshake. It is current in the handler of the connect event alone.

        Args:
            meta: the handshake's headers, named as in Django's ``META``.
            scheme: ``ws`` or ``wss``.
            path: its path.
            matched: what Channels' router tells of the path, ``None`` without one.
            consumer: the name of the consumer.
        """
        context, links = self._requests.origin(meta, ROOT)
        attributes = {**_WEBSOCKET, URL_SCHEME: scheme, URL_PATH: path, HTTP_REQUEST_METHOD: "GET"}
        name = "GET"
        if (route := route_of(path, matched)) is not None:
            attributes[HTTP_ROUTE] = route
            name = f"GET {route}"
        span = self._providers.tracer().start_span(name, context, SpanKind.SERVER, attributes, links)
        handshake = ScopeSpan(span, context, self.failures)
        handshake.leave()
        return ConnectionSpans(self, handshake, consumer)

    @never_raises
    def process(self, kind: str, carrier: Mapping[str, str], connection: "ConnectionSpans | None") -> Current:
        """Begin the span of a channel layer message and make it current.

        Args:
            kind: the message's type.
            carrier: what the sender put into the message by `inject`.
            connection: the receiver's, whose handshake is linked to; ``None`` for a channel that a worker listens on.
        """
        sender = propagate.extract(carrier, ROOT)
        if self._message_spans == "off":
            return Current(sender)
        links = [Link(connection.handshake)] if connection is not None else []
        if self._message_spans == "link":
            context = trace.get_current_span(sender).get_span_context()
            links = [Link(context), *links] if context.is_valid else links
            sender = ROOT
        span = self._providers.tracer().start_span(f"process {kind}", sender, SpanKind.CONSUMER, _PROCESS, links)
        return ScopeSpan(span, sender, self.failures)


def route_of(path: str, matched: Mapping[str, Any] | None) -> str | None:
    """Return the pattern that *path* matched, as far as it can be told from the arguments that it gave.

    Channels' router tells those, and not the pattern: each stands for the segment that it is equal to. ``None`` where one is
    equal to none, as an ``<int:id>`` of ``007`` is: a name with an id in it would be of high cardinality.
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


class ConnectionSpans:
    """The spans of one connection.

    Args:
        sockets: begins them.
        handshake: the handshake's.
        consumer: the name of the consumer.
    """

    __slots__ = ("_accepted", "_consumer", "_handshake", "_sockets")

    def __init__(self, sockets: SocketSpans, handshake: ScopeSpan, consumer: str) -> None:
        self._sockets = sockets
        self._handshake = handshake
        self._consumer = consumer
        self._accepted = False

    @property
    def handshake(self) -> SpanContext:
        """The handshake's span, to be linked to."""
        return self._handshake.span.get_span_context()

    @never_raises
    def begin(self, message_type: object) -> Current | None:
        """Make current what a message of the client is handled in: the handshake, or a span of the message's own."""
        if message_type == "websocket.connect":
            self._handshake.enter()
            return self._handshake
        name, kind = {
            "websocket.receive": ("receive", SpanKind.SERVER),
            "websocket.disconnect": ("disconnect", SpanKind.INTERNAL),
        }.get(str(message_type), (None, SpanKind.INTERNAL))
        if name is None:
            return None
        return self._sockets.spans.begin(
            f"{name} {self._consumer}", kind, parent=ROOT, attributes=_WEBSOCKET, link=self.handshake
        )

    @never_raises
    def end(self, event: Current | None, error: BaseException | None) -> None:
        """End what `begin` returned; the handshake goes on until it is accepted or refused."""
        if event is not None:
            if isinstance(event, ScopeSpan) and event is not self._handshake:
                event.end(error)
            event.leave_block()

    @never_raises
    def accepted(self) -> None:
        """End the handshake's span and count the connection."""
        self._accepted = True
        self._handshake.span.set_attribute(HTTP_RESPONSE_STATUS_CODE, 101)
        self._handshake.end()
        self._sockets.measures.connection(self._consumer, 1)

    @never_raises
    def received(self) -> None:
        self._sockets.measures.message(self._consumer, "received")

    @never_raises
    def sent(self) -> None:
        self._sockets.measures.message(self._consumer, "sent")

    @never_raises
    def ended(self, error: BaseException | None, status: int | None = None) -> None:
        """End what is still open, where the connection was refused or failed, and count it no more.

        Args:
            error: what it failed with.
            status: of the response that refused it; ``None`` where the consumer just closed, which is 403.
        """
        if self._accepted:
            self._accepted = False
            self._sockets.measures.connection(self._consumer, -1)
        elif not self._handshake.ended:
            if error is None:
                self._handshake.span.set_attribute(HTTP_RESPONSE_STATUS_CODE, status or 403)
            self._handshake.end(error)
