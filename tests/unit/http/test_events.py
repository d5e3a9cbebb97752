"""The closing events of requests: exactly one each, however it ends, and one traceback."""

import asyncio
import logging
from contextvars import copy_context
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from dtx_telemetry import config, startup
from dtx_telemetry.http.requests import route_template
from dtx_telemetry.middleware import TelemetryMiddleware
from tests.conftest import LogOutput
from tests.support.handlers import OURS, URLS, serve
from tests.support.lines import Line

pytestmark = URLS
HERE = "tests.unit.http.test_events"
BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
CLOSING = ("request_completed", "request_failed", "request_cancelled")


def path_of(name: str, is_async: bool) -> str:
    return f"/http/async/{name}/" if is_async else f"/http/{name}/"


def closing(lines: list[Line]) -> Line:
    """Return the one closing event among *lines*."""
    (line,) = [line for line in lines if line["event"] in CLOSING]
    return line


def tracebacks(lines: list[Line]) -> list[Line]:
    return [line for line in lines if "exception" in line]


class Outcome:
    """A middleware that does what its class attributes say, before or after the rest of the chain."""

    before: BaseException | HttpResponse | None = None
    after: BaseException | None = None
    for_exception: HttpResponse | None = None

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        if isinstance(self.before, BaseException):
            raise self.before
        if self.before is not None:
            return self.before
        response = self.get_response(request)
        if self.after is not None:
            raise self.after
        return response

    def process_exception(self, request: Any, exception: Exception) -> HttpResponse | None:
        return self.for_exception


class Mails(logging.Handler):
    """A handler of the application's, with what it would send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sent.append(self.format(record))


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Set what the middleware `Outcome` does."""

    def choose(**attributes: Any) -> str:
        for name, value in attributes.items():
            monkeypatch.setattr(Outcome, name, value)
        return f"{HERE}.Outcome"

    return choose


@BOTH
@pytest.mark.parametrize(
    ("name", "status", "level"),
    [
        ("ok", 200, "info"),
        ("redirect", 302, "info"),
        ("not_modified", 304, "info"),
        ("missing", 404, "warning"),
        ("denied", 403, "warning"),
        ("suspicious", 400, "warning"),
        ("bad", 400, "warning"),
        ("teapot", 418, "warning"),
        ("unavailable", 503, "error"),
        ("template", 200, "info"),
    ],
)
def test_a_response_is_one_request_completed_with_the_level_of_its_status(
    log_output: LogOutput, is_async: bool, name: str, status: int, level: str
) -> None:
    """Whatever a view returns, or Django makes of an exception that stands for a status, is completed."""
    answer = serve(path_of(name, is_async))
    assert answer.status == status
    line = closing(log_output.lines)
    assert (line["event"], line["level"], line["http.status_code"]) == ("request_completed", level, status)
    assert (line["http.method"], line["http.route"]) == ("GET", path_of(name, is_async))
    assert line["request.id"] == answer.request_id
    assert line["duration_ms"] > 0
    assert line["logger"] == "dtx_telemetry.middleware"


@BOTH
@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("name", ["boom", "no_response", "broken_template"])
def test_an_exception_is_one_request_failed_with_the_only_traceback(
    log_output: LogOutput, is_async: bool, name: str, debug: bool
) -> None:
    """Django's own line about the exception is left out, under DEBUG too."""
    answer = serve(path_of(name, is_async), DEBUG=debug)
    assert answer.status == 500
    line = closing(log_output.lines)
    assert (line["event"], line["level"], line["http.status_code"]) == ("request_failed", "error", 500)
    assert tracebacks(log_output.lines) == [line]
    assert line["error"] == line["exception"].splitlines()[-1]
    assert line["request.id"] == answer.request_id
    assert not [line for line in log_output.lines if line["logger"] == "django.request"]


@BOTH
def test_other_handlers_still_get_the_exception(log_output: LogOutput, caplog: Any, is_async: bool) -> None:
    """Mail to admins, Sentry and the like see Django's record with its traceback."""
    mails = Mails()
    logging.getLogger("django").addHandler(mails)
    serve(path_of("boom", is_async))
    records = [record for record in caplog.records if record.name == "django.request"]
    assert [record.exc_info[0] for record in records if record.exc_info] == [RuntimeError]
    assert ["Traceback" in message and "no mana" in message for message in mails.sent] == [True]


