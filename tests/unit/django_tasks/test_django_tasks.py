"""Django's own Tasks: their events and scopes, by the backends of Django and by one with a real worker."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from contextvars import copy_context
from datetime import timedelta
from typing import Any

import django
import pytest
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from structlog.contextvars import bind_contextvars, get_contextvars

from dtx_telemetry import config, context, django_tasks, events, operation
from dtx_telemetry.django_tasks import running
from tests.conftest import LogOutput
from tests.support.tracing import Traced, opentelemetry_on

if django.VERSION < (6,):
    pytest.skip("django.tasks is there from Django 6 on", allow_module_level=True)

from django.tasks.base import TaskResult, TaskResultStatus
from django.tasks.signals import task_enqueued, task_finished, task_started

from tests.project import jobs

EVENTS = ["task_published", "task_started", "task_completed"]
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
    "tasks": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "tasks"},
}


@pytest.fixture
def tasks_cache(settings: Any) -> Any:
    """The cache in which contexts go along."""
    settings.CACHES = CACHES
    settings.DTX_TELEMETRY = {"TASKS_CACHE": "tasks"}
    caches["tasks"].clear()
    return caches["tasks"]


def use_backend(settings: Any, path: str) -> None:
    settings.TASKS = {"default": {"BACKEND": path}}


def run_elsewhere(result: "TaskResult[Any, Any]", backend: Any) -> None:
    """Run a task as a worker that has nothing bound, by a dummy backend's result: its signals are those of any backend."""
    now = timezone.now()
    for name, value in {"status": TaskResultStatus.RUNNING, "started_at": now, "last_attempted_at": now}.items():
        object.__setattr__(result, name, value)
    result.worker_ids.append("w")
    task_started.send(sender=backend, task_result=result)
    result.task.call(*result.args, **result.kwargs)
    object.__setattr__(result, "status", TaskResultStatus.SUCCESSFUL)
    task_finished.send(sender=backend, task_result=result)


async def run_in_event_loop(result: "TaskResult[Any, Any]", backend: Any) -> None:
    """Run a task as an asynchronous worker does."""
    now = timezone.now()
    for name, value in {"status": TaskResultStatus.RUNNING, "started_at": now, "last_attempted_at": now}.items():
        object.__setattr__(result, name, value)
    result.worker_ids.append("w")
    await task_started.asend(sender=backend, task_result=result)
    try:
        await result.task.acall(*result.args, **result.kwargs)
    except Exception:
        object.__setattr__(result, "status", TaskResultStatus.FAILED)
        await task_finished.asend(sender=backend, task_result=result)
    else:
        object.__setattr__(result, "status", TaskResultStatus.SUCCESSFUL)
        await task_finished.asend(sender=backend, task_result=result)
    assert get_contextvars() == {}


async def test_tasks_of_an_asynchronous_worker_have_their_scopes(
    log_output: LogOutput, settings: Any, tasks_cache: Any
) -> None:
    """Its signals are sent by ``asend``; many tasks run at once, and each line bears the ids of its own."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    results = []
    for number, job in enumerate((jobs.wait, jobs.send_letter, jobs.wait)):
        with operation("turn", f"r{number}"):
            results.append(await job.aenqueue("Invoker"))
    log_output.clear()
    await asyncio.gather(*(run_in_event_loop(result, result.task.get_backend()) for result in results))
    for number, result in enumerate(results):
        lines = [line for line in log_output.lines if line.get("task.id") == result.id]
        assert [line["event"] for line in lines] == ["task_started", "waited" if number != 1 else "sending", "task_completed"]
        assert {line["request.id"] for line in lines} == {f"r{number}"}
    assert len(log_output.lines) == 9


async def test_a_task_of_an_asynchronous_worker_that_raises_fails(log_output: LogOutput, settings: Any) -> None:
    """With its error and its traceback, once."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    result = await jobs.fail.aenqueue()
    await run_in_event_loop(result, result.task.get_backend())
    assert [line["event"] for line in log_output.lines] == ["task_published", "task_started", "task_failed"]
    failed = log_output.one("task_failed", task_id=result.id)
    assert failed["error"] == "RuntimeError: no mana"
    assert "no mana" in failed["exception"]


