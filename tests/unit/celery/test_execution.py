"""An execution of a task: its scope, its lines, and what is left of it."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from celery import VERSION, Celery, Task
from celery.app.task import Context
from celery.app.trace import build_tracer
from celery.backends.cache import CacheBackend
from celery.exceptions import Ignore, Reject, Retry
from celery.signals import before_task_publish, task_postrun, task_prerun
from celery.utils.serialization import UnpickleableExceptionWrapper
from celery.worker import state
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from dtx_telemetry import bind_fields, context, get_logger
from dtx_telemetry.celery import context_restored, execution, publishing, reports
from tests.conftest import LogOutput
from tests.support.celery_app import make_app, working
from tests.support.lines import Line, with_fields
from tests.support.scopes import without_ids
from tests.support.waiting import wait_until

IDS = {"request.id": "req-1", "user.id": 7}
# Celery's way to say it, in a worker where pytest would make an exception of it.
pytestmark = pytest.mark.filterwarnings("default:Exception raised outside body:RuntimeWarning")
CLOSING = {"task_completed", "task_failed", "task_retried", "task_ignored", "task_rejected"}


class ExpectedError(Exception):
    """An error that tasks name in their ``throws``."""


class Brittle(CacheBackend):
    """A result backend that cannot store the result of the task ``unstorable``."""

    def store_result(self, task_id: str, result: Any, state: str, *args: Any, **kwargs: Any) -> Any:
        if state == "SUCCESS" and result == "unstorable":
            raise ConnectionError("the backend is down")
        return super().store_result(task_id, result, state, *args, **kwargs)


log = get_logger("app.tasks")


def register(app: Celery) -> None:
    register_plain(app)
    register_repeating(app)
    register_nested(app)
    register_careless(app)


def register_plain(app: Celery) -> None:
    @app.task(name="echo", shared=False)
    def echo(result: Any = None) -> Any:
        log.info("echo", bound=get_contextvars())
        logging.getLogger("third.party").info("a line of stdlib logging")
        bind_contextvars(bound_by_task=1)
        return result

    @app.task(name="fail", shared=False)
    def fail() -> None:
        bind_contextvars(bound_by_task=1)
        raise RuntimeError("no mana")

    @app.task(name="unpicklable", shared=False)
    def fail_unpicklably(base: str) -> None:
        class Local(ValueError if base == "ValueError" else Exception):  # type: ignore[misc]
            """No pickle can name it."""

        raise Local("l")

    for name, throws in {"tuple": (ExpectedError,), "list": [ExpectedError], "single": ExpectedError, "odd": ("x", 5)}.items():

        @app.task(name=f"throws.{name}", throws=throws, shared=False)
        def fail_as_expected() -> None:
            raise ExpectedError("not yours")

    @app.task(name="ignore", shared=False)
    def ignore() -> None:
        raise Ignore

    @app.task(name="reject", acks_late=True, shared=False)
    def reject() -> None:
        raise Reject("not here", requeue=False)


def register_repeating(app: Celery) -> None:
    @app.task(name="retry", bind=True, max_retries=3, default_retry_delay=0, shared=False)
    def retry(self: Task, times: int) -> None:
        if self.request.retries < times:
            raise self.retry(exc=RuntimeError("again"))

    @app.task(name="autoretry", autoretry_for=(RuntimeError,), max_retries=2, default_retry_delay=0, shared=False)
    def autoretry() -> None:
        raise RuntimeError("again")

    @app.task(name="replace", bind=True, shared=False)
    def replace(self: Task) -> None:
        raise self.replace(app.tasks["echo"].s())


def register_nested(app: Celery) -> None:
    @app.task(name="nest", shared=False)
    def nest(depth: int) -> None:
        bind_contextvars(depth=depth)
        if depth:
            nest.delay(depth - 1)

    @app.task(name="clear", shared=False)
    def clear() -> None:
        clear_contextvars()
        log.info("cleared")
        app.tasks["echo"].apply_async()

    @app.task(name="apply_inside", bind=True, shared=False)
    def apply_inside(self: Task) -> None:
        before = get_contextvars()
        for name in ("echo", "fail", "ignore"):
            app.tasks[name].apply(throw=False)
        fail_quietly(app.tasks["fail"])
        log.info("applied", same=get_contextvars() == before, still=self.request.id == before["task.id"])


def register_careless(app: Celery) -> None:
    class Careless(Task):  # type: ignore[misc]
        """Fails before, or after, the body."""

        def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
            if self.name == "before_start":
                raise RuntimeError("before")

        def on_failure(self, exc: Any, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
            raise RuntimeError("in on_failure")

        def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
            raise RuntimeError("in on_success")

    for name in ("before_start", "on_success"):

        @app.task(name=name, base=Careless, shared=False)
        def careless() -> None:
            pass


def fail_quietly(task: Task) -> None:
    try:
        task.apply(throw=True)
    except RuntimeError:
        pass


@pytest.fixture(scope="module")
def app() -> Iterator[Celery]:
    """An app with a worker that runs for all tests of this module."""
    app = make_app(result_backend=f"{__name__}:Brittle+memory://", result_extended=True)
    ended: list[Callable[[], None]] = []
    app.loader.on_process_cleanup = lambda: [call() for call in ended]  # what Celery calls when it has done with an execution
    app.ended = ended
    register(app)
    with working(app):
        yield app


class Runner:
    """Publishes tasks and waits for them to end.

    Attributes:
        left: what was bound after each execution, in order.
    """

    def __init__(self, app: Celery) -> None:
        self.app = app
        self.left: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []

    def __call__(self, name: str, *args: Any, executions: int = 1, **options: Any) -> str:
        """Publish a task, and return its id once so many executions have ended and the worker has done with them.

        What it warns of at the very end would be an exception in its thread where that comes between two tests.
        """
        done = len(self.left) + executions
        task_id: str = self.app.send_task(name, args, **options).id
        wait_until(lambda: len(self.left) >= done and not state.reserved_requests, what=f"the end of {name}")
        return task_id


@pytest.fixture
def run(app: Celery, log_output: LogOutput) -> Iterator[Runner]:
    runner = Runner(app)

    def note() -> None:
        runner.left.append(get_contextvars())

    def look(headers: Any, **_: Any) -> None:
        runner.messages.append(dict(headers))

    app.ended.append(note)
    before_task_publish.connect(look, weak=False)
    yield runner
    app.ended.remove(note)
    before_task_publish.disconnect(look)


def closing(lines: list[Line], task_id: str) -> list[str]:
    return [line["event"] for line in with_fields(lines, task_id=task_id) if line["event"] in CLOSING]


def test_the_publishers_context_is_bound_for_the_task(run: Runner, log_output: LogOutput) -> None:
    """Every line of the task, the application's and third parties', has the publisher's fields and the task's id and name."""
    with bind_fields(**IDS, labels=["draft"], **{"draft.id": 12}):
        task_id = run("echo")
    expected = {**IDS, "labels": ["draft"], "draft.id": 12, "task.id": task_id, "task.name": "echo"}
    assert without_ids(log_output.one("echo")["bound"]) == expected
    for event in ("task_started", "echo", "a line of stdlib logging", "task_completed"):
        line = log_output.one(event)
        assert {key: line.get(key) for key in expected} == expected


def test_starting_and_ending_are_logged(run: Runner, log_output: LogOutput) -> None:
    """``task_started`` tells the attempt, the queue and how long the task waited in it, ``task_completed`` how long it took."""
    run("echo")
    started, completed = log_output.one("task_started"), log_output.one("task_completed")
    assert started["task.retries"] == 0
    assert started["task.queue"].startswith("test-")
    assert 0 <= started["task.queue_ms"] < 60_000
    assert "task.parent_id" not in started
    assert 0 <= completed["duration_ms"] < 60_000
    assert (started["level"], completed["level"]) == ("info", "info")


ENDINGS = {
    "echo": ["task_completed"],
    "fail": ["task_failed"],
    "throws.tuple": ["task_failed"],
    "ignore": ["task_ignored"],
    "reject": ["task_rejected"],
    "replace": ["task_ignored", "task_completed"],
    "autoretry": ["task_retried", "task_retried", "task_failed"],
    "before_start": ["task_failed"],
    # Up to Celery 5.6 it makes a failure of the task.
    "on_success": ["task_completed"] if VERSION >= (5, 7) else ["task_failed"],
}


@pytest.mark.parametrize("name", ENDINGS)
def test_each_execution_ends_once_and_leaves_nothing(run: Runner, log_output: LogOutput, name: str) -> None:
    """However it ends, there is one closing event, with all ids, and afterwards the thread's context is what it was."""
    with bind_fields(**IDS):
        task_id = run(name, executions=len(ENDINGS[name]))
    wait_until(lambda: len(closing(log_output.lines, task_id)) >= len(ENDINGS[name]))
    assert closing(log_output.lines, task_id) == ENDINGS[name]
    assert all(line["request.id"] == "req-1" for line in with_fields(log_output.lines, task_id=task_id))
    assert run.left == [{}] * len(ENDINGS[name])


