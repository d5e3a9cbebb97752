"""What scopes asked of SQLite, PostgreSQL and MariaDB: in the test's own process, each database for real."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections, transaction
from django.db.backends.signals import connection_created
from django.db.utils import DatabaseError
from django.test.utils import CaptureQueriesContext

from dtx_telemetry import bind_fields, carry_context, context, events, operation
from dtx_telemetry.database.queries import is_ours
from tests.conftest import LogOutput
from tests.support.lines import Line


@pytest.fixture
def alias(database_alias: str, log_output: LogOutput, telemetry: Callable[..., None]) -> Iterator[str]:
    """A database whose queries are counted, connected, with a table ``picks`` of ten rows."""
    telemetry()
    ask(database_alias, "DROP TABLE IF EXISTS picks")
    ask(database_alias, "CREATE TABLE picks (id INTEGER PRIMARY KEY, hero VARCHAR(40))")
    with connections[database_alias].cursor() as cursor:
        cursor.executemany("INSERT INTO picks (id, hero) VALUES (%s, %s)", [(number, f"hero{number}") for number in range(10)])
    yield database_alias
    connections[database_alias].ensure_connection()
    ask(database_alias, "DROP TABLE IF EXISTS picks")


def ask(alias: str, sql: Any = "SELECT hero FROM picks WHERE id = %s", params: Any = None) -> Any:
    """Ask the database and return the rows, if there are any."""
    params = [1] if params is None and isinstance(sql, str) and "%s" in sql else params
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else None


def counted(log_output: LogOutput, name: str) -> Any:
    """Return what the closing event of the operation says."""
    (line,) = [line for line in log_output.lines if line["event"] == "operation_completed" and line["operation.name"] == name]
    return line.get("db.query_count")


def queried(log_output: LogOutput) -> list[Line]:
    return [line for line in log_output.lines if line["event"] == "db_queried"]


def test_a_closing_event_says_how_many_and_how_long(alias: str, log_output: LogOutput) -> None:
    """A scope that asked nothing has neither field."""
    with operation("asks"):
        ask(alias)
        ask(alias)
    with operation("asks_nothing"):
        pass
    line = log_output.lines[-2]
    assert line["db.query_count"] == 2
    assert 0 < line["db.duration_ms"] <= line["duration_ms"]
    assert "db.repeat_count" not in line
    assert not [key for key in log_output.lines[-1] if key.startswith("db.")]


def test_the_commonest_statement_is_named_from_ten_on(alias: str, log_output: LogOutput) -> None:
    """Whatever its literals are, and the lengths of its lists."""
    with operation("nine"):
        for number in range(9):
            ask(alias, f"SELECT hero FROM picks WHERE id = {number}")
    with operation("ten"):
        for number in range(10):
            ask(alias, f"SELECT hero FROM picks WHERE id IN ({', '.join(['%s'] * (number + 2))})", list(range(number + 2)))
        ask(alias, "SELECT 1")
    nine, ten = log_output.lines[-2:]
    assert "db.repeat_count" not in nine
    assert ten["db.query_count"] == 11
    assert ten["db.repeat_count"] == 10
    assert ten["db.repeated_query"] == "SELECT hero FROM picks WHERE id IN (...)"


def test_scopes_around_count_what_is_asked_inside(alias: str, log_output: LogOutput) -> None:
    """In blocks of `bind_fields`, operations inside operations, threads that carry the context, and coroutines."""

    async def gathered() -> None:
        await asyncio.gather(*(sync_to_async(ask, thread_sensitive=True)(alias, "SELECT 2") for _ in range(3)))

    with operation("outer"):
        with bind_fields(step=1):
            ask(alias)
        with operation("inner"):
            ask(alias)
            ask(alias)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(carry_context(in_thread), alias).result()
        asyncio.run(gathered())
    assert (counted(log_output, "inner"), counted(log_output, "outer")) == (2, 7)


def in_thread(alias: str) -> None:
    ask(alias)
    connections[alias].close()


def test_a_thread_without_a_scope_counts_for_no_one(alias: str, log_output: LogOutput) -> None:
    """A plain thread of a pool."""
    with operation("outer"), ThreadPoolExecutor(1) as pool:
        pool.submit(in_thread, alias).result()
    assert counted(log_output, "outer") is None


def test_what_is_asked_after_the_commit_counts(alias: str, log_output: LogOutput) -> None:
    """It runs in the scope."""
    with operation("commits"), transaction.atomic(using=alias):
        transaction.on_commit(lambda: ask(alias), using=alias)
        ask(alias)
    assert counted(log_output, "commits") == 2


def test_statements_of_transactions_are_no_queries(alias: str, log_output: LogOutput, telemetry: Callable[..., None]) -> None:
    """Under a `TestCase`, whose transaction makes savepoints of a view's, the number is what it is in production.

    Nor is the commonest statement a savepoint, which Django's deletion of a page of Wagtail has around each of many rows.
    """
    telemetry(DB_QUERIES="lines")
    with transaction.atomic(using=alias), operation("in_a_test"), transaction.atomic(using=alias):
        for number in range(10):
            with transaction.atomic(using=alias):
                ask(alias, params=[number])
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=alias):
            raise ZeroDivisionError
    assert counted(log_output, "in_a_test") == len(queried(log_output)) == 10
    assert log_output.lines[-1]["db.repeated_query"] == "SELECT hero FROM picks WHERE id = %s"
    assert log_output.lines[-1]["db.repeat_count"] == 10


def test_the_number_is_that_of_djangos_own_capture(alias: str, log_output: LogOutput) -> None:
    """Without the statements of transactions, which Django writes into its log by hand."""
    with operation("both"), CaptureQueriesContext(connections[alias]) as captured, transaction.atomic(using=alias):
        for number in range(7):
            ask(alias, params=[number])
    own = [query for query in captured if query["sql"] not in {"BEGIN", "COMMIT", "ROLLBACK"}]
    assert counted(log_output, "both") == len(own) == 7


def test_connections_that_are_opened_again_keep_one_wrapper(alias: str, log_output: LogOutput) -> None:
    """And what Django asks while it connects is not counted, the first time or later."""
    for _ in range(3):
        connections[alias].close()
        with operation("opens"):
            ask(alias)
        assert log_output.lines[-1]["db.query_count"] == 1
    assert sum(is_ours(wrapper) for wrapper in connections[alias].execute_wrappers) == 1
    assert is_ours(connections[alias].execute_wrappers[0])


def test_what_a_receiver_of_the_applications_asks_as_it_connects_is_not_counted(alias: str, log_output: LogOutput) -> None:
    """Its ``SET search_path`` and ``PRAGMA`` would make the number depend on the age of the connection.

    One that raises leaves the connection open: what is asked of it counts.
    """
    failures = [False, False, True]

    def prepare(connection: Any, **_: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 5")
        if failures.pop(0):
            raise ZeroDivisionError

    connection_created.connect(prepare)
    try:
        for number in range(2):
            connections[alias].close()
            with operation(f"opens_{number}"):
                ask(alias)
                ask(alias)
        connections[alias].close()
        with pytest.raises(ZeroDivisionError):
            ask(alias)
        with operation("after_a_failure"):
            ask(alias)
    finally:
        connection_created.disconnect(prepare)
    assert [counted(log_output, name) for name in ("opens_0", "opens_1", "after_a_failure")] == [2, 2, 1]


def test_a_scope_that_asks_two_kinds_of_databases_shows_no_literal(alias: str, log_output: LogOutput) -> None:
    """In MariaDB what is in double quotes is a string, whatever database the scope asked first."""
    if connections[alias].vendor != "mysql":
        return
    with operation("asks_both"):
        ask("default", "SELECT 1")
        for _ in range(10):
            ask(alias, 'SELECT "hidden" FROM picks WHERE id = %s')
    line = log_output.lines[-1]
    assert (line["db.query_count"], line["db.repeat_count"]) == (11, 10)
    assert line["db.repeated_query"] == "SELECT ? FROM picks WHERE id = %s"


def test_lists_that_are_longer_than_what_is_looked_at_are_alike(alias: str, log_output: LogOutput) -> None:
    """A prefetch of 300 rows and one of 900 are the same statement, and so are batches of a bulk insert."""
    sizes = [150, *range(600, 900, 30)]
    with operation("prefetches"):
        for size in sizes:
            ask(alias, f"SELECT hero FROM picks WHERE id IN ({', '.join(['%s'] * size)})", list(range(size)))
    assert (
        log_output.lines[-1].items()
        >= {
            "db.repeat_count": len(sizes),
            "db.repeated_query": "SELECT hero FROM picks WHERE id IN (...)",
        }.items()
    )
    with operation("inserts"):
        for size in sizes:
            rows = [value for number in range(size // 2) for value in (size * 1000 + number, "a")]
            ask(alias, f"INSERT INTO picks (id, hero) VALUES {', '.join(['(%s, %s)'] * (size // 2))}", rows)
    assert (
        log_output.lines[-1].items()
        >= {
            "db.repeat_count": len(sizes),
            "db.repeated_query": "INSERT INTO picks (id, hero) VALUES (...), ...",
        }.items()
    )


def test_a_connection_opened_inside_anothers_wrapper_keeps_both_right(alias: str, log_output: LogOutput) -> None:
    """Django takes the last one away at the end of the block: ours stands first."""
    connections[alias].close()
    connections[alias].execute_wrappers.clear()
    seen = []

    def theirs(execute: Callable[..., Any], *given: Any) -> Any:
        seen.append(given[0])
        return execute(*given)

    with connections[alias].execute_wrapper(theirs):
        with operation("inside"):
            ask(alias)
        assert len(seen) > 0
    assert theirs not in connections[alias].execute_wrappers
    with operation("after"):
        ask(alias)
    assert (counted(log_output, "inside"), counted(log_output, "after")) == (1, 1)


def test_a_query_that_fails_is_counted_and_its_exception_goes_on(
    alias: str, log_output: LogOutput, telemetry: Callable[..., None]
) -> None:
    """Its line has the type of the error alone, whose text may have values in it."""
    telemetry(DB_QUERIES="lines")
    with operation("fails"), pytest.raises(DatabaseError), transaction.atomic(using=alias):
        ask(alias, "SELECT 'secret' FROM nowhere")
    assert counted(log_output, "fails") == 1
    (line,) = queried(log_output)
    assert line["error"] in {"OperationalError", "ProgrammingError", "UndefinedTable"}
    assert line["db.query.text"] == "SELECT ? FROM nowhere"
    assert "secret" not in repr(log_output.lines)
    assert "db.rows" not in line


def test_each_query_has_a_line_if_asked_for(alias: str, log_output: LogOutput, telemetry: Callable[..., None]) -> None:
    """With the ids of its scope, at debug; parameters are left out."""
    telemetry(DB_QUERIES="lines")
    ask(alias)  # no scope, no line
    with operation("asks", "click-1"):
        ask(alias, "UPDATE picks SET hero = %s WHERE id < 3", ["secret"])
        with connections[alias].cursor() as cursor:
            cursor.executemany("INSERT INTO picks (id, hero) VALUES (%s, %s)", [(20, "a"), (21, "b")])
            cursor.executemany("INSERT INTO picks (id, hero) VALUES (%s, %s)", ((number, "c") for number in (22, 23)))
    update, several, made = queried(log_output)
    assert (
        update.items()
        >= {
            "level": "debug",
            "logger": "dtx_telemetry.database",
            "request.id": "click-1",
            "operation.name": "asks",
            "db.query.text": "UPDATE picks SET hero = %s WHERE id < ?",
            "db.alias": alias,
            "db.rows": 3,
        }.items()
    )
    assert update["duration_ms"] >= 0
    assert several["db.operation.batch.size"] == 2
    assert "db.operation.batch.size" not in made  # a generator is not consumed for it
    assert "secret" not in repr(update)
    assert ask(alias, "SELECT COUNT(*) FROM picks") == ((14,),) or ask(alias, "SELECT COUNT(*) FROM picks") == [(14,)]


def test_no_more_than_a_thousand_lines_a_scope(alias: str, log_output: LogOutput, telemetry: Callable[..., None]) -> None:
    """All are counted."""
    telemetry(DB_QUERIES="lines")
    with operation("many"):
        for _ in range(1003):
            ask(alias, "SELECT 1")
    assert len(queried(log_output)) == 1000
    assert counted(log_output, "many") == 1003


def test_a_scope_of_very_many_queries_takes_bounded_memory(alias: str, log_output: LogOutput) -> None:
    """However many different texts there are."""
    with operation("many"):
        scope = context.current_scope()
        for number in range(3000):
            ask(alias, f"SELECT {number}, 'a{number}'")
            ask(alias, f"SELECT id AS c{number} FROM picks WHERE id = 0")
        assert scope is not None
        totals = scope.queries
        assert len(totals._waiting) <= 128
        assert len(totals._statements) <= 300
    line = log_output.lines[-1]
    assert (line["db.query_count"], line["db.repeated_query"]) == (6000, "SELECT ?, ?")
    assert line["db.repeat_count"] == 3000


class Asks(logging.Handler):
    """A handler of the application's that writes each line to the database."""

    def __init__(self, alias: str) -> None:
        super().__init__()
        self.alias, self.count = alias, 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1
        ask(self.alias, "SELECT 3")


