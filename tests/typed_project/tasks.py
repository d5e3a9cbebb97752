"""Celery's side: importing it connects its signals, and two of its own let an application change what travels."""

from typing import Any

import dtx_telemetry.celery
from dtx_telemetry import get_logger
from dtx_telemetry.celery import context_publishing, context_restored

log = get_logger()


def drop_tenant(sender: object, context: dict[str, Any], **_: object) -> None:
    """Keep a field at home."""
    context.pop("tenant", None)


context_publishing.connect(drop_tenant)
context_restored.connect(drop_tenant)
assert dtx_telemetry.celery.__all__
