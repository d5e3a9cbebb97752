"""Eager tasks: run in the caller's own thread, with its context, which is the same afterwards."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from celery import Celery, Task
from celery.exceptions import Ignore, Reject, Retry
from structlog.contextvars import bind_contextvars, get_contextvars

from dtx_telemetry import bind_fields, context, get_logger
from tests.conftest import LogOutput
from tests.support.celery_app import make_app
from tests.support.lines import with_fields
from tests.support.scopes import without_ids

IDS = {"request.id": "req-1", "user.id": 7}
log = get_logger("app")
ERRORS: dict[str, tuple[type[BaseException], str]] = {
    "error": (RuntimeError, "task_failed"),
    "ignore": (Ignore, "task_ignored"),
    "reject": (Reject, "task_rejected"),
    "retry": (Retry, "task_retried"),
    "exit": (SystemExit, "task_failed"),
    "interrupt": (KeyboardInterrupt, "task_failed"),
}


@pytest.fixture(params=["task_always_eager", "apply"])
def publish(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run a task eagerly, in the one way or the other."""
    if request.param == "apply":
        return lambda task, *args, **options: task.apply(args, **options)
    return lambda task, *args, **options: task.apply_async(args, **options)


@pytest.fixture
def app() -> Celery:
    app = make_app(task_always_eager=True)

    @app.task(name="echo", shared=False)
    def echo() -> dict[str, Any]:
        bound = get_contextvars()
        bind_contextvars(bound_by_task=1)
        log.info("echo")
        return bound

    @app.task(name="nest", shared=False)
    def nest(depth: int) -> None:
        before = get_contextvars()
        if depth:
            nest.delay(depth - 1)
        log.info("nested", same=get_contextvars() == before)

    @app.task(name="raise", shared=False)
    def raise_it(name: str) -> None:
        bind_contextvars(bound_by_task=1)
        raise ERRORS[name][0]("no mana")

    @app.task(name="retry", bind=True, max_retries=5, default_retry_delay=0, shared=False)
    def retry(self: Task, times: int) -> None:
        if self.request.retries < times:
            raise self.retry(exc=RuntimeError("again"))

    class Careless(Task):  # type: ignore[misc]
        def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
            raise RuntimeError("in on_success")

    @app.task(name="careless", base=Careless, shared=False)
    def careless() -> None:
        pass

    return app


def test_an_eager_task_has_its_callers_context_and_its_own_id(app: Celery, log_output: LogOutput, publish: Any) -> None:
    """In a request it keeps the request's fields, adds its own, and gives the caller's back untouched."""
    with bind_fields(**IDS, hero="Lina"):
        before = context.bound(), context.current_scope()
        result = publish(app.tasks["echo"])
        assert (context.bound(), context.current_scope()) == before
    assert without_ids(result.get()) == {**IDS, "hero": "Lina", "task.id": result.id, "task.name": "echo"}
    for event in ("task_started", "echo", "task_completed"):
        line = log_output.one(event)
        assert (line["request.id"], line["task.id"]) == ("req-1", result.id)
    assert log_output.events("task_published") == []


def test_without_a_caller_it_has_an_id_of_its_own(app: Celery, log_output: LogOutput, publish: Any) -> None:
    """From a shell its own id serves as the request's."""
    result = publish(app.tasks["echo"])
    assert without_ids(result.get()) == {"request.id": result.id, "task.id": result.id, "task.name": "echo"}
    assert get_contextvars() == {}


@pytest.mark.leaves_bound
def test_what_the_process_has_bound_shows_in_it(app: Celery, log_output: LogOutput, publish: Any) -> None:
    """An eager task runs inside what is bound around it."""
    bind_contextvars(service="shell")
    assert publish(app.tasks["echo"]).get()["service"] == "shell"


@pytest.mark.parametrize("headers", [{"request.id": "by-hand"}, {"request.id": "by-hand", "dtx.context": {"hero": "Lina"}}])
def test_headers_that_were_given_by_hand_hold(app: Celery, log_output: LogOutput, publish: Any, headers: Any) -> None:
    """An id and a context in ``headers`` are bound over the caller's, for the task alone."""
    with bind_fields(**IDS):
        bound = publish(app.tasks["echo"], headers=headers).get()
        assert get_contextvars() == IDS
    assert bound["request.id"] == "by-hand"
    assert bound.get("hero") == headers.get("dtx.context", {}).get("hero")


