"""Messages of a channel layer: handled in the context of who sent them, which is gone with the message."""

import asyncio
from contextvars import Context

import pytest
from channels.consumer import AsyncConsumer, SyncConsumer
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import InMemoryChannelLayer, channel_layers, get_channel_layer
from channels.worker import Worker
from structlog.contextvars import bind_contextvars, get_contextvars

from dtx_telemetry import context, events, get_logger, telemetry_consumer
from tests.support.asgi import calling, connected, scope_of, until
from tests.support.scopes import without_ids

log = get_logger("app")


class User:
    pk = 1
    is_authenticated = True


@telemetry_consumer
class Told(AsyncWebsocketConsumer):
    """Sends its channel's name as it accepts; logs what it is told, and the client's messages."""

    async def connect(self):
        bind_contextvars(own="mine")
        await self.accept()
        await self.send(self.channel_name)

    async def receive(self, text_data=None, bytes_data=None):
        log.info("received")
        await self.send("received")

    async def told(self, message):
        log.info("told", message=message, kind=isinstance(message, dict))
        bind_contextvars(handler="bound")
        await self.send("told")


@telemetry_consumer
class SyncTold(WebsocketConsumer):
    """The same."""

    def connect(self):
        bind_contextvars(own="mine")
        self.accept()
        self.send(self.channel_name)

    def receive(self, text_data=None, bytes_data=None):
        log.info("received")
        self.send("received")

    def told(self, message):
        log.info("told", message=message, kind=isinstance(message, dict))
        bind_contextvars(handler="bound")
        self.send("told")


@telemetry_consumer
class Works(AsyncConsumer):
    """Listens on a channel, in a worker."""

    async def told(self, message):
        log.info("told", message=message)
        bind_contextvars(handler="bound")
        if message.get("fail"):
            raise RuntimeError("no mana")


@telemetry_consumer
class SyncWorks(SyncConsumer):
    """The same."""

    def told(self, message):
        log.info("told", message=message)
        bind_contextvars(handler="bound")
        if message.get("fail"):
            raise RuntimeError("no mana")


BOTH = pytest.mark.parametrize("consumer", [Told, SyncTold])
CONNECTION = {"request.id": "connection", "user.id": 1, "labels": ["draft"], "draft.id": 5, "own": "mine"}
#: What stays on the lines about somebody else's message.
KEPT = {"labels": ["draft"], "draft.id": 5, "own": "mine"}


def connection(consumer):
    return connected(consumer.as_asgi(), scope_of(user=User(), headers=[("X-Request-ID", "connection")]))


def fields(line, *also_left_out):
    """Return what was bound when *line* was logged, the connection's own id aside."""
    own = {
        "timestamp",
        "level",
        "logger",
        "event",
        "message",
        "kind",
        "ws.conn_id",
        "client.address",
        "http.route",
        "ws.consumer",
        "close_code",
        "duration_ms",
    }
    own |= {"ws.messages_received", "ws.messages_sent", *also_left_out}
    return {key: value for key, value in without_ids(line).items() if key not in own}


async def tell(channel, sender, **message):
    """Send a message from a scope that has bound *sender*; with ``None`` from outside any scope, with nothing bound."""
    if sender is None:
        await get_channel_layer().send(channel, {"type": "told", **message})
        return
    scope = context.enter_root(events.OPERATION, dict(sender))
    try:
        await get_channel_layer().send(channel, {"type": "told", **message})
    finally:
        scope.leave()


