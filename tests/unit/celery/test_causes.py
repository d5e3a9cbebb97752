"""Which scope caused which: ``scope.id`` and ``scope.cause`` of executions, and of what the worker reports about tasks."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from billiard.exceptions import WorkerLostError
from celery import Celery, Task, chain, chord, group
from celery.app.task import Context
from celery.signals import task_failure, task_retry, task_revoked
from celery.worker import state

from dtx_telemetry import bind_fields, context, events, operation
from dtx_telemetry.celery import publishing
from tests.conftest import LogOutput
from tests.support.celery_app import make_app, messages, working
from tests.support.lines import Line, with_event, with_fields
from tests.support.waiting import wait_until

# What other libraries warn of is not to become an exception in the worker.
pytestmark = pytest.mark.filterwarnings("default")
CLOSING = {event.name for event in events.EVENTS.values() if event.kind == "task" and event.role == "ends"}


def register(app: Celery) -> None:
    @app.task(name="step", shared=False)
    def step(*args: Any) -> None:
        """Do nothing."""

    @app.task(name="nest", shared=False)
    def nest(depth: int) -> None:
        with bind_fields(depth=depth):
            if depth:
                nest.delay(depth - 1)

    @app.task(name="retry", bind=True, max_retries=3, default_retry_delay=0, shared=False)
    def retry(self: Task, times: int) -> None:
        if self.request.retries < times:
            raise self.retry(exc=RuntimeError("again"))

    @app.task(name="replace", bind=True, shared=False)
    def replace(self: Task) -> None:
        raise self.replace(step.si())

    @app.task(name="apply", shared=False)
    def apply() -> None:
        step.apply()

    @app.task(name="told", shared=False)
    def told(task_id: str) -> None:
        """An error callback that takes the failed task's id: it is published as a task."""

    @app.task(name="fail", shared=False)
    def fail() -> None:
        raise RuntimeError("no mana")


@pytest.fixture(scope="module")
def app() -> Iterator[Celery]:
    """An app with a worker that runs for all tests of this module."""
    app = make_app()
    register(app)
    with working(app, pool="threads", concurrency=2):
        yield app


class Tree:
    """The scopes that lines tell of.

    Attributes:
        lines: all lines.
        root: the id of the scope that published first.
    """

    def __init__(self, lines: list[Line], root: str) -> None:
        self.lines = lines
        self.root = root

    def causes(self, name: str) -> list[str]:
        """Return for each execution of a task, in the order of their starts, the name of what caused it."""
        return [self.name_of(line.get("scope.cause")) for line in with_event(self.lines, "task_started", task_name=name)]

    def name_of(self, scope_id: object) -> str:
        """Return the name of the task that has that scope, ``root``, ``none`` or ``unknown``."""
        if scope_id in (None, self.root):
            return "none" if scope_id is None else "root"
        started = with_event(self.lines, "task_started", scope_id=scope_id)
        return started[0]["task.name"] if len(started) == 1 else "unknown"

    def has_one_scope_for_each_execution(self) -> bool:
        """Return True if all lines of each execution have its scope's id and cause, and no other's."""
        ends = [line["scope.id"] for line in self.lines if line["event"] in CLOSING]
        each = {(line["scope.id"], line.get("scope.cause"), line["task.id"]) for line in self.lines if "task.id" in line}
        published = {line["scope.id"] for line in with_event(self.lines, "task_published")}
        return (
            len(ends) == len(set(ends))
            and len({scope for scope, _, _ in each} - {self.root}) == len({scope for scope, _, _ in each if scope in ends})
            and published <= {self.root, *ends}
        )


@pytest.fixture
def run(app: Celery, log_output: LogOutput) -> Callable[..., Tree]:
    """Publish something in an operation, wait until so many executions have ended, and return the scopes."""

    def run(publish: Callable[[], object], executions: int) -> Tree:
        with operation("test"):
            root = context.current_scope_id()
            publish()
        assert root is not None
        wait_until(lambda: sum(line["event"] in CLOSING for line in log_output.lines) >= executions, what="the ends")
        wait_until(lambda: not state.reserved_requests, what="the worker")
        return Tree(log_output.lines, root)

    return run


