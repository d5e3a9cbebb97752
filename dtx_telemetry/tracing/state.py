"""Whether OpenTelemetry is on: the one thing that the edges ask."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tracing import Tracing

__all__ = ["TRACING", "Switch"]


class Switch:
    """Holds what begins and ends spans; ``None`` while OpenTelemetry is off. Written at start-up, and where settings change."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on: Tracing | None = None


TRACING = Switch()