class TestTheSenders:
    @BOTH
    async def test_ids_are_on_the_lines_about_the_message_and_on_no_other(self, log_output, consumer):
        """Request and user; labels and resource ids beside the connection's; ``ws.conn_id`` and what it bound stay."""
        sender = {
            "request.id": "sender",
            "user.id": 42,
            "labels": ["tournament"],
            "tournament.id": 7,
            "ws.conn_id": "theirs",
            "tenant": "x",
        }
        async with connection(consumer) as socket:
            channel = await socket.text()
            await tell(channel, sender, text="hi")
            assert await socket.text() == "told"
            await socket.say("x")
            assert await socket.text() == "received"
            await socket.leave()

        told = log_output.one("told")
        assert fields(told) == {
            "request.id": "sender",
            "user.id": 42,
            "labels": ["tournament", "draft"],
            "tournament.id": 7,
            "draft.id": 5,
            "tenant": "x",
            "own": "mine",
        }
        assert len({line["ws.conn_id"] for line in log_output.lines}) == 1
        assert fields(log_output.one("received")) == CONNECTION
        assert fields(log_output.one("ws_disconnected")) == CONNECTION

    @BOTH
    async def test_user_is_none_where_the_sender_had_none(self, log_output, consumer):
        """The connection's user did not cause it."""
        async with connection(consumer) as socket:
            await tell(await socket.text(), {"request.id": "sender"})
            await socket.text()

            assert fields(log_output.one("told")) == {"request.id": "sender", **KEPT}

    async def test_resource_id_wins_over_the_connections(self, log_output):
        """The sender spoke of another draft; a label that both have stands once, where the sender has it."""
        async with connection(Told) as socket:
            sender = {"request.id": "sender", "labels": ["team", "draft"], "team.id": 3, "draft.id": 12}
            await tell(await socket.text(), sender)
            await socket.text()
            await socket.leave()

        assert fields(log_output.one("told")) == {**sender, "own": "mine"}
        assert fields(log_output.one("ws_disconnected")) == CONNECTION

    async def test_keys_do_not_take_the_place_of_the_connections_own(self, log_output):
        """What the connection's code bound is its own, whoever sends."""
        async with connection(Told) as socket:
            await tell(await socket.text(), {"request.id": "sender", "own": "theirs"})
            await socket.text()

            assert log_output.one("told")["own"] == "mine"

    async def test_command_goes_along(self, log_output):
        """A management command that sends is named on the lines about it."""
        async with connection(Told) as socket:
            await tell(await socket.text(), {"request.id": "sender", "command.name": "remind"})
            await socket.text()

            assert log_output.one("told")["command.name"] == "remind"

    async def test_task_does_not(self, log_output):
        """``task.*`` is the sending task's alone."""
        async with connection(Told) as socket:
            await tell(await socket.text(), {"request.id": "sender", "task.id": "t", "task.name": "n"})
            await socket.text()

            assert fields(log_output.one("told")) == {"request.id": "sender", **KEPT}

    @BOTH
    async def test_lines_of_two_senders_do_not_mix(self, log_output, consumer):
        """What one message brought, and what its handler bound, is gone in the next."""
        async with connection(consumer) as socket:
            channel = await socket.text()
            await tell(channel, {"request.id": "one", "user.id": 2, "tenant": "x"})
            await tell(channel, {"request.id": "two", "labels": ["team"]})
            await socket.text()
            await socket.text()
            await socket.leave()

        first, second = log_output.events("told")
        assert fields(first) == {"request.id": "one", "user.id": 2, "tenant": "x", **KEPT}
        assert fields(second) == {**KEPT, "request.id": "two", "labels": ["team", "draft"]}
        assert "handler" not in log_output.one("ws_disconnected")

    async def test_one_group_message_is_handled_under_its_id_by_all(self, log_output):
        """Each with its own ``ws.conn_id``."""
        layer = get_channel_layer()
        async with connection(Told) as one, connection(SyncTold) as other:
            for socket in (one, other):
                await layer.group_add("draft", await socket.text())
            scope = context.enter_root(events.OPERATION, {"request.id": "sender"})
            await layer.group_send("draft", {"type": "told"})
            scope.leave()
            await one.text()
            await other.text()

        assert [line["request.id"] for line in log_output.events("told")] == ["sender", "sender"]
        assert len({line["ws.conn_id"] for line in log_output.events("told")}) == 2

    @BOTH
    async def test_an_id_goes_on_from_a_handler(self, log_output, consumer):
        """What a handler sends bears the sender's id again, and the connection's ``ws.conn_id``."""

        class Passes(consumer):
            pass

        if consumer is Told:

            async def pass_on(self, message):
                await self.channel_layer.send(message["to"], {"type": "told"})
        else:

            def pass_on(self, message):
                from asgiref.sync import async_to_sync

                async_to_sync(self.channel_layer.send)(message["to"], {"type": "told"})

        Passes.pass_on = pass_on
        async with connection(Passes) as one, connection(Told) as other:
            channel, to = await one.text(), await other.text()
            scope = context.enter_root(events.OPERATION, {"request.id": "sender"})
            await get_channel_layer().send(channel, {"type": "pass.on", "to": to})
            scope.leave()
            await other.text()

        assert log_output.one("told")["request.id"] == "sender"


