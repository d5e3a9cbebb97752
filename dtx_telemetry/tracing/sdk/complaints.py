"""What OpenTelemetry itself logs: at most one line a minute from each of its loggers, with the address that it is about."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Complaints", "about", "is_opentelemetrys"]

_SECONDS = 60.0
_MAX_LOGGERS = 256
# Set by an exporter's thread around each export. The exporters' own lines do not name the address that refused.
_subject: ContextVar[Mapping[str, str] | None] = ContextVar("dtx_telemetry_complaint", default=None)


def is_opentelemetrys(name: str) -> bool:
    """Return True if a logger of that name is one of OpenTelemetry's."""
    return name.startswith("opentelemetry.") or name == "opentelemetry"


@contextmanager
def about(fields: Mapping[str, str]) -> Iterator[None]:
    """Put *fields* on what OpenTelemetry logs in the block."""
    token = _subject.set(fields)
    try:
        yield
    finally:
        _subject.reset(token)


class Complaints:
    """Decides which of OpenTelemetry's own records are printed: an exporter that cannot export complains each second.

    A filter on a parent logger does not see what its children log, so the handler asks.
    """

    def __init__(self) -> None:
        self._next: dict[str, float] = {}

    def lets_pass(self, record: logging.LogRecord) -> bool:
        """Return True if *record* is to be printed. One of an exporter's gets the fields that say what it is about."""
        name = record.name
        if not is_opentelemetrys(name):
            return True
        now = time.monotonic()
        if now < self._next.get(name, 0.0):
            return False
        if len(self._next) < _MAX_LOGGERS:
            self._next[name] = now + _SECONDS
        vars(record).update(_subject.get() or {})
        return True
