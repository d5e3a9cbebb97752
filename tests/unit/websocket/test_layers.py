"""The channel layer: it carries the sender's context, and is the wrapped layer in everything else."""

import asyncio
import copy
import json
import pickle

import msgpack
import orjson
import pytest
from channels.exceptions import ChannelFull, InvalidChannelLayerError
from channels.layers import BaseChannelLayer, ChannelLayerManager, InMemoryChannelLayer, channel_layers
from structlog.contextvars import bind_contextvars

from dtx_telemetry import config, context, events
from dtx_telemetry.context import MAX_SIZE
from dtx_telemetry.websocket.layer import TelemetryChannelLayer, install
from tests.support.scopes import without_ids

MEMORY = "channels.layers.InMemoryChannelLayer"
KEY = "dtx.context"
SENDER = {"request.id": "sender", "user.id": 42, "labels": ["draft"], "draft.id": 5}


@pytest.fixture
def memory():
    return TelemetryChannelLayer(MEMORY)


@pytest.fixture
def layer():
    """Ours around a layer: the one in memory here, the others where tests may start their server."""
    return TelemetryChannelLayer(MEMORY)


async def close(layer):
    """Close the connections of a Redis layer."""
    await getattr(layer, "close_pools", layer.flush)()


async def raw(layer, channel):
    """Return the next message as the wrapped layer gives it."""
    return await asyncio.wait_for(layer._dtx_layer.receive(channel), 30)


async def received(layer, channel):
    async with asyncio.timeout(30):  # in this task, unlike wait_for before Python 3.12
        return await layer.receive(channel)


async def received_with_context(layer, channel):
    """Return the next message, and the context that a decorated consumer would find for it."""
    message = await received(layer, channel)
    return message, message.carried


