"""Every ending of a task, on every pool, over every broker: one closing event each, with all ids, and nothing left behind."""

import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest
from celery import Celery

from dtx_telemetry import bind_fields
from tests.conftest import LogOutput
from tests.support.bad_context import bad_context
from tests.support.brokers import Broker
from tests.support.celery_app import make_app, working
from tests.support.lines import Line, with_fields
from tests.support.processes import Processes
from tests.support.table import ENDING
from tests.support.waiting import wait_until

ALL = {"prefork", "threads", "solo", "gevent"}
CLOSING = {
    "task_completed",
    "task_failed",
    "task_retried",
    "task_ignored",
    "task_rejected",
    "task_revoked",
    "task_unknown",
}
#: Tasks of "nested" that have ids of their own.
PUBLISHED_BY_TASKS = 3


@dataclass(frozen=True)
class Ending:
    """How one task is published, and the closing events that it must have.

    Attributes:
        task: its name in the plain app.
        closing: the events, however many executions it takes.
        fields: what its closing event says besides.
        started: how often it starts.
    """

    task: str
    closing: Counter[str]
    fields: dict[str, Any] = field(default_factory=dict)
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    pools: frozenset[str] = frozenset(ALL)
    started: int = 1


def ending(task: str, *closing: str, pools: set[str] = ALL, started: int = -1, **rest: Any) -> Ending:
    executions = started if started >= 0 else len(closing)
    return Ending(task, Counter(closing), pools=frozenset(pools), started=executions, **rest)


FORKED = {"prefork"}
# As it stands in the message of a task that waited too long. Given as an option it would be the message's own time to live
# too, and RabbitMQ throws away by itself what is too old before a worker has room for it: then nobody is told.
EXPIRED = {"expires": "2020-01-01T00:00:00+00:00"}
ENDINGS = {
    "success": ending("echo", "task_completed", args=(1, "two")),
    "bad context": ending("echo", "task_completed", args=(1, "two")),
    "failure": ending("fail", "task_failed", fields={"level": "error", "error": "RuntimeError: no mana"}),
    "expected failure": ending(
        "fail_as_expected", "task_failed", fields={"level": "info", "error": "ExpectedError: not yours", "exception": None}
    ),
    "retry": ending("retry", "task_retried", "task_retried", "task_completed", args=(2,)),
    "autoretry": ending("autoretry", "task_retried", "task_failed"),
    "ignore": ending("ignore", "task_ignored"),
    "reject": ending("reject", "task_rejected"),
    "replace": ending("replace", "task_ignored", "task_completed"),
    "soft limit": ending(
        "sleep",
        "task_failed",
        fields={"error": "SoftTimeLimitExceeded: SoftTimeLimitExceeded()"},
        args=(60,),
        pools=FORKED,
        options={"soft_time_limit": 1},
    ),
    "soft limit caught": ending("catch_limit", "task_completed", options={"soft_time_limit": 1}, pools=FORKED),
    "hard limit": ending("sleep", "task_failed", args=(60,), options={"time_limit": 1}, pools={"prefork", "gevent"}),
    "killed": ending("kill", "task_failed", pools=FORKED),
    "exit": ending("leave", "task_failed", pools={"prefork", "threads"}),
    "revoked": ending("echo", "task_revoked", started=0),
    "terminated": ending("sleep", "task_revoked", args=(60,), pools={"prefork", "gevent"}, started=1),
    "expired": ending("echo", "task_revoked", options={"headers": EXPIRED}, started=0),
    "unknown": ending("no_such_task", "task_unknown", started=0),
    "invalid": ending("echo", "task_rejected", options={"eta": "not a time"}, started=0),
    "countdown": ending("echo", "task_completed", options={"countdown": 0.2}),
    "nested": ending("nest", "task_completed", args=(2,)),
}


