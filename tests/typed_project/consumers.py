"""Consumers: the decorator leaves a class what it is."""

from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer, JsonWebsocketConsumer

from dtx_telemetry import get_logger, telemetry_consumer
from dtx_telemetry.layers import TelemetryChannelLayer

log = get_logger(__name__)


@telemetry_consumer
class DraftConsumer(AsyncWebsocketConsumer):
    """An asynchronous one."""

    heroes = 5

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer."""
        await log.ainfo("received", size=len(text_data or ""))
        await self.send(text_data=text_data)


@telemetry_consumer
class ChatConsumer(JsonWebsocketConsumer):
    """A synchronous one."""


def heroes(consumer: type[DraftConsumer]) -> int:
    """Return an attribute of the decorated class, which is still known."""
    return consumer.heroes + DraftConsumer.heroes


async def tell(layer: TelemetryChannelLayer, message: dict[str, Any]) -> None:
    """Send by our layer."""
    await layer.group_send("draft", message)