def test_a_handler_that_asks_the_database_is_no_recursion(
    alias: str, log_output: LogOutput, telemetry: Callable[..., None]
) -> None:
    """Its own queries are counted and have no line."""
    telemetry(DB_QUERIES="lines")
    logger, handler = logging.getLogger("dtx_telemetry.database"), Asks(alias)
    logger.addHandler(handler)
    with operation("asks"):
        ask(alias)
    logger.removeHandler(handler)
    assert (handler.count, len(queried(log_output))) == (1, 1)
    assert counted(log_output, "asks") == 2


def test_off_nothing_is_installed(alias: str, log_output: LogOutput, telemetry: Callable[..., None]) -> None:
    """No wrapper, and no receiver."""
    telemetry(DB_QUERIES="off")
    connections[alias].close()
    with operation("off"):
        ask(alias)
    assert counted(log_output, "off") is None
    assert not [wrapper for wrapper in connections[alias].execute_wrappers if is_ours(wrapper)]
    assert not [key for key, *_ in connection_created.receivers if "dtx_telemetry" in str(key)]


COMMENT = "/*request_id='click-1'*/"


class Sees:
    """What the driver gets, by a wrapper inside of ours."""

    def __init__(self) -> None:
        self.statements: list[Any] = []

    def __call__(self, execute: Callable[..., Any], sql: Any, *given: Any) -> Any:
        self.statements.append(sql)
        return execute(sql, *given)


