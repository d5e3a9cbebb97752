"""Operations: a scope for work that no request asked for, and how it ends."""

import asyncio
import functools
import gc
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from celery.exceptions import Ignore, Reject, Retry
from channels.exceptions import StopConsumer
from structlog.contextvars import bind_contextvars, clear_contextvars, get_contextvars

from dtx_telemetry import bind_fields, config, context, events, get_logger, get_request_id, operation, outgoing_headers
from tests.conftest import LogOutput
from tests.support.scopes import without_ids

log = get_logger(__name__)


def closing(log_output: LogOutput) -> list[str]:
    return [line["event"] for line in log_output.lines if line["event"].startswith("operation_")]


def test_an_operation_has_an_id_and_one_closing_event(log_output: LogOutput) -> None:
    """Every line in it bears its id, its name and its fields; after it nothing is bound."""
    with operation("discord.message", channel=7):
        log.info("answering")
    assert get_contextvars() == {}
    answering, completed = log_output.lines
    assert [answering["event"], completed["event"]] == ["answering", "operation_completed"]
    for line in (answering, completed):
        assert line["operation.name"] == "discord.message"
        assert line["channel"] == 7
        assert line["request.id"] == answering["request.id"]
    assert completed["level"] == "info"
    assert completed["duration_ms"] >= 0


def test_an_id_that_came_with_the_work_is_taken_over(log_output: LogOutput) -> None:
    """It is the id of its lines and of what goes out."""
    with operation("sqs.message", request_id="from-the-queue"):
        assert get_request_id() == "from-the-queue"
        assert outgoing_headers()["X-Request-ID"] == "from-the-queue"
    assert log_output.one("operation_completed")["request.id"] == "from-the-queue"


@pytest.mark.parametrize("given", [None, "", "two\nlines", "x" * 129, 5])
def test_an_id_that_is_not_acceptable_is_replaced(given: Any) -> None:
    """What comes with a message is not trusted."""
    with operation("sqs.message", request_id=given):
        assert get_request_id() != given
        assert context.valid_request_id(get_request_id())


def test_a_field_does_not_take_the_place_of_the_id_or_the_name(log_output: LogOutput) -> None:
    """Other names of ours may be given: the application knows the user."""
    with operation("nightly", "r1", **{"request.id": "r2", "operation.name": "other", "user.id": 5}):
        pass
    line = log_output.one("operation_completed")
    assert (line["request.id"], line["operation.name"], line["user.id"]) == ("r1", "nightly", 5)


def test_an_exception_fails_the_operation_and_goes_on(log_output: LogOutput) -> None:
    """The event has the error and the traceback."""
    with pytest.raises(RuntimeError, match="no mana"), operation("nightly"):
        raise RuntimeError("no mana")
    line = log_output.one("operation_failed")
    assert (line["level"], line["error"]) == ("error", "RuntimeError: no mana")
    assert "Traceback" in line["exception"]
    assert line["duration_ms"] >= 0
    assert line["operation.name"] == "nightly"
    assert closing(log_output) == ["operation_failed"]
    assert get_contextvars() == {}


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (SystemExit(), "operation_completed"),
        (SystemExit(0), "operation_completed"),
        (SystemExit(3), "operation_failed"),
        (KeyboardInterrupt(), "operation_failed"),
    ],
)
def test_an_exit_without_error_is_a_completion(log_output: LogOutput, error: BaseException, event: str) -> None:
    """``sys.exit(0)`` is no failure; Ctrl-C is no completion."""
    with pytest.raises(type(error)), operation("nightly"):
        raise error
    assert closing(log_output) == [event]


async def test_it_works_around_await(log_output: LogOutput) -> None:
    """The id holds after an await, and in tasks that are started inside."""

    async def inner() -> None:
        await asyncio.sleep(0)
        log.info("inner")

    with operation("turn", "r1"):
        await asyncio.sleep(0)
        await asyncio.create_task(inner())
    assert [line["request.id"] for line in log_output.lines] == ["r1", "r1"]
    assert closing(log_output) == ["operation_completed"]