def test_a_failure_has_its_traceback_once(run: Runner, log_output: LogOutput) -> None:
    """``task_failed`` is an error with the exception and its traceback; Celery's own line about it is left out."""
    run("fail")
    line = log_output.one("task_failed")
    assert (line["level"], line["error"]) == ("error", "RuntimeError: no mana")
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("RuntimeError: no mana")
    run("echo")
    assert not [line for line in log_output.lines if "raised unexpected" in line["event"]]
    assert log_output.text.count("Traceback (most recent call last)") == 1


@pytest.mark.parametrize("base", ["Exception", "ValueError"])
def test_an_exception_that_cannot_be_pickled_is_named_all_the_same(run: Runner, log_output: LogOutput, base: str) -> None:
    """Celery puts a wrapper, or one of its base class, in its place; the event has its own type, text and traceback."""
    run("unpicklable", base)
    line = log_output.one("task_failed")
    assert line["error"] == "Local: l"
    assert line["exception"].splitlines()[-1].endswith("Local: l")


def test_so_is_one_that_the_worker_tells_of(app: Celery, log_output: LogOutput) -> None:
    """All that it has is the wrapper."""
    error = UnpickleableExceptionWrapper("app.errors", "NoMana", ("l", 5), "NoMana('l', 5)")
    reports.failed(app.tasks["echo"], "t-1", error)
    assert log_output.one("task_failed")["error"] == "NoMana: ('l', 5)"