@pytest.mark.parametrize("where", ["append", "prepend"])
@pytest.mark.parametrize(
    ("sql", "params"),
    [
        ("SELECT 1", None),
        ("SELECT 1 ;", None),
        ("SELECT 1;\n", None),
        ("SELECT hero FROM picks WHERE id = %s", [1]),
        ("SELECT hero FROM picks WHERE hero LIKE '%%a' AND id = %s", [1]),
    ],
)
def test_a_comment_names_the_click(
    alias: str, telemetry: Callable[..., None], where: str, sql: str, params: list[Any] | None
) -> None:
    """With parameters, percent signs and before a semicolon; what is asked stays what it was."""
    telemetry(SQL_COMMENTS=where)
    expected, sees = ask(alias, sql, params), Sees()
    with connections[alias].execute_wrapper(sees):
        with operation("asks", "click-1"):
            assert ask(alias, sql, params) == expected
        assert ask(alias, sql, params) == expected
    commented, plain = sees.statements
    assert plain == sql
    assert commented.replace(f"{COMMENT} ", "").replace(f" {COMMENT}", "").rstrip() == sql.rstrip()
    assert commented.startswith(COMMENT) if where == "prepend" else commented.rstrip(" ;").endswith(COMMENT)


@pytest.mark.parametrize("sql", ["", "  ", "SELECT 1 /* mine */", "SELECT 1 -- mine"])
def test_what_has_a_comment_already_or_is_empty_gets_none(alias: str, telemetry: Callable[..., None], sql: str) -> None:
    """sqlcommenter broke on both."""
    from dtx_telemetry.database.comments import with_comment

    with operation("asks", "click-1"):
        assert with_comment(sql, prepend=False) == with_comment(sql, prepend=True) == sql


