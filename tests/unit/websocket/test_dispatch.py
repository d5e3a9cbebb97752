"""Whose message it is: each dispatched message bears its own sender's id, in whatever way it came to be dispatched."""

import asyncio
import pickle

import pytest
from asgiref.sync import async_to_sync
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import get_channel_layer
from structlog.contextvars import bind_contextvars

from dtx_telemetry import bind_fields, context, events, get_logger, telemetry_consumer
from tests.support.asgi import connected, scope_of, until

log = get_logger("app")


class Hears(AsyncWebsocketConsumer):
    """Sends its channel's name as it accepts; logs what it is told."""

    async def connect(self):
        await self.accept()
        await self.send(self.channel_name)

    async def told(self, message):
        log.info("told", n=message["n"])
        await self.send("told")


@telemetry_consumer
class Hearing(Hears):
    """The same, decorated."""


def connection(consumer):
    return connected(consumer.as_asgi(), scope_of("/ws/draft/5/", headers=[("X-Request-ID", "connection")]))


async def send(channel, sender, **message):
    """Send a message from a request of its own, to a tournament whose number is the sender's; from outside any for ``None``."""
    message = {"type": "told", **message}
    if sender is None:
        await get_channel_layer().send(channel, message)
        return
    scope = context.enter_root(
        events.OPERATION, {"request.id": f"s-{sender}", "labels": ["tournament"], "tournament.id": sender}
    )
    try:
        await get_channel_layer().send(channel, message)
    finally:
        scope.leave()


def senders(log_output, event="told"):
    """Return the number in each line about a message, with the request id and the tournament that stand on the line."""
    return sorted((line["n"], line["request.id"], line.get("tournament.id")) for line in log_output.events(event))


def own(*numbers):
    """Return what `senders` gives where each message bears the ids of the sender of its number."""
    return [(number, f"s-{number}", number) for number in numbers]


class TestThePlainDict:
    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
    async def test_a_handler_gets_nothing_of_ours(self, log_output, base):
        """Its message is a dict and no kind of it, and pickles without this library."""
        seen = []

        class Looks(base):
            if base is AsyncWebsocketConsumer:

                async def connect(self):
                    await self.accept()
                    await self.send(self.channel_name)

                async def told(self, message):
                    seen.append(message)
                    await self.send("told")
            else:

                def connect(self):
                    self.accept()
                    self.send(self.channel_name)

                def told(self, message):
                    seen.append(message)
                    self.send("told")

        async with connection(telemetry_consumer(Looks)) as socket:
            await send(await socket.text(), 7, n=7)
            await socket.text()

        assert seen == [{"type": "told", "n": 7}]
        assert type(seen[0]) is dict
        assert b"dtx" not in pickle.dumps(seen[0])

    @pytest.mark.parametrize("is_decorated", [True, False])
    async def test_an_overriding_dispatch_may_hand_on_a_copy(self, log_output, is_decorated):
        """The sender is known all the same, whether the overriding class is decorated or its base alone."""

        class Copies(Hearing):
            async def dispatch(self, message):
                await super().dispatch({**message, "copied": True})

        async with connection(telemetry_consumer(Copies) if is_decorated else Copies) as socket:
            channel = await socket.text()
            for number in (1, 2):
                await send(channel, number, n=number)
                await socket.text()

        assert senders(log_output) == own(1, 2)

    async def test_an_overriding_mixin_may_hand_on_a_copy(self, log_output):
        """It stands before the decorated class, and knows nothing of it."""

        class Copies:
            async def dispatch(self, message):
                await super().dispatch(dict(message))

        class Mixed(Copies, Hearing):
            pass

        async with connection(Mixed) as socket:
            await send(await socket.text(), 1, n=1)
            await socket.text()

        assert senders(log_output) == own(1)
        assert not hasattr(Copies.dispatch, "_dtx_wrapped")

    async def test_a_copy_of_another_type_is_still_the_senders(self, log_output):
        """An overriding ``dispatch`` that translates types."""

        class Translates(Hearing):
            async def dispatch(self, message):
                kind = {"renamed": "told"}.get(message["type"], message["type"])
                await super().dispatch({**message, "type": kind})

        async with connection(Translates) as socket:
            await send(await socket.text(), 1, n=1, type="renamed")
            await socket.text()

        assert senders(log_output) == own(1)

    async def test_a_layers_message_may_have_a_clients_type(self, log_output):
        """It is handled as a layer's, in its sender's scope."""

        @telemetry_consumer
        class Receives(Hears):
            async def receive(self, text_data=None, bytes_data=None):
                log.info("told", n=int(text_data))
                bind_contextvars(handler="bound")
                await self.send("told")

        async with connection(Receives) as socket:
            channel = await socket.text()
            await send(channel, 1, type="websocket.receive", text="1")
            await socket.text()
            await send(channel, None, type="websocket.receive", text="2")
            await socket.text()
            await socket.leave()

        assert senders(log_output) == [*own(1), (2, "connection", None)]
        assert "handler" not in log_output.one("ws_disconnected")


