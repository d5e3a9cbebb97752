"""What a decorated consumer binds, for how long, and what it leaves behind."""

import asyncio
import gc
import logging
import re
import types
import weakref
from contextvars import Context, ContextVar, copy_context

import pytest
from asgiref.sync import async_to_sync
from channels.auth import login, logout
from channels.consumer import AsyncConsumer
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.layers import get_channel_layer
from django.core.exceptions import SynchronousOnlyOperation
from django.utils.functional import SimpleLazyObject
from django.views import View
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars, unbind_contextvars

from dtx_telemetry import config, context, events, get_logger, get_request_id, startup, telemetry_consumer
from tests.support.asgi import calling, connected, scope_of

log = get_logger("app")


class User:
    """A user as far as we look at one."""

    def __init__(self, pk, *, is_authenticated=True):
        self.pk = pk
        self.is_authenticated = is_authenticated


@telemetry_consumer
class Echo(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        log.info("received", text=text_data)
        await self.send(text_data)


@telemetry_consumer
class SyncEcho(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        log.info("received", text=text_data)
        self.send(text_data)


BOTH = pytest.mark.parametrize("echo", [Echo, SyncEcho])


async def ids_of(scope, log_output, echo=Echo):
    """Return the connection's only request id."""
    async with connected(echo.as_asgi(), scope) as socket:
        await socket.say("x")
        await socket.text()
        await socket.leave()
    ids = {line["request.id"] for line in log_output.lines if "request.id" in line or line["event"] != "telemetry_failed"}
    assert len(ids) == 1
    return ids.pop()


class TestRequestId:
    @BOTH
    async def test_a_good_one_is_kept(self, log_output, echo):
        """The handshake's header is the connection's id, as it came."""
        assert await ids_of(scope_of(headers=[("X-Request-ID", "a.B-1_:/+=~@")]), log_output, echo) == "a.B-1_:/+=~@"

    @pytest.mark.parametrize(
        "headers",
        [
            [],
            [("X-Request-ID", "")],
            [("X-Request-ID", "a\x1b[31mb")],
            [("X-Request-ID", "a\nb")],
            [("X-Request-ID", "ä")],
            [("X-Request-ID", "x" * 129)],
            [("X-Request-ID", "one"), ("X-Request-ID", "two")],
            [("X-Request-ID", "same"), ("X-Request-ID", "same")],
        ],
    )
    async def test_a_bad_one_is_replaced(self, log_output, headers):
        """None, control characters, too long, twice: a new id, and nothing of the bad one in any line."""
        new = await ids_of(scope_of(headers=headers), log_output)

        assert context.valid_request_id(new)
        assert len(new) == 32
        assert not any(value and value in log_output.text for _, value in headers)

    async def test_the_header_is_configurable(self, log_output, settings):
        """``REQUEST_ID_HEADER`` names it."""
        settings.DTX_TELEMETRY = {"REQUEST_ID_HEADER": "X-Correlation-ID"}

        assert await ids_of(scope_of(headers=[("X-Correlation-ID", "mine"), ("X-Request-ID", "not")]), log_output) == "mine"


class TestBareScopes:
    @BOTH
    async def test_a_scope_with_nothing_in_it(self, log_output, echo):
        """No path, client, user or headers: an id all the same, and no error."""
        await ids_of({"type": "websocket"}, log_output, echo)

        assert not log_output.events("telemetry_failed")
        ids = {"request.id", "scope.id", "ws.conn_id"}
        assert set(log_output.one("received")) == {"timestamp", "level", "logger", "event", "text", *ids}
        assert "client.address" not in log_output.one("ws_connected")

    @pytest.mark.parametrize(
        "given",
        [
            {"path": None, "client": None, "user": None, "headers": None, "asgi": None},
            {"path": 5, "client": (), "user": object(), "headers": ()},
            {"client": ("", 0), "root_path": None},
        ],
    )
    async def test_a_scope_with_emptiness_in_it(self, log_output, given):
        """What is there but says nothing is as if it were not there."""
        await ids_of({"type": "websocket", **given}, log_output)

        assert not log_output.events("telemetry_failed")
        assert "client.address" not in log_output.one("ws_connected")

    @pytest.mark.telemetry_fails
    @pytest.mark.parametrize(
        "given", [{"headers": [("x-request-id", "text")]}, {"headers": [1]}, {"headers": 5}, {"client": 5}]
    )
    async def test_a_scope_that_breaks_the_rules_costs_only_what_is_broken(self, log_output, given):
        """Another server's nonsense: the connection works and has its lines; what failed is said."""
        await ids_of({"type": "websocket", "path": "/ws/draft/5/", **given}, log_output)

        assert log_output.one("ws_disconnected")["draft.id"] == 5

    @pytest.mark.telemetry_fails
    async def test_a_user_that_raises_costs_only_its_id(self, log_output):
        """An unresolved lazy user, say: the connection has every other field."""

        class Raises:
            @property
            def is_authenticated(self):
                raise RuntimeError("not ready")

        await ids_of(scope_of(user=Raises()), log_output)

        assert log_output.one("ws_disconnected")["draft.id"] == 5
        assert "user.id" not in log_output.one("ws_disconnected")
        assert log_output.events("telemetry_failed", draft_id=5)


class TestLabels:
    async def test_labels_and_ids_of_the_path(self, log_output):
        """As a request to that path has them."""
        await ids_of(scope_of("/ws/tournaments/7/draft/12/"), log_output)

        line = log_output.one("received")
        assert (line["labels"], line["tournament.id"], line["draft.id"]) == (["tournament", "draft"], 7, 12)

    async def test_labels_below_a_mount(self, log_output):
        """The path that the application is mounted at (ASGI's ``root_path``) is none of its own."""
        await ids_of(scope_of("/app/ws/draft/5/", root_path="/app"), log_output)

        assert log_output.one("received")["draft.id"] == 5


class TestUser:
    @BOTH
    async def test_an_authenticated_user_is_on_every_line(self, log_output, echo):
        """From the first to the last."""
        await ids_of(scope_of(user=User(42)), log_output, echo)

        assert [line["user.id"] for line in log_output.lines] == [42, 42, 42]

    async def test_an_anonymous_one_is_not(self, log_output):
        """Nobody has no id."""
        await ids_of(scope_of(user=User(None, is_authenticated=False)), log_output)

        assert not any("user.id" in line for line in log_output.lines)

    async def test_none_is_looked_at_where_that_is_switched_off(self, log_output, settings):
        """``USER_ID_FIELD=None``: nothing of the user is read."""
        settings.DTX_TELEMETRY = {"USER_ID_FIELD": None}

        class Secret:
            def __getattribute__(self, name):
                raise AssertionError(name)

        await ids_of(scope_of(user=Secret()), log_output)

        assert not log_output.events("telemetry_failed")

    async def test_one_that_the_stack_resolved(self, log_output):
        """``AuthMiddlewareStack`` gives a lazy object; what it stands for is bound."""
        from channels.auth import UserLazyObject

        user = UserLazyObject()
        user._wrapped = User(9)
        await ids_of(scope_of(user=user), log_output)

        assert log_output.one("received")["user.id"] == 9

    @BOTH
    async def test_a_lazy_one_is_not_looked_up_by_us(self, log_output, echo):
        """Nobody asked for that query."""
        looks = []
        await ids_of(scope_of(user=SimpleLazyObject(lambda: looks.append(1) or User(9))), log_output, echo)

        assert looks == []
        assert not any("user.id" in line for line in log_output.lines)

    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
    @pytest.mark.django_db(transaction=True)
    async def test_a_lazy_one_over_the_database_is_known_once_the_consumer_looked(self, log_output, django_user_model, base):
        """One query, which is the consumer's own, and no line about what an event loop may not do."""
        user = await django_user_model.objects.acreate_user("invoker")
        looks = []

        def look():
            looks.append(1)
            return django_user_model.objects.get(pk=user.pk)

        class Looks(base):
            if base is AsyncWebsocketConsumer:

                async def connect(self):
                    await database_sync_to_async(lambda: self.scope["user"].is_authenticated)()
                    await self.accept()
            else:

                def connect(self):
                    assert self.scope["user"].is_authenticated
                    self.accept()

        async with connected(telemetry_consumer(Looks).as_asgi(), scope_of(user=SimpleLazyObject(look))) as socket:
            await socket.leave()

        assert looks == [1]
        assert [(line["event"], line["user.id"]) for line in log_output.lines] == [
            ("ws_connected", user.pk),
            ("ws_disconnected", user.pk),
        ]

    async def test_one_whose_id_needs_the_database(self, log_output):
        """It is not asked in the event loop, and there is no line about it."""

        class Asks(User):
            def __init__(self):
                self.is_authenticated = True

            @property
            def pk(self):
                raise SynchronousOnlyOperation

        await ids_of(scope_of(user=Asks()), log_output)

        assert not any("user.id" in line for line in log_output.lines)

    @pytest.mark.django_db(transaction=True)
    async def test_login_and_logout_in_a_consumer(self, log_output, django_user_model):
        """From the next message on the lines bear the new user, or none, and so does the closing event."""
        from django.contrib.sessions.backends.cache import SessionStore

        user = await django_user_model.objects.acreate_user("invoker")

        @telemetry_consumer
        class Logs(Echo):
            async def receive(self, text_data=None, bytes_data=None):
                log.info("received", text=text_data)
                if text_data == "in":
                    await login(self.scope, user)
                elif text_data == "out":
                    await logout(self.scope)
                await self.send(text_data)

        for last in ("out", "in"):
            log_output.clear()
            async with connected(
                Logs.as_asgi(), scope_of(user=User(None, is_authenticated=False), session=SessionStore())
            ) as socket:
                for text in ("before", "in", "after", last):
                    await socket.say(text)
                    await socket.text()
                await socket.leave()

            seen = {line["text"]: line.get("user.id") for line in log_output.events("received")}
            assert seen["before"] is None
            assert seen["after"] == user.pk
            assert log_output.one("ws_disconnected").get("user.id") == (user.pk if last == "in" else None)

    async def test_a_lazy_one_in_place_of_the_known_one(self, log_output):
        """Until it is looked up no one is known: the lines do not go on with who was before."""
        lazy = SimpleLazyObject(lambda: User(9))

        @telemetry_consumer
        class Changes(Echo):
            async def receive(self, text_data=None, bytes_data=None):
                log.info("received", text=text_data)
                if text_data == "change":
                    self.scope["user"] = lazy
                elif text_data == "look":
                    assert lazy.is_authenticated
                await self.send(text_data)

        async with connected(Changes.as_asgi(), scope_of(user=User(7))) as socket:
            for text in ("change", "look", "known"):
                await socket.say(text)
                await socket.text()

        assert {line["text"]: line.get("user.id") for line in log_output.events("received")} == {
            "change": 7,
            "look": None,
            "known": 9,
        }

    @pytest.mark.parametrize("user", [User(7), None])
    async def test_a_login_in_the_last_message(self, log_output, user):
        """It is on the closing event, which no message comes before any more; a logout too."""

        @telemetry_consumer
        class Logs(AsyncWebsocketConsumer):
            async def receive(self, text_data=None, bytes_data=None):
                self.scope["user"] = user
                raise RuntimeError("no mana")

        async with connected(Logs.as_asgi(), scope_of(user=User(1))) as socket:
            await socket.say("x")
            with pytest.raises(RuntimeError):
                await socket.end()

        assert log_output.one("ws_connected")["user.id"] == 1
        assert log_output.one("ws_failed").get("user.id") == (None if user is None else 7)


class TestWhatTheApplicationBinds:
    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
    async def test_it_stays_for_the_connection_and_no_longer(self, log_output, base):
        """Bound in ``connect()`` it is on every later line of this connection, on none of another, and can be taken back."""

        class Binds(base):
            if base is AsyncWebsocketConsumer:

                async def connect(self):
                    bind_contextvars(hero="Invoker")
                    await self.accept()

                async def receive(self, text_data=None, bytes_data=None):
                    log.info("received", text=text_data)
                    unbind_contextvars("hero")
                    await self.send("ok")
            else:

                def connect(self):
                    bind_contextvars(hero="Invoker")
                    self.accept()

                def receive(self, text_data=None, bytes_data=None):
                    log.info("received", text=text_data)
                    unbind_contextvars("hero")
                    self.send("ok")

        async with connected(telemetry_consumer(Binds).as_asgi()) as socket:
            for text in ("1", "2"):
                await socket.say(text)
                await socket.text()
            async with connected(Echo.as_asgi()) as other:
                await other.say("other")
                await other.text()
                await other.leave()
            await socket.leave()

        assert {line["text"]: line.get("hero") for line in log_output.events("received")} == {
            "1": "Invoker",
            "2": None,
            "other": None,
        }


class TestClearedContext:
    """``clear_contextvars()``, which structlog's guide tells applications to call, takes away what the application bound."""

    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer])
    async def test_the_connections_fields_stay(self, log_output, base):
        """On later lines, on its events, and on what it sends."""

        class Clears(base):
            if base is AsyncWebsocketConsumer:

                async def connect(self):
                    bind_contextvars(hero="Invoker")
                    clear_contextvars()
                    await self.accept()

                async def receive(self, text_data=None, bytes_data=None):
                    clear_contextvars()
                    log.info("received")
                    await self.channel_layer.send(self.channel_name, {"type": "told"})

                async def told(self, message):
                    clear_contextvars()
                    log.info("told")
                    await self.send("told")
            else:

                def connect(self):
                    bind_contextvars(hero="Invoker")
                    clear_contextvars()
                    self.accept()

                def receive(self, text_data=None, bytes_data=None):
                    clear_contextvars()
                    log.info("received")
                    async_to_sync(self.channel_layer.send)(self.channel_name, {"type": "told"})

                def told(self, message):
                    clear_contextvars()
                    log.info("told")
                    self.send("told")

        scope = scope_of(user=User(7), headers=[("X-Request-ID", "mine")])
        async with connected(telemetry_consumer(Clears).as_asgi(), scope) as socket:
            await socket.say("x")
            await socket.text()
            await socket.leave()

        assert [line["event"] for line in log_output.lines] == ["ws_connected", "received", "told", "ws_disconnected"]
        for line in log_output.lines:
            assert (line["request.id"], line["user.id"], line["labels"], line["draft.id"]) == ("mine", 7, ["draft"], 5), line
            assert "hero" not in line
        assert len({line["ws.conn_id"] for line in log_output.lines}) == 1

    async def test_the_senders_fields_stay_in_a_layers_handler(self, log_output):
        """And are gone after it."""

        @telemetry_consumer
        class Clears(AsyncWebsocketConsumer):
            async def connect(self):
                await self.accept()
                await self.send(self.channel_name)

            async def told(self, message):
                clear_contextvars()
                log.info("told")
                await self.send("told")

        scope = scope_of(user=User(7), headers=[("X-Request-ID", "mine")])
        async with connected(Clears.as_asgi(), scope) as socket:
            channel = await socket.text()
            sender = context.enter_root(events.OPERATION, {"request.id": "sender", "labels": ["team"], "team.id": 3})
            await get_channel_layer().send(channel, {"type": "told"})
            sender.leave()
            await socket.text()
            await socket.leave()

        told, end = log_output.one("told"), log_output.one("ws_disconnected")
        assert (told["request.id"], told["labels"], told["team.id"]) == ("sender", ["team", "draft"], 3)
        assert "user.id" not in told
        assert (end["request.id"], end["user.id"], end["labels"]) == ("mine", 7, ["draft"])
        assert "team.id" not in end


