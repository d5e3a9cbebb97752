"""One log line, read again."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

__all__ = ["OURS", "OWN_NAMES", "Line", "parse_time"]

#: The fields that every line has.
OWN_NAMES = ("timestamp", "level", "logger", "event")
#: The first part of the names of the library's own loggers.
OURS = "dtx_telemetry"
_NUMBERS = (float, int)
#: The year 9999 begins; what is later, or before 1970, cannot be shown in every zone.
_END_OF_TIME = 253_370_764_800.0


class Line:
    """A log line.

    Attributes:
        fields: everything that it says.
        raw: its JSON, without what a container runtime or collector put around it.
    """

    __slots__ = ("_time", "fields", "raw")

    def __init__(self, fields: Mapping[str, Any], raw: bytes) -> None:
        self.fields = fields
        self.raw = raw
        self._time: float | None = None

    def __repr__(self) -> str:
        return f"<Line {self.fields['timestamp']} {self.event}>"

    @property
    def time(self) -> float:
        """When it was logged, in seconds since the epoch; read when it is asked for, since most lines are only counted."""
        if self._time is None:
            self._time = parse_time(self.fields["timestamp"]) or 0.0
        return self._time

    @property
    def event(self) -> str:
        event: str = self.fields["event"]
        return event

    @property
    def level(self) -> str:
        level: str = self.fields["level"]
        return level

    @property
    def own_event(self) -> str:
        """The event where the library logged it, else an empty string: an application may use the same names."""
        fields = self.fields
        event: str = fields["event"] if fields["logger"].startswith(OURS) else ""
        return event

    def text(self, name: str) -> str | None:
        """Return a field that is a non-empty string, else ``None``."""
        value = self.fields.get(name)
        return value if isinstance(value, str) and value else None

    def number(self, name: str) -> float | None:
        """Return a field that is a number and not negative, else ``None``."""
        value: Any = self.fields.get(name)
        return float(value) if type(value) in _NUMBERS and 0 <= value < 2**53 else None

    @property
    def labels(self) -> list[str]:
        """Its labels; none where it has none, or something else under that name."""
        labels = self.fields.get("labels")
        return [str(label) for label in labels] if isinstance(labels, list) else []

    @property
    def duration(self) -> float | None:
        """``duration_ms`` in seconds."""
        milliseconds = self.number("duration_ms")
        return None if milliseconds is None else milliseconds / 1000


def parse_time(text: str) -> float | None:
    """Return an ISO 8601 time as seconds since the epoch, ``None`` if it is none; without an offset it is UTC.

    What is not between 1970 and the year 9999 is no time either.
    """
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < _END_OF_TIME else None
