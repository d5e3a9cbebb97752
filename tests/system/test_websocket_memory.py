"""What is left of connections that are over: nothing that waits for the garbage collector, and nothing that a pool keeps."""

import json

import pytest

from tests.support.processes import run_python

CODE = """
    import asyncio, gc, json, weakref
    import django
    django.setup()
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.layers import get_channel_layer
    from dtx_telemetry import bind_fields, telemetry_consumer
    from dtx_telemetry.context import Scope
    from dtx_telemetry.websocket.connection import Connection
    from tests.support.asgi import connected

    alive = weakref.WeakSet()

    class Consumer(AsyncWebsocketConsumer):
        def __init__(self):
            super().__init__()
            alive.add(self)

        async def connect(self):
            await self.accept()
            await self.send(self.channel_name)

        async def receive(self, text_data=None, bytes_data=None):
            raise RuntimeError("no mana")

        async def fail(self, message):
            await self.channel_layer.send("nobody", {"type": "told"})
            raise RuntimeError("no mana")

        async def subscribe(self, message):
            await self.channel_layer.group_add("everyone", self.channel_name)
            with bind_fields(step="subscribed"):
                await self.channel_layer.send(self.channel_name, {"type": "tell"})

        async def tell(self, message):
            await self.channel_layer.group_send("everyone", {"type": "told"})

        async def told(self, message):
            await self.send("told")

    @telemetry_consumer
    class Decorated(Consumer):
        pass

    async def fails(socket, channel):
        await socket.say("x")

    async def fails_in_a_handler(socket, channel):
        await get_channel_layer().send(channel, {"type": "fail"})

    async def uses_the_layer(socket, channel):
        await get_channel_layer().send(channel, {"type": "subscribe"})
        await socket.text()
        await socket.give("websocket.disconnect", code=1000, reason="")

    async def one(consumer, way):
        async with connected(consumer.as_asgi()) as socket:
            await way(socket, await socket.text())
            try:
                await socket.end()
            except RuntimeError:
                pass

    def left(kind):
        return sum(type(thing) is kind for thing in gc.get_objects())

    async def main():
        counts = []
        for way in (fails, fails_in_a_handler, uses_the_layer):
            for consumer in (Consumer, Decorated):
                gc.collect()
                await asyncio.gather(*(one(consumer, way) for _ in range(20)))
                counts.append([way.__name__, consumer.__name__, len(alive), left(Connection)])
        gc.collect()
        print(json.dumps([counts, left(Scope)]))

    gc.disable()
    asyncio.run(main())
"""


@pytest.mark.parametrize(
    "layer", ["memory", "channels_redis.core.RedisChannelLayer", "channels_redis.pubsub.RedisPubSubChannelLayer"]
)
def test_connections_are_freed_as_they_end(request, layer):
    """Twenty that fail, and twenty whose handlers use the channel layer, with the collector off; a pool keeps no scope."""
    settings = {}
    if layer != "memory":
        host = {"address": request.getfixturevalue("valkey_url"), "socket_timeout": 15}  # channels_redis waits for five
        config = {"BACKEND": layer, "CONFIG": {"hosts": [host]}}
        settings = {"CHANNEL_LAYERS": {"default": config}}
    environ = {"DJANGO_SETTINGS_MODULE": "tests.project.settings", "DTX_TEST_SETTINGS": json.dumps(settings)}

    output = run_python(CODE, LOG_FORMAT="json", **environ)

    counts, scopes = json.loads(output.splitlines()[-1])
    ours = [row for row in counts if row[1] == "Decorated"]
    assert [(way, consumers, connections) for way, _, consumers, connections in ours] == [
        ("fails", 0, 0),
        ("fails_in_a_handler", 0, 0),
        ("uses_the_layer", 0, 0),
    ]
    assert scopes == 0
