"""What is left of connections that are over: nothing that waits for the garbage collector, and nothing that a pool keeps."""

import json

import pytest

from tests.support.processes import run_python

CODE = """
    import asyncio, gc, json, weakref
    from contextvars import Context
    import django
    django.setup()
    from channels.generic.websocket import AsyncWebsocketConsumer
    from channels.layers import get_channel_layer
    from dtx_telemetry import bind_fields, telemetry_consumer
    from dtx_telemetry.context import Scope
    from dtx_telemetry.context.scope import current
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

    def contexts_of_ours():
        return sum(type(thing) is Context and thing.get(current) is not None for thing in gc.get_objects())

    async def main():
        counts = []
        for way in (fails, fails_in_a_handler, uses_the_layer):
            for consumer in (Consumer, Decorated):
                gc.collect()
                await asyncio.gather(*(one(consumer, way) for _ in range(20)))
                counts.append([way.__name__, consumer.__name__, len(alive), left(Connection), contexts_of_ours()])
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
    assert [(way, consumers, connections) for way, _, consumers, connections, _ in ours] == [
        ("fails", 0, 0),
        ("fails_in_a_handler", 0, 0),
        ("uses_the_layer", 0, 0),
    ]
    assert scopes == 0
    # A task of the layer's pool may be about to end. A leak would be twenty.
    assert max(row[-1] for row in counts) < 10, counts


class TestWhatIsLeft:
    def test_a_connection_whose_event_loop_is_forgotten(self):
        """Channels waits even as its coroutine is thrown away, which Python calls an error; the closing event is there."""
        code = """
            import asyncio, gc
            import django
            django.setup()
            from channels.generic.websocket import AsyncWebsocketConsumer
            from dtx_telemetry import telemetry_consumer

            @telemetry_consumer
            class Consumer(AsyncWebsocketConsumer):
                channel_layer_alias = "none, whose queues would keep the connection alive"

            async def serve():
                asked, answered = asyncio.Queue(), asyncio.Queue()
                scope = {"type": "websocket", "path": "/ws/draft/5/"}
                task = asyncio.create_task(Consumer.as_asgi()(scope, asked.get, answered.put))
                await asked.put({"type": "websocket.connect"})
                await answered.get()
                await asyncio.sleep(0)

            loop = asyncio.new_event_loop()
            loop.run_until_complete(serve())
            del loop
            gc.collect()
            print("collected")
        """
        output = run_python(code, DJANGO_SETTINGS_MODULE="tests.project.settings", LOG_FORMAT="json").splitlines()

        (end,) = [line for line in output if '"close_code"' in line]
        assert '"draft.id":5' in end
        assert output.index(end) < output.index("collected")


def test_a_forked_child_has_no_connections():
    """A process that is forked while a socket is open ends without a word about it: the socket is its parent's."""
    code = """
        import asyncio, atexit, os
        import django
        django.setup()
        from channels.generic.websocket import AsyncWebsocketConsumer
        from dtx_telemetry import telemetry_consumer

        @telemetry_consumer
        class Consumer(AsyncWebsocketConsumer):
            async def connect(self):
                await self.accept()
                child = os.fork()
                if child == 0:
                    atexit._run_exitfuncs()
                    os._exit(0)
                os.waitpid(child, 0)

        messages = [{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}]

        async def receive():
            return messages.pop(0)

        async def send(message):
            pass

        asyncio.run(Consumer.as_asgi()({"type": "websocket"}, receive, send))
    """
    assert (
        run_python(code, DJANGO_SETTINGS_MODULE="tests.project.settings", LOG_FORMAT="json").count('"event":"ws_disconnected"')
        == 1
    )