def test_tasks_that_a_worker_hands_to_a_pool_have_their_closing_events(
    log_output: LogOutput, settings: Any, tasks_cache: Any
) -> None:
    """They start in its own thread, one after the other, and end in the pool's; nothing is heaped up in either."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    results = []
    for number in range(5):
        with operation("turn", f"r{number}"):
            results.append(jobs.send_letter.enqueue("Invoker"))
    depth = []

    def end(result: "TaskResult[Any, Any]") -> None:
        object.__setattr__(result, "status", TaskResultStatus.SUCCESSFUL)
        task_finished.send(sender=result.task.get_backend(), task_result=result)
        assert get_contextvars() == {}

    def hand_out() -> None:
        with ThreadPoolExecutor(2) as pool:
            for result in results:
                result.worker_ids.append("w")
                task_started.send(sender=result.task.get_backend(), task_result=result)
                depth.append(_depth())
                pool.submit(end, result).result(30)

    copy_context().run(hand_out)
    assert depth == [1] * 5
    for number, result in enumerate(results):
        lines = [line for line in log_output.lines if line.get("task.id") == result.id and line["event"] != "task_published"]
        assert [(line["event"], line["request.id"]) for line in lines] == [
            ("task_started", f"r{number}"),
            ("task_completed", f"r{number}"),
        ]
    assert not [line for line in log_output.lines if line["logger"] == "django.tasks"]


def test_tasks_whose_end_nobody_tells_of_are_not_kept_for_good(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker may lose them."""
    monkeypatch.setattr(running, "_MAX_RUNNING", 2)
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")

    def start() -> None:
        for _ in range(4):
            result = jobs.send_letter.enqueue("Invoker")
            result.worker_ids.append("w")
            copy_context().run(task_started.send, sender=result.task.get_backend(), task_result=result)
            assert next(reversed(running._running)) == result.id

    start()
    assert len(running._running) == 2


def _depth() -> int:
    scope, depth = context.current_scope(), 0
    while scope is not None:
        scope, depth = scope.outer, depth + 1
    return depth


def test_a_task_that_another_backend_runs_at_once_is_inside_its_publisher(log_output: LogOutput, settings: Any) -> None:
    """Its own signals come from within ``enqueue``; the task around goes on when it has ended."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    outer = jobs.send_letter.enqueue("Invoker")
    outer.worker_ids.append("w")
    task_started.send(sender=outer.task.get_backend(), task_result=outer)
    before = get_contextvars()
    inner = jobs.send_letter.enqueue("Lina")
    run_elsewhere(inner, inner.task.get_backend())
    assert get_contextvars() == before
    task_finished.send(sender=outer.task.get_backend(), task_result=outer)
    assert get_contextvars() == {}
    assert [line["task.id"] for line in log_output.events("task_completed")] == [inner.id, outer.id]


def test_a_task_that_runs_at_once_is_in_its_callers_scope(log_output: LogOutput) -> None:
    """The three events, the caller's id on all lines, and nothing of the task's left after it."""
    with operation("turn", "r1"):
        before = get_contextvars()
        result = jobs.send_letter.enqueue("Invoker")
        assert get_contextvars() == before
    lines = log_output.lines
    assert [line["event"] for line in lines] == [
        "task_published",
        "task_started",
        "sending",
        "task_completed",
        "operation_completed",
    ]
    assert {line["request.id"] for line in lines} == {"r1"}
    for line in lines[:4]:
        assert (line["task.id"], line["task.name"]) == (result.id, "tests.project.jobs.send_letter")
    published, started, _, completed, closing = lines
    assert published["task.queue"] == started["task.queue"] == "default"
    assert started["task.retries"] == 0
    assert started["task.queue_ms"] >= 0
    assert completed["duration_ms"] >= 0
    assert not {"task.id", "bound_by_task"} & closing.keys()


def test_djangos_own_lines_are_printed_where_they_are_wanted(log_output: LogOutput, telemetry: Any) -> None:
    """With the ids of what they are about; without `FRAMEWORK_LINES` they repeat our events, and are left out."""
    telemetry(FRAMEWORK_LINES=True, LOG_LEVELS={"django.tasks": "DEBUG"})
    result = jobs.send_letter.enqueue("Invoker")
    own = [line for line in log_output.lines if line["logger"] == "django.tasks"]
    assert [line["event"].rpartition(" ")[2] for line in own] == ["backend=default", "state=RUNNING", "state=SUCCESSFUL"]
    assert {(line["task.id"], line["task.name"]) for line in own} == {(result.id, "tests.project.jobs.send_letter")}


@pytest.mark.parametrize("level", ["INFO", "CRITICAL"])
def test_a_traceback_stands_somewhere(log_output: LogOutput, telemetry: Any, level: str) -> None:
    """On our event; where that is silenced, on Django's line."""
    telemetry(LOG_LEVELS={"dtx_telemetry": level})
    jobs.fail.enqueue()
    (line,) = [line for line in log_output.lines if "exception" in line]
    assert line["logger"] == ("dtx_telemetry.django_tasks" if level == "INFO" else "django.tasks")


