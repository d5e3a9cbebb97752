"""How tasks end, as a metric: a real worker that runs some of them, loses some and never runs the others."""

import os
import signal
from datetime import UTC, datetime, timedelta

from tests.support.brokers import Broker
from tests.support.celery_app import make_app
from tests.support.otlp import otlp_collector
from tests.support.processes import Processes
from tests.support.waiting import wait_until

PROJECT = "tests.project.tasks"


def test_each_outcome_is_counted_once(processes: Processes, valkey: Broker) -> None:
    """By task and outcome: also those that the worker ended, and those that never ran. A name that nobody knows is none."""
    with otlp_collector(protocols="http") as collector, make_app(valkey) as app:
        processes.environ |= {**valkey.environ, **collector.environ(), "OTEL_METRIC_EXPORT_INTERVAL": "200"}
        worker = processes.worker(pool="prefork", concurrency=1)
        for name in ("echo", "fail", "retry", "ignore", "reject"):
            app.send_task(f"{PROJECT}.{name}", ignore_result=True)
        app.send_task(f"{PROJECT}.work", ignore_result=True, expires=datetime.now(UTC) - timedelta(hours=1))
        app.send_task("no.such.task", ignore_result=True)
        worker.wait_for_event("task_unknown")
        worker.wait_for_event("task_completed", **{"task.name": f"{PROJECT}.retry"})  # its second attempt, later than the rest
        sleeping = app.send_task(f"{PROJECT}.sleep", (600,), ignore_result=True)
        worker.wait_for_event("task_started", **{"task.id": sleeping.id})
        waiting = app.send_task(f"{PROJECT}.echo", ignore_result=True)
        app.control.revoke(waiting.id)
        worker.wait_for_text(waiting.id)
        ran = {("echo", "completed"), ("fail", "failed"), ("retry", "retried"), ("retry", "completed"), ("ignore", "ignored")}
        ran = {(f"{PROJECT}.{name}", outcome) for name, outcome in (*ran, ("reject", "rejected"))}
        # What the child has not sent is lost with it.
        wait_until(
            lambda: ran <= {tuple(map(point.attributes.get, ("task.name", "outcome"))) for point in tuple(collector.points)}
        )
        (child,) = [process for process in worker.children() if process.pid != worker.pid]
        os.kill(child.pid, signal.SIGKILL)
        worker.wait_for_event("task_failed", **{"task.id": sleeping.id})
        worker.wait_for_event("task_revoked", **{"task.id": waiting.id})
        limited = app.send_task(f"{PROJECT}.sleep", (600,), ignore_result=True, time_limit=1)
        worker.wait_for_event("task_failed", **{"task.id": limited.id})
        terminated = app.send_task(f"{PROJECT}.sleep", (600,), ignore_result=True)
        worker.wait_for_event("task_started", **{"task.id": terminated.id})
        app.control.revoke(terminated.id, terminate=True)
        worker.wait_for_event("task_revoked", **{"task.id": terminated.id})
        assert worker.stop() == 0
        latest = {
            (point.resource["service.instance.id"], *map(point.attributes.get, ("task.name", "outcome"))): point.count
            for point in collector.points
            if point.name == "dtx.task.duration"
        }

    assert sorted((str(name).rpartition(".")[2], outcome, count) for (_, name, outcome), count in latest.items()) == [
        ("_OTHER", "unknown", 1),
        ("echo", "completed", 1),
        ("echo", "revoked", 1),
        ("fail", "failed", 1),
        ("ignore", "ignored", 1),
        ("reject", "rejected", 1),
        ("retry", "completed", 1),
        ("retry", "retried", 1),
        ("sleep", "killed", 2),
        ("sleep", "revoked", 1),
        ("work", "expired", 1),
    ]
