"""The events of a WebSocket connection: one about its beginning, exactly one about its end."""

import asyncio

import pytest
from channels.exceptions import AcceptConnection, DenyConnection, StopConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    JsonWebsocketConsumer,
    WebsocketConsumer,
)
from structlog.contextvars import bind_contextvars

from dtx_telemetry import bind_fields, get_logger, telemetry_consumer
from tests.support.asgi import Call, calling, connected, scope_of, until

log = get_logger("app")
ENDS = {"ws_rejected", "ws_disconnected", "ws_failed"}


@telemetry_consumer
class AsyncEcho(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        log.info("received")
        await self.send(text_data, bytes_data)


@telemetry_consumer
class SyncEcho(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        log.info("received")
        self.send(text_data, bytes_data)


@telemetry_consumer
class AsyncJsonEcho(AsyncJsonWebsocketConsumer):
    async def receive_json(self, content, **kwargs):
        log.info("received")
        await self.send_json(content)


@telemetry_consumer
class SyncJsonEcho(JsonWebsocketConsumer):
    def receive_json(self, content, **kwargs):
        log.info("received")
        self.send_json(content)


ECHOES = [AsyncEcho, SyncEcho, AsyncJsonEcho, SyncJsonEcho]


def ends(log_output):
    """Return the closing events, as (event, close code)."""
    return [(line["event"], line["close_code"]) for line in log_output.lines if line["event"] in ENDS]


@pytest.mark.parametrize("echo", ECHOES)
async def test_a_connection_has_a_first_and_a_last_line(log_output, echo):
    """Every kind of consumer: accepted with the client's address, closed with code, duration and counts, all under its ids."""
    async with connected(echo.as_asgi(), scope_of(headers=[("X-Request-ID", "click-1")])) as socket:
        for number in ("1", "2", "3"):
            await socket.say(number)
            assert await socket.text() == number
        await socket.leave(1001)

    lines = log_output.lines
    assert [line["event"] for line in lines] == ["ws_connected", "received", "received", "received", "ws_disconnected"]
    assert {line["request.id"] for line in lines} == {"click-1"}
    assert len({line["ws.conn_id"] for line in lines}) == 1
    assert all(line["labels"] == ["draft"] and line["draft.id"] == 5 and "user.id" not in line for line in lines)
    assert lines[0]["level"] == lines[-1]["level"] == "info"
    assert lines[0]["client.address"] == "203.0.113.7"
    assert "client.address" not in lines[-1]
    assert lines[-1]["close_code"] == 1001
    assert lines[-1]["duration_ms"] > 0
    assert (lines[-1]["ws.messages_received"], lines[-1]["ws.messages_sent"]) == (3, 3)


@pytest.mark.parametrize("how", ["accepted", "closed", "fails", "vanishes", "denied"])
async def test_events_say_which_socket(log_output, how):
    """The path and the consumer's name, as it was decorated and not as its base is called."""

    class Named(AsyncEcho):
        async def connect(self):
            if how == "closed":
                await self.close()
            elif how == "fails":
                raise RuntimeError("no mana")
            elif how == "denied":
                await self.base_send({"type": "websocket.http.response.start", "status": 401, "headers": []})
            elif how == "accepted":
                await self.accept()

    async with calling(Named.as_asgi(), scope_of("/ws/draft/5/", root_path="")) as socket:
        await socket.give("websocket.connect")
        if how == "fails":
            with pytest.raises(RuntimeError):
                await socket.end()
        else:
            await socket.leave()

    events = [line for line in log_output.lines if line["event"].startswith("ws_")]
    assert len(events) == (2 if how == "accepted" else 1)
    assert {(line["http.route"], line["ws.consumer"]) for line in events} == {("/ws/draft/5/", "Named")}


async def test_each_connection_has_an_id_of_its_own(log_output):
    """Two connections with the same request id differ in ``ws.conn_id``."""
    for _ in range(2):
        async with connected(AsyncEcho.as_asgi(), scope_of(headers=[("X-Request-ID", "same")])) as socket:
            await socket.leave()

    opened = log_output.events("ws_connected")
    assert [line["request.id"] for line in opened] == ["same", "same"]
    assert opened[0]["ws.conn_id"] != opened[1]["ws.conn_id"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"code": 1000, "reason": ""}, 1000),
        ({"code": 4001, "reason": "bye"}, 4001),
        ({"code": 1005, "reason": ""}, 1005),
        ({"code": 1005}, 1006),  # uvicorn, of a client that vanished
        ({"code": 1006}, 1006),
        ({"code": None}, 1006),
    ],
)
async def test_the_close_code_is_the_clients(log_output, message, code):
    """What the client's close frame said; 1006 where it vanished."""
    async with connected(AsyncEcho.as_asgi()) as socket:
        await socket.give("websocket.disconnect", **message)
        await socket.end()

    assert ends(log_output) == [("ws_disconnected", code)]


