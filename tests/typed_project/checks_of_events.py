"""A project's own tests."""

from typing import Any, assert_type

from dtx_telemetry.pytest_plugin import TelemetryEvents


def check_pick(telemetry_events: TelemetryEvents) -> None:
    """Look at what was logged."""
    assert_type(telemetry_events.one("picked", hero="Invoker"), dict[str, Any])
    assert_type(telemetry_events.all(request_id="r1"), list[dict[str, Any]])
    telemetry_events.clear()