class TestCarrying:
    async def test_the_context_goes_along_under_one_key(self, layer):
        """By ``send`` and by ``group_send``; the sender's dict is not changed."""
        channel = await layer.new_channel()
        await layer.group_add("draft", channel)
        scope = context.enter_root(events.OPERATION, dict(SENDER))
        message = {"type": "told", "nested": {"a": [1, None, True, 1.5, "ä"]}}
        before = copy.deepcopy(message)

        for send, to in ((layer.send, channel), (layer.group_send, "draft")):
            await send(to, message)
            assert await raw(layer, channel) == {**before, KEY: {**SENDER, "scope.id": scope.own["scope.id"]}}
        scope.leave()

        assert message == before
        await close(layer)

    async def test_it_is_taken_out_again(self, layer):
        """What ``receive`` gives equals what was sent, and a consumer finds the context."""
        channel = await layer.new_channel()
        scope = context.enter_root(events.OPERATION, dict(SENDER))
        await layer.send(channel, {"type": "told", "text": "hi"})
        scope.leave()

        message, carried = await received_with_context(layer, channel)

        assert message == {"type": "told", "text": "hi"}
        assert carried == {**SENDER, "scope.id": scope.own["scope.id"]}
        await close(layer)

    async def test_a_received_message_is_as_good_as_a_plain_dict(self, memory):
        """To copy, to pickle, to serialise, to print, to send on: what comes of it is a plain dict without our key."""
        scope = context.enter_root(events.OPERATION, dict(SENDER))
        await memory.send("a", {"type": "told", "text": "hi"})
        scope.leave()
        message = await received(memory, "a")

        assert isinstance(message, dict)
        assert (repr(message), str(message)) == (repr(dict(message)), str(dict(message)))
        assert vars(type(message)).keys() & {"__dict__", "__weakref__"} == set()
        for same in (
            copy.copy(message),
            copy.deepcopy(message),
            pickle.loads(pickle.dumps(message)),
            message.copy(),
            {**message},
            message | {},
        ):
            assert same == message
            assert type(same) is dict
        assert json.loads(json.dumps(message)) == message
        assert orjson.loads(orjson.dumps(message)) == message
        assert msgpack.unpackb(msgpack.packb(message)) == message
        await memory.send("b", message)
        assert await raw(memory, "b") == message

    async def test_a_message_sent_on_has_the_context_of_who_sends_it_on(self, memory):
        """Not the first sender's."""
        scope = context.enter_root(events.OPERATION, dict(SENDER))
        await memory.send("a", {"type": "told"})
        scope.leave()
        message = await received(memory, "a")
        scope = context.enter_root(events.OPERATION, {"request.id": "second"})
        await memory.send("b", message)
        scope.leave()

        assert (await raw(memory, "b"))[KEY] == {"request.id": "second", "scope.id": scope.own["scope.id"]}

    async def test_no_context_no_key(self, memory):
        """Nothing bound: the message is what was given, the very object."""
        message = {"type": "told"}
        await memory.send("a", message)

        assert await raw(memory, "a") == message
        assert type(await asyncio.gather(memory.send("a", message), received(memory, "a"))) is list

    async def test_what_travels_is_what_the_scope_bound(self, memory):
        """Not the process's own keys, not ``task.*``; ``ws.conn_id`` and ``command.name`` too."""
        bind_contextvars(service="drafts")
        bound = {**SENDER, "ws.conn_id": "c", "command.name": "remind", "tenant": "x"}
        scope = context.enter_root(events.OPERATION, {**bound, "task.id": "t", "task.name": "n"})
        await memory.send("a", {"type": "told"})
        scope.leave()

        assert without_ids((await raw(memory, "a"))[KEY]) == bound

    async def test_only_what_is_allowed_travels(self, memory, settings):
        """``PROPAGATE`` lists the keys; the ids of the request and the scope always go."""
        settings.DTX_TELEMETRY = {"PROPAGATE": ["tenant"]}
        scope = context.enter_root(events.OPERATION, {**SENDER, "tenant": "x"})
        await memory.send("a", {"type": "told"})
        scope.leave()

        carried = (await raw(memory, "a"))[KEY]
        assert carried == {"request.id": "sender", "tenant": "x", "scope.id": scope.own["scope.id"]}

    async def test_nothing_is_carried_when_switched_off(self, memory, monkeypatch):
        """The message goes as it is; what another process put into one is still taken out."""
        monkeypatch.setenv("TELEMETRY_ENABLED", "false")
        config.reset()
        scope = context.enter_root(events.OPERATION, dict(SENDER))
        await memory.send("a", {"type": "told"})
        scope.leave()
        assert await raw(memory, "a") == {"type": "told"}

        await memory._dtx_layer.send("a", {"type": "told", KEY: SENDER})
        assert await received(memory, "a") == {"type": "told"}

    @pytest.mark.telemetry_fails
    async def test_wrong_settings_do_not_stop_a_message(self, memory, settings, log_output):
        """Changed under a running server: it goes without the context, and that is said."""
        settings.DTX_TELEMETRY = {"NONSENSE": 1}
        bind_contextvars(**SENDER)
        await memory.send("a", {"type": "told"})

        assert await raw(memory, "a") == {"type": "told"}
        assert log_output.events("telemetry_failed")


class Unhappy:
    def __str__(self):
        raise RuntimeError

    __repr__ = __str__


