"""Log records: made from an event of our loggers, and read again as fields, whoever made them."""

import logging
from collections.abc import Mapping
from itertools import islice
from types import FrameType
from typing import Any

__all__ = [
    "NOT_AS_THEY_ARE",
    "NO_REQUEST_ID",
    "OWN_NAMES",
    "STEERING",
    "exception_of",
    "fields_of",
    "make_record",
    "rename_own",
]

_SAMPLE = vars(logging.LogRecord("", 0, "", 0, "", (), None))
_STANDARD_COUNT = len(_SAMPLE)
_COLLIDED = "_dtx_collided"
#: What formatters add to a record (uvicorn's are coloured copies of the message), and ours.
_ADDED_LATER = frozenset({"message", "asctime", "taskName", "color_message", "levelprefix", _COLLIDED})
_NO_FIELDS = frozenset(_SAMPLE) | _ADDED_LATER
#: What `ContextFilter` puts on a record as ``request.id`` where there is none.
NO_REQUEST_ID = "-"
#: Names on a line that always hold our values.
OWN_NAMES = frozenset({"timestamp", "level", "logger", "event"})
#: What frameworks hand to handlers of their own. Django's loggers: the request, or the server's socket, to make mails of.
#: Celery's: arguments, results and tracebacks as text, in which no secret can be found any more.
_FRAMEWORKS_ONLY = {"django": frozenset({"request", "server_time"}), "celery": frozenset({"data"})}
_UNUSUAL = OWN_NAMES | _ADDED_LATER | frozenset().union(*_FRAMEWORKS_ONLY.values())
#: Keywords of a call that say something about the record.
STEERING = frozenset({"exc_info", "stack_info", "stacklevel"})
#: Names of fields that the way by a record to the line treats in some way of their own.
NOT_AS_THEY_ARE = _UNUSUAL | _NO_FIELDS | STEERING


def make_record(
    logger: logging.Logger,
    level: int,
    event: str,
    args: tuple[Any, ...],
    fields: Mapping[str, Any],
    frame: FrameType,
    exc_info: Any = None,
    stack_info: str | None = None,
) -> logging.LogRecord:
    """Return a record of *event* whose attributes hold *fields*, for every handler to read.

    A field that is named as an attribute of log records is kept aside, where only `fields_of` finds it.
    """
    code = frame.f_code
    factory = logging.getLogRecordFactory()
    record = factory(logger.name, level, code.co_filename, frame.f_lineno, event, args, exc_info, code.co_name, stack_info)
    if _NO_FIELDS.isdisjoint(fields):
        record.__dict__.update(fields)
    else:
        record.__dict__.update({key: value for key, value in fields.items() if key not in _NO_FIELDS})
        record.__dict__[_COLLIDED] = {key: value for key, value in fields.items() if key in _NO_FIELDS}
    return record


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
    fields = {key: value for key, value in attributes.items() if key not in unwanted}
    fields.update(attributes.get(_COLLIDED, {}))
    if fields.get("request.id") == NO_REQUEST_ID:
        del fields["request.id"]
    return rename_own(fields)


def exception_of(record: logging.LogRecord) -> BaseException | None:
    """Return the exception of *record*, ``None`` where it has none. Some make records with the exception alone."""
    exc_info: Any = record.exc_info
    error = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else exc_info
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
