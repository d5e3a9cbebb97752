"""Tasks that the worker's shutdown interrupts: each has one closing event, which says whether it will be delivered again."""

import json
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from celery import VERSION, Celery

from dtx_telemetry import context, operation
from tests.support.brokers import Broker
from tests.support.celery_app import make_app
from tests.support.lines import Line, with_fields
from tests.support.processes import Process, Processes
from tests.support.waiting import wait_until

TASKS = "tests.plain_app.tasks."
INTERRUPTED = "interrupted by the worker's shutdown"
#: Before that version a signal handler that is ended with its greenlet leaves no sign of what it was about.
POOLS = ["prefork", pytest.param("gevent", marks=pytest.mark.skipif(VERSION < (5, 7), reason="Celery does not say why"))]
CLOSING = {"task_completed", "task_failed", "task_retried", "task_revoked"}


@pytest.fixture
def app(valkey: Broker) -> Iterator[Celery]:
    """Publishes to the worker."""
    with make_app(valkey, worker_enable_remote_control=True) as app:
        yield app


@pytest.fixture
def work(processes: Processes, valkey: Broker) -> Callable[..., Process]:
    """Start a worker of the app that has no Django, with a broker that it waits for in an event loop, as most do."""
    processes.environ.update(valkey.environ)
    del processes.environ["DJANGO_SETTINGS_MODULE"]

    def work(pool: str = "prefork", env: dict[str, str] | None = None, **conf: Any) -> Process:
        processes.environ["DTX_TEST_CELERY"] = json.dumps(conf)
        return processes.worker("-l", "INFO", app="tests.plain_app", pool=pool, env=env or {})

    return work


class Task:
    """A task that a worker has started.

    Attributes:
        id: its id.
        cause: the scope that published it.
    """

    def __init__(self, app: Celery, worker: Process, seconds: float = 60, *, is_asked: bool = True) -> None:
        with operation("test"):
            self.cause = context.current_scope_id()
            self.id: str = app.send_task(f"{TASKS}sleep", (seconds,)).id
        self._worker = worker
        worker.wait_for_event("task_started", task_id=self.id)
        if is_asked:  # it may hear that the task has started only after its line came
            wait_until(lambda: self.id in str(app.control.inspect(timeout=0.5).active()), what="the worker's word")

    def ends(self) -> list[Line]:
        """Return its closing events, once the worker has ended."""
        self._worker.wait()
        return [line for line in with_fields(self._worker.lines, task_id=self.id) if line["event"] in CLOSING]

    def check(self, event: str, error: str | None) -> None:
        """Expect that one closing event and no other."""
        found = [(line["event"], line.get("error"), line["scope.cause"]) for line in self.ends()]
        assert found == [(event, error, self.cause)]


@pytest.mark.parametrize("pool", POOLS)
def test_a_task_that_is_acknowledged_late_comes_again(work: Any, app: Celery, pool: str) -> None:
    """SIGQUIT while it sleeps: a ``task_retried`` that says why."""
    worker = work(pool, task_acks_late=True)
    task = Task(app, worker)
    worker.send_signal(signal.SIGQUIT)
    task.check("task_retried", INTERRUPTED)


@pytest.mark.parametrize("pool", POOLS)
def test_any_other_has_failed(work: Any, app: Celery, pool: str) -> None:
    """Its message is acknowledged: nobody will run it again, whatever Celery calls that."""
    worker = work(pool)
    task = Task(app, worker)
    worker.send_signal(signal.SIGQUIT)
    task.check("task_failed", INTERRUPTED)


@pytest.mark.parametrize("pool", ["solo", "threads"])
def test_a_pool_that_cannot_be_interrupted_ends_each_task_once(work: Any, app: Celery, pool: str) -> None:
    """Celery has no way to cancel a task there, and fails in trying, and then may not stop: a task ends as it ends."""
    worker = work(pool, task_acks_late=True)
    task = Task(app, worker, 3, is_asked=False)
    worker.send_signal(signal.SIGQUIT)
    end = worker.wait_for(lambda line: line["event"] in CLOSING)
    assert (end["task.id"], end["event"]) in {(task.id, "task_completed"), (task.id, "task_failed")}
    worker.wait_for(lambda line: line["event"] == "task_left")
    assert len([line for line in worker.lines if line["event"] in CLOSING]) == 1


def test_a_soft_shutdown_leaves_time_and_then_interrupts(work: Any, app: Celery) -> None:
    """A task that ends in that time is completed, another one comes again."""
    worker = work(task_acks_late=True, worker_soft_shutdown_timeout=3)
    long, short = Task(app, worker), Task(app, worker, 1, is_asked=False)
    worker.send_signal(signal.SIGQUIT)
    long.check("task_retried", INTERRUPTED)
    if VERSION >= (5, 7):  # an older worker cancels what its child has completed as well, and says so
        short.check("task_completed", None)


def test_a_second_signal_ends_a_soft_shutdown(work: Any, app: Celery) -> None:
    """With ``REMAP_SIGTERM`` a second SIGTERM cancels what is running: once told, however often the worker says it."""
    worker = work(env={"REMAP_SIGTERM": "SIGQUIT"}, task_acks_late=True, worker_soft_shutdown_timeout=3)
    task = Task(app, worker)
    worker.send_signal(signal.SIGTERM)
    worker.wait_for(lambda line: "Initiating Soft Shutdown" in line["event"])
    worker.send_signal(signal.SIGTERM)
    task.check("task_retried", INTERRUPTED)


def test_a_warm_shutdown_waits(work: Any, app: Celery) -> None:
    """However often SIGTERM comes."""
    worker = work(task_acks_late=True)
    task = Task(app, worker, 2, is_asked=False)
    for _ in range(2):
        worker.send_signal(signal.SIGTERM)
        worker.wait_for_text("Warm shutdown")
    task.check("task_completed", None)