class TestTakenOffTheLayer:
    """A consumer that takes further messages off its channel by itself, and dispatches them."""

    async def test_in_a_handler(self, log_output):
        """Each bears its own sender's ids, and the rest of the handler its own again."""

        @telemetry_consumer
        class Drains(Hears):
            async def drain(self, message):
                for _ in range(3):
                    await self.dispatch(await self.channel_layer.receive(self.channel_name))
                log.info("drained", n=message["n"])
                await self.send("drained")

        async with connection(Drains) as socket:
            channel = await socket.text()
            await send(channel, 1, type="drain", n=1)
            for number in (2, 3, 4):
                await send(channel, number, n=number)
            for _ in range(3):
                assert await socket.text() == "told"
            assert await socket.text() == "drained"
            await socket.leave()

        assert senders(log_output) == own(2, 3, 4)
        assert senders(log_output, "drained") == own(1)
        assert log_output.one("ws_disconnected")["labels"] == ["draft"]

    async def test_in_a_synchronous_handler(self, log_output):
        """The same in a thread."""

        @telemetry_consumer
        class Drains(WebsocketConsumer):
            def connect(self):
                self.accept()
                self.send(self.channel_name)

            def drain(self, message):
                for _ in range(2):
                    async_to_sync(self.drain_one)()
                log.info("drained", n=message["n"])
                self.send("drained")

            async def drain_one(self):
                await self.dispatch(await self.channel_layer.receive(self.channel_name))

            def told(self, message):
                log.info("told", n=message["n"])

        async with connection(Drains) as socket:
            channel = await socket.text()
            await send(channel, 1, type="drain", n=1)
            for number in (2, 3):
                await send(channel, number, n=number)
            assert await socket.text() == "drained"

        assert senders(log_output) == own(2, 3)
        assert senders(log_output, "drained") == own(1)

    async def test_in_an_overriding_dispatch(self, log_output):
        """One that takes what waits already, to handle it as one batch."""

        class Batches(Hearing):
            async def dispatch(self, message):
                await super().dispatch(dict(message))
                if message["type"] == "told":
                    await super().dispatch(await self.channel_layer.receive(self.channel_name))

        async with connection(Batches) as socket:
            channel = await socket.text()
            for number in (1, 2, 3, 4):
                await send(channel, number, n=number)
            for _ in range(4):
                await socket.text()

        assert senders(log_output) == own(1, 2, 3, 4)

    @pytest.mark.parametrize("starter", ["receive", "start"])
    async def test_in_a_listener_task(self, log_output, starter):
        """It lives longer than the handler that started it, a client's message's or another sender's."""
        listeners: list[asyncio.Task[None]] = []

        @telemetry_consumer
        class Listens(Hears):
            async def receive(self, text_data=None, bytes_data=None):
                bind_contextvars(hero="Invoker")
                listeners.append(asyncio.create_task(self.listen()))
                await self.send("listening")

            async def start(self, message):
                await self.receive()

            async def listen(self):
                channel = await self.channel_layer.new_channel()
                log.info("channel", name=channel)
                while True:
                    await self.dispatch(await self.channel_layer.receive(channel))

        async with connection(Listens) as socket:
            channel = await socket.text()
            if starter == "receive":
                await socket.say("start")
            else:
                await send(channel, 1, type="start", n=1)
            assert await socket.text() == "listening"
            await until(lambda: log_output.events("channel"))
            for number in (2, 3):
                await send(log_output.one("channel")["name"], number, n=number)
                assert await socket.text() == "told"
        for listener in listeners:
            listener.cancel()
        await asyncio.gather(*listeners, return_exceptions=True)

        assert senders(log_output) == own(2, 3)
        told = log_output.events("told")
        assert all(line["labels"] == ["tournament", "draft"] and line["draft.id"] == 5 for line in told)
        assert len({line["ws.conn_id"] for line in log_output.lines}) == 1

    async def test_a_copy_of_one_is_part_of_what_is_handled(self, log_output):
        """Nothing in a plain dict says that it came off the layer: to know its sender, dispatch what ``receive`` returned."""

        @telemetry_consumer
        class Copies(Hears):
            async def drain(self, message):
                await self.dispatch(dict(await self.channel_layer.receive(self.channel_name)))

        async with connection(Copies) as socket:
            channel = await socket.text()
            await send(channel, 1, type="drain", n=1)
            await send(channel, 2, n=2)
            await socket.text()

        assert senders(log_output) == [(2, "s-1", 1)]

    async def test_one_from_nobody_taken_in_a_handler_is_part_of_it(self, log_output):
        """It carries nothing that would say otherwise."""

        @telemetry_consumer
        class Drains(Hears):
            async def drain(self, message):
                await self.dispatch(await self.channel_layer.receive(self.channel_name))

        async with connection(Drains) as socket:
            channel = await socket.text()
            await send(channel, 1, type="drain", n=1)
            await send(channel, None, n=2)
            await socket.text()

        assert senders(log_output) == [(2, "s-1", 1)]

    async def test_what_a_handler_dispatches_of_its_own_is_part_of_it(self, log_output):
        """A message that it made itself."""

        @telemetry_consumer
        class Delegates(Hears):
            async def delegate(self, message):
                await self.dispatch({"type": "told", "n": message["n"]})

        async with connection(Delegates) as socket:
            await send(await socket.text(), 1, type="delegate", n=1)
            await socket.text()

        assert senders(log_output) == own(1)

    async def test_what_is_handled_where_it_was_taken_does_not_lend_its_sender(self, log_output):
        """An answer that is waited for in a handler is gone with it: a later message of that type is its own sender's."""

        @telemetry_consumer
        class Asks(Hears):
            async def ask(self, message):
                await self.channel_layer.receive(self.channel_name)
                await self.send("asked")

            async def receive(self, text_data=None, bytes_data=None):
                await self.dispatch({"type": "told", "n": 0})

        async with connection(Asks) as socket:
            channel = await socket.text()
            await send(channel, 1, type="ask", n=1)
            await send(channel, 2, n=2)
            assert await socket.text() == "asked"
            await socket.say("x")
            await socket.text()
            await send(channel, 3, n=3)
            await socket.text()

        assert senders(log_output) == [(0, "connection", None), *own(3)]

    async def test_the_fields_of_a_block_around_stay(self, log_output):
        """A block of the connection's own code is its own, whoever's message is dispatched in it."""

        @telemetry_consumer
        class Blocks(Hears):
            async def receive(self, text_data=None, bytes_data=None):
                channel = await self.channel_layer.new_channel()
                with bind_fields(step="waiting"):
                    log.info("channel", name=channel)
                    await self.dispatch(await self.channel_layer.receive(channel))

        async with connection(Blocks) as socket:
            await socket.text()
            await socket.say("x")
            await until(lambda: log_output.events("channel"))
            await send(log_output.one("channel")["name"], 1, n=1)
            await socket.text()

        assert log_output.one("told")["step"] == "waiting"
        assert senders(log_output) == own(1)
