"""Log records: an event's fields put on one, and read again as fields: our own, stdlib's and structlog's."""

import logging
import sys
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from itertools import islice
from types import MethodType
from typing import Any

__all__ = [
    "LEVEL_NAMES",
    "NOT_AS_THEY_ARE",
    "NO_REQUEST_ID",
    "OWN_NAMES",
    "STEERING",
    "EventText",
    "Made",
    "add_fields",
    "exception_in",
    "exception_of",
    "fields_of",
    "made_of",
    "rename_own",
    "rendered",
    "structlogs_event",
    "without_repeated",
]

#: Levels as lines name them.
LEVEL_NAMES = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}

_SAMPLE = vars(logging.LogRecord("", 0, "", 0, "", (), None))
_STANDARD_COUNT = len(_SAMPLE)
_COLLIDED = "_dtx_collided"
_IGNORED = "_dtx_ignored"
#: What formatters add to a record (uvicorn's are coloured copies of the message), and ours.
_ADDED_LATER = frozenset({"message", "asctime", "taskName", "color_message", "levelprefix", _COLLIDED, _IGNORED})
#: What OpenTelemetry's LoggingInstrumentor puts on each record: lines have the ids of the span by themselves.
_SPAN_COPIES = frozenset({"otelSpanID", "otelTraceID", "otelTraceSampled", "otelServiceName"})
#: A record's methods. A field of that name would hide one from handlers; New Relic's agent does so on purpose, on each record.
_METHODS = frozenset(name for name in vars(logging.LogRecord) if not name.startswith("__"))
_NO_FIELDS = frozenset(_SAMPLE) | _ADDED_LATER | _SPAN_COPIES | _METHODS
#: What `ContextFilter` puts on a record as ``request.id`` if there is none.
NO_REQUEST_ID = "-"
#: Names on a line that always hold our values.
OWN_NAMES = frozenset({"timestamp", "level", "logger", "event"})
#: What frameworks hand to handlers of their own. Django's loggers: the request, or the server's socket, to make mails of.
#: Celery's: arguments, results and tracebacks as text, in which no secret can be found any more.
_FRAMEWORKS_ONLY = {"django": frozenset({"request", "server_time"}), "celery": frozenset({"data"})}
_UNUSUAL = OWN_NAMES | _ADDED_LATER | _SPAN_COPIES | _METHODS | frozenset().union(*_FRAMEWORKS_ONLY.values())
#: Keywords of a call that say something about the record.
STEERING = frozenset({"exc_info", "stack_info", "stacklevel"})
#: Names of fields that the way by a record to the line treats in some way of their own.
NOT_AS_THEY_ARE = _UNUSUAL | _NO_FIELDS | STEERING