class TestWhatIsLeft:
    @BOTH
    async def test_the_servers_context_is_as_it_was(self, log_output, echo):
        """After a connection what the server's task had bound is bound, and nothing else, however the connection ended."""
        bind_contextvars(service="drafts", **{"request.id": "stale", "user.id": 1, "task.id": "t", "tournament.id": 9})
        before = get_contextvars()
        endings = [
            [
                {"type": "websocket.connect"},
                {"type": "websocket.receive", "text": "x"},
                {"type": "websocket.disconnect", "code": 1000},
            ],
            [{"type": "websocket.connect"}, {"type": "nonsense"}],
        ]
        for messages in endings:

            async def receive(messages=messages):
                await asyncio.sleep(0)
                return messages.pop(0)

            async def send(message):
                pass

            try:
                await echo.as_asgi()(scope_of(), receive, send)
            except ValueError:
                assert len(endings[1]) == 0
            assert get_contextvars() == before
            assert context.current_scope() is None

        assert {line["service"] for line in log_output.lines} == {"drafts"}
        assert "stale" not in log_output.text
        assert not any({"user.id", "task.id", "tournament.id"} & set(line) for line in log_output.lines)

    @BOTH
    @pytest.mark.parametrize("ending", ["websocket.disconnect", "nonsense", "cancelled", "refused"])
    async def test_not_one_context_variable_of_the_server_is_other(self, log_output, echo, ending):
        """Neither ours nor structlog's nor the consumer's own: a connection has a context of its own."""

        class Changes(echo):
            async def dispatch(self, message):
                own.set("consumer's")
                bind_contextvars(hero="Invoker")
                await super().dispatch(message)

        async def receive():
            if len(messages) == 1 and ending == "cancelled":
                raise asyncio.CancelledError
            return messages.pop(0)

        async def send(message):
            if ending == "refused":
                raise OSError

        own = ContextVar("own")
        messages = [{"type": "websocket.connect"}, {"type": ending, "code": 1000}]
        before = dict(copy_context())
        try:
            await Changes.as_asgi()(scope_of(user=User(7)), receive, send)
        except (ValueError, OSError, asyncio.CancelledError):
            assert ending != "websocket.disconnect"

        assert dict(copy_context()) == before
        assert log_output.lines[-1]["event"] in {"ws_disconnected", "ws_failed", "ws_rejected"}

    @BOTH
    async def test_the_consumer_is_not_written_to(self, log_output, echo):
        """Nothing of ours is in what it prints, copies or pickles of itself, also in the middle of its call."""
        seen = []

        class Looks(echo):
            async def dispatch(self, message):
                seen.append((set(vars(self)), {name for name in vars(type(self)) if "dtx" in name}))
                await super().dispatch(message)

        async with connected(Looks.as_asgi()) as socket:
            await socket.leave()

        assert seen
        for attributes, names in seen:
            assert not {name for name in attributes if "dtx" in name}
            assert names == set()

    async def test_consumers_are_gone_after_their_connections(self, log_output):
        """A thousand connections, some of which failed: not one consumer is alive."""
        alive = weakref.WeakSet()
        root = logging.getLogger()
        # pytest's own handlers keep every exception, and so its frames.
        root.handlers[:] = [handler for handler in root.handlers if not type(handler).__module__.startswith("_pytest")]

        @telemetry_consumer
        class Counted(AsyncWebsocketConsumer):
            def __init__(self):
                super().__init__()
                alive.add(self)

            async def receive(self, text_data=None, bytes_data=None):
                raise RuntimeError(text_data)

        for number in range(1000):
            async with connected(Counted.as_asgi()) as socket:
                if number % 10:
                    await socket.leave()
                else:
                    await socket.say("x")
                    with pytest.raises(RuntimeError):
                        await socket.end()
        del socket
        gc.collect()

        assert len(alive) == 0
        assert len(log_output.events("ws_disconnected")) == 900
        assert len(log_output.events("ws_failed")) == 100

    async def test_a_connection_that_the_garbage_collector_ends(self, log_output):
        """It ends inside whatever runs then: its lines bear its own ids, and what runs keeps its own."""
        coroutine = parked()
        bind_contextvars(**{"request.id": "another", "user.id": 8})
        scope = context.enter(events.OPERATION, {"tenant": "x"})
        before = get_contextvars()

        del coroutine
        gc.collect()

        assert get_contextvars() == before
        assert context.current_scope() is scope
        line = log_output.one("ws_rejected")
        assert (line["request.id"], line["close_code"]) == ("parked", 1006)
        assert {"tenant", "user.id"}.isdisjoint(line)

    async def test_a_message_that_the_garbage_collector_ends(self, log_output):
        """The same in the middle of a channel layer's message, which another sent."""
        coroutine = parked({"type": "held", "dtx.context": {"request.id": "sender", "user.id": 5}})
        assert log_output.one("held")["request.id"] == "sender"
        bind_contextvars(**{"request.id": "another"})

        del coroutine
        gc.collect()

        assert get_contextvars() == {"request.id": "another"}
        assert log_output.one("ws_rejected")["request.id"] == "parked"