@BOTH
def test_an_exception_that_another_middleware_answers_is_completed(log_output: LogOutput, outcome: Any, is_async: bool) -> None:
    """``process_exception`` of another middleware makes a response of it, and that is the end of it."""
    middleware = [OURS, outcome(for_exception=HttpResponse("saved", status=202))]
    assert serve(path_of("boom", is_async), middleware=middleware).status == 202
    assert closing(log_output.lines)["http.status_code"] == 202
    assert not tracebacks(log_output.lines)


@BOTH
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_middleware_inside_that_raises_is_a_failure(log_output: LogOutput, outcome: Any, is_async: bool, when: str) -> None:
    """A middleware below ours that raises, before or after the view, ends the request as a view would."""
    answer = serve(path_of("ok", is_async), middleware=[OURS, outcome(**{when: RuntimeError("odd")})])
    assert answer.status == 500
    line = closing(log_output.lines)
    assert (line["event"], line["error"], line["request.id"]) == ("request_failed", "RuntimeError: odd", answer.request_id)
    assert tracebacks(log_output.lines) == [line]


@BOTH
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_middleware_outside_that_raises_leaves_at_most_one_event(
    log_output: LogOutput, outcome: Any, is_async: bool, when: str
) -> None:
    """What happens outside of ours is not ours: the request that came through has its event, the other has none."""
    serve(path_of("ok", is_async), middleware=[outcome(**{when: RuntimeError("odd")}), OURS])
    events = [line["event"] for line in log_output.lines if line["event"] in CLOSING]
    assert events == (["request_completed"] if when == "after" else [])


@BOTH
def test_a_middleware_that_answers_itself_is_completed(log_output: LogOutput, outcome: Any, is_async: bool) -> None:
    """A request that never reaches a view has its event all the same."""
    answer = serve(path_of("ok", is_async), middleware=[OURS, outcome(before=HttpResponse(status=429))])
    line = closing(log_output.lines)
    assert (line["event"], line["http.status_code"], line["request.id"]) == ("request_completed", 429, answer.request_id)


@pytest.mark.parametrize("place", [0, 1, 2, 4])
@BOTH
def test_every_place_in_middleware_works(log_output: LogOutput, settings: Any, is_async: bool, place: int) -> None:
    """First, in the middle or last: one id, one event, and the view's lines bear the id."""
    others = [name for name in settings.MIDDLEWARE if name != OURS]
    others.insert(place, OURS)
    answer = serve(path_of("ok", is_async), middleware=others)
    assert closing(log_output.lines)["request.id"] == log_output.one("seen")["request.id"] == answer.request_id


@BOTH
def test_being_in_middleware_twice_changes_nothing(log_output: LogOutput, is_async: bool) -> None:
    """The inner one lets the request through: one scope, one id, one event."""
    answer = serve(path_of("ok", is_async), middleware=[OURS, OURS])
    assert closing(log_output.lines)["request.id"] == log_output.one("seen")["request.id"] == answer.request_id


@pytest.mark.parametrize(("name", "error"), [("exit", SystemExit), ("interrupt", KeyboardInterrupt)])
def test_what_ends_the_process_goes_on_and_is_a_failure(log_output: LogOutput, name: str, error: type[BaseException]) -> None:
    """``SystemExit`` and ``KeyboardInterrupt`` leave the middleware as they came, after one event."""
    with pytest.raises(error):
        serve(path_of(name, is_async=False))
    line = closing(log_output.lines)
    assert (line["event"], line["http.status_code"]) == ("request_failed", 500)
    assert tracebacks(log_output.lines) == [line]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), RuntimeError("odd")])
async def test_what_comes_through_an_asynchronous_chain_goes_on(log_output: LogOutput, error: BaseException) -> None:
    """The asynchronous middleware raises the very exception on, after one event."""

    async def get_response(request: Any) -> Any:
        raise error

    with pytest.raises(type(error)) as raised:
        coroutine = TelemetryMiddleware(get_response)(RequestFactory().get("/x/"))
        try:  # by hand, since an event loop would end at some of these
            coroutine.send(None)
        finally:
            coroutine.close()
    assert raised.value is error
    assert closing(log_output.lines)["event"] == "request_failed"


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit()])
async def test_a_client_that_left_is_a_cancelled_request(log_output: LogOutput, error: BaseException) -> None:
    """A cancelled task, or a coroutine that is closed, is no failure; the exception goes on."""

    async def get_response(request: Any) -> Any:
        raise error

    with pytest.raises(type(error)):
        TelemetryMiddleware(get_response)(RequestFactory().get("/api/teams/4/")).send(None)
    line = closing(log_output.lines)
    assert (line["event"], line["level"], line["team.id"]) == ("request_cancelled", "warning", 4)
    assert "http.status_code" not in line
    assert not tracebacks(log_output.lines)