def add_fields(record: logging.LogRecord, fields: Mapping[str, Any], *, ignored: AbstractSet[str] = frozenset()) -> None:
    """Put *fields* on *record* as attributes, for every handler to read.

    Args:
        record: the event's.
        fields: one that is named as an attribute of log records is kept aside for `fields_of`.
        ignored: names that are on the record already and are none of the event's.
    """
    attributes = record.__dict__
    if ignored and (names := ignored - _NO_FIELDS - fields.keys()):
        attributes[_IGNORED] = tuple(names)  # other handlers see it too, and can make something of a tuple
    if _NO_FIELDS.isdisjoint(fields):
        attributes.update(fields)
    else:
        attributes.update({key: value for key, value in fields.items() if key not in _NO_FIELDS})
        attributes[_COLLIDED] = {key: value for key, value in fields.items() if key in _NO_FIELDS}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the event's own fields: what was given as keywords to our loggers, or as ``extra`` to stdlib's."""
    attributes = record.__dict__
    if type(record) is logging.LogRecord:
        if len(attributes) == _STANDARD_COUNT:
            return {}
        # Its own attributes come first, so what follows them was added.
        fields = dict(islice(attributes.items(), _STANDARD_COUNT, None))
        if _UNUSUAL.isdisjoint(fields) and fields.get("request.id") != NO_REQUEST_ID:
            return fields
    unwanted = _NO_FIELDS | _FRAMEWORKS_ONLY.get(str(record.name).partition(".")[0], frozenset())
    unwanted |= frozenset(attributes.get(_IGNORED, ()))
    fields = {key: value for key, value in attributes.items() if key not in unwanted and not _is_method_of(record, value)}
    fields.update(attributes.get(_COLLIDED, {}))
    if fields.get("request.id") == NO_REQUEST_ID:
        del fields["request.id"]
    return rename_own(without_repeated(fields, record.name, LEVEL_NAMES.get(record.levelno)))


def _is_method_of(record: logging.LogRecord, value: object) -> bool:
    return type(value) is MethodType and value.__self__ is record


def exception_of(record: logging.LogRecord) -> BaseException | None:
    """Return the exception of *record*, ``None`` if it has none. Some make records with the exception alone."""
    if record.exc_info:
        return exception_in(record.exc_info)
    return None if type(record.msg) is str else exception_in(structlogs_event(record))


def exception_in(source: Any) -> BaseException | None:
    """Return the exception in *source*: a tuple, an exception, or an event dict of structlog's."""
    if isinstance(source, dict):
        made = source.get("exception")
        source = made.error if isinstance(made, Made) else source.get("exc_info")
        source = sys.exc_info() if source is True else source
    error = source[1] if isinstance(source, tuple) and len(source) == 3 else source
    return error if isinstance(error, BaseException) else None


def rename_own(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return *fields* with ``_`` appended to those that are named like one of ours on the line."""
    renamed: dict[str, Any] = {}
    for key, value in fields.items():
        name = key
        while name in OWN_NAMES or (name != key and (name in fields or name in renamed)):
            name += "_"
        renamed[name] = value
    return renamed


class Made:
    """What a processor of structlog's made of an event, for other handlers. Our line is made of what it was before.

    A text, a number or a list, which is used, copied and pickled as such.

    Attributes:
        error: the exception that it shows.
        fields: the event dict that it shows.
    """

    error: BaseException | None = None
    fields: dict[str, Any] | None = None


class _MadeText(Made, str):  # noqa: SLOT000 - it takes notes
    def __reduce__(self) -> tuple[Any, ...]:
        return str, (str.__str__(self),)


class _MadeBytes(Made, bytes):
    def __reduce__(self) -> tuple[Any, ...]:
        return bytes, (bytes(self),)


class _MadeNumber(Made, float):
    def __reduce__(self) -> tuple[Any, ...]:
        return float, (float(self),)


class _MadeList(Made, list[Any]):
    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


class EventText(str):
    """The event of a dict, under whatever name."""

    __slots__ = ()


_MADE: dict[type, Callable[[Any], Any]] = {str: _MadeText, bytes: _MadeBytes, float: _MadeNumber, list: _MadeList}


def made_of(value: Any, error: BaseException | None = None) -> Any:
    """Return *value*, which a processor made, with a note of the exception that it shows."""
    if type(value) not in _MADE:
        return value
    made = _MADE[type(value)](value)
    made.error = error
    return made


def rendered(text: Any, event: dict[str, Any]) -> Any:
    """Return *text*, which a processor made of *event*, with a note of that."""
    if type(text) not in (str, bytes):
        return text
    made = _MADE[type(text)](text)
    made.fields = event
    return made


def structlogs_event(record: logging.LogRecord) -> dict[str, Any] | None:
    """Return the event dict that structlog made *record* of, ``None`` for a record of other origin."""
    message: Any = record.msg
    if isinstance(message, Made):
        return message.fields
    # As ``ProcessorFormatter.wrap_for_formatter`` leaves it.
    return message if isinstance(message, dict) and "_name" in record.__dict__ and "_logger" in record.__dict__ else None


def without_repeated(fields: Mapping[str, Any], name: str, level: str | None) -> dict[str, Any]:
    """Return *fields* without what processors of structlog's add and each line says anyway."""
    said = {"level": level, "logger": name}
    return {
        key: value
        for key, value in fields.items()
        if not isinstance(value, Made) and not (key in said and type(value) is str and value == said[key])
    }