@pytest.mark.parametrize("name", ["throws.tuple", "throws.list", "throws.single"])
def test_an_expected_error_is_no_error(run: Runner, log_output: LogOutput, name: str) -> None:
    """An exception that the task names in ``throws``, in whatever form, is logged at info and without a traceback."""
    run(name)
    line = log_output.one("task_failed")
    assert (line["level"], line["error"]) == ("info", "ExpectedError: not yours")
    assert "exception" not in line


def test_nonsense_in_throws_changes_nothing(run: Runner, log_output: LogOutput) -> None:
    """What is no exception class is passed over."""
    run("throws.odd")
    assert log_output.one("task_failed")["level"] == "error"


def test_a_retry_keeps_the_id_and_the_size(run: Runner, log_output: LogOutput) -> None:
    """Every attempt has the first one's context, in headers that do not grow, and tells which attempt it is and why."""
    with bind_fields(**IDS, hero="Lina"):
        task_id = run("retry", 3, executions=4)
    started = log_output.events("task_started", task_id=task_id)
    assert [(line["task.retries"], line["request.id"], line["hero"]) for line in started] == [
        (number, "req-1", "Lina") for number in range(4)
    ]
    retried = log_output.events("task_retried", task_id=task_id)
    assert [(line["task.retries"], line["error"], line["level"]) for line in retried] == [
        (number, "RuntimeError: again", "warning") for number in range(3)
    ]
    assert closing(log_output.lines, task_id) == ["task_retried"] * 3 + ["task_completed"]
    ours = [{key: value for key, value in headers.items() if key in ("request.id", "dtx.context")} for headers in run.messages]
    assert ours == [{"request.id": "req-1", "dtx.context": {"user.id": 7, "hero": "Lina"}}] * 4
    assert len({frozenset(headers) for headers in run.messages[1:]}) == 1
    assert len({headers["dtx.published_at"] for headers in run.messages}) == 4


def test_tasks_of_tasks_have_the_same_id(run: Runner, log_output: LogOutput) -> None:
    """The context goes on from task to task with what each binds, and each knows its parent."""
    with bind_fields(**IDS):
        first = run("nest", 2, executions=3)
    started = log_output.events("task_started")
    assert {line["request.id"] for line in started} == {"req-1"}
    assert [line.get("depth") for line in started] == [None, 2, 1]
    assert [line.get("task.parent_id") for line in started] == [None, first, started[1]["task.id"]]
    assert len({line["task.id"] for line in started}) == 3


