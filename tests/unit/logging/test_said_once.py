"""Said once: what an event of ours says, no line of a framework repeats on our output."""

import logging
from collections.abc import Callable, Generator
from typing import Any

import pytest
from django.conf import settings
from django.http import HttpResponse

from dtx_telemetry import config, operation, startup
from dtx_telemetry.http import events
from tests.conftest import LogOutput
from tests.support.celery_app import make_app
from tests.support.handlers import URLS, serve
from tests.support.lines import Line

pytestmark = URLS
BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
TASKS = "tests.plain_app.tasks."


def path_of(name: str, is_async: bool) -> str:
    return f"/http/async/{name}/" if is_async else f"/http/{name}/"


def djangos(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line["logger"].startswith("django")]


class Kept(logging.Handler):
    """A handler of the application's."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@BOTH
@pytest.mark.parametrize("name", ["missing", "denied", "bad", "teapot", "unavailable", "boom", "no_response"])
def test_a_response_is_told_by_its_closing_event_alone(log_output: LogOutput, is_async: bool, name: str) -> None:
    """Django's line about a 4xx or 5xx is left out, and other handlers still get it."""
    kept = Kept()
    logging.getLogger("django.request").addHandler(kept)
    serve(path_of(name, is_async))
    assert djangos(log_output.lines) == []
    assert len([line for line in log_output.lines if line["event"] in {"request_completed", "request_failed"}]) == 1
    assert [record.name for record in kept.records] == ["django.request"]


@BOTH
@pytest.mark.parametrize("name", ["missing", "unavailable", "boom"])
def test_framework_lines_are_printed_where_they_are_wanted(
    log_output: LogOutput, telemetry: Callable[..., None], is_async: bool, name: str
) -> None:
    """With the id of the request; the traceback stays with our event."""
    telemetry(FRAMEWORK_LINES=True)
    answer = serve(path_of(name, is_async))
    (line,) = djangos(log_output.lines)
    assert line["request.id"] == answer.request_id
    assert "exception" not in line
    assert ("error" in line) == (name == "boom")


def turn_off_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVELS", "dtx_telemetry=CRITICAL")