def test_an_exception_that_is_to_propagate_does(log_output: LogOutput) -> None:
    """Under DEBUG_PROPAGATE_EXCEPTIONS the exception leaves the handler, after one event with its traceback."""
    with pytest.raises(RuntimeError, match="no mana"):
        serve(path_of("boom", is_async=False), DEBUG_PROPAGATE_EXCEPTIONS=True)
    assert tracebacks(log_output.lines) == [closing(log_output.lines)]


@BOTH
def test_what_django_logs_after_the_last_middleware_bears_the_context(
    log_output: LogOutput, settings: Any, is_async: bool
) -> None:
    """Django's line about a 404 comes when the middleware is done, and has the request's id and labels all the same."""
    settings.DTX_TELEMETRY = {"FRAMEWORK_LINES": True}
    startup.init_telemetry()
    answer = serve("/api/tournaments/5/nothing/", is_async=is_async)
    (line,) = [line for line in log_output.lines if line["logger"] == "django.request"]
    assert (line["request.id"], line["labels"], line["tournament.id"]) == (answer.request_id, ["tournament"], 5)


def test_nothing_is_bound_after_a_request(log_output: LogOutput) -> None:
    """What the request bound and what its view bound is gone."""
    serve("/http/bound/")
    logging.getLogger("elsewhere").info("afterwards")
    line = log_output.one("afterwards")
    assert not {"request.id", "own", "labels"} & line.keys()


