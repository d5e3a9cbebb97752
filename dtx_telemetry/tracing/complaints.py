"""What OpenTelemetry itself logs: at most one line a minute from each of its loggers, and never back into its own exporters."""

import logging
import time

__all__ = ["Complaints", "is_opentelemetrys"]

_SECONDS = 60.0
_MAX_LOGGERS = 256


def is_opentelemetrys(name: str) -> bool:
    """Whether a logger of that name is one of OpenTelemetry's."""
    return name.startswith("opentelemetry.") or name == "opentelemetry"


class Complaints:
    """Decides which of OpenTelemetry's own records are printed: an exporter that cannot export complains each second.

    A filter on a parent logger does not see what its children log, so the handler asks.
    """

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def lets_pass(self, record: logging.LogRecord) -> bool:
        """Whether *record* is printed."""
        name = record.name
        if not is_opentelemetrys(name):
            return True
        now = time.monotonic()
        if now < self._next.get(name, 0.0):
            return False
        if len(self._next) < _MAX_LOGGERS:
            self._next[name] = now + _SECONDS
        return True
