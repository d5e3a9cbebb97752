"""Every query of a connection passes by here: counted for its scope, logged if asked for, commented if asked for."""

import logging
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created

from ..config import Settings
from ..context import Scope, current_scope, milliseconds, take_part
from ..events import DB_QUERIED
from ..guard import never_raises, report, signal_receiver
from ..logging import get_logger
from .comments import with_comment
from .statements import MAX_TEXT, readable, text_of
from .totals import Totals, TotalsOfScopes

__all__ = ["QueryWrapper", "install"]

_UID = "dtx_telemetry.wrap_queries"
#: Lines of queries in one scope; a million of them would take the process with them.
_MAX_LINES = 1000
_log = get_logger("dtx_telemetry.database")
# A log handler of the application's may write to the database.
_is_logging: ContextVar[bool] = ContextVar("dtx_telemetry_logs_query", default=False)


@never_raises
def install(settings: Settings) -> None:
    """Watch the connections that are open, and those that will be, as *settings* say; or no more."""
    counts, comments = settings.db_queries != "off", settings.sql_comments != "off"
    for connection in connections.all(initialized_only=True):
        _take_away(connection)
    connection_created.disconnect(dispatch_uid=_UID)
    is_on = settings.enabled and (counts or comments)
    take_part("database", TotalsOfScopes() if is_on and counts else None)
    if not is_on:
        return

    @signal_receiver
    def wrap_queries(connection: Any) -> None:
        _put(connection, settings)

    connection_created.connect(wrap_queries, weak=False, dispatch_uid=_UID)
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _put(connection, settings)


def _put(connection: Any, settings: Settings) -> None:
    """Let the queries of *connection* pass by us first; once, however often it connects anew.

    First, and not last: one who is inside ``with connection.execute_wrapper(…)`` as it connects takes the last one away.
    """
    wrappers = connection.execute_wrappers
    ours = next((wrapper for wrapper in wrappers if type(wrapper) is QueryWrapper), None)
    if ours is None:
        ours = QueryWrapper(settings)
        wrappers.insert(0, ours)
    ours.connected = connection.connection


def _take_away(connection: Any) -> None:
    wrappers = connection.execute_wrappers
    wrappers[:] = [wrapper for wrapper in wrappers if type(wrapper) is not QueryWrapper]


class QueryWrapper:
    """Watches the queries of one connection.

    Args:
        settings: what to do with them.

    Attributes:
        connected: the driver's connection, once all that Django asks while connecting has been asked.
    """

    __slots__ = ("_comments", "_counts", "_lines", "connected")

    def __init__(self, settings: Settings) -> None:
        self.connected: Any = None
        self._counts = settings.db_queries != "off"
        self._lines = settings.db_queries == "lines"
        self._comments = settings.sql_comments

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
        """Execute *sql*; what it raises goes on."""
        scope = current_scope()
        if scope is None or context["connection"].connection is not self.connected:
            return execute(sql, params, many, context)
        given = sql
        if self._comments != "off":
            sql = _commented(sql, self._comments)
        started, error = time.perf_counter(), None
        try:
            return execute(sql, params, many, context)
        except BaseException as raised:
            error = raised
            raise
        finally:
            if self._counts:
                self._note(scope, given, time.perf_counter() - started, params if many else None, context, error)

    def _note(
        self, scope: Scope, sql: Any, seconds: float, rows: Any, context: dict[str, Any], error: BaseException | None
    ) -> None:
        try:
            text = sql if type(sql) is str and len(sql) <= MAX_TEXT else text_of(sql)
            # SQLite's goes through a cursor, PostgreSQL's and MariaDB's do not.
            if text == "BEGIN":
                return
            query, vendor = (text, seconds), context["connection"].vendor
            around: Scope | None = scope
            while around is not None:
                if around.kind is not None:
                    totals = around.queries
                    if totals is None:
                        totals = around.queries = Totals(vendor)
                    totals.add(query)
                around = around.outer
            if self._lines:
                _log_query(scope, text, seconds, rows, context, error)
        except Exception as failure:
            report("the count of queries", failure)


def _commented(sql: Any, where: str) -> Any:
    try:
        return with_comment(sql, prepend=where == "prepend")
    except Exception as failure:
        report("SQL_COMMENTS", failure)
        return sql


def _log_query(
    scope: Scope, text: str, seconds: float, rows: Any, context: dict[str, Any], error: BaseException | None
) -> None:
    if _is_logging.get() or not _log.isEnabledFor(logging.DEBUG) or not _may_log(scope):
        return
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


def _may_log(scope: Scope) -> bool:
    """Return True for the first queries of the scope, a block of `bind_fields` being a part of the scope around it."""
    around: Scope | None = scope
    while around is not None and around.queries is None:
        around = around.outer
    if around is None:
        return True
    around.queries.lines += 1
    return bool(around.queries.lines <= _MAX_LINES)


def _rows(cursor: Any, text: str, vendor: str) -> int | None:
    """Return how many rows a statement gave or changed, ``None`` if the driver does not tell."""
    rows = getattr(cursor, "rowcount", None)
    if not isinstance(rows, int) or rows < 0:
        return None
    # SQLite's driver says 0 for an INSERT … RETURNING whose rows were not read yet.
    return None if vendor == "sqlite" and "RETURNING" in text.upper() else rows