def parked(message=None):
    """Return a call of a consumer that waits for ever, in a context of its own."""

    @types.coroutine
    def for_ever(*_):
        yield

    @telemetry_consumer
    class Parked(AsyncConsumer):
        async def __call__(self, scope, receive, send):
            self.scope = scope
            await (receive() if message is None else self.dispatch(message))

        async def dispatch(self, message):
            log.info(message["type"])
            await for_ever()

    coroutine = Parked.as_asgi()(scope_of(headers=[("X-Request-ID", "parked")]), for_ever, for_ever)
    Context().run(coroutine.send, None)
    return coroutine


class TestDecorating:
    def test_it_is_the_same_class(self):
        """Name, module, documentation and methods stay."""

        class Plain(AsyncWebsocketConsumer):
            """Documented."""

            async def dispatch(self, message):
                """Dispatches."""
                await super().dispatch(message)

        before = Plain.__name__, Plain.__qualname__, Plain.__module__, Plain.__doc__, Plain.__mro__
        decorated = telemetry_consumer(Plain)

        assert decorated is Plain
        assert (Plain.__name__, Plain.__qualname__, Plain.__module__, Plain.__doc__, Plain.__mro__) == before
        assert (Plain.dispatch.__name__, Plain.dispatch.__doc__) == ("dispatch", "Dispatches.")
        assert AsyncWebsocketConsumer.dispatch is not Plain.dispatch

    def test_undecorated_consumers_are_left_alone(self):
        """The base classes of Channels are not changed."""
        assert not any("dtx" in vars(kind) for base in (Echo, SyncEcho) for kind in base.__mro__[1:])
        assert WebsocketConsumer.__call__ is AsyncConsumer.__call__

    @pytest.mark.parametrize("base", [AsyncWebsocketConsumer, WebsocketConsumer, Echo, SyncEcho])
    @pytest.mark.parametrize("overridden", [(), ("__call__",), ("dispatch",), ("__call__", "dispatch")])
    @pytest.mark.parametrize("times", [1, 2])
    async def test_once_is_enough(self, log_output, base, overridden, times):
        """Twice, on a class and its base, with methods overridden or not: one scope, one first line, one last line."""

        async def call(self, scope, receive, send):
            await super(Overrides, self).__call__(scope, receive, send)

        async def dispatch(self, message):
            await super(Overrides, self).dispatch(message)

        methods = {name: method for name, method in {"__call__": call, "dispatch": dispatch}.items() if name in overridden}
        Overrides = type("Overrides", (base,), methods)  # noqa: N806
        for _ in range(times):
            Overrides = telemetry_consumer(Overrides)  # noqa: N806

        async with connected(Overrides.as_asgi()) as socket:
            await socket.say("x")
            if base in {Echo, SyncEcho}:
                await socket.text()
            await socket.leave()

        assert len({line["ws.conn_id"] for line in log_output.lines}) == 1
        log_output.one("ws_connected")
        assert log_output.one("ws_disconnected")["ws.messages_received"] == 1

    @pytest.mark.parametrize("base", [Echo, SyncEcho])
    async def test_a_subclass_of_a_decorated_class_is_decorated(self, log_output, base):
        """Nothing has to be said again."""

        class Heir(base):
            pass

        await ids_of(scope_of(), log_output, Heir)
        log_output.one("ws_disconnected")

    async def test_a_decorated_subclass_leaves_its_base_alone(self, log_output):
        """Only what was decorated, and what comes from it, has events."""

        class Base(AsyncWebsocketConsumer):
            pass

        @telemetry_consumer
        class Heir(Base):
            pass

        async with connected(Base.as_asgi()) as socket:
            await socket.leave()

        assert log_output.lines == []

    @pytest.mark.parametrize("other", [object, print, Echo.as_asgi(), Echo(), View, View.as_view(), None, 5])
    def test_what_is_no_consumer_class_is_refused(self, other):
        """At once and by name: a view of Django's, which has a ``dispatch`` too, is none either."""
        for decorate in (telemetry_consumer, telemetry_consumer(), telemetry_consumer(log_messages=True)):
            with pytest.raises(TypeError, match=f"not {re.escape(repr(other))}"):
                decorate(other)

    def test_what_as_asgi_returns_is_refused_with_what_to_write_instead(self):
        """The decorator belongs on the class."""
        with pytest.raises(TypeError, match=re.escape("write telemetry_consumer(Echo).as_asgi()")):
            telemetry_consumer(Echo.as_asgi())

    async def test_a_consumer_that_keeps_no_scope(self, log_output):
        """One that overrides ``__call__`` and dispatches by itself works as it did."""

        @telemetry_consumer
        class Own(AsyncConsumer):
            async def __call__(self, scope, receive, send):
                await self.dispatch(await receive())
                await send({"type": "websocket.accept"})

            async def websocket_connect(self, message):
                log.info("asked")

        async with connected(Own.as_asgi(), scope_of(user=User(7))) as socket:
            await socket.end()

        assert [line["user.id"] for line in log_output.lines] == [7, 7, 7]
        assert not log_output.events("telemetry_failed")

    @pytest.mark.parametrize("base", [Echo, SyncEcho])
    def test_what_is_decorated_already_is_not_decorated_again(self, base):
        """Not the class itself, and not an heir that overrides nothing."""
        before = base.__call__, base.__dict__["dispatch"]

        heir = telemetry_consumer(type("Heir", (telemetry_consumer(base),), {}))

        assert (base.__call__, base.__dict__["dispatch"]) == before
        assert {"__call__", "dispatch"}.isdisjoint(vars(heir))

    async def test_one_object_may_serve_again(self, log_output):
        """An instance that is called twice has two connections."""
        consumer = Echo()
        for _ in range(2):
            async with connected(consumer) as socket:
                await socket.leave()

        assert len({line["ws.conn_id"] for line in log_output.events("ws_disconnected")}) == 2

    async def test_an_unknown_kind_of_scope_goes_straight_through(self, log_output):
        """Somebody's own protocol."""

        @telemetry_consumer
        class Other(AsyncConsumer):
            async def other_message(self, message):
                await self.send({"type": "other.answer", "id": get_request_id()})

        async with calling(Other.as_asgi(), {"type": "other"}) as call:
            await call.give("other.message")
            assert (await call.next())["id"] is None

        assert log_output.lines == []