async def test_tasks_of_an_event_loop_do_not_see_each_other(log_output: LogOutput) -> None:
    """Many operations at once, each with its own id on its own lines."""

    async def turn(number: int) -> None:
        with operation("turn", f"r{number}", number=number):
            for _ in range(3):
                await asyncio.sleep(0)
                log.info("thinking", thinker=number)

    await asyncio.gather(*map(turn, range(20)))
    assert len(log_output.events("thinking")) == 60
    assert all(line["request.id"] == f"r{line['thinker']}" for line in log_output.events("thinking"))
    assert sorted(line["number"] for line in log_output.events("operation_completed")) == list(range(20))


@pytest.mark.parametrize("kind", [Retry, Ignore, Reject, StopConsumer])
def test_what_a_framework_steers_by_is_no_failure(log_output: LogOutput, kind: type[Exception]) -> None:
    """As if it were cancelled: a task that asks to be retried in an operation says so itself, with the reason."""
    with pytest.raises(kind), operation("sync"):
        raise kind()
    line = log_output.one("operation_failed")
    assert line["level"] == "warning"
    assert line["error"].startswith(kind.__name__)
    assert "exception" not in line


async def test_a_cancelled_operation_says_so(log_output: LogOutput) -> None:
    """A warning without a traceback: whoever cancels a hundred of them at a shut-down knows why."""
    entered = asyncio.Event()

    async def turn() -> None:
        with operation("turn", "r1"):
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(turn())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    line = log_output.one("operation_failed")
    assert (line["level"], line["error"], line["request.id"]) == ("warning", "CancelledError", "r1")
    assert "exception" not in line


@pytest.mark.leaves_bound
def test_an_operation_inside_a_scope_starts_anew(log_output: LogOutput) -> None:
    """Nothing of the scope around is on its lines but what the process has bound; after it all is as before."""
    bind_contextvars(service="bot")
    scope = context.enter_root(events.OPERATION, {"request.id": "outer", "user.id": 5, "labels": ["team"]})
    try:
        bind_contextvars(tenant="t")
        before = get_contextvars()
        with operation("nightly", "inner"):
            assert without_ids(get_contextvars()) == {"service": "bot", "request.id": "inner", "operation.name": "nightly"}
            assert get_contextvars()["scope.cause"] == before["scope.id"]
        assert get_contextvars() == before
    finally:
        scope.leave()


def test_operations_nest(log_output: LogOutput) -> None:
    """The inner one is itself, and closes first."""
    with operation("outer", "r1"):
        with operation("inner", "r2"):
            log.info("deep")
        log.info("back")
    assert [(line["event"], line["request.id"]) for line in log_output.lines] == [
        ("deep", "r2"),
        ("operation_completed", "r2"),
        ("back", "r1"),
        ("operation_completed", "r1"),
    ]


def test_it_stays_itself_when_the_application_clears_the_context(log_output: LogOutput) -> None:
    """structlog's guide tells applications to."""
    with operation("turn", "r1"):
        clear_contextvars()
        log.info("cleared")
    assert [(line["request.id"], line["operation.name"]) for line in log_output.lines] == [("r1", "turn")] * 2


def test_a_block_left_open_is_not_on_the_closing_event(log_output: LogOutput) -> None:
    """A generator that is left half way ends with the operation."""

    def pieces() -> Iterator[int]:
        with bind_fields(piece=1):
            yield 1

    with operation("turn", "r1"):
        next(generator := pieces())
        log.info("in the midst")
    assert log_output.one("in the midst")["piece"] == 1
    assert "piece" not in log_output.one("operation_completed")
    generator.close()
    assert get_contextvars() == {}


def test_an_operation_in_a_generator_that_is_left_half_way_is_closed(log_output: LogOutput) -> None:
    """Closed by whoever drops it; what is bound there then is as it was."""

    def pieces() -> Iterator[int]:
        with operation("pieces", "r1"):
            yield 1

    scope = context.enter_root(events.OPERATION, {"request.id": "r0"})
    next(generator := pieces())
    assert get_request_id() == "r1"
    generator.close()
    assert get_request_id() == "r0"
    scope.leave()
    assert log_output.one("operation_failed", request_id="r1")["error"] == "GeneratorExit"