def test_tasks_applied_inside_a_task_leave_its_context_alone(run: Runner, log_output: LogOutput) -> None:
    """Eager tasks in a task, that succeed, fail and ignore, change nothing for it; each has its own scope and closing event."""
    task_id = run("apply_inside")
    line = log_output.one("applied")
    assert (line["same"], line["still"], line["task.id"]) == (True, True, task_id)
    inner = [line for line in log_output.lines if line["event"] in CLOSING and line["task.id"] != task_id]
    assert [line["event"] for line in inner] == ["task_completed", "task_failed", "task_ignored", "task_failed"]
    assert {line["request.id"] for line in inner} == {log_output.one("applied")["request.id"]}
    assert closing(log_output.lines, task_id) == ["task_completed"]


def test_what_cannot_be_stored_is_one_failure(run: Runner, log_output: LogOutput) -> None:
    """A result backend that is down fails the task after its body, and Celery says so once the scope is left: one event."""
    task_id = run("echo", "unstorable")
    wait_until(lambda: any("outside body" in line["event"] for line in log_output.lines))
    assert closing(log_output.lines, task_id) == ["task_failed"]
    assert log_output.one("task_failed")["error"] == "ConnectionError: the backend is down"


@pytest.mark.parametrize("request_id", ["two words", "x" * 129, 5, ["req-1"], {"a": 1}, ""])
def test_a_bad_id_is_replaced_with_one_warning(run: Runner, log_output: LogOutput, request_id: Any) -> None:
    """The task runs with an id that is good, and with the rest of the context."""
    task_id = run_raw(run, {"request.id": request_id, "dtx.context": {"user.id": 7}})
    started = log_output.one("task_started", task_id=task_id)
    assert context.valid_request_id(started["request.id"])
    assert started["user.id"] == 7
    warning = log_output.one("context_not_restored_whole")
    assert (warning["level"], warning["fields"]) == ("warning", {"request.id": "replaced"})


@pytest.mark.parametrize(
    ("carried", "kept"),
    [
        (["user.id"], {}),
        ("text", {}),
        (5, {}),
        ({"user.id": 7, "big": "x" * 100_000}, {"user.id": 7}),
        ({"user.id": 7, "task.id": "other", "request.id": "other"}, {"user.id": 7}),
    ],
)
def test_of_a_bad_context_what_is_good_is_kept(run: Runner, log_output: LogOutput, carried: Any, kept: Any) -> None:
    """The task runs with the message's id and the fields that can be bound; one warning names the others."""
    task_id = run_raw(run, {"request.id": "req-1", "dtx.context": carried})
    assert without_ids(log_output.one("echo")["bound"]) == {
        "request.id": "req-1",
        **kept,
        "task.id": task_id,
        "task.name": "echo",
    }
    assert len(log_output.events("context_not_restored_whole")) == 1


def run_raw(run: Runner, headers: dict[str, Any]) -> str:
    """Publish the echo with just these headers, as a publisher without this library does."""
    before_task_publish.disconnect(dispatch_uid="dtx_telemetry.add_context")
    try:
        return run("echo", headers=headers)
    finally:
        before_task_publish.receivers.clear()
        before_task_publish.connect(publishing.add_context, weak=False, dispatch_uid="dtx_telemetry.add_context")


def test_a_publisher_without_telemetry_is_no_problem(run: Runner, log_output: LogOutput) -> None:
    """A message that has nothing of ours: the root task's id serves, nothing is said about it, nothing stays."""
    task_id = run_raw(run, {})
    assert without_ids(log_output.one("echo")["bound"]) == {"request.id": task_id, "task.id": task_id, "task.name": "echo"}
    assert log_output.events("context_not_restored_whole") == []
    assert "task.queue_ms" not in log_output.one("task_started")
    assert run.left == [{}]


@pytest.mark.parametrize(
    ("published_at", "told"),
    [
        pytest.param(time.time() + 3600, 0.0, id="an hour ahead"),
        ("now", None),
        (True, None),
        (-1, None),
        (10**20, None),
        ([], None),
    ],
)
def test_a_publishers_clock_is_not_trusted(run: Runner, log_output: LogOutput, published_at: Any, told: Any) -> None:
    """A time in the future gives a wait of 0, and what is no time gives none."""
    run_raw(run, {"request.id": "req-1", "dtx.published_at": published_at})
    assert log_output.one("task_started").get("task.queue_ms") == told


