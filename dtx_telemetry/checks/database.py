"""The check of databases: comments with ids do not go with prepared statements."""

from collections.abc import Iterator, Mapping

from django.conf import settings
from django.core import checks

from ..config import get_settings

__all__ = ["check_prepared_statements"]


def check_prepared_statements() -> Iterator[checks.CheckMessage]:
    """Yield W008, for each database whose driver prepares statements that ``SQL_COMMENTS`` makes differ.

    Or once, if ``DB_QUERIES`` keeps comments away altogether.
    """
    found = get_settings()
    if not found.enabled or found.sql_comments == "off":
        return
    if found.db_queries == "off":
        yield checks.Warning(
            f"SQL_COMMENTS={found.sql_comments} has no effect: DB_QUERIES=off leaves connections alone.",
            hint="Set DB_QUERIES=count, or SQL_COMMENTS=off.",
            id="dtx_telemetry.W008",
        )
        return
    for alias, database in settings.DATABASES.items():
        options = database.get("OPTIONS") or {}
        # psycopg's. Django hands it on, and leaves preparing off without it.
        if isinstance(options, Mapping) and options.get("prepare_threshold") is not None:
            yield checks.Warning(
                f"SQL_COMMENTS={found.sql_comments} makes every statement different, so each would be prepared anew: "
                f"DATABASES[{alias!r}]['OPTIONS'] has a prepare_threshold.",
                hint=f"Remove prepare_threshold from DATABASES[{alias!r}]['OPTIONS'], or set SQL_COMMENTS=off.",
                id="dtx_telemetry.W008",
            )