class TestWithoutASender:
    @BOTH
    async def test_a_message_sent_where_nothing_is_bound(self, log_output, consumer):
        """The lines bear the connection's ids; what the handler bound is gone after it."""
        async with connection(consumer) as socket:
            channel = await socket.text()
            await tell(channel, None)
            await socket.text()
            await socket.say("x")
            await socket.text()
            await socket.leave()

        assert fields(log_output.one("told")) == CONNECTION
        assert fields(log_output.one("received")) == CONNECTION

    async def test_a_message_sent_outside_any_scope(self, log_output):
        """A key of the application's alone goes along beside the connection's ids."""
        bind_contextvars(tenant="x", own="theirs")
        async with connection(Told) as socket:
            await tell(await socket.text(), None)
            await socket.text()

            assert fields(log_output.one("told")) == {**CONNECTION, "tenant": "x"}

    async def test_a_sender_with_a_user_but_no_id(self, log_output):
        """Its set is one: an id of its own is made, since the connection's did not cause it."""
        async with connection(Told) as socket:
            await tell(await socket.text(), {"user.id": 42})
            await socket.text()

        told = fields(log_output.one("told"))
        assert context.valid_request_id(told.pop("request.id"))
        assert told == {"user.id": 42, **KEPT}
        assert log_output.one("told")["request.id"] != "connection"

    async def test_a_layer_that_is_not_ours(self, log_output):
        """Messages come as they are, and are handled in a scope all the same."""
        before = channel_layers.set("default", InMemoryChannelLayer())
        try:
            async with connection(Told) as socket:
                await tell(await socket.text(), {"request.id": "sender"}, text="hi")
                await socket.text()
                await socket.leave()
        finally:
            channel_layers.set("default", before)

        assert fields(log_output.one("told")) == CONNECTION
        assert "handler" not in log_output.one("ws_disconnected")


class TestBadContext:
    """What comes from a channel layer is not trusted."""

    async def handled(self, log_output, carried):
        async with connection(Told) as socket:
            await get_channel_layer()._dtx_layer.send(
                await socket.text(), {"type": "told", "text": "hi", "dtx.context": carried}
            )
            assert await socket.text() == "told"
            await socket.leave()
        told = log_output.one("told")
        assert told["message"] == {"type": "told", "text": "hi"}
        return fields(told)

    @pytest.mark.parametrize("carried", ["text", 5, ["a"], None])
    async def test_not_a_dict(self, log_output, carried):
        """Left out with one warning; the lines bear the connection's ids."""
        assert await self.handled(log_output, carried) == CONNECTION
        assert len(log_output.events("context_not_restored_whole")) == (0 if carried is None else 1)

    @pytest.mark.parametrize("bad", [5, "", "a b", "a\nb", "x" * 129, None])
    async def test_a_bad_id(self, log_output, bad):
        """Replaced by a new one, with one warning; what is good beside it is kept."""
        told = await self.handled(log_output, {"request.id": bad, "user.id": 42})

        assert context.valid_request_id(told["request.id"])
        assert told["request.id"] != "connection"
        assert told["user.id"] == 42
        assert len(log_output.events("context_not_restored_whole")) == (0 if bad is None else 1)

    @pytest.mark.parametrize("rest", [{}, {"tenant": "x"}])
    async def test_a_bad_id_alone(self, log_output, rest):
        """The sender had one, so the lines are not the connection's: a new one, and no user."""
        told = await self.handled(log_output, {"request.id": "a b", **rest})

        assert told.pop("request.id") not in {"a b", "connection"}
        assert told == {**KEPT, **rest}

    async def test_bad_values(self, log_output):
        """Keys that are no strings, what is too big, another's task: left out, with one warning."""
        carried = {"request.id": "sender", 5: 6, "big": "x" * 100_000, "task.id": "t", "good": 1}

        assert await self.handled(log_output, carried) == {"request.id": "sender", "good": 1, **KEPT}
        warning = log_output.one("context_not_restored_whole")
        assert set(warning["fields"]) == {"5", "big", "task.id"}
        assert warning["request.id"] == "sender"

    async def test_an_unhappy_key_of_the_connection(self, log_output):
        """Nobody can give a connection another ``ws.conn_id``."""
        await self.handled(log_output, {"request.id": "sender", "ws.conn_id": "forged"})

        assert "forged" not in log_output.text