@pytest.mark.parametrize("where", ["append", "prepend"])
def test_several_at_once_have_a_comment(alias: str, telemetry: Callable[..., None], where: str) -> None:
    """``executemany`` too, but for the drivers of MySQL: of one with a comment they send each row by itself."""
    telemetry(SQL_COMMENTS=where)
    is_mysql = connections[alias].vendor == "mysql"
    sees, statement = Sees(), "INSERT INTO picks (id, hero) VALUES (%s, %s)"
    before = questions(alias) if is_mysql else 0
    with (
        operation("asks", "click-1"),
        connections[alias].execute_wrapper(sees),
        connections[alias].cursor() as cursor,
    ):
        cursor.executemany(statement, [(number, "%a") for number in range(30, 40)])
    if is_mysql:
        assert sees.statements == [statement]
        assert questions(alias) == before + 2  # the insert, and asking that
    else:
        assert sees.statements == [f"{statement} {COMMENT}" if where == "append" else f"{COMMENT} {statement}"]
    assert len(ask(alias, "SELECT hero FROM picks WHERE id >= 30")) == 10


def questions(alias: str) -> int:
    """Return how many statements MariaDB was sent by this connection."""
    return int(ask(alias, "SHOW SESSION STATUS LIKE 'Questions'")[0][1])