@pytest.mark.parametrize("inside", [True, False])
def test_a_task_that_is_interrupted_is_over(log_output: LogOutput, inside: bool) -> None:
    """Django sends no signal at Ctrl-C, which is the caller's to see. Nothing of the task is left, and it has its event."""
    with operation("turn", "r1") if inside else nullcontext():
        before = get_contextvars()
        with pytest.raises(KeyboardInterrupt):
            jobs.interrupted.enqueue()
        assert get_contextvars() == before
    end = log_output.one("task_failed")
    assert (end["error"], end["task.name"]) == ("KeyboardInterrupt", "tests.project.jobs.interrupted")
    assert end["task.id"] == log_output.one("task_started")["task.id"]


def test_a_task_whose_start_another_receiver_stops_is_over(log_output: LogOutput) -> None:
    """Django lets the exception of a receiver through, and sends no more."""

    def refuse(**_: Any) -> None:
        raise RuntimeError("not now")

    task_started.connect(refuse)
    try:
        with operation("turn", "r1"):
            before = get_contextvars()
            with pytest.raises(RuntimeError):
                jobs.send_letter.enqueue("Invoker")
            assert get_contextvars() == before
    finally:
        task_started.disconnect(refuse)
    assert log_output.one("task_failed")["error"] == "RuntimeError: not now"


def test_a_task_enqueued_by_nobody_has_its_own_id(log_output: LogOutput) -> None:
    """As request.id, from its publishing on."""
    result = jobs.send_letter.enqueue("Invoker")
    assert {line["request.id"] for line in log_output.lines} == {result.id}
    assert get_contextvars() == {}


@pytest.mark.parametrize(("job", "error"), [(jobs.fail, "RuntimeError: no mana"), (jobs.leave, "SystemExit: 3")])
def test_a_task_that_raises_fails(log_output: LogOutput, job: Any, error: str) -> None:
    """One event with the error and its traceback; the caller goes on."""
    job.enqueue()
    line = log_output.one("task_failed")
    assert (line["level"], line["error"]) == ("error", error)
    assert "Traceback" in line["exception"]
    assert line["duration_ms"] >= 0
    assert log_output.events("task_completed") == []
    assert get_contextvars() == {}


def test_tasks_inside_tasks_name_their_parent(log_output: LogOutput) -> None:
    """Each has its scope, and gives back the one around."""
    with operation("turn", "r1"):
        outer = jobs.nest.enqueue(2)
    nested = log_output.events("nested")
    assert [line["depth"] for line in nested] == [0, 1, 2]
    started = log_output.events("task_started")
    assert [line.get("task.parent_id") for line in started] == [None, outer.id, started[1]["task.id"]]
    assert {line["request.id"] for line in log_output.lines} == {"r1"}
    assert [line["task.id"] for line in nested] == [line["task.id"] for line in reversed(started)]