def test_a_late_receiver_of_postrun_is_part_of_the_task(run: Runner, log_output: LogOutput) -> None:
    """What it logs and publishes, connected after us, has the task's ids, however the task ends; afterwards nothing is left."""

    def late(sender: Any, **_: Any) -> None:
        if sender.name != "echo":
            log.info("late")
            run.app.tasks["echo"].apply_async()

    task_postrun.connect(late, weak=False)
    try:
        for name in ("fail", "ignore", "nest"):
            with bind_fields(**IDS, hero="Lina"):
                task_id = run(name, *[0] * (name == "nest"), executions=2)
            line = log_output.one("late", task_id=task_id)
            assert (line["request.id"], line["hero"], line["task.name"]) == ("req-1", "Lina", name)
            (echo,) = with_fields(log_output.events("task_started", task_name="echo"), task_parent_id=task_id)
            assert (echo["request.id"], echo["hero"]) == ("req-1", "Lina")
            assert len(closing(log_output.lines, task_id)) == 1
    finally:
        task_postrun.disconnect(late)
    assert run.left == [{}] * 6


def test_an_early_receiver_of_postrun_comes_after_the_closing_event(run: Runner, log_output: LogOutput) -> None:
    """As a tracer's does that was connected before us, and ends its span there: the closing event is within it."""

    def early(sender: Any, **_: Any) -> None:
        log.info("span_ended")

    task_postrun.connect(early, weak=False)
    task_postrun.receivers.insert(0, task_postrun.receivers.pop())
    try:
        task_id = run("echo")
    finally:
        task_postrun.disconnect(early)
    told = [line["event"] for line in with_fields(log_output.lines, task_id=task_id)]
    assert told[-2:] == ["task_completed", "span_ended"]
    assert run.left == [{}]


def test_a_receiver_that_exits_costs_the_next_task_nothing(log_output: LogOutput) -> None:
    """``SystemExit`` between a task's closing event and its end stays in its thread, which the next task finds clean."""
    app = make_app()
    register(app)

    def leave_early(sender: Any, **_: Any) -> None:
        if sender.name == "fail":
            raise SystemExit

    def execute(name: str) -> None:
        request = {"id": name, "request.id": f"req-{name}", "is_eager": False, "delivery_info": {}}
        with suppress(SystemExit):
            build_tracer(name, app.tasks[name], app=app)(name, (), {}, request)

    def work() -> None:
        execute("fail")
        execute("echo")
        log.info("afterwards")

    task_postrun.connect(leave_early, weak=False)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        task_postrun.disconnect(leave_early)
    assert log_output.one("task_failed")["request.id"] == "req-fail"
    assert log_output.one("echo")["request.id"] == log_output.one("task_completed")["request.id"] == "req-echo"
    assert not {"request.id", "task.id"} & log_output.one("afterwards").keys()


def test_clearing_structlogs_context_leaves_the_tasks_own(run: Runner, log_output: LogOutput) -> None:
    """After ``clear_contextvars()`` in a task its later lines, its closing event and what it publishes still have its ids."""
    with bind_fields(**IDS, labels=["draft"], hero="Lina"):
        task_id = run("clear", executions=2)
    own = {**IDS, "labels": ["draft"], "task.id": task_id, "task.name": "clear"}
    for line in (log_output.one("cleared"), log_output.one("task_completed", task_id=task_id)):
        assert own.items() <= line.items()
    assert log_output.one("task_published", task_name="echo")["request.id"] == "req-1"
    assert run.messages[-1]["request.id"] == "req-1"
    assert {"user.id": 7, "labels": ["draft"]}.items() <= run.messages[-1]["dtx.context"].items()
    assert run.left == [{}] * 2


@pytest.fixture
def receive() -> Iterator[Callable[[Callable[..., None]], None]]:
    """Connect receivers to ``context_restored`` for one test."""
    connected: list[Any] = []

    def receive(receiver: Callable[..., None]) -> None:
        context_restored.connect(receiver, weak=False)
        connected.append(receiver)

    yield receive
    for receiver in connected:
        context_restored.disconnect(receiver)


def test_a_receiver_changes_what_is_bound(run: Runner, log_output: LogOutput, receive: Any) -> None:
    """A receiver of ``context_restored`` adds, replaces and takes out fields before they are bound."""

    def change(sender: Any, context: dict[str, Any], **_: Any) -> None:
        context["tenant"] = sender.name
        context["request.id"] = "replaced"
        del context["user.id"]

    receive(change)
    with bind_fields(**IDS):
        task_id = run("echo")
    bound = without_ids(log_output.one("echo")["bound"])
    assert bound == {"request.id": "replaced", "tenant": "echo", "task.id": task_id, "task.name": "echo"}
    assert run.left == [{}]


