"""Every query of a connection passes by here: counted for its scope, logged if asked for, commented if asked for."""

import inspect
import logging
import sys
import time
from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from ..config import Settings
from ..context import Scope, current_scope, milliseconds, take_part
from ..events import DB_QUERIED
from ..guard import never_raises, report, signal_receiver
from ..logging import get_logger
from .comments import with_comment
from .statements import MAX_TEXT, is_of_transaction, readable, text_of
from .totals import Totals, TotalsOfScopes, totals_of

__all__ = ["install", "is_ours"]

_MARK = "_dtx_connected"
_UID = "dtx_telemetry.wrap_queries"
#: Lines of queries in one scope; a million of them would take the process with them.
_MAX_LINES = 1000
_CONNECT = inspect.unwrap(BaseDatabaseWrapper.connect).__code__
_log = get_logger("dtx_telemetry.database")
# A log handler of the application's may write to the database.
_is_logging: ContextVar[bool] = ContextVar("dtx_telemetry_logs_query", default=False)


@never_raises
def install(settings: Settings) -> None:
    """Watch the connections that are open, and those that will be, as *settings* say, or stop watching."""
    for connection in connections.all(initialized_only=True):
        _take_away(connection)
    connection_created.disconnect(dispatch_uid=_UID)
    is_on = settings.enabled and settings.db_queries != "off"
    take_part("database", TotalsOfScopes() if is_on else None)
    if not is_on:
        return

    @signal_receiver
    def wrap_queries(connection: Any) -> None:
        _put(connection, settings)

    connection_created.connect(wrap_queries, weak=False, dispatch_uid=_UID)
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _put(connection, settings)


class _Connected:
    """Which of the driver's connections has been opened, and which has been asked all that is asked while it is opened."""

    opened: Any = None
    connection: Any = None

    def is_ready(self, connection: Any) -> bool:
        """Return True if *connection* is through with what Django, and other receivers of its signal, ask as it connects."""
        if connection is not self.opened or _is_connecting():
            return False
        self.connection = connection
        return True


def _is_connecting() -> bool:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not _CONNECT:
        frame = frame.f_back
    return frame is not None


def _put(connection: Any, settings: Settings) -> None:
    """Let the queries of *connection* pass by us first, once however often it connects anew.

    First, and not last: one who is inside ``with connection.execute_wrapper(…)`` as it connects takes the last one away.
    """
    wrappers = connection.execute_wrappers
    connected = next((getattr(wrapper, _MARK) for wrapper in wrappers if is_ours(wrapper)), None)
    if connected is None:
        connected = _Connected()
        wrappers.insert(0, _watching(settings, connected, connection.vendor))
    connected.opened, connected.connection = connection.connection, None


def _take_away(connection: Any) -> None:
    wrappers = connection.execute_wrappers
    wrappers[:] = [wrapper for wrapper in wrappers if not is_ours(wrapper)]


def is_ours(wrapper: object) -> bool:
    """Return True for the one of a connection's ``execute_wrappers`` that is ours."""
    return hasattr(wrapper, _MARK)


def _watching(settings: Settings, connected: _Connected, vendor: str) -> Callable[..., Any]:
    """Return a wrapper that watches the queries of one connection. A function, since calling an object takes twice as long."""
    lines, comments = settings.db_queries == "lines", settings.sql_comments

    def watch(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        scope = current_scope()
        if scope is None:
            return execute(sql, params, many, context)
        connection = context["connection"].connection
        if connection is not connected.connection and not connected.is_ready(connection):
            return execute(sql, params, many, context)
        given = sql
        if comments != "off" and not (many and vendor == "mysql"):  # its drivers join the rows if the text is nothing else
            sql = _commented(sql, comments)
        started = time.perf_counter()
        try:
            result = execute(sql, params, many, context)
        except BaseException as error:
            _note(scope, given, time.perf_counter() - started, params if many else None, context, error, lines=lines)
            raise
        seconds = time.perf_counter() - started
        if not lines and (totals := scope.queries) is not None and type(given) is str and len(given) <= MAX_TEXT:
            if not is_of_transaction(given):
                totals.add((given, seconds, vendor))  # most queries need no more
        else:
            _note(scope, given, seconds, params if many else None, context, None, lines=lines)
        return result

    setattr(watch, _MARK, connected)
    return watch


def _note(
    scope: Scope,
    sql: Any,
    seconds: float,
    rows: Any,
    context: dict[str, Any],
    error: BaseException | None,
    *,
    lines: bool,
) -> None:
    try:
        text = sql if type(sql) is str and len(sql) <= MAX_TEXT else text_of(sql)
        if is_of_transaction(text):
            return
        totals = scope.queries or totals_of(scope)
        if totals is not None:
            totals.add((text, seconds, context["connection"].vendor))
            if lines:
                _log_query(totals, text, seconds, rows, context, error)
    except Exception as failure:
        report("the count of queries", failure)


def _commented(sql: Any, where: str) -> Any:
    try:
        return with_comment(sql, prepend=where == "prepend")
    except Exception as failure:
        report("SQL_COMMENTS", failure)
        return sql


def _log_query(
    totals: Totals, text: str, seconds: float, rows: Any, context: dict[str, Any], error: BaseException | None
) -> None:
    if _is_logging.get() or totals.lines >= _MAX_LINES or not _log.isEnabledFor(logging.DEBUG):
        return
    totals.lines += 1
    connection = context["connection"]
    fields: dict[str, Any] = {
        "duration_ms": milliseconds(seconds),
        "db.query.text": readable(text, connection.vendor),
        "db.alias": connection.alias,
    }
    if isinstance(rows, list | tuple) and len(rows) > 1:  # a generator must not be consumed
        fields["db.operation.batch.size"] = len(rows)
    if error is not None:
        fields["error"] = type(error).__name__
    elif (affected := _rows(context["cursor"], text, connection.vendor)) is not None:
        fields["db.rows"] = affected
    token = _is_logging.set(True)
    try:
        _log.emit(DB_QUERIED.level, DB_QUERIED.name, fields)
    finally:
        _is_logging.reset(token)


def _rows(cursor: Any, text: str, vendor: str) -> int | None:
    """Return how many rows a statement gave or changed, ``None`` if the driver does not tell."""
    rows = getattr(cursor, "rowcount", None)
    if not isinstance(rows, int) or rows < 0:
        return None
    # SQLite's driver says 0 for an INSERT … RETURNING whose rows were not read yet.
    return None if vendor == "sqlite" and "RETURNING" in text.upper() else rows
