"""One log line, read again."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from typing import Any

import orjson

__all__ = ["LEVELS", "OWN_NAMES", "REQUEST_IDS", "Line", "Once", "has_own_values", "iso_time", "parse_time", "to_json"]

#: The fields that every line has.
OWN_NAMES = ("timestamp", "level", "logger", "event")
LEVELS = ("debug", "info", "warning", "error", "critical")
#: What a request's id is called, by this library first, then by asgi-correlation-id, django-guid, django-structlog.
REQUEST_IDS = ("request.id", "correlation_id", "request_id", "requestId")
#: The first part of the names of the library's own loggers.
_OURS = ("dtx_telemetry.", "dtx_telemetry")
#: The length of a time with microseconds, by which two lines can be told apart.
_EXACT = len("2026-01-15T10:23:45.000000Z")
_NUMBERS = (float, int)
_own_values = itemgetter(*OWN_NAMES)
# orjson reads 1024 levels of objects and arrays, and writes 254.
_MAX_DEPTH = 100
#: The year 9999 begins; what is later, or before 1970, cannot be shown in every zone.
_END_OF_TIME = 253_370_764_800.0
_NOTHING: Mapping[str, str] = {}
#: What says best where a line comes from, first.
_ROLES = ("service", "container", "pod", "host", "file")


class Line:
    """A log line.

    Attributes:
        fields: everything that it says.
        raw: its JSON, without what a container runtime or collector put around it.
        origin: what those say of where it comes from: ``service``, ``container``, ``pod``, ``host``, and `source` as ``file``.
    """

    __slots__ = ("_time", "fields", "origin", "raw")

    def __init__(self, fields: Mapping[str, Any], raw: bytes, origin: Mapping[str, str] = _NOTHING) -> None:
        self.fields = fields
        self.raw = raw
        self.origin = origin
        self._time: float | None = None

    def __repr__(self) -> str:
        return f"<Line {self.fields['timestamp']} {self.event}>"

    @property
    def time(self) -> float:
        """When it was logged, in seconds since the epoch. Read when it is asked for, since most lines are only counted."""
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
        """The event if the library logged it, else an empty string: an application may use the same names."""
        fields = self.fields
        # An empty name of a logger is one that LOG_FIELD_NAMES left out.
        event: str = fields["event"] if not fields["logger"] or fields["logger"].startswith(_OURS) else ""
        return event

    @property
    def request_id(self) -> str | None:
        """The id of its request, by whichever library."""
        for name in REQUEST_IDS:
            value = self.fields.get(name)
            if type(value) is str and value:
                return value
        return None

    @property
    def source(self) -> str:
        """The file that it stands in, or the command that printed it, if there are several."""
        return self.origin.get("file", "")

    @source.setter
    def source(self, name: str) -> None:
        if name:
            self.origin = {**self.origin, "file": name}

    @property
    def service(self) -> str:
        """Where it comes from, as a platform names that, else the file."""
        origin = self.origin
        return next((origin[role] for role in _ROLES if role in origin), "") if origin else ""

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
        """Its labels, none if it has none or something else under that name."""
        labels = self.fields.get("labels")
        return [str(label) for label in labels] if isinstance(labels, list) else []

    @property
    def duration(self) -> float | None:
        """``duration_ms`` in seconds."""
        milliseconds = self.number("duration_ms")
        return None if milliseconds is None else milliseconds / 1000


class Once:
    """Lets each line through once, though a collector delivered it twice, or a file was copied.

    It remembers a bounded number of the latest lines. Lines of other libraries whose times are coarse all pass.
    """

    _MOST = 100_000

    def __init__(self) -> None:
        self._new: set[int] = set()
        self._old: set[int] = set()

    def __call__(self, lines: Sequence[Line]) -> Sequence[Line]:
        """Return those of *lines* that have not come before, and remember them."""
        # By all that they say, microseconds included: no process logs the same twice within one.
        keys = {hash(line.raw) for line in lines}
        if len(keys) < len(lines) or not (self._new.isdisjoint(keys) and self._old.isdisjoint(keys)):
            lines = [line for line in lines if self._is_new(line)]
        self._new |= keys
        if len(self._new) >= self._MOST:
            self._old, self._new = self._new, set()
        return lines

    def _is_new(self, line: Line) -> bool:
        key = hash(line.raw)
        if key in self._new or key in self._old:
            return not line.raw or len(line.fields["timestamp"]) < _EXACT
        self._new.add(key)
        return True


def has_own_values(fields: Mapping[str, Any]) -> bool:
    """Return whether *fields* have the four of every line, with values as this library writes them.

    Raises:
        KeyError: one of them is missing.
        TypeError: what was read has no fields.
    """
    timestamp, level, logger, event = _own_values(fields)
    return type(timestamp) is type(level) is type(logger) is type(event) is str and timestamp[4:5] == timestamp[7:8] == "-"


def to_json(value: object, option: int | None = None) -> bytes:
    """Return *value*, which was read from JSON, as JSON. What is nested deeper than can be written is left out.

    Args:
        value: any value of a line, or results that hold some.
        option: of orjson.
    """
    try:
        return orjson.dumps(value, str, option)
    except orjson.JSONEncodeError:
        return orjson.dumps(_shallow(value, _MAX_DEPTH), str, option)


def _shallow(value: Any, depth: int) -> Any:
    if not isinstance(value, dict | list):
        return value
    if not depth:
        return "[too deep]"
    if isinstance(value, dict):
        return {key: _shallow(item, depth - 1) for key, item in value.items()}
    return [_shallow(item, depth - 1) for item in value]


def parse_time(text: str) -> float | None:
    """Return an ISO 8601 time as seconds since the epoch, ``None`` if it is none. Without an offset it is UTC.

    What is not between 1970 and the year 9999 is no time either.
    """
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds < _END_OF_TIME else None


def iso_time(seconds: float) -> str:
    """Return a time as lines have it: ISO 8601 in UTC, with microseconds."""
    return datetime.fromtimestamp(max(seconds, 0.0), UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
