"""What `configure` did to this process: the one thing that the loggers ask at each call."""

from ..rendering import Sanitizer, Secrets
from .handler import TelemetryHandler

__all__ = ["STATE", "State", "is_configured"]


class State:
    """Written at start-up, and where settings change.

    Attributes:
        handler: prints our lines while it stands on the root logger; ``None`` while telemetry is off.
        sanitizer: makes values safe that do not go through the handler.
    """

    __slots__ = ("handler", "sanitizer")

    def __init__(self) -> None:
        self.handler: TelemetryHandler | None = None
        self.sanitizer = Sanitizer(Secrets(), 16384)


STATE = State()


def is_configured() -> bool:
    """Whether our handler prints this process's lines: `configure` was called, and telemetry is not switched off."""
    return STATE.handler is not None
