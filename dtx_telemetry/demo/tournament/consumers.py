"""Who watches a tournament, by WebSocket."""

from typing import Any

from channels.generic.websocket import AsyncJsonWebsocketConsumer

from dtx_telemetry import get_logger, telemetry_consumer

log = get_logger(__name__)


@telemetry_consumer(log_messages=True)
class DraftConsumer(AsyncJsonWebsocketConsumer):
    """Pushes each pick of a tournament to a user who is logged in."""

    async def connect(self) -> None:
        user = self.scope["user"]
        if user is None or not user.is_authenticated:
            await self.close()
            return
        await self.channel_layer.group_add(self._group, self.channel_name)
        await self.accept()

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(self._group, self.channel_name)

    async def draft_pick(self, message: dict[str, Any]) -> None:
        """A task announced a pick."""
        log.info("draft_pick_shown", hero=message["hero"])
        await self.send_json({key: message[key] for key in ("draft", "hero", "role")})

    @property
    def _group(self) -> str:
        return f"tournament_{self.scope['url_route']['kwargs']['tournament_id']}"