def filter_logger(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("dtx_telemetry.middleware")
    monkeypatch.setattr(logger, "filters", [lambda record: False])


def fail(monkeypatch: pytest.MonkeyPatch) -> None:
    def fields(*_: Any) -> Any:
        raise RuntimeError("telemetry is broken")

    monkeypatch.setattr(events.ServedRequest, "_fields", fields)


@BOTH
@pytest.mark.parametrize("silence", [turn_off_level, filter_logger, fail])
@pytest.mark.parametrize("name", ["boom", "missing", "unavailable"])
@pytest.mark.telemetry_fails
def test_where_our_event_is_silenced_djangos_line_is_printed(
    log_output: LogOutput, monkeypatch: pytest.MonkeyPatch, is_async: bool, name: str, silence: Any
) -> None:
    """By a level, a filter, or because telemetry fails: once, with the traceback of a failure, and with the id."""
    silence(monkeypatch)
    config.reset()
    startup.init_telemetry()
    answer = serve(path_of(name, is_async))
    (line,) = djangos(log_output.lines)
    assert line["request.id"] == answer.request_id
    assert ("Traceback" in line.get("exception", "")) == (name == "boom")
    assert not [line for line in log_output.lines if line["event"].startswith("request_")]


class FailsOnTheWayOut:
    """Stands outside of ours and raises when the response comes by."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        self.get_response(request)
        raise RuntimeError("on the way out")


class Replaces(FailsOnTheWayOut):
    """Stands outside of ours and answers in the place of the view."""

    def __call__(self, request: Any) -> Any:
        self.get_response(request)
        return HttpResponse(status=503)


@BOTH
def test_a_middleware_outside_that_raises_is_told_by_djangos_line(
    log_output: LogOutput, telemetry: Callable[..., None], is_async: bool
) -> None:
    """We said 200, the client got 500: the line has the traceback and the id of the request."""
    telemetry()
    outside = f"{__name__}.FailsOnTheWayOut"
    answer = serve(path_of("ok", is_async), is_async=is_async, middleware=[outside, *settings.MIDDLEWARE])
    (line,), end = djangos(log_output.lines), log_output.one("request_completed")
    assert (answer.status, end["http.status_code"]) == (500, 200)
    assert "on the way out" in line["exception"]
    assert line["request.id"] == end["request.id"]


@BOTH
def test_a_middleware_outside_that_answers_otherwise_is_told_by_djangos_line(
    log_output: LogOutput, telemetry: Callable[..., None], is_async: bool
) -> None:
    """Another outcome than the event's is news."""
    telemetry()
    answer = serve(path_of("ok", is_async), is_async=is_async, middleware=[f"{__name__}.Replaces", *settings.MIDDLEWARE])
    (line,) = djangos(log_output.lines)
    assert answer.status == 503
    assert line["request.id"] == log_output.one("request_completed")["request.id"]


@BOTH
def test_an_excluded_path_leaves_djangos_line(log_output: LogOutput, telemetry: Callable[..., None], is_async: bool) -> None:
    """There is no closing event that says it."""
    telemetry(EXCLUDE_PATHS=["/http/.*"])
    answer = serve(path_of("denied", is_async))
    (line,) = djangos(log_output.lines)
    assert "Traceback" in line["exception"]
    assert line["request.id"] == answer.request_id


def test_a_record_of_django_is_not_held_after_its_request(log_output: LogOutput) -> None:
    """What waited for the closing event is let go."""
    serve("/http/boom/")
    serve("/http/boom/")
    assert len(log_output.events("request_failed")) == 2
    assert all("exception" in line for line in log_output.events("request_failed"))


def test_an_eager_tasks_failure_has_one_traceback(log_output: LogOutput) -> None:
    """The task's event prints it, and Celery's own line is left out."""
    with make_app(task_always_eager=True) as app:

        @app.task(name="fail", shared=False)
        def fail() -> None:
            raise RuntimeError("no mana")

        fail.delay()
        fail.delay()
    assert ["exception" in line for line in log_output.events("task_failed")] == [True, True]
    assert not [line for line in log_output.lines if line["logger"] == "celery.app.trace"]


def test_a_task_that_leaves_something_open_is_told_of_once(log_output: LogOutput) -> None:
    """An operation that a suspended generator holds is still open as Celery says how the task ended."""
    held: list[Generator[int]] = []

    def pieces() -> Generator[int]:
        with operation("pieces"):
            yield 1

    with make_app(task_always_eager=True) as app:

        @app.task(name="hold", shared=False)
        def hold(fails: bool) -> None:
            held.append(pieces())
            next(held[-1])
            if fails:
                raise RuntimeError("no mana")

        hold.delay(False)
        hold.delay(True)
    for generator in held:
        generator.close()  # not in the midst of a later test, by the garbage collector
    assert ["exception" in line for line in log_output.events("task_failed")] == [True]
    assert not [line for line in log_output.lines if line["logger"] == "celery.app.trace"]


def test_where_a_tasks_event_is_silenced_celerys_line_is_printed(
    log_output: LogOutput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the traceback and the ids."""
    monkeypatch.setenv("LOG_LEVELS", "dtx_telemetry=CRITICAL")
    config.reset()
    startup.init_telemetry()
    with make_app(task_always_eager=True) as app:

        @app.task(name="fail", shared=False)
        def fail() -> None:
            raise RuntimeError("no mana")

        fail.apply(task_id="t-1")
    (line,) = [line for line in log_output.lines if line["logger"] == "celery.app.trace"]
    assert "Traceback" in line["exception"]
    assert line["task.id"] == "t-1"


#: What each server logs of a request, as its own code does.
ACCESS_LINES: dict[str, tuple[str, Any]] = {
    "hypercorn.access": ('%(h)s "%(R)s" %(s)s', {"h": "127.0.0.1:1", "R": "GET /x/?page=2 1.1", "s": "200", "U": "/x/"}),
    "granian.access": (
        '%(addr)s "%(method)s %(path)s" %(status)d',
        {"addr": "-", "method": "GET", "path": "/x/", "status": 200},
    ),
    "gunicorn.access": ('%(h)s "%(r)s" %(s)s', {"h": "-", "r": "GET /x/ HTTP/1.1", "s": "200", "U": "/x/"}),
}


@pytest.mark.parametrize(("name", "line"), ACCESS_LINES.items(), ids=ACCESS_LINES)
@pytest.mark.parametrize("wanted", [False, True])
def test_access_lines_of_servers(
    log_output: LogOutput, telemetry: Callable[..., None], name: str, line: tuple[str, Any], wanted: bool
) -> None:
    """They are left out unless they are wanted, and other lines of that logger are printed."""
    telemetry(FRAMEWORK_LINES=wanted)
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.info(*line)
    logger.warning("something else")
    assert [entry["event"] for entry in log_output.lines if entry["logger"] == name] == [
        *([line[0] % line[1]] if wanted else []),
        "something else",
    ]
