"""Consumers that echo, sync and async: each says on its socket what is bound while it handles a message."""

from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer, JsonWebsocketConsumer
from structlog.contextvars import get_contextvars

from dtx_telemetry import get_logger, telemetry_consumer

log = get_logger(__name__)


@telemetry_consumer
class AsyncEcho(AsyncJsonWebsocketConsumer):
    """Echoes; ``{"fail": "..."}`` makes it raise. In the group ``draft_<id>``."""

    async def websocket_connect(self, message: dict[str, Any]) -> None:
        # Here, and not in the constructor, which has no scope yet.
        self.groups = [f"draft_{self.scope['url_route']['kwargs']['draft_id']}"]
        await super().websocket_connect(message)

    async def receive_json(self, content: dict[str, Any], **kwargs: Any) -> None:
        log.info("received", content=content)
        if "fail" in content:
            raise RuntimeError(content["fail"])
        await self.send_json({"echo": content, "bound": get_contextvars()})

    async def told(self, message: dict[str, Any]) -> None:
        log.info("told", text=message["text"], keys=sorted(message))
        await self.send_json({"told": message["text"], "bound": get_contextvars()})


@telemetry_consumer
class SyncEcho(JsonWebsocketConsumer):
    """Echoes; ``{"fail": "..."}`` makes it raise."""

    def receive_json(self, content: dict[str, Any], **kwargs: Any) -> None:
        log.info("received", content=content)
        if "fail" in content:
            raise RuntimeError(content["fail"])
        self.send_json({"echo": content, "bound": get_contextvars()})