async def test_an_asynchronous_task_is_a_task(log_output: LogOutput) -> None:
    """Enqueued by ``await``, its body a coroutine."""
    with operation("turn", "r1"):
        result = await jobs.wait.aenqueue("Invoker")
    assert [line["event"] for line in log_output.lines] == [*EVENTS[:2], "waited", "task_completed", "operation_completed"]
    assert {line["request.id"] for line in log_output.lines} == {"r1"}
    assert log_output.one("waited")["task.id"] == result.id


def test_the_dummy_backend_publishes_and_no_more(log_output: LogOutput, settings: Any) -> None:
    """Which is what it does."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    jobs.send_letter.enqueue("Invoker")
    assert [line["event"] for line in log_output.lines] == ["task_published"]


@pytest.mark.leaves_bound
def test_the_context_goes_along_in_the_cache(log_output: LogOutput, settings: Any, tasks_cache: Any) -> None:
    """What the publisher's scope has bound is bound for the task, wherever it runs; and the process's own stays."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    scope = context.enter_root(events.OPERATION, {"request.id": "r1", "user.id": 5, "labels": ["draft"], "draft.id": 12})
    bind_contextvars(tenant="t")
    result = jobs.send_letter.enqueue("Invoker")
    scope.leave()
    log_output.clear()

    bind_contextvars(service="worker")
    run_elsewhere(result, result.task.get_backend())
    carried = {"request.id": "r1", "user.id": 5, "labels": ["draft"], "draft.id": 12, "tenant": "t", "service": "worker"}
    assert [line["event"] for line in log_output.lines] == ["task_started", "sending", "task_completed"]
    assert all(carried.items() <= line.items() for line in log_output.lines)
    assert get_contextvars() == {"service": "worker"}


def test_a_task_is_told_who_published_it(log_output: LogOutput, settings: Any, tasks_cache: Any) -> None:
    """Where it was a task; of ``task.*`` nothing else travels."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    scope = context.enter_root(events.OPERATION, {"request.id": "r1", "task.id": "parent", "task.name": "x"})
    result = jobs.send_letter.enqueue("Invoker")
    scope.leave()
    run_elsewhere(result, result.task.get_backend())
    started = log_output.one("task_started")
    assert (started["task.parent_id"], started["task.id"]) == ("parent", result.id)


@pytest.mark.parametrize(
    ("carried", "request_id"),
    [
        (None, None),
        ("text", None),
        ({}, None),
        ({"request.id": "two\nlines", "dtx.context": {"user.id": 5}}, None),
        ({"request.id": "r1", "dtx.context": "text", "task.parent_id": 5}, "r1"),
    ],
)
def test_what_is_bad_in_the_cache_is_left_out(
    log_output: LogOutput, settings: Any, tasks_cache: Any, carried: Any, request_id: str | None
) -> None:
    """Each by itself; a task always has an id."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    result = jobs.send_letter.enqueue("Invoker")
    tasks_cache.set(f"dtx_telemetry.task.default.{result.id}", carried)
    run_elsewhere(result, result.task.get_backend())
    assert log_output.one("sending")["request.id"] == (request_id or result.id)
    assert "task.parent_id" not in log_output.one("task_started")


