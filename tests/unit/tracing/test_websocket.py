"""Connections and channel layer messages as spans and metrics."""

import asyncio
from contextlib import suppress
from contextvars import Context
from typing import Any

import pytest
from channels.exceptions import StopConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import get_channel_layer
from channels.routing import URLRouter
from django.test import override_settings
from django.urls import path
from opentelemetry import trace

from dtx_telemetry import telemetry_consumer
from tests.conftest import LogOutput
from tests.support.asgi import calling, connected, scope_of
from tests.support.otlp import Span
from tests.support.tracing import Traced, opentelemetry_on

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
HANDSHAKE = "GET /ws/draft/<draft_id>/"


@telemetry_consumer
class Told(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.accept()
        await self.send(self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "fail":
            raise RuntimeError("no mana")
        if text_data == "stop":
            raise StopConsumer
        await self.send(text_data)

    async def told(self, message: dict[str, Any]) -> None:
        if message.get("fail"):
            raise RuntimeError("not told")
        await self.send("told")


@telemetry_consumer
class SyncTold(WebsocketConsumer):
    def connect(self) -> None:
        self.accept()
        self.send(self.channel_name)

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "fail":
            raise RuntimeError("no mana")
        self.send(text_data)

    def told(self, message: dict[str, Any]) -> None:
        self.send("told")


@telemetry_consumer
class Refusing(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.close()


BOTH = pytest.mark.parametrize("consumer", [Told, SyncTold])


def routed(consumer: Any) -> URLRouter:
    return URLRouter([path("ws/draft/<int:draft_id>/", consumer.as_asgi())])


def by_name(traced: Traced) -> dict[str, Span]:
    return {span.name: span for span in traced.flushed().spans}


@BOTH
async def test_a_handshake_is_a_span_that_ends_with_it(traced: Traced, log_output: LogOutput, consumer: Any) -> None:
    """Under the browser's ``traceparent``, while the connection stays open and holds no span."""
    async with connected(routed(consumer), scope_of(headers=[("traceparent", PARENT)])) as socket:
        await socket.text()
        await asyncio.sleep(0)
        handshake = by_name(traced)[HANDSHAKE]
        await socket.leave()

    assert (handshake.kind, handshake.status, handshake.parent_id) == ("SERVER", "UNSET", "b7ad6b7169203331")
    attributes = handshake.attributes
    assert attributes["network.protocol.name"] == "websocket"
    assert attributes["http.response.status_code"] == 101
    assert attributes["draft.id"] == 5
    line = log_output.one("ws_connected")
    assert (line["ws.conn_id"], line["span_id"]) == (attributes["ws.conn_id"], handshake.span_id)


@BOTH
async def test_each_message_is_a_trace_of_its_own(traced: Traced, consumer: Any) -> None:
    """Linked to the handshake; the disconnect too."""
    async with connected(routed(consumer)) as socket:
        await socket.text()
        await socket.say("hello")
        assert await socket.text() == "hello"
        await socket.leave()

    spans = by_name(traced)
    handshake = spans[HANDSHAKE]
    receive, disconnect = spans[f"receive {consumer.__name__}"], spans[f"disconnect {consumer.__name__}"]
    assert (receive.kind, disconnect.kind) == ("SERVER", "INTERNAL")
    for span in (receive, disconnect):
        assert span.parent_id == ""
        assert span.trace_id != handshake.trace_id
        assert span.links == [(handshake.trace_id, handshake.span_id)]
        assert span.attributes["ws.conn_id"] == handshake.attributes["ws.conn_id"]


async def test_a_message_that_fails(traced: Traced, log_output: LogOutput) -> None:
    """Its span is an error with the exception."""
    async with connected(routed(Told)) as socket:
        await socket.say("fail")
        with pytest.raises(RuntimeError):
            await socket.end()

    receive = by_name(traced)["receive Told"]
    assert (receive.status, receive.description) == ("ERROR", "RuntimeError: no mana")
    assert len(receive.events) == 1


FAILING = {"receive": "receive Told", "message": "process told", "disconnect": "disconnect Told", "connect": HANDSHAKE}


@pytest.mark.parametrize("where", FAILING)
async def test_the_line_of_a_failure_has_the_ids_of_the_span_that_failed(
    traced: Traced, log_output: LogOutput, where: str
) -> None:
    """Whatever it was that failed: the only line with the traceback can be joined to the span."""

    class Failing(Told):
        async def connect(self) -> None:
            if where == "connect":
                raise RuntimeError("no mana")
            await super().connect()

        async def disconnect(self, code: int) -> None:
            if where == "disconnect":
                raise RuntimeError("no mana")

    Failing.__name__ = "Told"
    async with calling(routed(Failing), scope_of()) as socket:
        await socket.give("websocket.connect")
        if where != "connect":
            await socket.next("websocket.accept")
            channel = await socket.text()
        if where == "receive":
            await socket.say("fail")
        elif where == "message":
            await get_channel_layer().send(channel, {"type": "told", "fail": True})
        elif where == "disconnect":
            await socket.give("websocket.disconnect", code=1000, reason="")
        with pytest.raises(RuntimeError):
            await socket.end()

    failed, span = log_output.one("ws_failed"), by_name(traced)[FAILING[where]]
    assert (failed["trace_id"], failed["span_id"]) == (span.trace_id, span.span_id)
    assert span.status == "ERROR"
    assert not trace.get_current_span().is_recording()


async def test_a_failure_that_the_consumer_dealt_with_lends_no_later_one_its_span(
    traced: Traced, log_output: LogOutput
) -> None:
    """The line has the ids of what it is about, or none."""

    @telemetry_consumer
    class Careful(Told):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            self.scope, self.base_send, self.channel_name = scope, send, "none"
            await self.dispatch(await receive())
            with suppress(RuntimeError):
                await self.dispatch(await receive())
            raise RuntimeError("later")

    async with connected(routed(Careful)) as socket:
        await socket.say("fail")
        with pytest.raises(RuntimeError, match="later"):
            await socket.end()

    assert by_name(traced)["receive Careful"].status == "ERROR"
    assert "span_id" not in log_output.one("ws_failed", error="RuntimeError: later")


async def test_stopping_is_no_failure(traced: Traced) -> None:
    """``StopConsumer`` is how a consumer ends."""
    async with connected(routed(Told)) as socket:
        await socket.say("stop")
        await socket.end()

    assert by_name(traced)["receive Told"].status == "UNSET"


async def test_a_handshake_that_is_refused(traced: Traced, log_output: LogOutput) -> None:
    """Ends with the refusal."""
    async with calling(routed(Refusing), scope_of()) as socket:
        await socket.give("websocket.connect")
        await socket.next("websocket.close")
        await socket.leave()

    handshake = by_name(traced)[HANDSHAKE]
    assert (handshake.status, handshake.attributes["http.response.status_code"]) == ("UNSET", 403)
    assert log_output.one("ws_rejected")["span_id"] == handshake.span_id


@BOTH
async def test_a_layer_message_is_in_its_senders_trace(traced: Traced, log_output: LogOutput, consumer: Any) -> None:
    """A consumer span under the sender's, linked to the receiver's handshake; no handler sees what carried it."""
    async with connected(routed(consumer)) as socket:
        channel = await socket.text()
        with trace.get_tracer("application").start_as_current_span("sender") as sender:
            await get_channel_layer().send(channel, {"type": "told"})
        assert await socket.text() == "told"
        await socket.leave()

    spans = by_name(traced)
    process, handshake = spans["process told"], spans[HANDSHAKE]
    assert (process.kind, process.parent_id) == ("CONSUMER", spans["sender"].span_id)
    assert process.trace_id == trace.format_trace_id(sender.get_span_context().trace_id)
    assert process.links == [(handshake.trace_id, handshake.span_id)]
    assert process.attributes["messaging.system"] == "channels"
    assert process.attributes["messaging.operation.type"] == "process"


async def test_a_layer_message_that_fails(traced: Traced) -> None:
    """Its span is an error."""
    async with connected(routed(Told)) as socket:
        channel = await socket.text()
        await get_channel_layer().send(channel, {"type": "told", "fail": True})
        with pytest.raises(RuntimeError):
            await socket.end()

    assert by_name(traced)["process told"].status == "ERROR"


@pytest.mark.parametrize(("spans", "names"), [("link", {"process told"}), ("off", set())])
async def test_layer_messages_may_be_apart(monkeypatch: pytest.MonkeyPatch, spans: str, names: set[str]) -> None:
    """``MESSAGE_SPANS``: a trace of its own, linked to both, or no span at all."""
    with override_settings(DTX_TELEMETRY={"MESSAGE_SPANS": spans}), opentelemetry_on(monkeypatch) as traced:
        async with connected(routed(Told)) as socket:
            channel = await socket.text()
            with trace.get_tracer("application").start_as_current_span("sender"):
                await get_channel_layer().send(channel, {"type": "told"})
            assert await socket.text() == "told"
            await socket.leave()
        found = by_name(traced)

    assert {name for name in found if name.startswith("process")} == names
    if names:
        process, sender, handshake = found["process told"], found["sender"], found[HANDSHAKE]
        assert process.parent_id == ""
        assert process.links == [(sender.trace_id, sender.span_id), (handshake.trace_id, handshake.span_id)]


async def test_the_senders_trace_is_nobodys_field(log_output: LogOutput) -> None:
    """Where OpenTelemetry is off here, what the sender's carried is not bound either."""
    async with connected(routed(Told)) as socket:
        channel = await socket.text()
        carried = {"request.id": "sender", "traceparent": PARENT, "tracestate": "a=b", "baggage": "c=d"}
        await get_channel_layer().send(channel, {"type": "told", "dtx.context": carried})
        assert await socket.text() == "told"
        await socket.leave()

    assert "traceparent" not in log_output.text


async def test_what_outlives_a_handler_is_in_nobodys_span(traced: Traced) -> None:
    """Neither Channels' own tasks nor the layer's receive in the handshake's span."""
    seen: list[Any] = []

    @telemetry_consumer
    class Looking(Told):
        async def websocket_receive(self, message: Any) -> None:
            await super().websocket_receive(message)

    async def receive() -> Any:
        seen.append(trace.get_current_span())
        return await messages.get()

    messages: asyncio.Queue[Any] = asyncio.Queue()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    task = asyncio.create_task(routed(Looking)(scope_of(), receive, send))
    for kind in ("websocket.connect", "websocket.receive", "websocket.disconnect"):
        await messages.put({"type": kind, "text": "x", "code": 1000})
    await task
    assert len(seen) >= 3
    assert set(seen) == {trace.INVALID_SPAN}


async def test_connections_and_messages_are_counted(traced: Traced) -> None:
    """By consumer and direction, in small numbers of series."""
    async with connected(routed(Told)) as gone:
        await gone.text()
        await gone.leave()
    async with connected(routed(Told)) as open_still:
        await open_still.text()
        await open_still.say("hello")
        await open_still.text()
        points = traced.flushed().points

        (connections,) = [point for point in points if point.name == "dtx.websocket.connections"]
        assert (connections.value, connections.attributes) == (1, {"consumer": "Told"})
        counts = {point.attributes["direction"]: point.value for point in points if point.name == "dtx.websocket.messages"}
        assert counts == {"received": 1, "sent": 3}
        await open_still.leave()


async def test_the_next_request_of_a_connection_is_no_child_of_this_one(traced: Traced) -> None:
    """uvicorn begins it in the context of the call of ``receive`` or ``send`` that let it read on."""

    @telemetry_consumer
    class Answers(AsyncHttpConsumer):
        async def handle(self, body: bytes) -> None:
            assert trace.get_current_span().is_recording()
            await self.send_response(200, body)

    seen = []

    async def receive() -> dict[str, Any]:
        seen.append(trace.get_current_span())
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        seen.append(trace.get_current_span())

    with trace.get_tracer("server").start_as_current_span("the server's") as servers:
        await Answers.as_asgi()(scope_of(kind="http", method="GET"), receive, send)
    assert set(seen) == {servers}
    seen.clear()

    await Answers.as_asgi()(scope_of(kind="http", method="GET"), receive, send)
    assert set(seen) == {trace.INVALID_SPAN}


async def test_what_the_garbage_collector_ends_changes_no_current_span(traced: Traced) -> None:
    """It ends a waiting coroutine inside whatever runs then: a handler of a message, a receiver of the channel layer."""

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    @telemetry_consumer
    class Waiting(AsyncWebsocketConsumer):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.dispatch(await receive())

        async def dispatch(self, message: Any) -> None:
            await asyncio.Event().wait()

    def begun(coroutine: Any) -> Any:
        with trace.get_tracer("app").start_as_current_span("abandoned"):
            coroutine.send(None)
        return coroutine

    coroutines = get_channel_layer().receive("nobodys"), Waiting.as_asgi()(scope_of(), receive, receive)
    waiting = [Context().run(begun, each) for each in coroutines]
    with trace.get_tracer("app").start_as_current_span("another") as another:
        for coroutine in waiting:
            coroutine.close()
        assert trace.get_current_span() is another
    assert not trace.get_current_span().is_recording()
