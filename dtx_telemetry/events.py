"""Every event of the library as data: its name, level and own fields, and which kind of scope it opens or ends.

The edges log by this table, OpenTelemetry takes outcomes from it, and the viewer reads lines by it. So the name of an event
stands in one place.
"""

import logging
from dataclasses import dataclass
from typing import Literal

__all__ = ["EVENTS", "Event", "Kind"]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A kind of scope, one for each edge that opens such a scope.

    Attributes:
        name: ``request``, ``connection``, ``message``, ``task``, ``command`` or ``operation``.
        logger: the name of the logger of its events.
        is_timed: the scope lasts as long as what it is about, so its closing event tells how long that took.
    """

    name: str
    logger: str
    is_timed: bool = True


REQUEST = Kind("request", "dtx_telemetry.middleware")
CONSUMER_REQUEST = Kind("request", "dtx_telemetry.websocket")
CONNECTION = Kind("connection", "dtx_telemetry.websocket")
MESSAGE = Kind("message", "dtx_telemetry.websocket")
TASK = Kind("task", "dtx_telemetry.celery")
#: What the worker says about a task that did not run, or did not end, in its own scope.
TASK_REPORT = Kind("task", "dtx_telemetry.celery", is_timed=False)
DJANGO_TASK = Kind("task", "dtx_telemetry.django_tasks")
COMMAND = Kind("command", "dtx_telemetry.commands")
OPERATION = Kind("operation", "dtx_telemetry.operations")

_Role = Literal["opens", "ends"]


@dataclass(frozen=True, slots=True)
class Event:
    """One event.

    Attributes:
        name: the text of its lines.
        level: a level of `logging`. An edge may log it at another one, by the status of a response for instance.
        fields: the names of its own fields, without the scope's.
        kind: the name of the `Kind` of scope that it is about, ``None`` for events outside of any.
        role: ``opens`` or ``ends`` if it is the first or the closing event of that scope.
        outcome: how the scope ended, in a word that metrics use. ``None`` unless it ends one.
    """

    name: str
    level: int
    fields: tuple[str, ...] = ()
    kind: str | None = None
    role: _Role | None = None
    outcome: str | None = None


#: All events by name.
EVENTS: dict[str, Event] = {}


def _event(
    name: str, level: int, *fields: str, kind: str | None = None, role: _Role | None = None, outcome: str | None = None
) -> Event:
    event = EVENTS[name] = Event(name, level, fields, kind, role, outcome)
    return event


def _closing(name: str, level: int, kind: str, outcome: str, *fields: str) -> Event:
    return _event(name, level, *fields, kind=kind, role="ends", outcome=outcome)


_HTTP = ("http.method", "http.route", "http.status_code", "duration_ms")
_SOCKET = ("http.route", "ws.consumer", "close_code")
_TOTALS = ("duration_ms", "ws.messages_received", "ws.messages_sent")
_MESSAGE = ("ws.message_type", "ws.message_size")

# HTTP. The level of a completed request depends on its status.
REQUEST_COMPLETED = _closing("request_completed", logging.INFO, "request", "completed", *_HTTP)
REQUEST_FAILED = _closing("request_failed", logging.ERROR, "request", "failed", *_HTTP, "error")
REQUEST_CANCELLED = _closing(
    "request_cancelled", logging.WARNING, "request", "cancelled", "http.method", "http.route", "duration_ms"
)

# WebSocket.
WS_CONNECTED = _event(
    "ws_connected", logging.INFO, "http.route", "ws.consumer", "client.address", kind="connection", role="opens"
)
WS_REJECTED = _closing("ws_rejected", logging.WARNING, "connection", "rejected", *_SOCKET, "http.status_code")
WS_DISCONNECTED = _closing("ws_disconnected", logging.INFO, "connection", "completed", *_SOCKET, *_TOTALS)
WS_FAILED = _closing("ws_failed", logging.ERROR, "connection", "failed", *_SOCKET, *_TOTALS, "error")
WS_RECEIVED = _event("ws_received", logging.DEBUG, *_MESSAGE, kind="connection")
WS_SENT = _event("ws_sent", logging.DEBUG, *_MESSAGE, kind="connection")
WS_HANDLED = _closing("ws_handled", logging.DEBUG, "message", "completed", "ws.message_type", "duration_ms")

# Celery and Django's own Tasks.
#: Celery's own task that polls for the end of a chord's header, every second: its events are at debug unless it fails.
POLLING_TASK = "celery.chord_unlock"
TASK_PUBLISHED = _event("task_published", logging.INFO, "task.id", "task.name", "task.queue")
TASK_STARTED = _event(
    *("task_started", logging.INFO, "task.retries", "task.queue", "task.queue_ms", "task.parent_id"), kind="task", role="opens"
)
TASK_COMPLETED = _closing("task_completed", logging.INFO, "task", "completed", "duration_ms")
TASK_FAILED = _closing("task_failed", logging.ERROR, "task", "failed", "duration_ms", "error")
TASK_IGNORED = _closing("task_ignored", logging.INFO, "task", "ignored", "duration_ms")
TASK_RETRIED = _closing("task_retried", logging.WARNING, "task", "retried", "duration_ms", "error", "task.retries")
TASK_REJECTED = _closing("task_rejected", logging.WARNING, "task", "rejected", "duration_ms", "error")
TASK_REVOKED = _closing("task_revoked", logging.WARNING, "task", "revoked")
TASK_UNKNOWN = _closing("task_unknown", logging.ERROR, "task", "unknown")

# Management commands and operations.
COMMAND_STARTED = _event("command_started", logging.DEBUG, kind="command", role="opens")
COMMAND_COMPLETED = _closing("command_completed", logging.INFO, "command", "completed", "duration_ms")
COMMAND_FAILED = _closing("command_failed", logging.ERROR, "command", "failed", "duration_ms", "error")
OPERATION_COMPLETED = _closing("operation_completed", logging.INFO, "operation", "completed", "duration_ms")
OPERATION_FAILED = _closing("operation_failed", logging.ERROR, "operation", "failed", "duration_ms", "error")

# The database.
DB_QUERIED = _event(
    *("db_queried", logging.DEBUG, "duration_ms", "db.query.text", "db.alias", "db.operation.batch.size", "db.rows", "error")
)

# Telemetry itself.
CONTEXT_NOT_CARRIED_WHOLE = _event("context_not_carried_whole", logging.WARNING, "fields")
CONTEXT_NOT_RESTORED_WHOLE = _event("context_not_restored_whole", logging.WARNING, "fields")
TELEMETRY_FAILED = _event("telemetry_failed", logging.ERROR, "where")
LOG_LINES_LOST = _event("log_lines_lost", logging.WARNING, "count")
APP_NOT_INSTALLED = _event("app_not_installed", logging.WARNING, "hint")