@pytest.mark.parametrize("cached", [True, False])
def test_a_task_is_caused_by_the_scope_that_published_it(log_output: LogOutput, settings: Any, cached: bool) -> None:
    """If a cache takes the scope along; its lines have a scope of its own."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    if cached:
        settings.DTX_TELEMETRY = {"TASKS_CACHE": "default"}
    with operation("turn"):
        result = jobs.send_letter.enqueue("Invoker")
    run_elsewhere(result, result.task.get_backend())
    publisher = log_output.one("task_published")["scope.id"]
    lines = [line for line in log_output.lines if line.get("task.id") == result.id and line["event"] != "task_published"]
    assert len({line["scope.id"] for line in lines} | {publisher}) == 2
    assert {line.get("scope.cause") for line in lines} == {publisher if cached else None}


def test_a_task_that_runs_at_once_is_caused_by_the_scope_around(log_output: LogOutput) -> None:
    """Which may be a task, or none."""
    jobs.send_letter.enqueue("Invoker")
    with operation("turn"):
        jobs.send_letter.enqueue("Invoker")
    first, second = log_output.events("task_started")
    assert "scope.cause" not in first
    assert second["scope.cause"] == log_output.one("operation_completed")["scope.id"]


def test_without_a_cache_a_task_has_its_own_id(log_output: LogOutput, settings: Any) -> None:
    """The publisher's line still tells both."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    with operation("turn", "r1"):
        result = jobs.send_letter.enqueue("Invoker")
    run_elsewhere(result, result.task.get_backend())
    published = log_output.one("task_published")
    assert (published["request.id"], published["task.id"]) == ("r1", result.id)
    assert log_output.one("sending")["request.id"] == result.id


