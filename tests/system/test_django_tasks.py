"""Django's own Tasks, by a backend with a real worker."""

import json
from pathlib import Path

import django
import pytest

from tests.support.database import Database
from tests.support.lines import Line, one_event, with_event
from tests.support.otlp import otlp_collector
from tests.support.processes import Processes, run_python

DATABASE_PROJECT = {
    "INSTALLED_APPS": ["dtx_telemetry", "django.contrib.auth", "django.contrib.contenttypes", "django_tasks_db"],
    "TASKS": {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}},
    "DTX_TELEMETRY": {"TASKS_CACHE": "default"},
}


@pytest.mark.skipif(django.VERSION < (6,), reason="Django has had Tasks since 6.0")
def test_a_task_of_the_database_backend_joins_up_with_its_publisher(
    database: Database, processes: Processes, tmp_path: Path
) -> None:
    """Three processes: one publishes, the real worker runs, and the cache is a folder that both see.

    The worker's own command has a span and a trace, and no task is in it.
    """
    cache = {"default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path / "cache")}}
    processes.environ |= {
        "DTX_TEST_DB": str(database.path),
        "DTX_TEST_SETTINGS": json.dumps({**DATABASE_PROJECT, "CACHES": cache}),
    }
    migration = processes.manage("migrate", "django_tasks_database", "-v", "0")
    assert migration.wait() == 0, migration.text
    publish = """
import django; django.setup()
from dtx_telemetry import operation
from tests.project.jobs import enqueue_all
with operation("turn", "r1", **{"user.id": 5}):
    enqueue_all("send_letter", "fail", "nest")
"""
    with otlp_collector(protocols="http") as collector:
        processes.environ |= collector.environ()
        publisher = processes.python("-c", publish)
        assert publisher.wait() == 0, publisher.text
        worker = processes.manage("db_worker", "--batch", "--no-startup-delay", "--interval", "0")
        assert worker.wait() == 0, worker.text

    published = {line["task.id"]: line for line in with_event(publisher.lines, "task_published")}
    assert len(published) == 3
    _assert_worker_joined(worker.lines, published)
    executions = collector.wait_for_spans(4, kind="CONSUMER")
    publishing = {span.span_id for span in collector.spans if span.kind == "PRODUCER"}
    assert {span.trace_id for span in executions} == {collector.span("operation turn").trace_id}
    assert {span.parent_id for span in executions} == publishing
    assert worker.other == []


def _assert_worker_joined(lines: list[Line], published: dict[str, Line]) -> None:
    started = with_event(lines, "task_started")
    assert len(started) == 4, lines
    for line in started:
        assert (line["request.id"], line["user.id"], line["operation.name"]) == ("r1", 5, "turn")
        assert line["task.queue_ms"] >= 0
        assert "command.name" not in line
    ended = [line for line in lines if line["event"] in {"task_completed", "task_failed"}]
    assert sorted(line["task.id"] for line in ended) == sorted(line["task.id"] for line in started)
    failed = one_event(lines, "task_failed")
    assert failed["error"] == "RuntimeError: no mana"
    (inner,) = [line for line in started if line["task.id"] not in published]
    outer = one_event(lines, "task_started", task_id=inner["task.parent_id"])
    assert outer["task.id"] in published
    assert not any(line.get("request.id") for line in lines if line["logger"] == "django_tasks_db")


def test_it_needs_nothing_of_it_where_django_has_none() -> None:
    """As under Django 5.2: the app is set up, and ``django.tasks`` is not imported."""
    code = """
        import sys
        import django
        django.VERSION = (5, 2, 0, "final", 0)
        from django.conf import settings
        settings.configure(INSTALLED_APPS=["dtx_telemetry"], DTX_TELEMETRY={"TASKS_CACHE": "default"})
        django.setup()
        assert "django.tasks.signals" not in sys.modules
        print("ok")
    """
    assert run_python(code).split() == ["ok"]