class Run:
    """One worker that gets a task for every ending.

    Attributes:
        ids: the task's id, by ending.
    """

    def __init__(self, app: Celery, pool: str, lines: Callable[[], list[Line]]) -> None:
        self.app = app
        self.lines = lines
        self.endings = {name: case for name, case in ENDINGS.items() if pool in case.pools}
        self.ids = {name: f"{name.replace(' ', '-')}-{uuid.uuid4().hex[:8]}" for name in self.endings}

    def publish_all(self) -> None:
        """Publish all tasks, each in a request of its own; one is revoked before, one while it runs."""
        if "revoked" in self.endings:
            self.revoke(self.ids["revoked"])
        for name in self.endings:
            self.publish(name)
        if "terminated" in self.endings:
            wait_until(lambda: with_fields(self.lines(), event="task_started", task_id=self.ids["terminated"]), deadline=180)
            self.app.control.revoke(self.ids["terminated"], terminate=True)

    def publish(self, name: str) -> None:
        case = self.endings[name]
        more = bad_context() if name == "bad context" else {}
        with bind_fields(**{"request.id": f"req-{self.ids[name]}", "user.id": 7, "labels": ["draft"]}, **more):
            self.app.send_task(f"tests.plain_app.tasks.{case.task}", case.args, task_id=self.ids[name], **case.options)

    def revoke(self, task_id: str) -> None:
        """Tell the worker, again and again until it has heard: it may be ready for tasks before it listens to this."""
        wait_until(lambda: task_id in str(self.app.control.revoke(task_id, reply=True, timeout=0.5)), what="the revocation")

    def wait_until_all_ended(self) -> None:
        """Wait for the closing events that each task must have; those of tasks that were published by tasks too."""
        try:
            wait_until(self.all_ended, deadline=180)
        except AssertionError:
            return  # the cells of the table say which are missing

    def all_ended(self) -> bool:
        """Whether each ending has its closing events. One too many of one does not make up for a missing one of another."""
        closing = [line for line in self.lines() if line["event"] in CLOSING]
        found = Counter((line.get("task.id"), line["event"]) for line in closing)
        expected = Counter(
            {(self.ids[name], event): n for name, case in self.endings.items() for event, n in case.closing.items()}
        )
        return not expected - found and len(closing) >= expected.total() + PUBLISHED_BY_TASKS

    def faults(self, name: str) -> list[str]:
        """Return what is wrong with the lines about one ending."""
        case, task_id = self.endings[name], self.ids[name]
        lines = with_fields(self.lines(), task_id=task_id)
        closing = [line for line in lines if line["event"] in CLOSING]
        started = [line for line in lines if line["event"] == "task_started"]
        faults = []
        if Counter(line["event"] for line in closing) != case.closing:
            faults.append(f"{name}: closing events {[line['event'] for line in closing]}, not {dict(case.closing)}")
        if len(started) != case.started:
            faults.append(f"{name}: started {len(started)} times")
        for line in lines:
            if (line.get("request.id"), line.get("user.id"), line.get("labels")) != (f"req-{task_id}", 7, ["draft"]):
                faults.append(f"{name}: wrong ids on {line}")
            if "task.name" not in line:
                faults.append(f"{name}: no name on {line}")
        if (
            case.task == "echo"
            and case.started
            and [line["args_given"] for line in lines if line["event"] == "echo"] != [list(case.args)]
        ):
            faults.append(f"{name}: the task did not get its own arguments")
        wrong = [line for line in closing if any(line.get(key) != value for key, value in case.fields.items())]
        return faults + [f"{name}: {line} has not {case.fields}" for line in wrong]

    def left_behind(self) -> list[str]:
        """Return what was still bound after a task besides what the process itself had bound."""
        return [
            f"left behind: {line}" for line in self.lines() if line["event"] == "task_left" and set(line["left"]) - {"service"}
        ]

    def strangers(self) -> list[str]:
        """Return lines with an id that is of no request of this run, and lines of tasks without one."""
        known = {f"req-{task_id}" for task_id in self.ids.values()}
        own = [line for line in self.lines() if "request.id" in line or "task.id" in line]
        return [f"foreign or missing id: {line}" for line in own if line.get("request.id") not in known]


@pytest.fixture
def anywhere(request: pytest.FixtureRequest, broker: str) -> Broker:
    found: Broker = request.getfixturevalue(broker)
    return found


@pytest.mark.parametrize("broker", ["valkey", "rabbitmq", "filesystem"])
@pytest.mark.parametrize("pool", sorted(ALL))
def test_every_ending_has_its_one_closing_event(
    processes: Processes, anywhere: Broker, pool: str, broker: str, record_property: Callable[[str, object], None]
) -> None:
    """A worker that a user starts gets a task for each ending: each is told once, under the request that it came from."""
    processes.environ.update(anywhere.environ)
    processes.environ["DTX_TEST_CELERY"] = '{"worker_lost_wait": 0.5}'
    del processes.environ["DJANGO_SETTINGS_MODULE"]
    worker = processes.worker("-l", "INFO", app="tests.plain_app", pool=pool, concurrency=4)
    banner, warnings = len(worker.other), len(worker.errors)  # what it says before it takes tasks
    app = make_app(anywhere)
    app.conf.worker_enable_remote_control = True
    run = Run(app, pool, lambda: list(worker.lines))
    run.publish_all()
    run.wait_until_all_ended()
    worker.stop()
    app.close()
    check(run, pool, broker, record_property)
    assert [text for text in worker.other[banner:] if text.strip()] == ["worker: Warm shutdown (MainProcess)"]
    assert worker.errors[warnings:] == []


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_every_ending_inside_one_process(
    log_output: LogOutput, monkeypatch: pytest.MonkeyPatch, pool: str, record_property: Callable[[str, object], None]
) -> None:
    """Publisher and worker in one process, over ``memory://``."""
    import_module("tests.plain_app.tasks")  # shared tasks: every app has them
    app = make_app()
    with working(app, pool=pool, concurrency=4):
        run = Run(app, pool, lambda: log_output.lines)
        for name in ("revoked", "terminated"):
            run.endings.pop(name, None)  # there is no remote control here
        run.publish_all()
        run.wait_until_all_ended()
    check(run, pool, "memory", record_property)


def check(run: Run, pool: str, broker: str, record_property: Callable[[str, object], None]) -> None:
    faults = run.left_behind() + run.strangers()
    for name in run.endings:
        found = run.faults(name)
        record_property(ENDING, (pool, broker, name, not found))
        faults += found
    assert not faults, "\n".join(faults)
