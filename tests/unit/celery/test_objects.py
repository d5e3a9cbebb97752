"""Celery's and the application's objects are left as they are: requests, tasks, messages, exceptions."""

import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, Task
from celery.signals import task_failure, task_postrun, task_prerun, task_received, task_revoked
from celery.worker import state

from dtx_telemetry import bind_fields, config
from dtx_telemetry.celery import execution
from tests.conftest import LogOutput
from tests.support.celery_app import make_app, working
from tests.support.tracing import opentelemetry_on
from tests.support.waiting import wait_until

# What other libraries warn of is not to become an exception in the worker.
pytestmark = pytest.mark.filterwarnings("default")
#: What stands in a message, for anybody to read.
HEADERS = {"request.id", "dtx.context", "dtx.published_at", "traceparent"}


@pytest.fixture(params=["worker", "eager"])
def how(request: pytest.FixtureRequest) -> str:
    """Run tasks in a worker, or where they are published."""
    return str(request.param)


@pytest.fixture
def app() -> Iterator[Celery]:
    app = make_app()
    app.looked = []

    @app.task(name="look", bind=True, shared=False)
    def look(self: Task) -> None:
        app.looked.append(looks_of(self.request))

    @app.task(name="fail", shared=False)
    def fail() -> None:
        raise RuntimeError("no mana")

    with working(app):
        yield app


def looks_of(request: Any) -> dict[str, Any]:
    """Return what a task sees of its request, in each of the ways to look at it; ids and addresses differ between two."""
    names = {name for name in vars(request) if name not in HEADERS}
    assert pickle.loads(pickle.dumps(request)).__dict__.keys() == vars(request).keys()
    assert copy.deepcopy(request).__dict__.keys() == copy.copy(request).__dict__.keys() == vars(request).keys()
    dumped = json.loads(json.dumps(vars(request)))
    assert all(name in repr(request) for name in names)
    headers = dumped.pop("headers") or {}
    assert set(headers) <= HEADERS
    return {"vars": names, "json": {name: type(value) for name, value in dumped.items() if name not in HEADERS}}


def run(app: Celery, name: str, how: str) -> None:
    with bind_fields(**{"request.id": "req-1"}):
        if how == "eager":
            app.tasks[name].apply()
        else:
            done = state.total_count[name]
            app.tasks[name].delay()
            wait_until(lambda: state.total_count[name] > done and not state.reserved_requests, what=name)


@pytest.mark.parametrize("traced", [False, True])
def test_a_request_looks_as_without_us(
    app: Celery, log_output: LogOutput, monkeypatch: pytest.MonkeyPatch, how: str, traced: bool
) -> None:
    """Its attributes, printed, copied, pickled and as JSON, with OpenTelemetry too: our headers are all that is new."""
    if traced:
        with opentelemetry_on(monkeypatch):
            run(app, "look", how)
    else:
        run(app, "look", how)
    monkeypatch.setenv("TELEMETRY_ENABLED", "false")
    config.reset()
    run(app, "look", how)
    ours, theirs = app.looked
    assert ours == theirs


def test_nothing_is_written_on_what_signals_bring(app: Celery, log_output: LogOutput, how: str) -> None:
    """Neither on the task, nor on the worker's own request, nor on the exception, from the first signal to the last."""
    seen: dict[str, set[str]] = {}

    def note(signal: Any, sender: Any, request: Any = None, exception: Any = None, **_: Any) -> None:
        seen[signal.name] = {
            name
            for each in (sender, getattr(sender, "request", None), request, getattr(request, "_context", None), exception)
            for name in getattr(each, "__dict__", {})
        }

    signals = (task_received, task_prerun, task_failure, task_postrun)
    for signal in signals:
        signal.connect(note, weak=False, dispatch_uid="note")
    try:
        before = set(vars(app.tasks["fail"]))
        run(app, "fail", how)
    finally:
        for signal in signals:
            signal.disconnect(dispatch_uid="note")
    assert {"task_prerun", "task_postrun", "task_failure"} <= seen.keys()
    assert {name for names in seen.values() for name in names if "dtx" in name} <= HEADERS
    assert {name for name in set(vars(app.tasks["fail"])) - before if "dtx" in name} == set()
    assert log_output.one("task_failed")


def test_a_request_that_was_told_of_is_left_alone(app: Celery, log_output: LogOutput) -> None:
    """A task that the worker reports twice has one event, and its request no mark of that."""
    request = type(app.tasks["look"].request)({"id": "t-1", "request.id": "req-1"})
    before = dict(vars(request))
    for _ in range(2):
        task_revoked.send(sender=app.tasks["look"], request=request, terminated=False, signum=None, expired=False)
    assert vars(request) == before
    assert log_output.one("task_revoked")["request.id"] == "req-1"


@pytest.mark.parametrize("name", ["_dtx_execution", "_dtx_told", "_dtx_telemetry"])
def test_no_header_passes_for_something_of_ours(app: Celery, log_output: LogOutput, name: str) -> None:
    """A message's headers become attributes of its request: whatever they are called, they do no harm."""
    app.tasks["fail"].apply_async(headers={name: ["forged", None]})
    wait_until(lambda: log_output.events("task_failed"))
    assert log_output.events("telemetry_failed") == []
    assert execution._scope_of("t-1") is None