class TestWhatCannotBeCarried:
    async def test_it_becomes_text_or_is_left_out_and_said(self, layer, log_output):
        """Any object, not-a-number, too much of it: the message arrives, with one line about what did not."""
        channel = await layer.new_channel()
        loop = []
        loop.append(loop)
        odd = {
            "object": object(),
            "nan": float("nan"),
            "unhappy": Unhappy(),
            "set": {1},
            "loop": loop,
            "big": "x" * 100_000,
            "huge": 2**70,
        }
        scope = context.enter_root(events.OPERATION, {**SENDER, **odd, "bytes": b"\xff", "surrogate": "\ud800"})

        await layer.send(channel, {"type": "told"})
        scope.leave()

        message, carried = await received_with_context(layer, channel)
        assert message == {"type": "told"}
        assert {key: carried[key] for key in SENDER} == SENDER
        assert "big" not in carried
        assert len(json.dumps(carried)) < 2 * MAX_SIZE
        warning = log_output.one("context_not_carried_whole")
        assert warning["level"] == "warning"
        assert warning["fields"]["big"] == "left out"
        assert warning["fields"]["object"] == "turned into text"
        assert warning["request.id"] == "sender"
        await close(layer)

    @pytest.mark.parametrize("message", [None, "text", 5, ["a"]])
    async def test_a_message_that_is_none_fails_as_it_does_without_us(self, memory, message):
        """The wrapped layer's own complaint."""
        bind_contextvars(**SENDER)
        with pytest.raises(AssertionError, match="message is not a dict"):
            await memory.send("a", message)
        with pytest.raises(AssertionError, match="Message is not a dict"):
            await memory.group_send("a", message)


