"""Settings, which name ours by their paths."""

from typing import Any

INSTALLED_APPS = ["dtx_telemetry"]
MIDDLEWARE = ["dtx_telemetry.middleware.TelemetryMiddleware"]
CHANNEL_LAYERS: dict[str, Any] = {
    "default": {
        "BACKEND": "dtx_telemetry.layers.TelemetryChannelLayer",
        "CONFIG": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    }
}