def test_a_composed_statement_is_counted_masked_and_commented(
    alias: str, log_output: LogOutput, telemetry: Callable[..., None]
) -> None:
    """psycopg's objects; their literals are on no line."""
    if connections[alias].vendor != "postgresql":
        return
    from psycopg import sql

    telemetry(DB_QUERIES="lines", SQL_COMMENTS="append")
    sees = Sees()
    statement = sql.SQL("SELECT {} FROM {}").format(sql.Literal("secret"), sql.Identifier("picks"))
    with operation("asks", "click-1"), connections[alias].execute_wrapper(sees):
        assert len(ask(alias, statement)) == 10
    assert sees.statements[0].as_string(None).endswith(COMMENT)
    (line,) = queried(log_output)
    assert line["db.query.text"] == 'SELECT ? FROM "picks"'


def test_the_totals_are_on_the_span(alias: str, traced: Any) -> None:
    """As attributes; the statements are on the spans of drivers."""
    with operation("asks"):
        ask(alias)
    (span,) = [span for span in traced.flushed().spans if span.name == "operation asks"]
    assert span.attributes["db.query_count"] == 1
    assert span.attributes["db.duration_ms"] > 0


def test_an_application_may_name_its_fields_so(alias: str, log_output: LogOutput) -> None:
    """A closing event of a request has them beside its own."""
    scope = context.enter_root(events.REQUEST, {"request.id": "r1"})
    ask(alias)
    scope.end(events.REQUEST_COMPLETED, {"http.method": "GET"}, status=200, route=None)
    scope.leave()
    assert log_output.one("request_completed").items() >= {"http.method": "GET", "db.query_count": 1}.items()
