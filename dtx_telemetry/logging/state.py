"""What `configure` did to this process: the one thing that the loggers ask at each call."""

from typing import Any

from ..rendering import Sanitizer, Secrets
from .handler import TelemetryHandler

__all__ = ["PROCESSORS", "STATE", "State"]


class State:
    """Written at start-up, and where settings change.

    Attributes:
        handler: prints our lines while it stands on the root logger.
        sanitizer: cleans events that are handed on as text, since no handler of ours is there.
    """

    __slots__ = ("handler", "sanitizer")

    def __init__(self) -> None:
        self.handler: TelemetryHandler | None = None
        self.sanitizer = Sanitizer(Secrets(), 16384)


STATE = State()
#: structlog's processors, empty in production. One list for ever: ``structlog.testing.capture_logs`` changes it in place.
PROCESSORS: list[Any] = []