@pytest.mark.parametrize("headers", [None, {}, {"mine": 1}, {"dtx.context": {"hero": "Lina"}}, {"request.id": None}])
def test_headers_without_an_id_leave_the_callers(app: Celery, log_output: LogOutput, publish: Any, headers: Any) -> None:
    """Headers that say nothing about the id do not take the caller's away."""
    with bind_fields(**IDS):
        assert publish(app.tasks["echo"], headers=headers).get()["request.id"] == "req-1"


def test_nested_eager_tasks_each_have_their_scope(app: Celery, log_output: LogOutput, publish: Any) -> None:
    """A task that runs another that runs another: each finds its own context again, and knows its parent."""
    with bind_fields(**IDS):
        publish(app.tasks["nest"], 3)
        assert get_contextvars() == IDS
    lines = log_output.events("nested")
    assert [(line["same"], line["request.id"]) for line in lines] == [(True, "req-1")] * 4
    assert len({line["task.id"] for line in lines}) == 4
    started = log_output.events("task_started")
    assert [line.get("task.parent_id") for line in started] == [None, *[line["task.id"] for line in started[:3]]]


@pytest.mark.parametrize("throw", [True, False])
@pytest.mark.parametrize("name", ERRORS)
def test_whatever_it_raises_the_callers_context_is_the_same(
    app: Celery, log_output: LogOutput, publish: Any, name: str, throw: bool
) -> None:
    """However it ends, thrown to the caller or not, there is one closing event, and the caller's context is what it was."""
    app.conf.task_eager_propagates = throw
    with bind_fields(**IDS):
        before = context.bound(), context.current_scope()
        with suppress(ERRORS[name][0]):
            publish(app.tasks["raise"], name)
        assert (context.bound(), context.current_scope()) == before
    closing = [line["event"] for line in with_fields(log_output.lines, task_name="raise") if line["event"] != "task_started"]
    assert [event for event in closing if event.startswith("task_")] == [ERRORS[name][1]]


@pytest.mark.parametrize("name", ["echo", "careless"])
def test_what_the_caller_is_handling_is_not_the_tasks(app: Celery, log_output: LogOutput, publish: Any, name: str) -> None:
    """Run while its caller handles an exception, a task that ends well is completed; one that fails after its body is not."""
    try:
        raise ValueError("the caller's")
    except ValueError:
        try:
            publish(app.tasks[name])
        except RuntimeError:
            assert name == "careless"
    if name == "echo":
        assert log_output.events("task_failed") == []
        assert log_output.one("task_completed")
    else:
        assert log_output.one("task_failed")["error"] == "RuntimeError: in on_success"
        assert log_output.events("task_completed") == []


def test_an_eager_retry_keeps_the_id(app: Celery, log_output: LogOutput, publish: Any) -> None:
    """Each attempt runs under the caller's id; each but the last is a ``task_retried``."""
    with bind_fields(**IDS):
        publish(app.tasks["retry"], 2)
        assert get_contextvars() == IDS
    closing = [line for line in log_output.lines if line["event"] in ("task_retried", "task_completed", "task_failed")]
    assert sorted(line["event"] for line in closing) == ["task_completed", "task_retried", "task_retried"]
    assert {line["request.id"] for line in log_output.events("task_started")} == {"req-1"}


def test_an_eager_failure_prints_its_traceback_once(app: Celery, log_output: LogOutput, publish: Any) -> None:
    """The caller's own line about the same exception has the error alone."""
    app.conf.task_eager_propagates = True
    try:
        publish(app.tasks["raise"], "error")
    except RuntimeError as error:
        log.error("view_failed", exc_info=error)
    assert "exception" in log_output.one("task_failed")
    assert "exception" not in log_output.one("view_failed")
    assert log_output.one("view_failed")["error"] == "RuntimeError: no mana"
