"""Nothing of ours ever reaches the application: odd requests, odd responses, odd users, failing parts."""

import contextlib
import copy
import gc
import logging
import pickle
import weakref
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import got_request_exception
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory
from structlog.contextvars import get_contextvars

from dtx_telemetry import config, context
from dtx_telemetry.context import scope
from dtx_telemetry.http import bodies, events, requests, users
from dtx_telemetry.logging import closing as closing_events
from dtx_telemetry.logging.console import ConsoleHandler
from dtx_telemetry.middleware import TelemetryMiddleware
from tests.conftest import LogOutput
from tests.support.handlers import URLS, serve
from tests.unit.http.test_events import closing

pytestmark = [URLS, pytest.mark.telemetry_fails]


class Raising:
    """Every attribute raises."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(f"no {name}")


class WithoutHeaders:
    status_code = 201
    streaming = False


class FrozenHeaders(HttpResponse):
    headers = property(lambda self: (), lambda self, value: None)  # type: ignore[assignment]

    def __init__(self) -> None:
        """Skip what needs headers."""


class OddStatus(HttpResponse):
    status_code = "two hundred"  # type: ignore[assignment]


def answered(response: Any, path: str = "/api/teams/4/") -> Any:
    return TelemetryMiddleware(lambda request: response)(RequestFactory().get(path))


@pytest.mark.parametrize("make", [lambda: None, object, Raising, WithoutHeaders, FrozenHeaders, lambda: "text", dict])
def test_any_response_goes_through_as_it_is(log_output: LogOutput, make: Any) -> None:
    """What is no response is Django's to complain of; it has its closing event, and what went wrong is said."""
    response = make()
    assert answered(response) is response
    closing(log_output.lines)
    assert log_output.events("telemetry_failed")
    assert get_contextvars() == {}


def test_a_status_that_is_no_number_goes_through(log_output: LogOutput) -> None:
    """The event cannot be logged, and that is said."""
    response = OddStatus()
    assert answered(response) is response
    assert log_output.events("telemetry_failed")


@pytest.mark.parametrize("attribute", ["_iterator", "_resource_closers", "is_async"])
def test_an_odd_stream_goes_through(log_output: LogOutput, attribute: str) -> None:
    """A streaming response without what Django's have ends, for us, where it is returned."""
    response = StreamingHttpResponse(iter(["a"]))
    delattr(response, attribute)
    assert answered(response) is response
    assert closing(log_output.lines)["event"] == "request_completed"


def test_an_odd_request_is_served(log_output: LogOutput) -> None:
    """An object that has nothing of a request reaches the view as it is."""
    seen = []
    request = object()
    assert TelemetryMiddleware(seen.append)(request) is None
    assert seen == [request]
    assert log_output.one("telemetry_failed")["where"] == "TelemetryMiddleware"


