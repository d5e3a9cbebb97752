"""``SQL_COMMENTS``: the ids of the click in a comment on each statement, for ``pg_stat_activity`` and slow logs.

The form is that of sqlcommenter. No character of a request id ends a comment, or is read as a
placeholder by a driver.
"""

import sys
from typing import Any

from ..context import get_request_id, inject, valid_request_id

__all__ = ["with_comment"]


def with_comment(sql: Any, *, prepend: bool) -> Any:
    """Return *sql* with a comment that has the current request id and, with OpenTelemetry on, the ``traceparent``.

    It is returned as it is if it has comments already, if it is empty, or if nothing is bound.

    Args:
        sql: a text, bytes, or an object of psycopg's.
        prepend: put the comment before the statement. At the end it may be cut off with the end of a long statement.
    """
    comment = _comment()
    if comment is None:
        return sql
    if isinstance(sql, str):
        return _in_text(sql, comment, prepend=prepend)
    if isinstance(sql, bytes):
        try:
            return _in_text(sql.decode(), comment, prepend=prepend).encode()
        except UnicodeDecodeError:
            return sql
    return _in_composed(sql, comment, prepend=prepend)


def _comment() -> str | None:
    request_id = get_request_id()
    if not valid_request_id(request_id):
        return None
    carrier: dict[str, Any] = {}
    inject(carrier)
    keys = {"request_id": request_id} | ({"traceparent": carrier["traceparent"]} if "traceparent" in carrier else {})
    return "/*" + ",".join(f"{key}='{value}'" for key, value in keys.items()) + "*/"


def _in_text(sql: str, comment: str, *, prepend: bool) -> str:
    statement = sql.rstrip()
    if not statement or "/*" in sql or "--" in sql:
        return sql
    if prepend:
        return f"{comment} {sql}"
    end = statement[len(statement.rstrip("; \t\r\n")) :]
    return f"{statement[: len(statement) - len(end)]} {comment}{end}"


def _in_composed(sql: Any, comment: str, *, prepend: bool) -> Any:
    """Return *sql*, composed by psycopg or psycopg2, with the comment. Anything else is returned as it is."""
    module = sys.modules.get("psycopg.sql" if type(sql).__module__.startswith("psycopg.") else "psycopg2.sql")
    if module is None or not isinstance(sql, module.Composable):
        return sql
    return module.SQL(f"{comment} ") + sql if prepend else sql + module.SQL(f" {comment}")