class TestSwitchedOff:
    @BOTH
    async def test_a_consumer_does_not_notice(self, log_output, monkeypatch, echo):
        """Nothing is bound, wrapped or logged, in the class that was decorated all the same."""
        monkeypatch.setenv("TELEMETRY_ENABLED", "false")
        config.reset()
        startup.init_telemetry()
        sends = []

        async def receive():
            return {"type": "websocket.connect"} if not sends else {"type": "websocket.disconnect", "code": 1000}

        async def send(message):
            sends.append((message["type"], get_contextvars(), context.current_scope()))

        await echo.as_asgi()(scope_of(user=User(1)), receive, send)

        assert sends == [("websocket.accept", {}, None)]
        assert log_output.text == ""

    @pytest.mark.telemetry_fails
    async def test_wrong_settings_do_not_break_a_connection(self, log_output, settings):
        """Changed under a running server: the consumer works, without telemetry, and that is said."""
        settings.DTX_TELEMETRY = {"NONSENSE": 1}

        async with connected(Echo.as_asgi()) as socket:
            await socket.say("x")
            assert await socket.text() == "x"
            await socket.leave()

        assert log_output.events("telemetry_failed")


class TestConcurrency:
    @BOTH
    async def test_interleaved_connections_keep_their_own_ids(self, log_output, echo):
        """Twenty at the same time, each message in turn: no line has another's id."""

        async def one(number):
            async with connected(
                echo.as_asgi(), scope_of(f"/ws/draft/{number}/", headers=[("X-Request-ID", f"c-{number}")])
            ) as socket:
                for step in range(10):
                    await socket.say(f"{number}:{step}")
                    await socket.text()
                await socket.leave()

        await asyncio.gather(*(one(number) for number in range(20)))

        seen = [(line["request.id"], line["draft.id"], line["text"].split(":")[0]) for line in log_output.events("received")]
        assert len(seen) == 200
        assert all(identity == f"c-{draft}" and text == str(draft) for identity, draft, text in seen)

    async def test_a_task_that_the_consumer_starts_has_its_ids(self, log_output):
        """``asyncio.create_task`` copies the context, and outlives the message."""

        @telemetry_consumer
        class Starts(AsyncWebsocketConsumer):
            async def receive(self, text_data=None, bytes_data=None):
                self.task = asyncio.create_task(self.work())

            async def work(self):
                await asyncio.sleep(0)
                log.info("worked")
                await self.send("done")

        async with connected(Starts.as_asgi(), scope_of(headers=[("X-Request-ID", "mine")])) as socket:
            await socket.say("x")
            assert await socket.text() == "done"
            await socket.leave()

        assert log_output.one("worked")["request.id"] == "mine"

    def test_a_consumer_called_from_a_thread(self, log_output):
        """Under ``async_to_sync``, as a test or a threaded server does."""

        async def run():
            async with connected(SyncEcho.as_asgi()) as socket:
                await socket.say("x")
                await socket.text()
                await socket.leave()

        async_to_sync(run)()

        log_output.one("ws_disconnected")
        assert get_contextvars() == {}


def test_the_channel_layer_of_these_tests_is_ours():
    """The project's setting, so that what is tested here is tested with it."""
    assert type(get_channel_layer()).__name__ == "TelemetryChannelLayer"