async def test_an_old_servers_missing_code_is_no_status(log_output):
    """A server that tells no reasons says 1005 of a close frame without a code, and of nothing else."""
    async with connected(AsyncEcho.as_asgi(), scope_of(asgi={"version": "3.0"})) as socket:
        await socket.give("websocket.disconnect", code=1005)
        await socket.end()

    assert ends(log_output) == [("ws_disconnected", 1005)]


@pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
@pytest.mark.parametrize(("given", "code"), [({}, 1000), ({"code": 4000}, 4000)])
async def test_the_close_code_is_the_consumers_where_it_closes_first(log_output, base, given, code):
    """The answer of the client's end, and a second close by the consumer, change nothing."""

    class Closes(base):
        if base is AsyncWebsocketConsumer:

            async def receive(self, text_data=None, bytes_data=None):
                await self.close(**given)

            async def disconnect(self, code):
                await self.close(1011)
        else:

            def receive(self, text_data=None, bytes_data=None):
                self.close(**given)

            def disconnect(self, code):
                self.close(1011)

    async with connected(telemetry_consumer(Closes).as_asgi()) as socket:
        await socket.say("close")
        await socket.next("websocket.close")
        await socket.leave(1006)

    assert ends(log_output) == [("ws_disconnected", code)]


async def test_a_cancelled_connection_is_disconnected_abnormally(log_output):
    """The server gives the consumer up: 1006, and the cancellation goes on."""
    async with connected(AsyncEcho.as_asgi()) as socket:
        socket.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await socket.task

    assert ends(log_output) == [("ws_disconnected", 1006)]


async def test_a_cancelled_handler_keeps_the_code_that_the_client_gave(log_output):
    """A server that loses patience with ``disconnect()`` does not change how the socket was closed."""

    @telemetry_consumer
    class Hangs(AsyncWebsocketConsumer):
        async def disconnect(self, code):
            log.info("hanging")
            await asyncio.Event().wait()

    async with connected(Hangs.as_asgi()) as socket:
        await socket.give("websocket.disconnect", code=1001, reason="")
        await until(lambda: log_output.events("hanging"))
        socket.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await socket.task

    assert ends(log_output) == [("ws_disconnected", 1001)]


async def test_a_client_that_vanishes_while_it_is_sent_to_is_no_failure(log_output):
    """Servers raise an OSError then, which goes on; it is neither an error nor worth a traceback."""

    class ClientDisconnected(OSError):
        """As uvicorn has it."""

    async def send(message):
        if message["type"] == "websocket.send":
            raise ClientDisconnected

    for echo in (AsyncEcho, SyncEcho):
        messages = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "x"}]

        async def receive(messages=messages):
            return messages.pop(0) if messages else await asyncio.Event().wait()

        with pytest.raises(ClientDisconnected):
            await echo.as_asgi()(scope_of(), receive, send)

    assert ends(log_output) == [("ws_disconnected", 1006)] * 2
    assert [line["ws.messages_sent"] for line in log_output.events("ws_disconnected")] == [0, 0]