class TestTheMessage:
    async def test_a_handler_sees_what_was_sent(self, log_output):
        """Equal to what was sent, without our key, and the sender's own dict unchanged."""
        message = {"type": "told", "nested": {"a": [1, 2]}}
        async with connection(Told) as socket:
            channel = await socket.text()
            scope = context.enter_root(events.OPERATION, {"request.id": "sender"})
            await get_channel_layer().send(channel, message)
            scope.leave()
            await socket.text()

        assert message == {"type": "told", "nested": {"a": [1, 2]}}
        assert log_output.one("told")["message"] == message

    async def test_a_consumer_without_the_decorator_sees_no_key_either(self):
        """The layer itself takes it out."""
        seen = []

        class Plain(AsyncWebsocketConsumer):
            async def connect(self):
                await self.accept()
                await self.send(self.channel_name)

            async def told(self, message):
                seen.append((message, get_contextvars()))
                await self.send("told")

        async with connected(Plain.as_asgi()) as socket:
            await tell(await socket.text(), {"request.id": "sender"}, text="hi")
            await socket.text()

        assert seen == [({"type": "told", "text": "hi"}, {})]


class TestOverriding:
    @pytest.mark.parametrize("base", [Told, SyncTold])
    async def test_dispatch_of_a_subclass_and_of_its_base(self, log_output, base):
        """Both are inside the same message's scope, which is entered once."""
        seen = []

        @telemetry_consumer
        class Overrides(base):
            async def dispatch(self, message):
                seen.append(context.current_scope())
                if message["type"] == "told":
                    bind_contextvars(override="bound")
                    message = dict(message, text="changed")
                await super().dispatch(message)

        async with connection(Overrides) as socket:
            channel = await socket.text()
            await tell(channel, {"request.id": "sender"}, text="hi")
            await socket.text()
            await socket.leave()

        told = log_output.one("told")
        assert told["message"]["text"] == "changed"
        assert fields(told) == {"request.id": "sender", "override": "bound", **KEPT}
        assert "override" not in log_output.one("ws_disconnected")

    async def test_a_copy_of_the_clients_message_is_the_clients(self, log_output):
        """What its handler binds stays for the connection, as it does with the message itself."""

        @telemetry_consumer
        class Binds(AsyncWebsocketConsumer):
            async def receive(self, text_data=None, bytes_data=None):
                log.info("received")
                bind_contextvars(said=text_data)
                await self.send(text_data)

        class Copies(Binds):
            async def dispatch(self, message):
                await super().dispatch(dict(message, text=message.get("text")))

        async with connected(Copies.as_asgi()) as socket:
            for text in ("1", "2"):
                await socket.say(text)
                await socket.text()
            await socket.leave()

        assert [line.get("said") for line in log_output.events("received")] == [None, "1"]
        assert log_output.one("ws_disconnected")["said"] == "2"

    async def test_dispatch_of_a_worker(self, log_output):
        """The same where each message is a scope of its own: the context is entered once, whatever becomes of the message."""

        @telemetry_consumer
        class Overrides(Works):
            async def dispatch(self, message):
                bind_contextvars(override="bound")
                await super().dispatch(dict(message, text="changed"))

        async with calling(Overrides.as_asgi(), {"type": "channel", "channel": "thumbnails"}) as call:
            await call.give("told", **{"dtx.context": {"request.id": "sender"}})
            await until(lambda: log_output.events("told"))

        assert fields(log_output.one("told")) == {"request.id": "sender", "override": "bound"}

    async def test_dispatch_in_a_task_of_its_own(self, log_output):
        """A consumer that handles messages side by side: each has its sender's ids, also after the next came."""
        go = asyncio.Event()

        @telemetry_consumer
        class SideBySide(Told):
            async def dispatch(self, message):
                self.tasks = [*getattr(self, "tasks", ()), asyncio.create_task(super().dispatch(message))]
                if message["type"].startswith("websocket"):
                    await self.tasks[-1]

            async def told(self, message):
                await go.wait()
                await super().told(message)

        async with connection(SideBySide) as socket:
            channel = await socket.text()
            for number in range(5):
                await tell(channel, {"request.id": f"s-{number}", "n": number})
            await socket.say("x")
            await socket.text()
            go.set()
            for _ in range(5):
                assert await socket.text() == "told"
            await socket.leave()

        assert sorted((line["request.id"], line["n"]) for line in log_output.events("told")) == [
            (f"s-{n}", n) for n in range(5)
        ]
        assert log_output.one("received")["request.id"] == "connection"


