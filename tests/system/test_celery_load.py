"""Thousands of tasks of every kind: no line with another's id, no end without its line, nothing that grows."""

import json
from collections import Counter, defaultdict
from typing import Any

import pytest

from dtx_telemetry import bind_fields
from tests.support.brokers import Broker
from tests.support.celery_app import make_app
from tests.support.lines import Line
from tests.support.processes import Processes

COUNT = 3_000
CLOSING = {"task_completed", "task_failed", "task_retried", "task_ignored", "task_rejected", "task_revoked"}
TASKS: list[tuple[str, tuple[Any, ...], Counter[str]]] = [
    ("echo", (), Counter(["task_completed"])),
    ("fail", (), Counter(["task_failed"])),
    ("retry", (1,), Counter(["task_retried", "task_completed"])),
    ("ignore", (), Counter(["task_ignored"])),
    ("reject", (), Counter(["task_rejected"])),
    ("revoked", (), Counter(["task_revoked"])),
    ("nest", (1,), Counter(["task_completed"])),
]
NESTED = 2  # tasks that each of the last kind publishes, one after the other


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("pool", ["threads", "gevent", "prefork"])
def test_thousands_of_mixed_tasks(processes: Processes, valkey: Broker, pool: str) -> None:
    """Success, failure, retry, ignore, reject, revoke, tasks of tasks: each under its own request's id, each ended once."""
    processes.environ.update(valkey.environ, LOG_LEVELS="celery=WARNING,celery.worker.control=INFO")
    processes.environ["DTX_TEST_CELERY"] = json.dumps({"task_ignore_result": True, "result_backend": "disabled://"})
    del processes.environ["DJANGO_SETTINGS_MODULE"]
    worker = processes.python("-m", "celery", "-A", "tests.plain_app", "worker", "-P", pool, "-c", "4")
    kinds = {f"task-{number}": TASKS[number % len(TASKS)] for number in range(COUNT)}
    with make_app(valkey, worker_enable_remote_control=True) as app:
        worker.wait_for_text("[queues]", deadline=180)
        while not app.control.ping(timeout=0.5):
            pass
        app.control.revoke([task_id for task_id, kind in kinds.items() if kind[0] == "revoked"], reply=True)
        for task_id, (name, args, _) in kinds.items():
            with bind_fields(**{"request.id": f"req-{task_id}", "user.id": 7}):
                task = "echo" if name == "revoked" else name
                app.send_task(f"tests.plain_app.tasks.{task}", args, task_id=task_id, ignore_result=True)
    nested = NESTED * sum(kind[0] == "nest" for kind in kinds.values())
    ends = sum(kind[2].total() for kind in kinds.values()) + nested
    worker.wait_for_lines(lambda line: line["event"] in CLOSING, count=ends, deadline=400)
    worker.stop()
    check_ends(worker.lines, kinds, ends)
    check_ids(worker.lines)
    assert not [line for line in worker.lines if line["event"] == "task_left" and set(line["left"]) - {"service"}]
    held = [line for line in worker.lines if line["event"] == "held"]
    assert held
    assert all(line["scopes"] == 0 and line["received"] == 0 and line["variables"] < 30 for line in held), held


def check_ends(lines: list[Line], kinds: dict[str, Any], ends: int) -> None:
    closing: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in lines:
        if line["event"] in CLOSING:
            closing[line["task.id"]][line["event"]] += 1
    assert sum(counter.total() for counter in closing.values()) == ends
    for task_id, counter in closing.items():
        assert counter == (kinds[task_id][2] if task_id in kinds else Counter(["task_completed"])), task_id


def check_ids(lines: list[Line]) -> None:
    """A published task's lines are of its request, a nested task's of its parent's."""
    root = {line["task.id"]: line["request.id"] for line in lines if line["event"] == "task_started"}
    for line in lines:
        if "task.id" in line:
            task_id = line["task.id"]
            expected = f"req-{task_id}" if task_id.startswith("task-") else root[task_id]
            assert (line["request.id"], line["user.id"]) == (expected, 7), line
        if line["event"] == "task_started" and "task.parent_id" in line:
            assert line["request.id"] == root[line["task.parent_id"]], line