async def test_an_os_error_of_the_consumers_own_is_a_failure(log_output):
    """A file that is not there is not a client that left."""

    @telemetry_consumer
    class Opens(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            raise FileNotFoundError(text_data)

    async with connected(Opens.as_asgi()) as socket:
        await socket.say("nowhere")
        with pytest.raises(FileNotFoundError):
            await socket.end()

    assert log_output.one("ws_failed")["error"] == "FileNotFoundError: nowhere"


class TestRejected:
    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
    @pytest.mark.parametrize(("given", "code"), [({}, 1000), ({"code": 4003}, 4003)])
    async def test_a_connection_closed_before_accept(self, log_output, base, given, code):
        """A warning with the code, at once, and nothing more at the end."""

        class Rejects(base):
            if base is AsyncWebsocketConsumer:

                async def connect(self):
                    await self.close(**given)
            else:

                def connect(self):
                    self.close(**given)

        async with calling(telemetry_consumer(Rejects).as_asgi()) as socket:
            await socket.give("websocket.connect")
            await socket.next("websocket.close")
            await until(lambda: ends(log_output))
            assert not socket.task.done()
            await socket.leave(1006)

        assert ends(log_output) == [("ws_rejected", code)]
        line = log_output.one("ws_rejected")
        assert line["level"] == "warning"
        assert set(line) == {
            "timestamp",
            "level",
            "logger",
            "event",
            "close_code",
            "http.route",
            "ws.consumer",
            "scope.id",
            "request.id",
            "ws.conn_id",
            "labels",
            "draft.id",
        }
        assert not log_output.events("ws_connected")

    async def test_denied(self, log_output):
        """``DenyConnection`` rejects; it is no error."""

        @telemetry_consumer
        class Denies(AsyncWebsocketConsumer):
            async def connect(self):
                raise DenyConnection

        async with calling(Denies.as_asgi()) as socket:
            await socket.give("websocket.connect")
            await socket.next("websocket.close")
            await socket.leave(1006)

        assert ends(log_output) == [("ws_rejected", 1000)]

    async def test_rejected_with_a_response(self, log_output):
        """A denial as an HTTP response (ASGI's extension) is a rejection with that status, and has no close code."""

        @telemetry_consumer
        class Responds(AsyncWebsocketConsumer):
            async def connect(self):
                await self.base_send({"type": "websocket.http.response.start", "status": 401, "headers": []})
                await self.base_send({"type": "websocket.http.response.body", "body": b"no"})

        async with calling(Responds.as_asgi()) as socket:
            await socket.give("websocket.connect")
            await socket.next("websocket.http.response.start")
            await socket.leave(1006)

        line = log_output.one("ws_rejected")
        assert line["http.status_code"] == 401
        assert "close_code" not in line

    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
    async def test_an_exception_after_the_rejection(self, log_output, base):
        """One closing event, which has the exception as well as the code."""

        class Refuses(base):
            if base is AsyncWebsocketConsumer:

                async def connect(self):
                    await self.close(4003)
                    raise RuntimeError("no mana")
            else:

                def connect(self):
                    self.close(4003)
                    raise RuntimeError("no mana")

        async with calling(telemetry_consumer(Refuses).as_asgi()) as socket:
            await socket.give("websocket.connect")
            await socket.next("websocket.close")
            with pytest.raises(RuntimeError):
                await socket.end()

        assert ends(log_output) == [("ws_failed", 4003)]
        line = log_output.one("ws_failed")
        assert line["error"] == "RuntimeError: no mana"
        assert "exception" in line

    async def test_a_rejection_outside_any_handler(self, log_output):
        """By a task that goes on after ``connect()``: it is said at once as well."""

        @telemetry_consumer
        class Later(AsyncWebsocketConsumer):
            async def connect(self):
                self.task = asyncio.create_task(self.refuse())

            async def refuse(self):
                await self.close(4003)

        async with calling(Later.as_asgi()) as socket:
            await socket.give("websocket.connect")
            await until(lambda: ends(log_output))
            assert not socket.task.done()

        assert ends(log_output) == [("ws_rejected", 4003)]

    async def test_a_client_that_left_before_it_was_accepted(self, log_output):
        """The connection ended before accept, so it was never connected."""

        @telemetry_consumer
        class Waits(AsyncWebsocketConsumer):
            async def connect(self):
                """Leave it open."""

        async with calling(Waits.as_asgi()) as socket:
            await socket.give("websocket.connect")
            await socket.leave(1006)

        assert ends(log_output) == [("ws_rejected", 1006)]

    async def test_a_rejection_by_another_senders_message_bears_the_connections_id(self, log_output):
        """Whoever made it close: the closing event is the connection's."""

        @telemetry_consumer
        class Later(AsyncWebsocketConsumer):
            async def connect(self):
                log.info("channel", name=self.channel_name)
                bind_contextvars(own=1)

            async def refuse(self, message):
                log.info("refusing")
                await self.close(4003)

        async with calling(Later.as_asgi(), scope_of(headers=[("X-Request-ID", "connection")])) as socket:
            await socket.give("websocket.connect")
            await until(lambda: log_output.events("channel"))
            bind_contextvars(**{"request.id": "sender", "user.id": 7})
            await send_to(log_output.one("channel")["name"], "refuse")
            await socket.next("websocket.close")
            await socket.leave(1006)

        assert log_output.one("refusing")["request.id"] == "sender"
        assert log_output.one("ws_rejected")["request.id"] == "connection"
        assert "user.id" not in log_output.one("ws_rejected")


async def send_to(channel, kind, **message):
    from channels.layers import get_channel_layer

    await get_channel_layer().send(channel, {"type": kind, **message})


FAILURES = ["connect", "receive", "message", "disconnect"]


@pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
@pytest.mark.parametrize("where", FAILURES)
async def test_an_exception_is_one_failure_with_its_traceback(log_output, base, where):
    """Wherever the consumer raises it: one ``ws_failed`` under the connection's ids, and the exception goes on."""
    async with calling(failing(base, where).as_asgi(), scope_of(headers=[("X-Request-ID", "connection")])) as socket:
        await socket.give("websocket.connect")
        if where != "connect":
            await socket.next("websocket.accept")
        if where == "receive":
            await socket.say("x")
        elif where == "message":
            bind_contextvars(**{"request.id": "sender"})
            await send_to(await channel_of(socket), "message")
        elif where == "disconnect":
            await socket.give("websocket.disconnect", code=1001, reason="")
        with pytest.raises(RuntimeError, match="no mana"):
            await socket.end()

    line = log_output.one("ws_failed")
    assert ends(log_output) == [("ws_failed", 1001 if where == "disconnect" else 1011)]
    assert line["level"] == "error"
    assert line["error"] == "RuntimeError: no mana"
    assert line["exception"].rstrip().endswith("RuntimeError: no mana")
    assert line["request.id"] == "connection"
    assert {"duration_ms", "ws.messages_received", "ws.messages_sent"} <= set(line)


def failing(base, where):
    """Return a consumer that raises in one of its handlers, and sends its channel's name as it accepts."""

    def maybe(self, handler):
        if where == handler:
            raise RuntimeError("no mana")

    if base is WebsocketConsumer:

        class Fails(base):
            def connect(self):
                maybe(self, "connect")
                self.accept()
                self.send(self.channel_name)

            def receive(self, text_data=None, bytes_data=None):
                maybe(self, "receive")

            def message(self, message):
                maybe(self, "message")

            def disconnect(self, code):
                maybe(self, "disconnect")
    else:

        class Fails(base):
            async def connect(self):
                maybe(self, "connect")
                await self.accept()
                await self.send(self.channel_name)

            async def receive(self, text_data=None, bytes_data=None):
                maybe(self, "receive")

            async def message(self, message):
                maybe(self, "message")

            async def disconnect(self, code):
                maybe(self, "disconnect")

    return telemetry_consumer(Fails)


async def channel_of(socket: Call) -> str:
    return await socket.text()


@pytest.mark.parametrize("error", [StopConsumer, DenyConnection, AcceptConnection])
async def test_the_exceptions_by_which_a_consumer_steers_are_no_failures(log_output, error):
    """Raised in a handler where Channels does not expect them they go on as they do without us, but are no ``ws_failed``."""

    @telemetry_consumer
    class Stops(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            raise error

    async with connected(Stops.as_asgi()) as socket:
        await socket.say("stop")
        if error is StopConsumer:
            await socket.end()
        else:
            with pytest.raises(error):
                await socket.end()

    assert ends(log_output) == [("ws_disconnected", 1006)]


async def test_a_system_exit_is_a_failure_and_goes_on(log_output):
    """What is not an ``Exception`` is not swallowed either."""

    class Halt(BaseException):
        pass

    @telemetry_consumer
    class Halts(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            raise Halt("now")

    async with connected(Halts.as_asgi()) as socket:
        await socket.say("x")
        with pytest.raises(Halt):
            await socket.end()

    assert log_output.one("ws_failed")["error"] == "Halt: now"


async def test_a_connection_accepted_by_another_senders_message_is_the_connections(log_output):
    """Its first line bears its own id and user, not those of who let it in."""

    class User:
        pk = 1
        is_authenticated = True

    @telemetry_consumer
    class Waits(AsyncWebsocketConsumer):
        async def connect(self):
            log.info("channel", name=self.channel_name)

        async def let_in(self, message):
            await self.accept()

    async with calling(Waits.as_asgi(), scope_of(user=User(), headers=[("X-Request-ID", "connection")])) as socket:
        await socket.give("websocket.connect")
        await until(lambda: log_output.events("channel"))
        bind_contextvars(**{"request.id": "sender", "user.id": 7})
        await send_to(log_output.one("channel")["name"], "let.in")
        await socket.next("websocket.accept")
        await socket.leave()

    for event in ("ws_connected", "ws_disconnected"):
        line = log_output.one(event)
        assert (line["request.id"], line["user.id"], line["draft.id"]) == ("connection", 1, 5)


async def test_messages_of_the_channel_layer_are_not_counted_as_received(log_output):
    """Received is what the client sent; sent is what went to the client."""

    @telemetry_consumer
    class Pushes(AsyncWebsocketConsumer):
        async def connect(self):
            await self.accept()
            await self.send(self.channel_name)

        async def push(self, message):
            await self.send("pushed")
            await self.send(bytes_data=b"pushed")

    async with connected(Pushes.as_asgi()) as socket:
        await send_to(await channel_of(socket), "push")
        await socket.text()
        await socket.next("websocket.send")
        await socket.leave()

    line = log_output.one("ws_disconnected")
    assert (line["ws.messages_received"], line["ws.messages_sent"]) == (0, 3)


async def test_one_close_only(log_output):
    """Two closes by the consumer, and the end after them, are one closing event."""

    @telemetry_consumer
    class Twice(AsyncWebsocketConsumer):
        async def connect(self):
            await self.close(4001)
            await self.close(4002)

    async with calling(Twice.as_asgi()) as socket:
        await socket.give("websocket.connect")
        await socket.next("websocket.close")
        await socket.next("websocket.close")
        await socket.leave(1006)

    assert ends(log_output) == [("ws_rejected", 4001)]


async def test_what_channels_still_waits_for_does_not_delay_the_closing_event(log_output):
    """A layer that loses the cancel of its receive holds the consumer for ever; its end is told all the same, and once."""
    held = asyncio.Event()

    @telemetry_consumer
    class Held(AsyncWebsocketConsumer):
        async def __call__(self, scope, receive, send):
            await super().__call__(scope, receive, send)
            await held.wait()

    async with connected(Held.as_asgi()) as socket:
        await socket.give("websocket.disconnect", code=1001, reason="")
        await until(lambda: ends(log_output))
        assert not socket.task.done()
        held.set()
        await socket.end()
    assert ends(log_output) == [("ws_disconnected", 1001)]


class TestWhatConnectBound:
    """It is on every later event of the connection, wherever that is logged."""

    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
    @pytest.mark.parametrize("accepts", [True, False])
    async def test_in_a_block_of_bound_fields(self, log_output, base, accepts):
        """Both what stands before the block and the block's own are on the line about what happens in it."""

        class Binds(base):
            if base is AsyncWebsocketConsumer:

                async def connect(self):
                    bind_contextvars(hero="Invoker")
                    with bind_fields(step="lobby"):
                        await (self.accept() if accepts else self.close(4003))
            else:

                def connect(self):
                    bind_contextvars(hero="Invoker")
                    with bind_fields(step="lobby"):
                        self.accept() if accepts else self.close(4003)

        async with calling(telemetry_consumer(Binds).as_asgi()) as socket:
            await socket.give("websocket.connect")
            await socket.next()
            await socket.leave()

        line = log_output.one("ws_connected" if accepts else "ws_rejected")
        assert (line["hero"], line["step"]) == ("Invoker", "lobby")
        assert line["draft.id"] == 5
        if accepts:
            assert log_output.one("ws_disconnected")["hero"] == "Invoker"
            assert "step" not in log_output.one("ws_disconnected")

    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
    @pytest.mark.parametrize("accepts", [True, False])
    async def test_in_a_layers_handler(self, log_output, base, accepts):
        """The sender's fields are not on it, nor what the handler binds."""

        class Waits(base):
            if base is AsyncWebsocketConsumer:

                async def connect(self):
                    bind_contextvars(hero="Invoker")
                    log.info("channel", name=self.channel_name)

                async def decide(self, message):
                    bind_contextvars(handler="bound")
                    await (self.accept() if accepts else self.close(4003))
            else:

                def connect(self):
                    bind_contextvars(hero="Invoker")
                    log.info("channel", name=self.channel_name)

                def decide(self, message):
                    bind_contextvars(handler="bound")
                    self.accept() if accepts else self.close(4003)

        headers = [("X-Request-ID", "connection")]
        async with calling(telemetry_consumer(Waits).as_asgi(), scope_of(headers=headers)) as socket:
            await socket.give("websocket.connect")
            await until(lambda: log_output.events("channel"))
            bind_contextvars(**{"request.id": "sender", "user.id": 7, "tenant": "x"})
            await send_to(log_output.one("channel")["name"], "decide")
            await socket.next()
            await socket.leave()

        for event in ("ws_connected", "ws_disconnected") if accepts else ("ws_rejected",):
            line = log_output.one(event)
            assert (line["request.id"], line["hero"], line["draft.id"]) == ("connection", "Invoker", 5)
            assert {"handler", "tenant", "user.id"}.isdisjoint(line)

    async def test_in_a_task_that_a_layers_handler_started(self, log_output):
        """It goes on after the handler, and still the connection's events are the connection's."""

        @telemetry_consumer
        class Waits(AsyncWebsocketConsumer):
            async def connect(self):
                bind_contextvars(hero="Invoker")
                log.info("channel", name=self.channel_name)

            async def decide(self, message):
                self.task = asyncio.create_task(self.accept_later())

            async def accept_later(self):
                await asyncio.sleep(0.01)
                await self.accept()

        async with calling(Waits.as_asgi(), scope_of(headers=[("X-Request-ID", "connection")])) as socket:
            await socket.give("websocket.connect")
            await until(lambda: log_output.events("channel"))
            bind_contextvars(**{"request.id": "sender"})
            await send_to(log_output.one("channel")["name"], "decide")
            await socket.next("websocket.accept")
            await socket.leave()

        line = log_output.one("ws_connected")
        assert (line["request.id"], line["hero"]) == ("connection", "Invoker")


class TestLoggedMessages:
    """``@telemetry_consumer(log_messages=True)``."""

    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
    async def test_each_message_has_a_line(self, log_output, base):
        """Type and size at level debug, and nothing of the content; what a layer's handler sends bears the sender's id."""

        class Talks(base):
            if base is AsyncWebsocketConsumer:

                async def receive(self, text_data=None, bytes_data=None):
                    await self.send(self.channel_name)

                async def told_by_other(self, message):
                    await self.send(bytes_data=b"secret")
            else:

                def receive(self, text_data=None, bytes_data=None):
                    self.send(self.channel_name)

                def told_by_other(self, message):
                    self.send(bytes_data=b"secret")

        consumer = telemetry_consumer(log_messages=True)(Talks)
        async with connected(consumer.as_asgi(), scope_of(headers=[("X-Request-ID", "connection")])) as socket:
            await socket.say("ä secret")
            channel = await socket.text()
            await socket.give("websocket.receive", bytes=b"secret")
            await socket.text()
            bind_contextvars(**{"request.id": "sender"})
            await send_to(channel, "told.by.other", text="secret")
            await socket.next("websocket.send")
            await socket.leave()

        received = log_output.events("ws_received")
        assert [(line["ws.message_type"], line["ws.message_size"]) for line in received] == [("text", 8), ("binary", 6)]
        sent = log_output.events("ws_sent")
        assert [(line["ws.message_type"], line["ws.message_size"]) for line in sent] == [
            ("text", len(channel)),
            ("text", len(channel)),
            ("binary", 6),
        ]
        handled = log_output.one("ws_handled")
        assert handled["ws.message_type"] == "told.by.other"
        assert handled["duration_ms"] > 0
        assert "ws.message_size" not in handled
        assert {line["level"] for line in (*received, *sent, handled)} == {"debug"}
        assert {line["request.id"] for line in (*received, *sent[:2])} == {"connection"}
        assert (sent[2]["request.id"], handled["request.id"]) == ("sender", "sender")
        assert len({line["ws.conn_id"] for line in (*received, *sent, handled)}) == 1
        assert "secret" not in log_output.text

    @pytest.mark.parametrize(
        "decorate",
        [telemetry_consumer, telemetry_consumer(), telemetry_consumer(log_messages=False)],
        ids=["bare", "called", "off"],
    )
    async def test_no_line_unless_asked_for(self, log_output, decorate):
        """With and without parentheses the decorator is the same."""

        @decorate
        class Talks(AsyncWebsocketConsumer):
            async def receive(self, text_data=None, bytes_data=None):
                await self.send(text_data)

        async with connected(Talks.as_asgi()) as socket:
            await socket.say("hi")
            await socket.text()
            await socket.leave()

        assert [line["event"] for line in log_output.lines] == ["ws_connected", "ws_disconnected"]

    async def test_a_subclass_is_as_its_base_unless_it_says_otherwise(self, log_output):
        """Decorated again or not."""

        @telemetry_consumer(log_messages=True)
        class Base(AsyncWebsocketConsumer):
            pass

        class Heir(Base):
            pass

        @telemetry_consumer
        class Again(Base):
            pass

        @telemetry_consumer(log_messages=False)
        class Quiet(Base):
            pass

        counts = []
        for consumer in (Base, Heir, Again, Quiet):
            log_output.clear()
            async with connected(consumer.as_asgi()) as socket:
                await socket.say("hi")
                await socket.leave()
            counts.append(len(log_output.events("ws_received")))
        assert counts == [1, 1, 1, 0]

    async def test_a_message_whose_handler_fails_was_handled_too(self, log_output):
        """How long it took is worth knowing then as well; the failure is the connection's."""

        @telemetry_consumer(log_messages=True)
        class Fails(AsyncWebsocketConsumer):
            async def connect(self):
                await self.accept()
                await self.send(self.channel_name)

            async def message(self, message):
                raise RuntimeError("no mana")

        async with connected(Fails.as_asgi()) as socket:
            await send_to(await socket.text(), "message")
            with pytest.raises(RuntimeError):
                await socket.end()

        log_output.one("ws_handled")
        log_output.one("ws_failed")
