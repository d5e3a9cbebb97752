"""Consumers that end in every way there is: an ASGI application of its own, each consumer at ``/ws/<name>/<draft>/``."""

import asyncio
import os
import time
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from channels.auth import AuthMiddlewareStack
from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path, re_path
from structlog.contextvars import bind_contextvars

from dtx_telemetry import get_logger, telemetry_consumer

from . import tasks

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")
django = get_asgi_application()
log = get_logger(__name__)


@telemetry_consumer
class Obeys(AsyncWebsocketConsumer):
    """Does what the client says."""

    groups = ("everyone",)

    async def connect(self) -> None:
        bind_contextvars(hero="Invoker")
        await self.accept()

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        log.info("received", text=text_data)
        if text_data == "close":
            await self.close(4002)
        elif text_data == "fail":
            raise RuntimeError("no mana")
        elif text_data == "fail in a message":
            await self.channel_layer.send(self.channel_name, {"type": "told", "fail": True})
        elif text_data == "flood":
            while True:
                await self.send("x" * 10_000)
                await asyncio.sleep(0)
        elif text_data == "publish":
            await self.channel_layer.send("thumbnails", {"type": "make"})
        elif text_data == "task":
            await sync_to_async(tasks.echo.delay)()
        await self.send(text_data)

    async def told(self, message: dict[str, Any]) -> None:
        log.info("told")
        if message.get("fail"):
            raise RuntimeError("no mana")
        await self.send("told")

    async def disconnect(self, code: int) -> None:
        log.info("disconnecting", code=code)


@telemetry_consumer
class SyncObeys(WebsocketConsumer):
    """The same, in threads."""

    def connect(self) -> None:
        bind_contextvars(hero="Invoker")
        self.accept()

    def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        log.info("received", text=text_data)
        if text_data == "close":
            self.close(4002)
        elif text_data == "fail":
            raise RuntimeError("no mana")
        elif text_data == "fail in a message":
            async_to_sync(self.channel_layer.send)(self.channel_name, {"type": "told"})
        elif text_data == "flood":
            while True:
                self.send("x" * 10_000)
                time.sleep(0.001)
        self.send(text_data)

    def told(self, message: dict[str, Any]) -> None:
        raise RuntimeError("no mana")

    def disconnect(self, code: int) -> None:
        log.info("disconnecting", code=code)


@telemetry_consumer
class Rejects(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        await self.close(4003)


@telemetry_consumer
class Denies(AsyncWebsocketConsumer):
    """Answers the handshake with an HTTP response."""

    async def connect(self) -> None:
        await self.base_send({"type": "websocket.http.response.start", "status": 401, "headers": []})
        await self.base_send({"type": "websocket.http.response.body", "body": b"no"})


@telemetry_consumer
class FailsToConnect(AsyncWebsocketConsumer):
    async def connect(self) -> None:
        raise RuntimeError("no mana")


@telemetry_consumer
class FailsToDisconnect(AsyncWebsocketConsumer):
    async def disconnect(self, code: int) -> None:
        raise RuntimeError("no mana")


@telemetry_consumer
class Streams(AsyncHttpConsumer):
    """Tells everyone, or streams for ever."""

    async def http_request(self, message: dict[str, Any]) -> None:
        self.body.append(message["body"])
        if message.get("more_body"):
            return
        log.info("handled")
        if b"".join(self.body) == b"fail":
            raise RuntimeError("no mana")
        if b"".join(self.body) == b"for ever":
            await self.send_headers()
            await self.more({})
            return
        await self.channel_layer.group_send("everyone", {"type": "told"})
        await self.send_response(200, b"told")
        raise StopConsumer

    async def more(self, message: dict[str, Any]) -> None:
        """Send a piece, and tell itself to go on."""
        await self.send_body(b"piece\n", more_body=True)
        await asyncio.sleep(0.01)
        await self.channel_layer.send(self.channel_name, {"type": "more"})


@telemetry_consumer
class Thumbnails(AsyncConsumer):
    """Works on a channel."""

    async def make(self, message: dict[str, Any]) -> None:
        log.info("made", keys=sorted(message))


class Bare(AsyncWebsocketConsumer):
    """Not decorated; fails at the first message."""

    async def receive(self, text_data: Any = None, bytes_data: Any = None) -> None:
        raise RuntimeError("nobody watches")


sockets = {
    "async": Obeys,
    "bare": Bare,
    "sync": SyncObeys,
    "rejects": Rejects,
    "denies": Denies,
    "fails_to_connect": FailsToConnect,
    "fails_to_disconnect": FailsToDisconnect,
}
application = ProtocolTypeRouter(
    {
        "http": URLRouter([path("api/stream/", Streams.as_asgi()), re_path("", django)]),
        "websocket": AuthMiddlewareStack(
            URLRouter([path(f"ws/{name}/draft/<int:draft_id>/", consumer.as_asgi()) for name, consumer in sockets.items()])
        ),
        "channel": ChannelNameRouter({"thumbnails": Thumbnails.as_asgi()}),
    }
)
