"""Workflows: whatever the form, all tasks of one run under one ``request.id``."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task, chain, chord, group
from structlog.contextvars import bind_contextvars

from dtx_telemetry import bind_fields
from tests.conftest import LogOutput
from tests.support.canvases import CANVASES
from tests.support.celery_app import make_app, working
from tests.support.lines import Line
from tests.support.waiting import wait_until

# What other libraries warn of is not to become an exception in the worker.
pytestmark = pytest.mark.filterwarnings("default")
CLOSING = {"task_completed", "task_failed", "task_retried", "task_ignored", "task_rejected"}
IDS = {"request.id": "req-1", "user.id": 7}


def register(app: Celery) -> None:
    @app.task(name="step", shared=False)
    def step(*args: Any) -> None:
        bind_contextvars(bound_by_task=1)

    @app.task(name="fail", shared=False)
    def fail(*args: Any) -> None:
        raise RuntimeError("no mana")

    @app.task(name="told", shared=False)
    def told(task_id: str) -> None:
        """An error callback that takes the failed task's id: it is published as a task."""

    @app.task(name="start", bind=True, shared=False)
    def start(self: Task, form: str) -> None:
        """Replace itself by a workflow."""
        raise self.replace(CANVASES[form].make(step.si))


@pytest.fixture(scope="module")
def app() -> Iterator[Celery]:
    """An app with a worker that runs for all tests of this module; its result backend counts the tasks of a chord."""
    app = make_app()
    register(app)
    with working(app, pool="threads", concurrency=2):
        yield app


@pytest.fixture
def ended(log_output: LogOutput) -> Callable[[int], list[Line]]:
    """Wait until so many executions have ended; return their closing lines, all that there are."""

    def ended(count: int) -> list[Line]:
        closing = lambda: [line for line in log_output.lines if line["event"] in CLOSING]  # noqa: E731
        wait_until(lambda: len(closing()) >= count, what=f"{count} ends")
        return closing()

    return ended


def ids(lines: list[Line]) -> set[Any]:
    return {line.get("request.id") for line in lines if "task.id" in line}


@pytest.mark.parametrize("form", CANVASES)
def test_a_workflow_of_a_request_has_its_id(app: Celery, log_output: LogOutput, ended: Any, form: str) -> None:
    """Every line of every task, whoever published it, has the request's id and user."""
    with bind_fields(**IDS):
        CANVASES[form].make(app.tasks["step"].si).apply_async()
    lines = ended(CANVASES[form].tasks)
    assert {(line["event"], line["request.id"], line["user.id"]) for line in lines} == {("task_completed", "req-1", 7)}
    assert ids(log_output.lines) == {"req-1"}
    assert len(log_output.events("task_published")) == CANVASES[form].tasks  # else one is still to come, in the next test


@pytest.mark.parametrize("form", CANVASES)
def test_a_workflow_of_nobody_has_one_id(app: Celery, log_output: LogOutput, ended: Any, form: str) -> None:
    """Published from a shell or by beat, a workflow's tasks still join up."""
    CANVASES[form].make(app.tasks["step"].si).apply_async()
    ended(CANVASES[form].tasks)
    assert len(ids(log_output.lines)) == 1


SMALL = {
    "map": (1, lambda app: app.tasks["step"].map([1, 2])),
    "starmap": (1, lambda app: app.tasks["step"].starmap([(1, 2), (3, 4)])),
    "chunks": (2, lambda app: app.tasks["step"].chunks([(1,), (2,), (3,)], 2).group()),
    "link": (3, lambda app: app.tasks["step"].si().set(link=[app.tasks["step"].si(), app.tasks["step"].si()])),
    "link_error": (2, lambda app: app.tasks["fail"].si().set(link_error=app.tasks["told"].s())),
    "chain that fails": (2, lambda app: chain(app.tasks["fail"].si(), app.tasks["step"].si()).on_error(app.tasks["told"].s())),
    "chord that fails": (
        3,
        lambda app: chord(
            [app.tasks["fail"].si(), app.tasks["step"].si()], app.tasks["step"].si().on_error(app.tasks["told"].s())
        ),
    ),
    "replaced by a group": (4, lambda app: app.tasks["start"].si("group")),
    "replaced by a chord in a group": (5, lambda app: group(app.tasks["start"].si("chord"), app.tasks["step"].si())),
}


@pytest.mark.parametrize("bound", [True, False])
@pytest.mark.parametrize("form", SMALL)
def test_all_other_ways_to_go_on_keep_the_id(app: Celery, log_output: LogOutput, ended: Any, form: str, bound: bool) -> None:
    """``map``, ``chunks``, ``link``, error callbacks, ``replace``: one id, the request's where there is one."""
    count, make = SMALL[form]
    with bind_fields(**IDS if bound else {}):
        make(app).apply_async()
    lines = ended(count)
    assert len(lines) == count, [line["task.name"] for line in lines]
    found = ids(log_output.lines)
    assert found == {"req-1"} if bound else len(found) == 1


@pytest.mark.parametrize("bound", [True, False])
def test_a_chord_that_has_to_be_polled_has_one_id(log_output: LogOutput, tmp_path: Path, ended: Any, bound: bool) -> None:
    """Over a result backend that cannot count, Celery publishes a task that waits for the header: it has the id too."""
    app = make_app(result_backend=f"file://{tmp_path}", result_chord_retry_interval=0.05)
    register(app)
    step = app.tasks["step"]
    with working(app, pool="threads", concurrency=2):
        with bind_fields(**IDS if bound else {}):
            group(chord([step.si(), step.si()], step.si()), step.si()).apply_async()
        wait_until(lambda: sum(line["task.name"] == "step" for line in ended(1)) == 4)
    polling = log_output.events("task_started", task_name="celery.chord_unlock")
    told = [line for line in log_output.lines if "celery.chord_unlock" in (line.get("task.name"), *line["event"].split("["))]
    assert polling
    assert {line["level"] for line in told} == {"debug"}, "Celery's own polling is no news"
    found = ids(log_output.lines)
    assert found == {"req-1"} if bound else len(found) == 1


def test_polling_that_fails_is_news(app: Celery, log_output: LogOutput) -> None:
    """It is an error, with its traceback, as of any task."""
    app.tasks["celery.chord_unlock"].apply(("a group", {"task": "no such task"}))
    line = log_output.one("task_failed")
    assert (line["level"], line["task.name"]) == ("error", "celery.chord_unlock")
    assert "exception" in line
    assert log_output.one("task_started")["level"] == "debug"