@pytest.mark.parametrize("wanted", [False, True], ids=["said once", "FRAMEWORK_LINES"])
async def test_no_context_variable_is_other_than_before(log_output: LogOutput, settings: Any, wanted: bool) -> None:
    """A server may go on in the same context, with the next request or with something else."""
    settings.DTX_TELEMETRY = {"FRAMEWORK_LINES": wanted}
    startup.init_telemetry()

    async def answer(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    requests, before = RequestFactory(), dict(copy_context())
    TelemetryMiddleware(lambda request: HttpResponse())(requests.get("/"))
    await TelemetryMiddleware(answer)(requests.get("/"))
    assert dict(copy_context()) == before
    assert len(log_output.lines) == 2


def test_the_path_is_the_route_by_default_and_the_query_is_nowhere(log_output: LogOutput) -> None:
    """No line of a request holds anything of its query string, Django's own about a 404 neither."""
    for path in ("/http/ok/?secret-query=1", "/http/missing/?secret-query=1", "/http/boom/?secret-query=1"):
        serve(path)
    assert "secret-query" not in log_output.text
    assert [line["http.route"] for line in log_output.lines if line["event"] in CLOSING] == [
        "/http/ok/",
        "/http/missing/",
        "/http/boom/",
    ]


STABLE = {"http.request.method": "GET", "url.path": "/http/ok/", "http.route": "/http/ok/", "http.response.status_code": 200}


@pytest.mark.parametrize(
    ("opt_in", "expected"),
    [
        ("", {"http.method": "GET", "http.route": "/http/ok/", "http.status_code": 200}),
        ("database", {"http.method": "GET", "http.route": "/http/ok/", "http.status_code": 200}),
        ("http", STABLE),
        ("database, http", STABLE),
        ("http/dup", {**STABLE, "http.method": "GET", "http.status_code": 200}),
        ("http,http/dup", {**STABLE, "http.method": "GET", "http.status_code": 200}),
    ],
)
def test_the_names_follow_the_opt_in_of_opentelemetry(
    log_output: LogOutput, monkeypatch: pytest.MonkeyPatch, opt_in: str, expected: dict[str, Any]
) -> None:
    """``OTEL_SEMCONV_STABILITY_OPT_IN`` picks the old names, the stable ones or both."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", opt_in)
    config.reset()
    serve("/http/ok/")
    line = closing(log_output.lines)
    assert {key: value for key, value in line.items() if key.startswith(("http.", "url."))} == expected


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/tournaments/5/", "/api/tournaments/<int:tournament_id>/"),
        ("/http/pattern/7/", "/http/pattern/{number}/"),
        ("/nowhere/", None),
        ("/http/boom/", "/http/boom/"),
    ],
)
def test_the_stable_route_is_the_pattern_of_the_url(
    log_output: LogOutput, monkeypatch: pytest.MonkeyPatch, path: str, route: str | None
) -> None:
    """A path that no pattern matches has no route."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    config.reset()
    serve(path)
    line = closing(log_output.lines)
    assert (line["url.path"], line.get("http.route")) == (path, route)


@pytest.mark.parametrize(
    ("route", "template"),
    [
        ("api/<int:id>/", "/api/<int:id>/"),
        ("^api/documents/(?P<pk>[^/.]+)/$", "/api/documents/{pk}/"),
        (r"^documents/(?P<pk>[^/.]+)\.(?P<format>[a-z0-9]+)/?$", "/documents/{pk}.{format}/"),
        (r"api/^documents/(?P<pk>[^/.]+)/$", "/api/documents/{pk}/"),
        (r"^a/(\d+)/(?P<kind>(b|c)+)/$", "/a/<var>/{kind}/"),
        (r"^files/(?P<slug>[-\w]+)(?P<rest>(?:/[^/]+)*)$", "/files/{slug}{rest}"),
        (r"^a\.b/\Z", "/a.b/"),
        ("", "/"),
        (None, None),
    ],
)
def test_regular_expressions_become_path_templates(route: str | None, template: str | None) -> None:
    """Of `re_path`, of routers with their format suffixes, and below `include`."""
    assert route_template(route) == template


def test_an_unknown_method_is_reported_as_the_conventions_say(log_output: LogOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stable method is one of the known ones or ``_OTHER``."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
    config.reset()
    serve("/http/ok/", method="BREW")
    line = closing(log_output.lines)
    assert (line["http.method"], line["http.request.method"]) == ("BREW", "_OTHER")


class TestExcludedPaths:
    """``EXCLUDE_PATHS``: paths that are not worth a closing event."""

    @pytest.fixture(autouse=True)
    def _excluded(self, settings: Any) -> None:
        settings.DTX_TELEMETRY = {"EXCLUDE_PATHS": ["/http/ok/", "/http/(async/)?boom/", r"/http/un.*", "/http/missing"]}

    @BOTH
    def test_an_excluded_path_has_no_event_but_its_context(self, log_output: LogOutput, is_async: bool) -> None:
        """The view's own lines still bear the id, which the response has too."""
        answer = serve("/http/ok/", is_async=is_async)
        assert [line["event"] for line in log_output.lines] == ["seen"]
        assert log_output.one("seen")["request.id"] == answer.request_id

    @BOTH
    def test_an_excluded_path_that_fails_has_its_event(self, log_output: LogOutput, is_async: bool) -> None:
        """An exception is always worth a line."""
        serve(path_of("boom", is_async))
        assert closing(log_output.lines)["event"] == "request_failed"

    def test_an_excluded_path_with_status_5xx_has_its_event(self, log_output: LogOutput) -> None:
        """So is a response that says that the server is at fault."""
        serve("/http/unavailable/")
        assert closing(log_output.lines)["http.status_code"] == 503

    @pytest.mark.parametrize("path", ["/http/missing/", "/http/teapot/", "/other/http/ok/"])
    def test_a_pattern_matches_whole_paths_only(self, log_output: LogOutput, path: str) -> None:
        """A path of which the pattern is only a part is not excluded."""
        serve(path)
        assert closing(log_output.lines)["http.route"] == path


@pytest.mark.leaves_bound
def test_switched_off_everything_passes_through(log_output: LogOutput, settings: Any) -> None:
    """With telemetry off there is no header, no event and nothing bound."""
    settings.DTX_TELEMETRY = {"ENABLED": False}
    log_output.clear()
    answer = serve("/http/bound/")
    assert "X-Request-ID" not in answer.headers
    assert b"request.id" not in answer.body
    assert not [line for line in log_output.lines if line["event"] in CLOSING]
