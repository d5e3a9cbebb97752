"""HTTP requests as spans and as a metric: what a collector gets of them."""

import asyncio
import json
import sys
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from channels.generic.http import AsyncHttpConsumer
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import got_request_exception
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, override_settings
from django.urls import include, path
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.propagators import TraceResponsePropagator, set_global_response_propagator

from dtx_telemetry import operation, outgoing_headers, telemetry_consumer
from tests.conftest import LogOutput
from tests.support.asgi import calling, scope_of, until
from tests.support.handlers import OURS, request, serve
from tests.support.otlp import Span
from tests.support.tracing import Traced, opentelemetry_on
from tests.unit.http.test_events import path_of

pytestmark = pytest.mark.urls(__name__)
BOTH = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def the_span(traced: Traced) -> Span:
    """Return the only span that was sent."""
    (span,) = traced.flushed().spans
    return span


@BOTH
def test_a_request_is_a_server_span_of_its_route(traced: Traced, is_async: bool) -> None:
    """Name, kind, and the stable attributes; no query and no address of the client."""
    serve(path_of("ok", is_async) + "?secret=1", is_async=is_async)

    span = the_span(traced)
    route = path_of("ok", is_async)
    assert (span.name, span.kind, span.status, span.parent_id) == (f"GET {route}", "SERVER", "UNSET", "")
    attributes = span.attributes
    assert attributes["http.request.method"] == "GET"
    assert attributes["http.route"] == attributes["url.path"] == route
    assert attributes["http.response.status_code"] == 200
    assert attributes["url.scheme"] == "http"
    assert not {"url.query", "client.address", "url.full"} & attributes.keys()


@BOTH
def test_a_server_inside_a_scope_serves_each_request_in_a_trace_of_its_own(traced: Traced, is_async: bool) -> None:
    """A management command that runs a server: one decision of the sampler would hold for all requests."""
    with operation("serve"):
        for _ in range(2):
            serve(path_of("ok", is_async), is_async=is_async)

    spans = traced.flushed().spans
    requests = [span for span in spans if span.kind == "SERVER"]
    assert [span.parent_id for span in requests] == ["", ""]
    assert len({span.trace_id for span in [*requests, *(span for span in spans if span.name == "operation serve")]}) == 3


@BOTH
def test_a_request_is_measured(traced: Traced, is_async: bool) -> None:
    """The semantic conventions' metric, with their boundaries, in seconds."""
    serve(path_of("teapot", is_async), is_async=is_async)

    (point,) = [point for point in traced.flushed().points if point.name == "http.server.request.duration"]
    assert point.unit == "s"
    assert point.count == 1
    assert point.bounds[0] == 0.005
    assert point.bounds[-1] == 10
    expected = {"http.request.method", "url.scheme", "http.route", "http.response.status_code"}
    assert point.attributes.keys() - {"network.protocol.version"} == expected
    assert point.attributes["http.response.status_code"] == 418


@BOTH
def test_lines_of_a_request_have_the_ids_of_its_span(traced: Traced, log_output: LogOutput, is_async: bool) -> None:
    """Also its closing event, which is the last thing in the span."""
    serve(path_of("ok", is_async), is_async=is_async)

    span = the_span(traced)
    lines = [line for line in log_output.lines if "request.id" in line]
    assert {line["event"] for line in lines} >= {"seen", "request_completed"}
    assert {(line["trace_id"], line["span_id"]) for line in lines} == {(span.trace_id, span.span_id)}


@BOTH
@pytest.mark.parametrize(("path", "status"), [("/no/such/path/", 404), ("/http/boom/", 500)])
def test_lines_of_frameworks_have_the_ids_of_the_span_that_they_are_about(
    monkeypatch: pytest.MonkeyPatch, settings: Any, log_output: LogOutput, path: str, status: int, is_async: bool
) -> None:
    """``FRAMEWORK_LINES`` prints Django's line about a response when the request is over."""
    settings.DTX_TELEMETRY = {"FRAMEWORK_LINES": True}
    with opentelemetry_on(monkeypatch) as traced:
        serve(path, is_async=is_async)
        span = the_span(traced)
    (line,) = [line for line in log_output.lines if line["logger"] == "django.request"]
    assert (line["trace_id"], line["span_id"]) == (span.trace_id, span.span_id)
    assert line["request.id"] == span.attributes["request.id"]


