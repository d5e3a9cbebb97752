"""Which scope caused which: each message is handled in a scope of its own, whose cause is the scope that sent it."""

import asyncio

import pytest
from asgiref.sync import async_to_sync
from channels.consumer import AsyncConsumer
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import get_channel_layer

from dtx_telemetry import context, events, get_logger, telemetry_consumer
from tests.support.asgi import calling, connected, scope_of, until

log = get_logger("app")


@telemetry_consumer(log_messages=True)
class Told(AsyncWebsocketConsumer):
    async def connect(self):
        await self.accept()
        await self.send(self.channel_name)

    async def receive(self, text_data=None, bytes_data=None):
        log.info("received")
        await self.channel_layer.send(text_data, {"type": "told", "n": "from a client"})

    async def told(self, message):
        log.info("told", n=message["n"])
        if to := message.get("to"):
            await self.channel_layer.send(to, {"type": "told", "n": f"{message['n']} passed on"})
        await self.send("told")


@telemetry_consumer(log_messages=True)
class SyncTold(WebsocketConsumer):
    """The same in threads."""

    def connect(self):
        self.accept()
        self.send(self.channel_name)

    def receive(self, text_data=None, bytes_data=None):
        log.info("received")
        async_to_sync(self.channel_layer.send)(text_data, {"type": "told", "n": "from a client"})

    def told(self, message):
        log.info("told", n=message["n"])
        if to := message.get("to"):
            async_to_sync(self.channel_layer.send)(to, {"type": "told", "n": f"{message['n']} passed on"})
        self.send("told")


BOTH = pytest.mark.parametrize("consumer", [Told, SyncTold])


def connection(consumer, request_id="connection"):
    return connected(consumer.as_asgi(), scope_of("/ws/draft/5/", headers=[("X-Request-ID", request_id)]))


def operation(request_id):
    return context.enter_root(events.OPERATION, {"request.id": request_id})


async def tell(channel, n, **message):
    await get_channel_layer().send(channel, {"type": "told", "n": n, **message})


def told(log_output, n):
    return log_output.one("told", n=n)


@BOTH
async def test_each_handled_message_is_a_scope_that_its_sender_caused(log_output, consumer):
    """Two messages of one sender, handled by one connection: two scopes, one cause."""
    async with connection(consumer) as socket:
        channel = await socket.text()
        sender = operation("sender")
        for n in (1, 2):
            await tell(channel, n)
        sender.leave()
        for _ in range(2):
            await socket.text()
        await socket.leave()

    first, second = told(log_output, 1), told(log_output, 2)
    opened = log_output.one("ws_connected")
    assert first["scope.cause"] == second["scope.cause"] == sender.own["scope.id"]
    assert len({first["scope.id"], second["scope.id"], opened["scope.id"], sender.own["scope.id"]}) == 4
    assert [line["scope.id"] for line in log_output.events("ws_handled")] == [first["scope.id"], second["scope.id"]]
    assert "scope.cause" not in opened
    assert log_output.one("ws_disconnected")["scope.id"] == opened["scope.id"]


@BOTH
async def test_a_message_that_no_scope_sent_is_caused_by_its_connection(log_output, consumer):
    """Also one that came past a layer that is not ours."""
    async with connection(consumer) as socket:
        channel = await socket.text()
        await tell(channel, 1)
        await socket.text()
        await get_channel_layer()._dtx_layer.send(channel, {"type": "told", "n": 2})
        await socket.text()

    opened = log_output.one("ws_connected")["scope.id"]
    assert [line["scope.cause"] for line in log_output.events("told")] == [opened, opened]


async def test_one_that_sends_after_another_has_begun(log_output):
    """A request causes A, then B. A sends when B runs already: what is handled then hangs under A."""
    request = operation("request")
    cause, order = request.own["scope.id"], []

    async def work(name, after):
        scope = context.enter_root(events.OPERATION, {"request.id": "request", "scope.cause": cause})
        order.append(name)
        await after.wait()
        await tell(channel, name)
        scope.leave()
        return scope.own["scope.id"]

    async with connection(Told) as socket:
        channel = await socket.text()
        a_may, b_may = asyncio.Event(), asyncio.Event()
        a = asyncio.create_task(work("A", a_may))
        b = asyncio.create_task(work("B", b_may))
        await until(lambda: order == ["A", "B"])
        a_may.set()
        await socket.text()
        b_may.set()
        await socket.text()
        ids = {"A": await a, "B": await b}
    request.leave()

    assert {line["n"]: line["scope.cause"] for line in log_output.events("told")} == ids
    assert {line["request.id"] for line in log_output.events("told")} == {"request"}


@BOTH
async def test_a_message_that_a_handler_sends_is_caused_by_what_it_handles(log_output, consumer):
    """A layer's message or, of a client's message, the connection."""
    async with connection(consumer, "one") as one, connection(Told, "other") as other:
        channel, to = await one.text(), await other.text()
        sender = operation("sender")
        await tell(channel, 1, to=to)
        sender.leave()
        await other.text()
        await one.text()
        await one.say(to)
        await other.text()

    handled, passed = told(log_output, 1), told(log_output, "1 passed on")
    assert handled["scope.cause"] == sender.own["scope.id"]
    assert passed["scope.cause"] == handled["scope.id"]
    opened = log_output.one("ws_connected", request_id="one")
    assert told(log_output, "from a client")["scope.cause"] == opened["scope.id"] == log_output.one("received")["scope.id"]


async def test_one_taken_off_the_layer_in_a_handler_is_its_own_senders(log_output):
    """And the rest of the handler is its own again."""

    @telemetry_consumer
    class Drains(Told):
        async def drain(self, message):
            await self.dispatch(await self.channel_layer.receive(self.channel_name))
            log.info("drained")

    async with connection(Drains) as socket:
        channel, senders = await socket.text(), []
        for kind in ("drain", "told"):
            sender = operation(kind)
            await get_channel_layer().send(channel, {"type": kind, "n": 1})
            senders.append(sender.own["scope.id"])
            sender.leave()
        await socket.text()
        await socket.leave()

    assert log_output.one("drained")["scope.cause"] == senders[0]
    assert told(log_output, 1)["scope.cause"] == senders[1]


async def test_a_workers_message_is_caused_by_its_sender(log_output):
    """Without a sender it has no cause: there is no connection."""

    @telemetry_consumer
    class Works(AsyncConsumer):
        async def told(self, message):
            log.info("told", n=message["n"])

    async with calling(Works.as_asgi(), {"type": "channel", "channel": "thumbnails"}) as call:
        await call.give("told", n=1, **{"dtx.context": {"request.id": "sender", "scope.id": "0123abcd"}})
        await call.give("told", n=2)
        await until(lambda: len(log_output.events("told")) == 2)

    assert told(log_output, 1)["scope.cause"] == "0123abcd"
    assert "scope.cause" not in told(log_output, 2)


@pytest.mark.parametrize("forged", ["", "0123ABCD", "0123abcde", "a\nb", 5, None])
async def test_a_forged_cause_is_left_out(log_output, forged):
    """What comes off a layer is not trusted."""
    async with connection(Told) as socket:
        carried = {"request.id": "sender", "scope.id": forged}
        await get_channel_layer()._dtx_layer.send(await socket.text(), {"type": "told", "n": 1, "dtx.context": carried})
        await socket.text()

    assert told(log_output, 1)["scope.cause"] == log_output.one("ws_connected")["scope.id"]