def test_a_task_is_caused_by_the_scope_that_published_it(app: Celery, run: Any) -> None:
    """A scope publishes A, which publishes B, which publishes C, each from within a block of `bind_fields`."""
    tree = run(lambda: app.tasks["nest"].delay(2), 3)
    assert tree.has_one_scope_for_each_execution()
    first, second, third = with_event(tree.lines, "task_started")
    assert [first["scope.cause"], second["scope.cause"], third["scope.cause"]] == [
        tree.root,
        first["scope.id"],
        second["scope.id"],
    ]
    assert len({tree.root, first["scope.id"], second["scope.id"], third["scope.id"]}) == 4


def test_a_task_that_another_one_follows_is_not_its_cause(app: Celery, run: Any) -> None:
    """A scope publishes two tasks, one after the other: both are its own."""

    def publish() -> None:
        app.tasks["nest"].delay(1)
        app.tasks["step"].delay()

    tree = run(publish, 3)
    assert tree.causes("step") == ["root"]
    assert tree.causes("nest") == ["root", "nest"]


CANVASES: dict[str, tuple[int, Callable[[Celery], Any], dict[str, list[str]]]] = {
    "group": (2, lambda app: group(step(app), app.tasks["fail"].si()), {"step": ["root"], "fail": ["root"]}),
    "chain": (
        3,
        lambda app: chain(app.tasks["nest"].si(0), app.tasks["apply"].si()),
        {"nest": ["root"], "apply": ["nest"], "step": ["apply"]},
    ),
    "chord": (
        3,
        lambda app: chord([step(app), step(app)], app.tasks["nest"].si(0)),
        {"step": ["root", "root"], "nest": ["step"]},
    ),
    "link": (2, lambda app: step(app).set(link=[app.tasks["nest"].si(0)]), {"step": ["root"], "nest": ["step"]}),
    "link_error": (
        2,
        lambda app: app.tasks["fail"].si().set(link_error=app.tasks["told"].s()),
        {"fail": ["root"], "told": ["fail"]},
    ),
    "replace": (2, lambda app: app.tasks["replace"].si(), {"replace": ["root"], "step": ["replace"]}),
}


def step(app: Celery) -> Any:
    return app.tasks["step"].si()


@pytest.mark.parametrize("form", CANVASES)
def test_each_task_of_a_workflow_is_caused_by_the_one_that_published_it(app: Celery, run: Any, form: str) -> None:
    """In a chain the one before, after a chord the last of its header, of a group whoever published the group."""
    executions, make, expected = CANVASES[form]
    tree = run(lambda: make(app).apply_async(), executions)
    assert {name: tree.causes(name) for name in expected} == expected
    assert tree.has_one_scope_for_each_execution()


def test_each_attempt_is_caused_by_the_first_publisher(app: Celery, run: Any) -> None:
    """A retry is published by the attempt before, and keeps what the first one was sent with; each is a scope of its own."""
    tree = run(lambda: app.tasks["retry"].delay(2), 3)
    assert tree.causes("retry") == ["root"] * 3
    assert tree.has_one_scope_for_each_execution()
    assert all("task.parent_id" not in line for line in with_event(tree.lines, "task_started"))


def test_an_eager_task_is_caused_by_the_scope_around(app: Celery, log_output: LogOutput) -> None:
    """Also its retry, which Celery runs after it, and one with headers that came from somewhere else."""
    with operation("test"):
        root = context.current_scope_id()
        app.tasks["step"].apply(headers={"request.id": "r-1", "dtx.context": {"scope.id": "0" * 8}})
        app.tasks["retry"].apply((1,))
    step, first, second = log_output.events("task_started")
    assert [step["scope.cause"], first["scope.cause"], second["scope.cause"]] == [root] * 3