def test_an_operation_that_the_garbage_collector_ends_is_closed_in_its_own_scope(log_output: LogOutput) -> None:
    """The closing event bears its id, and the context in which the collector ran is not touched."""

    async def turn() -> None:
        with operation("turn", "r1", tenant="t"):
            await _Forever()

    coroutine = turn()
    with ThreadPoolExecutor(1) as pool:  # as in a context of another thread's
        pool.submit(coroutine.send, None).result(30)
    scope = context.enter_root(events.OPERATION, {"request.id": "r0"})
    del coroutine
    gc.collect()
    assert without_ids(get_contextvars()) == {"request.id": "r0"}
    scope.leave()
    line = log_output.one("operation_failed")
    assert (line["request.id"], line["tenant"], line["error"]) == ("r1", "t", "GeneratorExit")


class _Forever:
    def __await__(self) -> Iterator[None]:
        yield


def test_threads_do_not_see_each_other(log_output: LogOutput) -> None:
    """One object that threads share, entered in all of them at once, ends in each of them what began there."""
    barrier = threading.Barrier(4)
    shared = operation("job")

    def work(number: int) -> None:
        barrier.wait(30)
        with shared:
            barrier.wait(30)
            log.info("working", number=number, seen=get_request_id())
            barrier.wait(30)
        assert get_contextvars() == {}

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    working = log_output.events("working")
    assert all(line["seen"] == line["request.id"] for line in working)
    ids = {line["request.id"] for line in working}
    assert len(ids) == 4
    assert sorted(ids) == sorted(line["request.id"] for line in log_output.events("operation_completed"))


def test_each_call_of_a_decorated_function_is_an_operation(log_output: LogOutput) -> None:
    """With its own id; arguments, result and name stay, also where it calls itself."""

    @operation("count", kind="down")
    def count(number: int) -> int:
        """Count down."""
        return number if not number else count(number - 1)

    assert count(2) == 0
    assert (count.__name__, count.__doc__) == ("count", "Count down.")
    lines = log_output.events("operation_completed")
    assert len({line["request.id"] for line in lines}) == 3
    assert {(line["operation.name"], line["kind"]) for line in lines} == {("count", "down")}


async def test_each_call_of_a_decorated_asynchronous_function_is_an_operation(log_output: LogOutput) -> None:
    """Its scope lasts until it has returned."""

    @operation("turn")
    async def turn(number: int) -> str | None:
        await asyncio.sleep(0)
        log.info("thinking")
        return get_request_id()

    ids = await asyncio.gather(turn(1), turn(2))
    assert len(set(ids)) == 2
    assert sorted(ids) == sorted(line["request.id"] for line in log_output.events("thinking"))
    assert sorted(ids) == sorted(line["request.id"] for line in log_output.events("operation_completed"))


class _Turn:
    """Called as an asynchronous function is: ``sync_to_async`` makes such objects, and so do libraries' decorators."""

    async def __call__(self) -> str | None:
        await asyncio.sleep(0)
        log.info("thinking")
        return get_request_id()


@pytest.mark.parametrize("work", [_Turn(), functools.partial(_Turn.__call__, _Turn()), sync_to_async(get_request_id)])
async def test_each_call_of_an_asynchronous_object_is_an_operation(log_output: LogOutput, work: Any) -> None:
    """Though it is no coroutine function; the operation does not end before its work begins."""
    seen = await operation("turn", "r1")(work)()
    assert seen == "r1"
    assert [line["request.id"] for line in log_output.lines] == ["r1"] * len(log_output.lines)
    assert closing(log_output) == ["operation_completed"]


def _generator() -> Iterator[int]:
    yield 1


async def _async_generator() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize("function", [_generator, _async_generator])
def test_a_generator_function_cannot_be_decorated(function: Callable[[], Any]) -> None:
    """Its body runs after the call has returned; the error says what to do."""
    with pytest.raises(TypeError, match=r"use 'with operation\(\.\.\.\)' inside"):
        operation("pieces")(function)


def test_it_does_nothing_where_telemetry_is_off(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is bound or logged, and the body runs."""
    monkeypatch.setenv("TELEMETRY_ENABLED", "false")
    config.reset()
    with operation("turn", "r1"):
        assert get_contextvars() == {}
    assert caplog.records == []


@pytest.mark.telemetry_fails
def test_a_body_runs_whatever_goes_wrong_with_telemetry(log_output: LogOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    """Said in a line, and no more than that."""

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    ran = False
    with monkeypatch.context() as patch:
        patch.setattr(context, "enter_root", fail)
        with operation("turn"):
            ran = True
    assert ran
    assert log_output.one("telemetry_failed")["error"] == "RuntimeError: broken"
    assert closing(log_output) == []