def test_the_closing_event_has_the_ids_of_its_scopes_span_whatever_is_left_current(
    traced: Traced, log_output: LogOutput
) -> None:
    """An application may forget to detach a span that it attached; what comes after the request has none of its ids."""
    serve("/leaking/")
    assert trace.get_current_span() is trace.INVALID_SPAN

    (span,) = [span for span in traced.flushed().spans if span.kind == "SERVER"]
    assert log_output.one("request_completed")["span_id"] == span.span_id


def test_the_scopes_fields_are_attributes_of_every_span_in_it(traced: Traced) -> None:
    """Request id, labels and resource ids, on spans that the view makes too."""
    serve("/api/tournaments/5/traced/")

    spans = {span.name: span for span in traced.flushed().spans}
    outer, inner = spans["GET /api/tournaments/<int:number>/traced/"], spans["inner"]
    assert inner.parent_id == outer.span_id
    for span in (outer, inner):
        assert (span.attributes["labels"], span.attributes["tournament.id"]) == (["tournament"], 5)
    assert inner.attributes["request.id"] == outer.attributes["request.id"]


def test_the_user_is_on_the_span_however_late_it_is_known(traced: Traced, db: Any, django_user_model: Any, client: Any) -> None:
    """The span began before anybody had looked."""
    user = django_user_model.objects.create_user("invoker")
    client.force_login(user)
    client.get("/http/who/")

    assert the_span(traced).attributes["user.id"] == user.pk


@BOTH
@pytest.mark.parametrize(("name", "status"), [("missing", 404), ("denied", 403), ("teapot", 418)])
def test_a_clients_error_is_none_of_the_servers(traced: Traced, name: str, status: int, is_async: bool) -> None:
    """Status 4xx: no error, and no exception recorded."""
    serve(path_of(name, is_async), is_async=is_async)

    span = the_span(traced)
    assert (span.attributes["http.response.status_code"], span.status, span.events) == (status, "UNSET", [])


@BOTH
def test_an_exception_is_recorded_once(traced: Traced, is_async: bool) -> None:
    """With type, message and traceback; the span is an error."""
    serve(path_of("boom", is_async), is_async=is_async)

    span = the_span(traced)
    assert (span.status, span.description) == ("ERROR", "RuntimeError: no mana")
    assert span.attributes["http.response.status_code"] == 500
    assert span.attributes["error.type"] == "RuntimeError"
    ((name, event),) = span.events
    assert name == "exception"
    assert (event["exception.type"], event["exception.message"]) == ("RuntimeError", "no mana")
    assert "raise type(error)" in event["exception.stacktrace"]


def test_an_exception_that_the_application_recorded_is_not_recorded_again(traced: Traced) -> None:
    """As OpenTelemetry's guide has people do it, who know more of it. Another one is."""
    serve("/recording/")

    events = [event for _, event in the_span(traced).events]
    assert [(event["exception.message"], event.get("hero")) for event in events] == [("other", None), ("no mana", "Axe")]


def test_a_secret_in_an_exception_is_redacted(traced: Traced) -> None:
    """On the span as on the line."""
    serve("/telling/")

    span = the_span(traced)
    assert "hunter2" not in repr(span)


def test_a_status_of_500_without_an_exception_is_an_error(traced: Traced) -> None:
    """Its type is the status."""
    serve("/http/unavailable/")

    span = the_span(traced)
    assert (span.status, span.attributes["error.type"], span.events) == ("ERROR", "503", [])


def test_what_matches_nothing_is_named_by_its_method_alone(traced: Traced) -> None:
    """Whoever asks for nonsense makes no names."""
    serve("/no/such/path/")

    span = the_span(traced)
    assert (span.name, span.attributes["http.response.status_code"]) == ("GET", 404)
    assert "http.route" not in span.attributes


