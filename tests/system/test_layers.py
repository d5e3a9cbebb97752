"""The channel layer over a real server: what holds for the one in memory, and what a layer starts in the background."""

import asyncio

import pytest

from dtx_telemetry import context, events, get_request_id
from dtx_telemetry.websocket.layer import TelemetryChannelLayer
from tests.support.scopes import without_ids
from tests.unit.websocket.test_layers import (  # noqa: F401 - these run again, with the fixture of this module
    SENDER,
    TestBeingTheWrappedLayer,
    TestCarrying,
    TestWhatCannotBeCarried,
    close,
    memory,
)

CORE = "channels_redis.core.RedisChannelLayer"
PUBSUB = "channels_redis.pubsub.RedisPubSubChannelLayer"


@pytest.fixture(params=[CORE, PUBSUB])
def layer(request, valkey_url):
    """Ours around each layer that needs a server."""
    return TelemetryChannelLayer(request.param, {"hosts": [valkey_url]})


class TestWhatALayerStarts:
    async def test_has_nobodys_context(self, valkey_url):
        """The tasks that receive for every connection of the process do not bear the first one's id for ever."""
        layer = TelemetryChannelLayer(PUBSUB, {"hosts": [valkey_url, valkey_url]})
        bound = []

        def make_task(loop, coroutine, **options):
            bound.append(context.bound())
            return asyncio.Task(coroutine, loop=loop, **options)

        asyncio.get_running_loop().set_task_factory(make_task)
        scope = context.enter_root(events.OPERATION, {"request.id": "first"})
        channel = await layer.new_channel()
        of_one_shard = len(bound)
        for group in ("draft", "tournament"):  # one on each host, wherever the channel is
            await layer.group_add(group, channel)
        assert without_ids(context.bound()) == {"request.id": "first"}
        scope.leave()

        assert 0 < of_one_shard < len(bound)
        assert not any(bound)
        asyncio.get_running_loop().set_task_factory(None)
        await close(layer)

    @pytest.mark.parametrize("restart", ["receive", "group_discard"])
    async def test_has_nobodys_context_after_a_flush_either(self, valkey_url, restart):
        """The receiver for all starts again with whatever subscribes next, or takes a subscription back."""
        layer = TelemetryChannelLayer(PUBSUB, {"hosts": [valkey_url]})
        channel = await layer.new_channel()
        if restart == "group_discard":
            await layer.group_add("draft", channel)
        shard = layer._get_layer()._shards[0]
        shard_groups = dict(layer.groups), dict(layer.channels), set(shard._subscribed_to)
        await layer.flush()
        if restart == "group_discard":  # as if another connection had subscribed in between
            layer.groups.update(shard_groups[0])
            shard._subscribed_to = shard_groups[2]
        started = []

        def make_task(loop, coroutine, **options):
            started.append((coroutine.__name__, context.bound(), context.current_scope()))
            return asyncio.Task(coroutine, loop=loop, **options)

        asyncio.get_running_loop().set_task_factory(make_task)
        scope = context.enter_root(events.OPERATION, {"request.id": "first"})
        if restart == "receive":
            waiting = asyncio.create_task(layer.receive(channel))
            while shard._receive_task is None:
                await asyncio.sleep(0.001)
            waiting.cancel()
        else:
            await layer.group_discard("draft", channel)
        scope.leave()
        asyncio.get_running_loop().set_task_factory(None)

        assert [rest for name, *rest in started if name == "_do_receiving"] == [[{}, None]]
        await close(layer)

    async def test_a_pooled_connection_holds_no_scope(self, valkey_url):
        """One that was opened to send from a handler, and lives as long as the pool."""
        layer = TelemetryChannelLayer(CORE, {"hosts": [valkey_url]})
        seen = []
        pool_of = layer._dtx_layer.create_pool

        def create_pool(index):
            seen.append((context.current_scope(), get_request_id()))
            return pool_of(index)

        layer._dtx_layer.create_pool = create_pool
        scope = context.enter_root(events.OPERATION, dict(SENDER))
        await layer.send("a", {"type": "told"})
        assert context.current_scope() is scope
        scope.leave()

        assert seen == [(None, "sender")]
        await close(layer)