def test_the_context_is_kept_for_a_day(settings: Any, tasks_cache: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted from when the task may start."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    kept: list[float] = []
    monkeypatch.setattr(type(tasks_cache), "set", lambda self, key, value, timeout: kept.append(timeout))
    jobs.send_letter.enqueue("Invoker")
    jobs.send_letter.using(run_after=timezone.now() + timedelta(days=3)).enqueue("Invoker")
    assert kept[0] == 86400
    assert kept[1] == pytest.approx(4 * 86400, abs=60)


@pytest.mark.telemetry_fails
def test_a_cache_that_fails_costs_the_context_alone(
    log_output: LogOutput, settings: Any, tasks_cache: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is enqueued and runs, with its own id."""

    def fail(*_: Any, **__: Any) -> None:
        raise ConnectionError("no cache")

    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    monkeypatch.setattr(type(tasks_cache), "set", fail)
    monkeypatch.setattr(type(tasks_cache), "get", fail)
    with operation("turn", "r1"):
        result = jobs.send_letter.enqueue("Invoker")
    run_elsewhere(result, result.task.get_backend())
    assert log_output.one("sending")["request.id"] == result.id
    assert [line["event"] for line in log_output.events("telemetry_failed")] == ["telemetry_failed"] * 2
    assert log_output.one("task_published")["task.id"] == result.id


@pytest.mark.telemetry_fails
@pytest.mark.django_db
def test_a_database_cache_that_fails_does_not_end_the_transaction_around(log_output: LogOutput, settings: Any) -> None:
    """PostgreSQL takes no more statements in a transaction after one that failed, unless that stood behind a savepoint."""
    settings.CACHES = {"tasks": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "no_such_table"}}
    settings.DTX_TELEMETRY = {"TASKS_CACHE": "tasks"}
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    with CaptureQueriesContext(connection) as queries:
        result = jobs.send_letter.enqueue("Invoker")
        run_elsewhere(result, result.task.get_backend())
    assert len(log_output.events("telemetry_failed")) == 2
    commands = [query["sql"].partition(" ")[0] for query in queries]
    assert commands == ["SAVEPOINT", "SELECT", "ROLLBACK", "RELEASE"] * 2


@pytest.mark.django_db(transaction=True)
def test_outside_a_transaction_a_database_cache_is_used_as_it_is(settings: Any) -> None:
    """It needs no savepoint there."""
    settings.CACHES = {"tasks": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "tasks_cache"}}
    settings.DTX_TELEMETRY = {"TASKS_CACHE": "tasks"}
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    call_command("createcachetable", verbosity=0)
    with operation("turn", "r1"):
        result = jobs.send_letter.enqueue("Invoker")
    with CaptureQueriesContext(connection) as queries:
        carried = caches["tasks"].get(f"dtx_telemetry.task.default.{result.id}")
        alone = len(queries)
        task_started.send(sender=result.task.get_backend(), task_result=result)
        context.current_scope().leave()
    assert carried["request.id"] == "r1"
    assert len(queries) == alone * 2


def test_a_cache_that_is_not_there_stops_the_start(settings: Any) -> None:
    """The error names it and says which there are."""
    settings.CACHES = CACHES
    settings.DTX_TELEMETRY = {"TASKS_CACHE": "other"}
    with pytest.raises(ImproperlyConfigured, match=r"TASKS_CACHE'\] is 'other'; .* CACHES \(default, tasks\)"):
        django_tasks.install()


def test_nothing_happens_where_telemetry_is_off(log_output: LogOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is bound, and the task runs."""
    monkeypatch.setenv("TELEMETRY_ENABLED", "false")
    config.reset()
    result = jobs.nest.enqueue(0)
    assert result.status == TaskResultStatus.SUCCESSFUL
    assert [line["event"] for line in log_output.lines if line["logger"] != "django.tasks"] == ["nested"]
    assert log_output.lines[0]["bound"] == {}


def test_the_receivers_are_connected_once() -> None:
    """However often the app is set up."""
    django_tasks.install()
    django_tasks.install()
    for signal in (task_enqueued, task_started, task_finished):
        assert sum("dtx_telemetry" in str(uid[0]) for uid, *_ in signal.receivers) == 1


def test_the_end_of_a_task_that_never_started_is_nobodys(log_output: LogOutput, settings: Any) -> None:
    """A scope that is not there is not closed."""
    use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
    result = jobs.send_letter.enqueue("Invoker")
    task_finished.send(sender=result.task.get_backend(), task_result=result)
    assert [line["event"] for line in log_output.lines] == ["task_published"]


class TestTraced:
    """With OpenTelemetry on."""

    def test_a_task_that_runs_at_once_is_in_its_callers_span(self, traced: Traced, log_output: LogOutput) -> None:
        """There is no message, so no producer."""
        with operation("turn"):
            result = jobs.send_letter.enqueue("Invoker")

        spans = {span.name: span for span in traced.flushed().spans}
        assert spans.keys() == {"operation turn", "run/tests.project.jobs.send_letter"}
        execution = spans["run/tests.project.jobs.send_letter"]
        assert (execution.kind, execution.status) == ("CONSUMER", "UNSET")
        assert execution.parent_id == spans["operation turn"].span_id
        assert execution.attributes["task.id"] == execution.attributes["messaging.message.id"] == result.id
        lines = [line for line in log_output.lines if line["event"] in {"task_started", "sending", "task_completed"}]
        assert [line["span_id"] for line in lines] == [execution.span_id] * 3

    def test_a_task_is_a_producer_and_a_consumer_in_its_publishers_trace(
        self, traced: Traced, settings: Any, tasks_cache: Any
    ) -> None:
        """The trace goes along in the cache."""
        use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
        with operation("turn", "r1"):
            result = jobs.send_letter.enqueue("Invoker")
        run_elsewhere(result, result.task.get_backend())

        spans = {span.name: span for span in traced.flushed().spans}
        publish, execution = spans["enqueue/tests.project.jobs.send_letter"], spans["run/tests.project.jobs.send_letter"]
        assert publish.kind == "PRODUCER"
        assert publish.parent_id == spans["operation turn"].span_id
        assert execution.parent_id == publish.span_id
        assert execution.attributes["request.id"] == "r1"
        messaging = {
            "messaging.system": "django_tasks",
            "messaging.destination.name": "default",
            "messaging.message.id": result.id,
        }
        assert {**messaging, "messaging.operation.type": "send"}.items() <= publish.attributes.items()
        assert {**messaging, "messaging.operation.type": "process"}.items() <= execution.attributes.items()

    async def test_tasks_of_an_asynchronous_worker_are_spans(
        self, traced: Traced, settings: Any, tasks_cache: Any, log_output: LogOutput
    ) -> None:
        """Each in its publisher's trace, current while it runs."""
        use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
        results = []
        for number in range(2):
            with operation(f"turn {number}"):
                results.append(await jobs.wait.aenqueue("Invoker"))
        await asyncio.gather(*(run_in_event_loop(result, result.task.get_backend()) for result in results))

        spans = traced.flushed().spans
        for number, result in enumerate(results):
            (turn,) = [span for span in spans if span.name == f"operation turn {number}"]
            (execution,) = [span for span in spans if span.kind == "CONSUMER" and span.attributes["task.id"] == result.id]
            assert execution.trace_id == turn.trace_id
            lines = [line for line in log_output.lines if line.get("task.id") == result.id]
            assert {line["span_id"] for line in lines if line["event"] != "task_published"} == {execution.span_id}
        assert not [line for line in log_output.lines if line["level"] == "error"]

    def test_a_publishers_span_lasts_from_when_the_backend_began(self, traced: Traced, settings: Any) -> None:
        """Until it has the task; one whose clock is ahead makes no span that ends before it begins."""
        use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
        result = jobs.send_letter.enqueue("Invoker")
        for offset in (timedelta(seconds=-5), timedelta(hours=1)):
            object.__setattr__(result, "enqueued_at", timezone.now() + offset)
            task_enqueued.send(sender=result.task.get_backend(), task_result=result)

        spans = traced.flushed().wait_for_spans(3, kind="PRODUCER")
        assert sorted(round(span.seconds) for span in spans) == [0, 0, 5]

    def test_a_task_in_a_trace_of_its_own(self, monkeypatch: pytest.MonkeyPatch, settings: Any, tasks_cache: Any) -> None:
        """``TASK_SPANS`` as ``link``."""
        use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
        settings.DTX_TELEMETRY = {"TASKS_CACHE": "tasks", "TASK_SPANS": "link"}
        with opentelemetry_on(monkeypatch) as traced:
            result = jobs.send_letter.enqueue("Invoker")
            run_elsewhere(result, result.task.get_backend())
            spans = {span.kind: span for span in traced.flushed().spans}

        assert spans["CONSUMER"].parent_id == ""
        assert spans["CONSUMER"].links == [(spans["PRODUCER"].trace_id, spans["PRODUCER"].span_id)]

    @pytest.mark.parametrize("trace", [None, "text", {"traceparent": 5}, {5: "x"}, {"traceparent": "two\nlines"}])
    def test_a_bad_trace_in_the_cache_is_left_out(self, traced: Traced, settings: Any, tasks_cache: Any, trace: Any) -> None:
        """The task starts a trace, as it does without a cache."""
        use_backend(settings, "django.tasks.backends.dummy.DummyBackend")
        result = jobs.send_letter.enqueue("Invoker")
        tasks_cache.set(f"dtx_telemetry.task.default.{result.id}", {"request.id": "r1", "trace": trace})
        run_elsewhere(result, result.task.get_backend())

        execution = traced.flushed().span("run/tests.project.jobs.send_letter")
        assert (execution.parent_id, execution.attributes["request.id"]) == ("", "r1")

    def test_a_task_that_raises_is_an_error(self, traced: Traced) -> None:
        """With its exception."""
        jobs.fail.enqueue()

        execution = traced.flushed().span("run/tests.project.jobs.fail")
        assert (execution.status, execution.description) == ("ERROR", "RuntimeError: no mana")
        assert [event["exception.message"] for _, event in execution.events] == ["no mana"]

    def test_a_task_is_measured(self, traced: Traced) -> None:
        """As Celery's are: how long it waited, how long it took, how it ended."""
        jobs.send_letter.enqueue("Invoker")
        jobs.fail.enqueue()

        points = traced.flushed().points
        outcomes = {
            point.attributes["task.name"]: point.attributes["outcome"] for point in points if "outcome" in point.attributes
        }
        assert outcomes == {"tests.project.jobs.send_letter": "completed", "tests.project.jobs.fail": "failed"}
        waited = [point for point in points if point.name == "dtx.task.queue.duration"]
        assert {point.attributes["task.name"] for point in waited} == outcomes.keys()