def test_a_request_that_the_view_spoils_is_closed(log_output: LogOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the view does to the request's attributes."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
    config.reset()

    def view(request: Any) -> HttpResponse:
        request.__dict__.clear()
        request.resolver_match = object()
        return HttpResponse()

    TelemetryMiddleware(view)(RequestFactory().get("/x/"))
    assert closing(log_output.lines)["http.method"] == "GET"


@pytest.mark.parametrize("path", ["/x/", "/http/ok/"])
def test_wrong_settings_at_run_time_do_not_stop_requests(log_output: LogOutput, settings: Any, path: str) -> None:
    """They stop the start; a request of a process that runs is served without telemetry."""
    settings.DTX_TELEMETRY = {"NO_SUCH_KEY": 1}
    with pytest.raises(ImproperlyConfigured):
        config.get_settings()
    assert serve(path).status in {200, 404}
    assert "NO_SUCH_KEY" in log_output.one("telemetry_failed")["error"]


class BrokenHandler(logging.Handler):
    def handle(self, record: logging.LogRecord) -> Any:
        raise RuntimeError("no disk")


@pytest.mark.parametrize("path", ["/http/boom/", "/http/stream/", "/http/own_id/", "/http/async/redirect/"])
def test_a_broken_log_handler_of_the_application_disturbs_no_request(log_output: LogOutput, path: str) -> None:
    """Our own lines fail silently; the response is the one that it would be."""
    logging.getLogger("dtx_telemetry").addHandler(BrokenHandler())
    answer = serve(path.replace("stream", "file"))
    assert answer.status == (500 if "boom" in path else 302 if "redirect" in path else 200)
    assert get_contextvars() == {}


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (requests, "get_settings"),
        (requests.context, "enter_root"),
        (users, "find"),
        (users.LookUp, "user"),
        (requests, "give_request_id"),
        (context, "user_id"),
        (bodies, "watch"),
        (events.ServedRequest, "_fields"),
        (events, "_level"),
        (closing_events, "_log_closing"),
        (closing_events, "release"),
        (scope, "error_text"),
    ],
)
@pytest.mark.parametrize("path", ["/http/ok/", "/http/boom/", "/http/stream/"])
@pytest.mark.leaves_bound
def test_whatever_of_ours_fails_the_response_is_the_same(
    log_output: LogOutput, db: None, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, path: str
) -> None:
    """Each part in turn raises; the application does not see it, and nothing stays bound."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("telemetry is broken")

    with monkeypatch.context() as patched:
        patched.setattr(module, name, fail)
        answer = serve(path)
    expected = {"/http/ok/": b"ok", "/http/stream/": b"0;1;2;"}.get(path)
    assert answer.status == (200 if expected else 500)
    assert expected is None or answer.body == expected
    assert context.current_scope() is None
    assert not {"request.id", "user.id"} & get_contextvars().keys()


def test_a_signal_without_a_request_is_ignored(log_output: LogOutput) -> None:
    """Somebody may send Django's signal by hand."""
    got_request_exception.send(sender=None)
    got_request_exception.send(sender=None, request=None)
    got_request_exception.send(sender=None, request=RequestFactory().get("/x/"))
    assert not log_output.lines


def test_a_request_can_be_copied_and_pickled(log_output: LogOutput) -> None:
    """As without us: what we keep with it is left out of a copy that goes elsewhere."""
    made = []

    def view(request: Any) -> HttpResponse:
        made.extend(
            [copy.copy(request), copy.deepcopy(request.__dict__[requests.ATTRIBUTE]), pickle.loads(pickle.dumps(request))]
        )
        return HttpResponse()

    TelemetryMiddleware(view)(RequestFactory().get("/x/"))
    assert made[0].path == made[2].path == "/x/"
    assert made[1] is None


@pytest.mark.parametrize("fails", [False, True])
def test_a_request_is_freed_without_the_garbage_collector(
    log_output: LogOutput, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """We add no cycle: memory goes with the last reference."""

    def view(request: Any) -> HttpResponse:
        if fails:
            raise RuntimeError("odd")
        return HttpResponse()

    def ask() -> Any:
        request = RequestFactory().get("/x/")
        with contextlib.suppress(RuntimeError):
            TelemetryMiddleware(view)(request)
        return weakref.ref(request)

    # pytest's own handlers keep the records, and with them the traceback.
    ours = [handler for handler in logging.root.handlers if isinstance(handler, ConsoleHandler)]
    gc.collect()
    gc.disable()
    try:
        with monkeypatch.context() as patched:
            patched.setattr(logging.root, "handlers", ours)
            assert ask()() is None
    finally:
        gc.enable()


def test_the_middleware_can_be_made_often(log_output: LogOutput) -> None:
    """Each making adds nothing: one failure is still said once."""
    for _ in range(5):
        TelemetryMiddleware(lambda request: HttpResponse())
    serve("/http/boom/")
    assert len(log_output.events("request_failed")) == 1
    assert len(logging.getLogger("django.request").filters) == 1
