"""What a WebSocket costs more than with bare Channels: a message, a connection, a channel layer's message, many open sockets.

The consumer is called in-process, as a server calls it. We log JSON to the null device; bare Channels logs nothing at all, so
that a connection's difference contains its two lines.
"""

import asyncio
import atexit
from collections.abc import Callable, Iterator
from typing import Any

import django
from django.conf import settings

from dtx_telemetry import context, events

from .harness import Comparison, Subject, compare, times

Work = Callable[[], object]

BARE, OURS = "bare Channels", "dtx_telemetry"
SOCKETS = (1, 1000)


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Yield the tables of this module."""
    for title, maker in (
        ("a WebSocket message and its answer", "message"),
        ("a WebSocket connection with one message", "connection"),
        ("a channel layer's message, sent and handled", "layer"),
    ):
        yield compare(title, [Subject(name, f"{__name__}:{maker}", (name,)) for name in (OURS, BARE)], rounds=rounds)
    names = {count: f"dtx_telemetry, {count} open" for count in SOCKETS}
    subjects = [Subject(name, f"{__name__}:message", (OURS, str(count))) for count, name in names.items()]
    ratios = {f"growth from {SOCKETS[0]} to {SOCKETS[1]}": times(names[SOCKETS[1]], names[SOCKETS[0]])}
    yield compare("a WebSocket message beside open sockets", subjects, ratios, rounds=rounds)


def message(subject: str, sockets: str = "1") -> Work:
    """Return what sends one message over one of *sockets* open connections and gets its answer."""
    consumer, loop = _set_up(subject)
    connections = [loop.run_until_complete(_connect(consumer, number)) for number in range(int(sockets))]
    asked, answered = connections[0]

    async def exchange() -> None:
        await asked.put({"type": "websocket.receive", "text": "Invoker"})
        await answered.get()

    return lambda: loop.run_until_complete(exchange())


def connection(subject: str) -> Work:
    """Return what opens a connection, sends one message over it, gets its answer and closes it."""
    consumer, loop = _set_up(subject)

    async def exchange() -> None:
        messages = iter(({"type": "websocket.connect"}, _MESSAGE, {"type": "websocket.disconnect", "code": 1000}))

        async def receive() -> Any:
            return next(messages)

        await consumer(_scope(1), receive, _send)

    return lambda: loop.run_until_complete(exchange())


def layer(subject: str) -> Work:
    """Return what sends one message to a consumer's channel from a request's scope, and waits until it was handled."""
    consumer, loop = _set_up(subject)
    _, answered = loop.run_until_complete(_connect(consumer, 1))
    from channels.layers import get_channel_layer

    context.enter_root(
        events.OPERATION, {"request.id": context.new_request_id(), "user.id": 42, "labels": ["tournament"], "tournament.id": 7}
    )
    channels = get_channel_layer()

    async def exchange() -> None:
        await channels.group_send("draft", {"type": "told", "text": "Invoker"})
        await answered.get()

    return lambda: loop.run_until_complete(exchange())


_MESSAGE = {"type": "websocket.receive", "text": "Invoker"}


async def _send(message: Any) -> None:
    return None


async def _connect(consumer: Any, number: int) -> tuple[asyncio.Queue[Any], asyncio.Queue[Any]]:
    """Open a connection that stays open, and return what goes in and what comes out of it."""
    asked: asyncio.Queue[Any] = asyncio.Queue()
    answered: asyncio.Queue[Any] = asyncio.Queue()
    _tasks.append(asyncio.create_task(consumer(_scope(number), asked.get, answered.put)))
    await asked.put({"type": "websocket.connect"})
    await answered.get()
    return asked, answered


_tasks: list[Any] = []


def _scope(number: int) -> dict[str, Any]:
    headers = [(b"host", b"localhost"), (b"sec-websocket-version", b"13"), (b"user-agent", b"benchmark")]
    return {"type": "websocket", "path": f"/ws/draft/{number}/", "headers": headers, "client": ("127.0.0.1", number)}


def _set_up(subject: str) -> tuple[Any, asyncio.AbstractEventLoop]:
    ours = subject == OURS
    settings.configure(
        SECRET_KEY="benchmarks",
        INSTALLED_APPS=["dtx_telemetry"] if ours else [],
        CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
    )
    django.setup()
    from channels.generic.websocket import AsyncWebsocketConsumer

    class Echo(AsyncWebsocketConsumer):
        groups = ("draft",)

        async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
            await self.send(text_data)

        async def told(self, message: Any) -> None:
            await self.send(message["text"])

    if ours:
        from dtx_telemetry import telemetry_consumer

        telemetry_consumer(Echo)
    loop = asyncio.new_event_loop()
    atexit.register(_close, loop)
    return Echo.as_asgi(), loop


def _close(loop: asyncio.AbstractEventLoop) -> None:
    async def end() -> None:
        for task in _tasks:
            task.cancel()
        await asyncio.gather(*_tasks, return_exceptions=True)

    loop.run_until_complete(end())
    loop.close()