def test_a_receiver_that_fails_breaks_nothing(run: Runner, log_output: LogOutput, receive: Any) -> None:
    """Its exception, or the nonsense that it leaves, costs its own fields alone."""

    def fail(context: dict[Any, Any], **_: Any) -> None:
        context[5] = "no key"
        context["tenant"] = "dtx"
        context["request.id"] = None
        raise RuntimeError("no mana")

    receive(fail)
    with bind_fields(**IDS):
        task_id = run("echo")
    assert without_ids(log_output.one("echo")["bound"]) == {**IDS, "tenant": "dtx", "task.id": task_id, "task.name": "echo"}


@pytest.mark.telemetry_fails
def test_a_failure_of_telemetry_costs_the_scope_and_a_line(
    run: Runner, log_output: LogOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the library itself fail as a task starts, the task runs all the same, and one line tells why."""
    monkeypatch.setattr(execution, "restore", lambda *_: 1 / 0)
    run("ignore")
    assert log_output.events("task_started") == log_output.events("task_ignored") == []
    assert log_output.one("telemetry_failed")["error"].startswith("ZeroDivisionError")
    assert run.left == [{}]


def test_a_failure_without_an_exception_says_so(log_output: LogOutput) -> None:
    """celery-batches sends the two signals of an execution alone, and no exception with them."""
    with make_app() as app:

        @app.task(name="batch", shared=False)
        def task() -> None: ...

        task.request_stack.push(Context())
        task_prerun.send(sender=task, task_id="b-1", task=task, args=([],), kwargs={})
        task_postrun.send(sender=task, task_id="b-1", task=task, args=([],), kwargs={}, retval=None, state="FAILURE")
        task.request_stack.pop()
    assert log_output.one("task_failed", task_id="b-1")["error"] == "no exception was given"
    assert context.current_scope() is None


def test_odd_signals_are_told_and_raise_nothing(log_output: LogOutput) -> None:
    """Signals with arguments of odd types, or without most of them: whatever they tell is logged."""
    task = SimpleNamespace(name="odd", request=SimpleNamespace(id=None), throws=None)
    reports.revoked(sender=task, request=None, terminated=True, signum=15, expired=None)
    reports.revoked(sender=None, request=SimpleNamespace(id="r-1", get=lambda name, default=None: None))
    reports.rejected(sender=None, message=None, exc="text")
    reports.rejected(message=SimpleNamespace(headers={"id": "r-2", "task": 5, "request.id": "req-2"}), exc=ValueError("x"))
    reports.unknown(sender=None, message=SimpleNamespace(headers=None), name="gone", id="r-3")
    execution.fail(sender=task, task_id="r-4", exception="no exception at all")
    execution.fail(sender=task, task_id="r-5", exception=RuntimeError("lost"))
    execution.retry(sender=task, request=None, reason="a word")
    execution.retry(sender=task, request=SimpleNamespace(id="r-6", retries=2), reason=Retry("later"))
    execution.end(task=SimpleNamespace(request=SimpleNamespace(), name="odd"))
    assert log_output.events("telemetry_failed") == []
    told = [(line["event"], line.get("task.id"), line.get("task.name")) for line in log_output.lines]
    assert told == [
        ("task_revoked", None, "odd"),
        ("task_revoked", "r-1", None),
        ("task_rejected", None, None),
        ("task_rejected", "r-2", None),
        ("task_unknown", "r-3", "gone"),
        ("task_failed", "r-4", "odd"),
        ("task_failed", "r-5", "odd"),
        ("task_retried", None, "odd"),
        ("task_retried", "r-6", "odd"),
    ]
    assert log_output.one("task_rejected", task_id="r-2")["request.id"] == "req-2"
    assert all(context.valid_request_id(line["request.id"]) for line in log_output.lines)


def test_a_task_that_is_called_is_a_function(app: Celery, log_output: LogOutput) -> None:
    """Calling a task directly is no execution: no scope, no events."""
    with bind_fields(**IDS):
        app.tasks["echo"]()
    assert log_output.one("echo")["bound"] == IDS
    assert log_output.events("task_started") == []