class TestChannels:
    """A consumer of ``runworker``: no connection, a scope for each message."""

    # Channels' worker gives a synchronous consumer a send that is not marked as asynchronous.
    @pytest.mark.filterwarnings("ignore:async_to_sync was passed a non-async-marked callable")
    @pytest.mark.parametrize("consumer", [Works, SyncWorks])
    async def test_each_message_is_a_scope(self, log_output, consumer):
        """With the sender's context whole, its connection's id and its command included; none where it had none; no events."""
        sender = {
            "request.id": "sender",
            "user.id": 42,
            "labels": ["team"],
            "team.id": 3,
            "ws.conn_id": "theirs",
            "tenant": "x",
        }
        channel = f"thumbnails.{consumer.__name__}"
        worker = Worker(consumer.as_asgi(), [channel], get_channel_layer())
        listening = asyncio.create_task(worker.handle(), context=Context())
        for bound in (sender, {"request.id": "two"}, None, None):
            await tell(channel, bound, text="hi")
        await tell(channel, None, fail=True)
        await until(lambda: len(log_output.events("told")) == 5)
        future = worker.application_instances[channel]["future"]
        with pytest.raises(RuntimeError):
            await future
        listening.cancel()

        assert {line["event"] for line in log_output.lines} == {"told"}
        first, second, third, fourth, _ = log_output.events("told")
        assert fields(first, "ws.conn_id") == {key: value for key, value in sender.items() if key != "ws.conn_id"}
        assert first["ws.conn_id"] == "theirs"
        assert first["message"] == {"type": "told", "text": "hi"}
        assert fields(second) == {"request.id": "two"}
        assert context.valid_request_id(third["request.id"])
        assert len({line["request.id"] for line in (first, second, third, fourth)}) == 4
        assert get_contextvars() == {}

    async def test_what_the_process_has_leaked_is_not_in_it(self, log_output):
        """Its own keys are, those of a scope before are not."""
        bind_contextvars(service="drafts", **{"request.id": "stale", "user.id": 1})
        messages = [{"type": "told"}, {"type": "told", "fail": True}]

        async def receive():
            return messages.pop(0)

        with pytest.raises(RuntimeError):
            await Works.as_asgi()({"type": "channel", "channel": "thumbnails"}, receive, None)

        for line in log_output.events("told"):
            assert line["service"] == "drafts"
            assert line["request.id"] != "stale"
            assert "user.id" not in line
        assert get_contextvars() == {"service": "drafts", "request.id": "stale", "user.id": 1}

    async def test_a_bad_id_is_replaced(self, log_output):
        """With one warning, under the new id."""
        async with calling(Works.as_asgi(), {"type": "channel", "channel": "thumbnails"}) as call:
            await call.give("told", **{"dtx.context": {"request.id": "a b", "tenant": "x"}})
            await call.give("told", fail=True)
            with pytest.raises(RuntimeError):
                await call.end()

        warning, told = log_output.one("context_not_restored_whole"), log_output.events("told")[0]
        assert warning["request.id"] == told["request.id"]
        assert context.valid_request_id(told["request.id"])
        assert told["tenant"] == "x"
        assert told["message"] == {"type": "told"}