class TestBeingTheWrappedLayer:
    def test_it_is_a_channel_layer(self, layer):
        """For whoever asks."""
        assert isinstance(layer, BaseChannelLayer)

    async def test_every_public_name_is_the_wrapped_layers(self, layer):
        """Methods, attributes and extensions, but for those that carry or subscribe."""
        wrapped = layer._dtx_layer
        names = {name for kind in (wrapped, BaseChannelLayer) for name in dir(kind) if not name.startswith("_")}
        names |= {"extensions", "expiry", "group_expiry", "capacity"}

        def seen(thing, name):
            value = getattr(thing, name, "missing")
            return getattr(value, "__func__", None) or (value.func, value.args) if hasattr(value, "func") else value

        assert len(names) > 5
        for name in names - {"send", "group_send", "receive", "new_channel", "group_add", "group_discard", "flush"}:
            assert seen(layer, name) == seen(wrapped, name), name
        await close(layer)

    async def test_it_is_an_instance_of_the_wrapped_layers_class(self, layer):
        """For code that asks which layer it has."""
        assert isinstance(layer, type(layer._dtx_layer))
        assert isinstance(layer, TelemetryChannelLayer)

    def test_a_missing_name_is_missing(self, memory):
        """With the error that says so."""
        assert not hasattr(memory, "nonsense")
        with pytest.raises(AttributeError, match="nonsense"):
            memory.nonsense  # noqa: B018

    def test_what_is_set_is_set_there(self, memory):
        """A test that lowers the capacity lowers the real one."""
        memory.capacity = 1
        assert memory._dtx_layer.capacity == 1
        memory.extra = 5
        assert memory._dtx_layer.extra == 5
        del memory.extra
        assert not hasattr(memory._dtx_layer, "extra")

    def test_what_carries_can_be_replaced(self, memory):
        """A test that puts something in place of ``send`` gets what it put there, with the message as it was given."""
        real = memory.send
        memory.send = "patched"
        assert memory.send == "patched"
        del memory.send
        assert memory.send == real

    async def test_groups_flush_and_names(self, memory):
        """In use."""
        channel = await memory.new_channel()
        assert memory.require_valid_channel_name(channel)
        with pytest.raises(TypeError, match="Group name must be"):
            await memory.group_add("a b", channel)
        await memory.group_add("draft", channel)
        assert set(memory.groups) == {"draft"}
        await memory.group_discard("draft", channel)
        assert memory.groups == {}
        await memory.send(channel, {"type": "told"})
        await memory.flush()
        assert memory.channels == {}

    async def test_a_full_channel_is_full(self):
        """The wrapped layer's exception goes on."""
        layer = TelemetryChannelLayer(MEMORY, {"capacity": 1})
        await layer.send("a", {"type": "told"})

        with pytest.raises(ChannelFull):
            await layer.send("a", {"type": "told"})

    async def test_a_cancelled_receive_loses_nothing(self, memory):
        """Channels cancels one for each connection that ends."""
        waiting = asyncio.create_task(memory.receive("a"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await memory.send("a", {"type": "told"})

        assert await received(memory, "a") == {"type": "told"}


class TestRollOut:
    """``CARRY_MESSAGES``: processes that have no such layer yet would hand our key to their handlers."""

    async def test_false_puts_no_context_in(self, memory, settings):
        """The message goes as it was given."""
        settings.DTX_TELEMETRY = {"CARRY_MESSAGES": False}
        scope = context.enter_root(events.OPERATION, dict(SENDER))
        await memory.send("a", {"type": "told"})
        channel = await memory.new_channel()
        await memory.group_add("draft", channel)
        await memory.group_send("draft", {"type": "told"})
        scope.leave()

        assert await raw(memory, "a") == {"type": "told"}
        assert await raw(memory, channel) == {"type": "told"}

    async def test_false_takes_out_what_comes_with_one(self, memory, settings):
        """From a process that is a step ahead; it is the sender's message all the same."""
        settings.DTX_TELEMETRY = {"CARRY_MESSAGES": False}
        await memory._dtx_layer.send("a", {"type": "told", KEY: SENDER})

        assert await received_with_context(memory, "a") == ({"type": "told"}, SENDER)


class TestConfiguration:
    def test_channels_makes_it_from_its_settings(self, settings):
        """As the design writes it; also as a test configuration."""
        config = {"BACKEND": MEMORY, "CONFIG": {"expiry": 7}}
        settings.CHANNEL_LAYERS = {
            "default": {"BACKEND": "dtx_telemetry.layers.TelemetryChannelLayer", "CONFIG": config, "TEST_CONFIG": config}
        }
        manager = ChannelLayerManager()

        for layer in (manager["default"], manager.make_test_backend("default")):
            assert isinstance(layer._dtx_layer, InMemoryChannelLayer)
            assert layer.expiry == 7

    @pytest.mark.parametrize("backend", ["nonsense", "channels.layers.Nonsense", "no.such.module.Layer"])
    def test_a_layer_that_there_is_not(self, backend):
        """The error is the one that Channels raises, and names it."""
        with pytest.raises(InvalidChannelLayerError, match=backend):
            TelemetryChannelLayer(backend)


class TestInstalling:
    """The app does it, so that ``CHANNEL_LAYERS`` may stay as it is."""

    def test_a_layer_of_the_settings_is_wrapped(self, settings):
        """Once, also where the settings name ours."""
        ours = {"BACKEND": "dtx_telemetry.layers.TelemetryChannelLayer", "CONFIG": {"BACKEND": MEMORY}}
        settings.CHANNEL_LAYERS = {"plain": {"BACKEND": MEMORY, "CONFIG": {"expiry": 7}}, "ours": ours}

        for name in settings.CHANNEL_LAYERS:
            layer = ChannelLayerManager()[name]
            assert type(layer) is TelemetryChannelLayer
            assert type(layer._dtx_layer) is InMemoryChannelLayer
        assert ChannelLayerManager()["plain"].expiry == 7

    def test_a_second_time_changes_nothing(self):
        """Nor a third."""
        before = ChannelLayerManager.make_backend
        install()
        install()
        assert ChannelLayerManager.make_backend is before

    def test_layers_that_were_made_before(self, monkeypatch):
        """They are replaced where Channels keeps them."""
        monkeypatch.setattr(ChannelLayerManager, "make_backend", ChannelLayerManager.make_backend.__wrapped__)
        layer = InMemoryChannelLayer()
        monkeypatch.setitem(channel_layers.backends, "early", layer)

        install()

        assert type(channel_layers["early"]) is TelemetryChannelLayer
        assert channel_layers["early"]._dtx_layer is layer

    def test_errors_of_the_settings_are_channels_own(self, settings):
        """A backend that there is not is what it was."""
        settings.CHANNEL_LAYERS = {"wrong": {"BACKEND": "no.such.Layer"}}

        with pytest.raises(InvalidChannelLayerError):
            ChannelLayerManager()["wrong"]
