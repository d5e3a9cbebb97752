"""The channel layer that ``CHANNEL_LAYERS`` may name."""

from .websocket.layer import TelemetryChannelLayer

__all__ = ["TelemetryChannelLayer"]