def test_a_method_that_nobody_knows(traced: Traced) -> None:
    """Is ``_OTHER``, with the original beside it."""
    serve("/http/ok/", method="BREW")

    span = the_span(traced)
    assert span.name == "HTTP /http/ok/"
    assert span.attributes["http.request.method"] == "_OTHER"
    assert span.attributes["http.request.method_original"] == "BREW"


class TestStreams:
    @BOTH
    def test_last_until_the_bodys_end(self, traced: Traced, log_output: LogOutput, is_async: bool) -> None:
        """Each piece is made inside the span, which ends with the last one; between pieces it is not current."""
        response = request(path_of("stream", is_async), is_async=is_async)
        assert trace.get_current_span() is trace.INVALID_SPAN
        assert not traced.collector.spans
        read(response)
        response.close()

        span = the_span(traced)
        assert {line["span_id"] for line in log_output.events("piece")} == {span.span_id}
        assert log_output.one("request_completed")["span_id"] == span.span_id
        assert span.end >= max(record.timestamp for record in traced.collector.wait_for_records(3, body="piece"))

    @BOTH
    def test_a_body_that_raises(self, traced: Traced, is_async: bool) -> None:
        """An error with the exception, and the status that was sent."""
        response = request(path_of("stream", is_async) + "?fail", is_async=is_async)
        with pytest.raises(RuntimeError):
            read(response)
        response.close()

        span = the_span(traced)
        assert (span.status, span.attributes["http.response.status_code"]) == ("ERROR", 200)
        assert [event["exception.message"] for _, event in span.events] == ["no more pieces"]

    def test_a_body_that_nobody_wants_any_more(self, traced: Traced) -> None:
        """It was cancelled, which is no error."""
        response = request("/http/stream/")
        next(iter(response))
        response.close()

        span = the_span(traced)
        assert (span.status, span.events) == ("UNSET", [])
        assert "http.response.status_code" not in span.attributes


async def test_a_client_that_leaves(traced: Traced, log_output: LogOutput) -> None:
    """The span of a view that is cancelled ends, without an error."""
    async with calling(ASGIHandler(), scope_of("/http/async/slow/", kind="http", method="GET")) as call:
        await call.give("http.request", body=b"", more_body=False)
        await until(lambda: log_output.events("waiting"))
        await call.give("http.disconnect")
        await until(lambda: log_output.events("request_cancelled"))

    span = the_span(traced)
    assert (span.name, span.status, span.events) == ("GET /http/async/slow/", "UNSET", [])


class TestTheParent:
    def test_is_the_callers_span(self, traced: Traced) -> None:
        """By its ``traceparent``."""
        serve("/http/ok/", headers={"traceparent": PARENT})

        span = the_span(traced)
        assert (span.trace_id, span.parent_id) == ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")

    def test_is_only_linked_to_where_it_is_not_trusted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """At a public edge nobody decides about our traces; baggage is dropped."""
        with override_settings(DTX_TELEMETRY={"TRUST_TRACEPARENT": False}), opentelemetry_on(monkeypatch) as traced:
            answer = serve("/baggage/", headers={"traceparent": PARENT, "baggage": "forged=1"})
            span = the_span(traced)

        assert span.trace_id != "0af7651916cd43dd8448eb211c80319c"
        assert span.parent_id == ""
        assert span.links == [("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")]
        assert answer.body == b"{}"

    def test_may_be_somebody_elses_span_of_the_server(self, traced: Traced) -> None:
        """Then there is no second one: theirs gets the route, the status and the fields, and the lines have its ids."""
        serve("/http/teapot/")  # the first request settles the provider
        with trace.get_tracer("server").start_as_current_span("theirs", kind=trace.SpanKind.SERVER) as theirs:
            serve("/http/ok/")
            assert trace.get_current_span() is theirs

        _, span = traced.flushed().spans
        assert (span.name, span.scope) == ("GET /http/ok/", "server")
        assert span.attributes["http.response.status_code"] == 200
        assert "request.id" in span.attributes

    def test_that_fails_has_its_exception_once(self, traced: Traced) -> None:
        """Whoever made it records what it ends with, as OpenTelemetry's instrumentations do."""
        serve("/http/teapot/")
        errors: list[BaseException | None] = []

        def note(**_: Any) -> None:
            errors.append(sys.exception())

        got_request_exception.connect(note)
        with suppress(RuntimeError), trace.get_tracer("server").start_as_current_span("theirs"):
            serve(path_of("boom", False))
            assert errors[0] is not None
            raise errors[0]

        _, span = traced.flushed().spans
        assert (span.scope, span.status) == ("server", "ERROR")
        assert [event["exception.message"] for _, event in span.events] == ["no mana"]

    def test_does_not_hold_where_the_span_before_has_ended(self, traced: Traced) -> None:
        """A server may start a request in the context of the one before."""
        tracer = trace.get_tracer("server")
        serve("/http/ok/")
        with trace.use_span(tracer.start_span("old")) as old:
            old.end()
            serve("/http/ok/")

        names = [span.name for span in traced.flushed().spans]
        assert names.count("GET /http/ok/") == 2


