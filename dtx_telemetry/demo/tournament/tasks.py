"""What is done behind the click."""

from typing import Any

from asgiref.sync import async_to_sync
from celery import shared_task
from channels.layers import get_channel_layer

from dtx_telemetry import get_logger

log = get_logger(__name__)

_ROLES = {"Invoker": "mid", "Crystal Maiden": "support", "Axe": "offlane"}


@shared_task(name="announce_pick")
def announce_pick(tournament_id: int, draft_id: int, hero: str) -> None:
    """Find the role of *hero*, and tell everybody who watches the tournament."""
    role = _ROLES.get(hero, "carry")
    log.info("draft_pick_announced", hero=hero, role=role)
    message = {"type": "draft.pick", "draft": draft_id, "hero": hero, "role": role}
    layer: Any = get_channel_layer()
    async_to_sync(layer.group_send)(f"tournament_{tournament_id}", message)
