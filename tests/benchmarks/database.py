"""What watching the database costs: our counting and our lines, beside Django alone and beside others who watch.

All run the same queries in the same scope of ours, an `operation`, and differ in who watches. What is shown is the cost of one
query, a hundredth of the scope with its closing line. The others are set up as their documentation says, in their favour: of
django-debug-toolbar and django-silk it is the recording alone, without what they save and show of it in the end, and the
toolbar does not look at stacks.
"""

import gc
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import django
import pytest
from django.conf import settings

from tests.support.databases import private_database

from . import http
from .harness import Comparison, Costs, Ratio, Subject, compare
from .otel import set_providers

__all__ = ["comparisons"]

Work = Callable[[], object]
UNWATCHED, COUNT, LINES = "unwatched", "dtx_telemetry, count", "dtx_telemetry, lines"
TOOLBAR, SILK, PROMETHEUS, SPANS = "django-debug-toolbar", "django-silk", "django-prometheus", "OpenTelemetry"
OURS = {COUNT: "count", LINES: "lines"}
SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
#: What runs where; the ORM alone is watched by silk, psycopg alone by OpenTelemetry.
ON_SQLITE = (UNWATCHED, *OURS, TOOLBAR, PROMETHEUS)
ON_POSTGRESQL = (UNWATCHED, *OURS, TOOLBAR, SILK, PROMETHEUS, SPANS)
#: Queries of one scope.
QUERIES = 100


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Yield the tables of this module."""
    yield compare(
        "a request over WSGI without queries",
        [Subject(name, f"{__name__}:request", (OURS.get(name, "off"),)) for name in (UNWATCHED, COUNT)],
        {"counting adds, us": _added_by(COUNT)},
        rounds=rounds,
    )
    compared = [(COUNT, TOOLBAR), (COUNT, PROMETHEUS), (LINES, TOOLBAR)]
    yield _queries("SELECT 1 of SQLite", "select", SQLITE, ON_SQLITE, compared, rounds)
    # What counting adds here is less than what one run of a query differs from the next: it is compared above.
    compared = [(LINES, name) for name in (TOOLBAR, SILK, SPANS)]
    try:
        with private_database("postgresql") as entry:
            yield _queries("a get of the ORM on PostgreSQL", "get", entry, ON_POSTGRESQL, compared, rounds)
    except pytest.skip.Exception as reason:
        print(reason)


def _queries(
    title: str, maker: str, database: dict[str, Any], names: Iterable[str], compared: Iterable[tuple[str, str]], rounds: int
) -> Comparison:
    subjects = [Subject(name, f"{__name__}:{maker}", (name, json.dumps(database))) for name in names]
    ratios = {f"{name} adds, us": _added_by(name, QUERIES) for name in OURS}
    ratios |= {f"{ours} adds, to what {name} adds": _added(ours, name) for ours, name in compared}
    table = compare(title, subjects, ratios, rounds=rounds)
    return replace(table, costs={name: cost / QUERIES for name, cost in table.costs.items()})


def _added_by(name: str, calls: int = 1) -> Ratio:
    return lambda costs: (costs[name] - costs[UNWATCHED]) / calls


def _added(ours: str, other: str) -> Ratio:
    def ratio(costs: Costs) -> float:
        return (costs[ours] - costs[UNWATCHED]) / (costs[other] - costs[UNWATCHED])

    return ratio


def request(mode: str) -> Work:
    """Return what serves a request that asks the database nothing."""
    os.environ["DB_QUERIES"] = mode
    return http.wsgi("dtx_telemetry")


def select(name: str, database: str) -> Work:
    """Return what asks the cheapest query that there is, by a cursor."""
    _set_up(name, database)
    from django.db import connection

    def ask() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    return _in_scope(name, ask)


def get(name: str, database: str) -> Work:
    """Return what gets one object by its key."""
    _set_up(name, database)
    from django.contrib.auth.models import User
    from django.db import connection

    with connection.schema_editor(collect_sql=True) as editor:
        editor.create_model(User)
    with connection.cursor() as cursor:
        cursor.execute(editor.collected_sql[0].replace("CREATE TABLE", "CREATE TEMPORARY TABLE"))
    user = User.objects.create(username="invoker")
    return _in_scope(name, lambda: User.objects.get(pk=user.pk))


def _in_scope(name: str, ask: Work) -> Work:
    """Return what asks `QUERIES` times in one scope, watched by *name*."""
    from dtx_telemetry import operation

    ask()
    around = {TOOLBAR: _recorded_by_toolbar, SILK: _recorded_by_silk}.get(name)
    if name == PROMETHEUS:
        _check_prometheus()
    elif name == SPANS:
        _check_opentelemetry()

    def ask_all() -> None:
        for _ in range(QUERIES):
            ask()

    watched = around(ask_all) if around else ask_all

    def work() -> None:
        with operation("asks"):
            watched()

    gc.collect()
    gc.freeze()
    return work


def _set_up(name: str, database: str) -> None:
    os.environ.update(DB_QUERIES=OURS.get(name, "off"), LOG_LEVELS="dtx_telemetry.database=DEBUG", LOG_FORMAT="json")
    entry = json.loads(database)
    if name == PROMETHEUS:
        entry["ENGINE"] = entry["ENGINE"].replace("django.db", "django_prometheus.db")
    apps = {TOOLBAR: ["django.contrib.staticfiles", "debug_toolbar"], SILK: ["silk"], PROMETHEUS: ["django_prometheus"]}
    settings.configure(
        SECRET_KEY="benchmarks",
        INSTALLED_APPS=["dtx_telemetry", *http.APPS, *apps.get(name, [])],
        DATABASES={"default": entry},
        DEBUG_TOOLBAR_CONFIG={"ENABLE_STACKTRACES": False},
        DEBUG_TOOLBAR_PANELS=["debug_toolbar.panels.sql.SQLPanel"],
        STATIC_URL="static/",
    )
    if name == SPANS:
        from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor

        set_providers()
        PsycopgInstrumentor().instrument()
    django.setup()


def _recorded_by_toolbar(ask_all: Work) -> Work:
    """Its SQL panel, a new one for each scope, as for each request."""
    from debug_toolbar.panels.sql import SQLPanel

    def work() -> None:
        panel = SQLPanel(None, None)
        panel.enable_instrumentation()
        ask_all()
        panel.disable_instrumentation()
        assert len(panel._queries) == QUERIES

    return work


def _recorded_by_silk(ask_all: Work) -> Work:
    """What its middleware does for a request: the compiler's method is replaced, and the collector begins anew."""
    from django.db.models.sql.compiler import SQLCompiler
    from silk.collector import DataCollector
    from silk.models import Request
    from silk.sql import execute_sql

    SQLCompiler._execute_sql, SQLCompiler.execute_sql = SQLCompiler.execute_sql, execute_sql

    def work() -> None:
        DataCollector().configure(Request(), should_profile=False)
        ask_all()
        assert len(DataCollector().queries) == QUERIES
        DataCollector().clear()

    return work


def _check_prometheus() -> None:
    from django_prometheus.db import execute_total

    assert sum(sample.value for metric in execute_total.collect() for sample in metric.samples) > 0


def _check_opentelemetry() -> None:
    from django.db import connection

    assert connection.connection.cursor_factory.__name__ == "TracedCursorFactory"