def test_headers_for_other_services_carry_the_span(traced: Traced) -> None:
    """``outgoing_headers()`` has ``traceparent`` beside the request id."""
    answer = serve("/outgoing/")

    span = the_span(traced)
    assert json.loads(answer.body)["traceparent"].startswith(f"00-{span.trace_id}-{span.span_id}-0")


def test_the_response_is_the_applications(traced: Traced) -> None:
    """Nothing of the trace is in it."""
    assert set(serve("/http/ok/", middleware=[OURS]).headers) == {"Content-Type", "X-Own", "X-Request-ID"}


class TestItsVariables:
    @pytest.mark.parametrize("name", ["OTEL_PYTHON_EXCLUDED_URLS", "OTEL_PYTHON_DJANGO_EXCLUDED_URLS"])
    def test_excluded_urls(self, monkeypatch: pytest.MonkeyPatch, log_output: LogOutput, name: str) -> None:
        """Have no span and no metric; they keep their line."""
        with opentelemetry_on(monkeypatch, **{name: "http/ok,health"}) as traced:
            serve("/http/ok/")
            serve("/http/teapot/")

            assert the_span(traced).attributes["http.response.status_code"] == 418
            assert len(traced.collector.points) == 1
        assert len(log_output.events("request_completed")) == 2

    def test_excluded_paths(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """``EXCLUDE_PATHS`` is for both: no line, no span."""
        with override_settings(DTX_TELEMETRY={"EXCLUDE_PATHS": ["/http/ok/"]}), opentelemetry_on(monkeypatch) as traced:
            serve("/http/ok/")
            assert not traced.flushed().spans

    def test_captured_headers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Those that were asked for, of both directions, without what is to be kept secret."""
        asked = {
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": "X-Team,Authorization",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE": "x-o.*",
            "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS": "authorization",
        }
        with opentelemetry_on(monkeypatch, **asked) as traced:
            serve("/http/ok/", headers={"X-Team": "radiant", "Authorization": "Bearer x"})
            attributes = the_span(traced).attributes

        assert attributes["http.request.header.x_team"] == ["radiant"]
        assert attributes["http.request.header.authorization"] == ["[REDACTED]"]
        assert attributes["http.response.header.x_own"] == ["1"]

    def test_all_methods(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """``OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS`` takes them as they are."""
        with opentelemetry_on(monkeypatch, OTEL_PYTHON_INSTRUMENTATION_HTTP_CAPTURE_ALL_METHODS="1") as traced:
            serve("/http/ok/", method="BREW")
            assert the_span(traced).name == "BREW /http/ok/"

    def test_the_response_propagator(self, traced: Traced) -> None:
        """Who sets one gets its header."""
        set_global_response_propagator(TraceResponsePropagator())
        try:
            answer = serve("/http/ok/")
        finally:
            set_global_response_propagator(None)

        assert the_span(traced).trace_id in answer.headers["traceresponse"]

    def test_exceptions_on_log_records_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """``OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN=logs`` keeps them off spans; the status stays."""
        with opentelemetry_on(monkeypatch, OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN="logs") as traced:
            serve("/http/boom/")
            span = the_span(traced)
            (record,) = traced.collector.wait_for_records(body="request_failed")

        assert (span.status, span.events) == ("ERROR", [])
        assert record.attributes["exception.message"] == "no mana"


def test_an_unsampled_request_is_measured_and_traced_no_further(monkeypatch: pytest.MonkeyPatch, log_output: LogOutput) -> None:
    """No span is sent; its lines have the ids that the next service gets."""
    with opentelemetry_on(monkeypatch, OTEL_TRACES_SAMPLER_ARG="0") as traced:
        answer = serve("/outgoing/")
        assert not traced.flushed().spans
        assert len(traced.collector.wait_for_points(name="http.server.request.duration")) == 1

    line = log_output.one("request_completed")
    assert json.loads(answer.body)["traceparent"][:-2] == f"00-{line['trace_id']}-{line['span_id']}-"


async def test_many_requests_at_once_keep_to_themselves(traced: Traced) -> None:
    """Each line and each inner span is in its own request's trace."""
    client = AsyncClient()
    await asyncio.gather(*(client.get(f"/api/tournaments/{number}/atraced/") for number in range(40)))

    spans = traced.flushed().spans
    outers = {span.span_id: span for span in spans if span.kind == "SERVER"}
    inners = [span for span in spans if span.name == "inner"]
    assert len(outers) == len(inners) == 40
    for inner in inners:
        assert inner.attributes["tournament.id"] == outers[inner.parent_id].attributes["tournament.id"]


def test_a_decorated_http_consumer_has_the_same_span(traced: Traced) -> None:
    """As a view's, with a status and an end of its own."""
    asyncio.run(call_consumer())

    span = the_span(traced)
    assert (span.name, span.kind) == ("GET", "SERVER")
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["url.path"] == "/api/teams/4/"
    assert span.attributes["team.id"] == 4


async def call_consumer() -> None:
    scope = scope_of("/api/teams/4/", kind="http", method="GET", http_version="1.1", scheme="http")
    async with calling(Answering.as_asgi(), scope) as call:
        await call.give("http.request", body=b"", more_body=False)
        await call.next("http.response.start")
        await call.end()


@telemetry_consumer
class Answering(AsyncHttpConsumer):
    async def handle(self, body: bytes) -> None:
        await self.send_response(200, b"ok")


def read(response: Any) -> None:
    """Read a streamed body to its end."""
    if response.is_async:
        async_to_sync(_collect)(response)
    else:
        list(response)


async def _collect(response: Any) -> None:
    async for _ in response:
        pass


def inner_span(request: HttpRequest, number: int) -> HttpResponse:
    with trace.get_tracer("application").start_as_current_span("inner"):
        return HttpResponse("ok")


async def ainner_span(request: HttpRequest, number: int) -> HttpResponse:
    await asyncio.sleep(0.01)
    with trace.get_tracer("application").start_as_current_span("inner"):
        await asyncio.sleep(0.01)
    return HttpResponse("ok")


def recording(request: HttpRequest) -> HttpResponse:
    span, error = trace.get_current_span(), RuntimeError("no mana")
    span.record_exception(RuntimeError("other"))
    span.record_exception(error, {"hero": "Axe"})
    raise error


def leaking(request: HttpRequest) -> HttpResponse:
    context.attach(trace.set_span_in_context(trace.get_tracer("application").start_span("left")))
    return HttpResponse("ok")


def telling(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("cannot reach https://user:hunter2@example.org/")


urlpatterns = [
    path("", include("tests.project.http_urls")),
    path("api/tournaments/<int:number>/traced/", inner_span),
    path("api/tournaments/<int:number>/atraced/", ainner_span),
    path("telling/", telling),
    path("leaking/", leaking),
    path("recording/", recording),
    path("outgoing/", lambda request: JsonResponse(outgoing_headers())),
    path("baggage/", lambda request: JsonResponse(dict(baggage.get_all()))),
]