def test_without_a_publisher_there_is_no_cause(app: Celery, log_output: LogOutput) -> None:
    """Published where no scope is, as beat does, or run eagerly in a shell."""
    app.tasks["step"].delay()
    app.tasks["step"].apply()
    wait_until(lambda: len(log_output.events("task_completed")) == 2)
    assert all("scope.cause" not in line for line in log_output.lines if "task.id" in line)
    assert all("scope.id" not in line for line in log_output.events("task_published"))


@pytest.mark.parametrize("bad", ["", "0123456", "0123456789", "ABCDEF01", 5, None, "\n1234567"])
def test_what_is_no_id_of_a_scope_is_no_cause(app: Celery, log_output: LogOutput, bad: Any) -> None:
    """It is left out, and named in one warning, as a line of the task."""
    app.tasks["step"].apply(headers={"request.id": "r-1", "dtx.context": {"scope.id": bad, "user.id": 7}})
    started = log_output.one("task_started")
    assert "scope.cause" not in started
    assert started["user.id"] == 7
    if bad is not None:
        warning = log_output.one("context_not_restored_whole")
        assert (warning["fields"], warning["scope.id"]) == ({"scope.id": "left out"}, started["scope.id"])


class TestAReport:
    """The worker's main process tells of a task that another process ran, or none: in a scope caused by the publisher's."""

    @pytest.fixture
    def headers(self, app: Celery) -> dict[str, Any]:
        """The headers of a message that a scope published."""
        headers: dict[str, Any] = {"id": "t-1"}
        with operation("test"):
            publishing.add_context(sender="step", headers=headers, body=((), {}, {}))
        return headers

    def test_of_a_lost_task(self, app: Celery, headers: dict[str, Any], log_output: LogOutput) -> None:
        """Celery puts its request on the task's stack."""
        step = app.tasks["step"]
        step.request_stack.push(Context(headers))
        try:
            task_failure.send(sender=step, task_id="t-1", exception=WorkerLostError("killed"))
        finally:
            step.request_stack.pop()
        check(log_output.one("task_failed"), headers)
        assert "duration_ms" not in log_output.one("task_failed")

    def test_of_a_revoked_task(self, app: Celery, headers: dict[str, Any], log_output: LogOutput) -> None:
        task_revoked.send(sender=app.tasks["step"], request=Context(headers), terminated=False, signum=None, expired=False)
        check(log_output.one("task_revoked"), headers)

    def test_of_a_task_that_it_publishes_again(self, app: Celery, headers: dict[str, Any], log_output: LogOutput) -> None:
        task_retry.send(sender=app.tasks["step"], request=Context(headers), reason=WorkerLostError("killed"), einfo=None)
        check(log_output.one("task_retried"), headers)

    def test_of_a_task_that_it_does_not_have(self, app: Celery, log_output: LogOutput) -> None:
        with operation("test"):
            app.send_task("somewhere.else")
        wait_until(lambda: log_output.events("task_unknown"))
        unknown, published = log_output.one("task_unknown"), log_output.one("task_published")
        assert unknown["scope.cause"] == published["scope.id"] != unknown["scope.id"]

    def test_of_a_message_that_is_no_task(self, app: Celery, log_output: LogOutput) -> None:
        with operation("test"):
            app.send_task("step", eta="not a time")
        wait_until(lambda: log_output.events("task_rejected"))
        assert log_output.one("task_rejected")["scope.cause"] == log_output.one("task_published")["scope.id"]


def check(line: Line, headers: dict[str, Any]) -> None:
    assert line["scope.cause"] == headers["dtx.context"]["scope.id"] != line["scope.id"]


def test_the_publishers_scope_travels(log_output: LogOutput) -> None:
    """``scope.id`` stands in ``dtx.context``, whatever `PROPAGATE` names; a scope's own cause stays at home."""
    app = make_app()
    with operation("outer"), operation("inner"):
        scope_id = context.current_scope_id()
        app.send_task("work")
    (headers,) = messages(app)
    assert headers["dtx.context"]["scope.id"] == scope_id
    assert "scope.cause" not in headers["dtx.context"]
    assert with_fields(log_output.events("task_published"), scope_id=scope_id)
