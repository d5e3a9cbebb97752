"""Lines that are not written as ours: those of other libraries, by their usual names, and ours under `LOG_FIELD_NAMES`."""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from .line import OWN_NAMES, iso_time, parse_time

__all__ = ["flat", "own_level", "usual_fields", "usual_time"]

_TIMES = ("timestamp", "@timestamp", "time", "ts", "asctime", "datetime", "date", "_time", "TimeGenerated", "t")
_LEVELS = ("level", "severity", "log.level", "levelname", "log_level", "lvl", "severity_text", "status")
_LOGGERS = ("logger", "logger_name", "log.logger", "loggerName", "name", "logger.name")
_EVENTS = ("event", "message", "msg", "short_message", "body", "textPayload")
_LEVEL_NAMES = {
    **{name: name for name in ("debug", "info", "warning", "error", "critical")},
    "trace": "debug",
    "notice": "info",
    "default": "info",
    "information": "info",
    "ok": "info",
    "warn": "warning",
    "err": "error",
    "severe": "error",
    "exception": "error",
    "fatal": "critical",
    "crit": "critical",
    "alert": "critical",
    "emerg": "critical",
    "emergency": "critical",
}
#: Numbers of syslog, which GELF has too, and of pino and bunyan.
_SYSLOG = ("critical", "critical", "critical", "error", "warning", "info", "info", "debug")
_PINO = {10: "debug", 20: "debug", 30: "info", 40: "warning", 50: "error", 60: "critical"}
#: The first parts of fields' names, which some stores turn into objects.
_HEADS = frozenset({"request", "user", "scope", "task", "ws", "http", "url", "command", "operation", "db", "client", "log"})
_FIRST_SECOND = 1e8


@cache
def _renamed() -> dict[str, str]:
    """Return our names by those that ``LOG_FIELD_NAMES`` in the environment gives them."""
    pairs = (pair.partition("=") for pair in os.environ.get("LOG_FIELD_NAMES", "").split(","))
    return {other.strip(): ours.strip() for ours, _, other in pairs if other.strip()}


def usual_fields(value: Mapping[str, Any], above: Sequence[Mapping[str, Any]] = ()) -> dict[str, Any] | None:
    """Return the fields of a line under our names, ``None`` for what is no line: one has a time and a message.

    Args:
        value: an object.
        above: the objects that it stands in, the innermost first: some platforms keep time and level there.
    """
    names = _renamed()
    fields = flat({names.get(key, key): item for key, item in value.items()} if names else value)
    event = _take(fields, _EVENTS, lambda found: found if isinstance(found, str) and found else None)
    if event is None:
        return None
    timestamp = _take(fields, _TIMES, usual_time) or _inherited(above, _TIMES, usual_time)
    if timestamp is None:
        return None
    level = _take(fields, _LEVELS, _level) or _inherited(above, _LEVELS, _level) or "info"
    logger = _take(fields, _LOGGERS, lambda found: found if isinstance(found, str) else None)
    rest = {f"{key}_" if key in OWN_NAMES else key: item for key, item in fields.items()}
    return {"timestamp": timestamp, "level": level, "logger": logger or "", "event": event, **rest}


def flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return *fields* with ``{"request": {"id": …}}`` as ``request.id`` again."""
    made: dict[str, Any] = {}
    if dict not in map(type, fields.values()):
        return dict(fields)
    for key, value in fields.items():
        if isinstance(value, dict) and (key in _HEADS or value.keys() == {"id"}):
            for name, item in value.items():
                inner = flat({name: item}) if not isinstance(item, dict) else {f"{name}.{k}": v for k, v in flat(item).items()}
                made |= {f"{key}.{path}": found for path, found in inner.items() if f"{key}.{path}" not in fields}
        else:
            made[key] = value
    return made


def _take(fields: dict[str, Any], names: Sequence[str], read: Any) -> Any:
    for name in names:
        if name in fields and (found := read(fields[name])) is not None:
            del fields[name]
            return found
    return None


def _inherited(above: Sequence[Mapping[str, Any]], names: Sequence[str], read: Any) -> Any:
    found = (read(outer[name]) for outer in above for name in names if name in outer)
    return next((each for each in found if each is not None), None)


def own_level(level: str) -> str:
    """Return the *level* of a line with our four fields. An application's own keeps its name, unless that means a failure."""
    name, known = level.strip().lower(), _level(level)
    return known if known in ("error", "critical") else name


def _level(value: object) -> str | None:
    if isinstance(value, dict):  # loguru's
        value = value.get("name")
    if isinstance(value, str):
        return _LEVEL_NAMES.get(value.strip().lower())
    if type(value) is int:
        return _SYSLOG[value] if 0 <= value < len(_SYSLOG) else _PINO.get(value)
    return None


def usual_time(value: object) -> str | None:
    """Return a time as ISO 8601: a text of that form, or seconds, milli-, micro- or nanoseconds since the epoch."""
    if isinstance(value, str):
        text = value.strip()
        if not text.replace(".", "", 1).isdecimal():
            return text if parse_time(text) is not None else None
        seconds = float(text)
    elif type(value) in (int, float):
        seconds = float(value)  # type: ignore[arg-type]
    else:
        return None
    for _ in range(3):
        if seconds > _FIRST_SECOND * 100:  # later than the year 2286: a smaller unit
            seconds /= 1000
    if not _FIRST_SECOND <= seconds <= _FIRST_SECOND * 100:
        return None
    return iso_time(seconds)
