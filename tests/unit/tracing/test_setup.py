"""How OpenTelemetry is set up: by its own variables, beside whoever has set it up already, and in no way that surprises."""

import threading
from typing import Any

import pytest
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from dtx_telemetry import config, get_logger, operation, startup
from dtx_telemetry.config import ImproperlyConfigured
from dtx_telemetry.tracing import TRACING
from dtx_telemetry.tracing.sdk.instrumentations import InsideSpansOnly
from dtx_telemetry.tracing.sdk.processes import Closer, PerProcess, close_all
from dtx_telemetry.tracing.sockets import route_of
from tests.conftest import LogOutput
from tests.support.handlers import URLS, serve
from tests.support.otlp import otlp_collector
from tests.support.tracing import Traced, forget_providers, opentelemetry_on

pytestmark = URLS
log = get_logger("app")


def test_defaults(traced: Traced) -> None:
    """The service is ``dtx-backend``, the protocol HTTP."""
    log.info("picked")

    (record,) = traced.flushed().records
    assert record.resource["service.name"] == "dtx-backend"
    assert traced.collector.headers["content-type"] == "application/x-protobuf"


def test_the_name_may_be_one_of_the_resources_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    """``OTEL_RESOURCE_ATTRIBUTES=service.name=...`` is as good."""
    with opentelemetry_on(monkeypatch, OTEL_RESOURCE_ATTRIBUTES="service.name=other") as traced:
        log.info("picked")
        (record,) = traced.flushed().records
    assert record.resource["service.name"] == "other"


class TestTheSampler:
    def test_takes_a_tenth_unless_told_otherwise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Under ``parentbased_traceidratio``."""
        with opentelemetry_on(monkeypatch, OTEL_TRACES_SAMPLER_ARG=""):
            sampler: Any = trace.get_tracer_provider()
            description = sampler.sampler.get_description()
        assert description.startswith("ParentBased{root:TraceIdRatioBased{0.1}")

    def test_is_the_sdks_by_its_own_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Any of its names."""
        with opentelemetry_on(monkeypatch, OTEL_TRACES_SAMPLER="always_off") as traced:
            serve("/http/ok/")
            assert not traced.flushed().spans


@pytest.mark.parametrize(
    ("name", "value", "accepted"),
    [
        ("OTEL_TRACES_EXPORTER", "nonsense", "otlp, none, console"),
        ("OTEL_METRICS_EXPORTER", "nonsense", "otlp, none, console"),
        ("OTEL_LOGS_EXPORTER", "nonsense", "otlp, none, console"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json", "http/protobuf, grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf, grpc"),
        ("OTEL_TRACES_SAMPLER", "nonsense", "always_off, always_on"),
        ("OTEL_TRACES_SAMPLER_ARG", "nonsense", "a number from 0 to 1"),
        ("OTEL_PYTHON_ID_GENERATOR", "nonsense", "random"),
    ],
)
def test_a_wrong_value_stops_the_start(monkeypatch: pytest.MonkeyPatch, name: str, value: str, accepted: str) -> None:
    """The error names the variable and says what is accepted."""
    monkeypatch.setenv("OTEL_ENABLED", "true")
    monkeypatch.setenv(name, value)
    config.reset()

    with pytest.raises(ImproperlyConfigured, match=f"{name} is '{value}'; accepted: {accepted}"):
        startup.init_telemetry()
    assert TRACING.on is None


def test_the_sdks_own_switch_is_as_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """``OTEL_SDK_DISABLED=true``."""
    monkeypatch.setenv("OTEL_ENABLED", "true")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "True")
    config.reset()
    startup.init_telemetry()
    assert TRACING.on is None


def test_setting_up_once_more_changes_nothing(traced: Traced) -> None:
    """Django does it, and then Celery."""
    before = TRACING.on
    startup.init_telemetry()
    assert TRACING.on is before


class TestProvidersThatAreThere:
    """An application's own set-up, made after ours and before the first request."""

    @pytest.fixture
    def theirs(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        with otlp_collector(protocols="http") as collector:
            for name, value in collector.environ().items():
                monkeypatch.setenv(name, value)
            forget_providers()
            config.reset()
            startup.init_telemetry()
            spans, records, reader = InMemorySpanExporter(), InMemoryLogRecordExporter(), InMemoryMetricReader()
            provider = TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(spans))
            loggers = LoggerProvider()
            loggers.add_log_record_processor(SimpleLogRecordProcessor(records))
            trace.set_tracer_provider(provider)
            _logs.set_logger_provider(loggers)
            metrics.set_meter_provider(MeterProvider([reader]))
            yield collector, spans, records, reader
            config.reset()
            monkeypatch.setenv("OTEL_ENABLED", "false")
            startup.init_telemetry()
            forget_providers()

    def test_are_used_and_stay(self, theirs: Any, log_output: LogOutput) -> None:
        """Nothing goes past them; spans have the scope's fields; at the end they are flushed and live on."""
        collector, spans, records, reader = theirs
        provider = trace.get_tracer_provider()
        serve("/api/tournaments/5/")
        close_all()

        assert trace.get_tracer_provider() is provider
        (span,) = spans.get_finished_spans()
        assert span.attributes["tournament.id"] == 5
        assert "request_completed" in {record.log_record.body for record in records.get_finished_logs()}
        data = reader.get_metrics_data()
        names = {m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
        assert "http.server.request.duration" in names
        assert not collector.requests
        with trace.get_tracer("after").start_as_current_span("still there"):
            pass
        assert len(spans.get_finished_spans()) == 2


def test_what_takes_too_long_to_close_is_left_behind() -> None:
    """Each process has its seconds for everything together."""
    released, closed = threading.Event(), threading.Event()
    Closer("stuck", released.wait)
    Closer("quick", closed.set)
    close_all(0.05)  # comes back, though nobody has released it
    assert closed.wait(60)
    released.set()


class TestInstrumentations:
    def test_of_clients_are_switched_on(self, traced: Traced) -> None:
        """Their spans are in the scope's trace, with its fields."""
        import requests

        with otlp_collector(protocols="http") as other:
            span = TRACING.on.work.begin("command work")  # type: ignore[union-attr]
            requests.get(f"http://127.0.0.1:{other.http_port}/", timeout=10)
            span.end()  # type: ignore[union-attr]
            span.leave()  # type: ignore[union-attr]

        spans = {span.name: span for span in traced.flushed().spans}
        assert spans["GET"].kind == "CLIENT"
        assert spans["GET"].parent_id == spans["command work"].span_id

    def test_may_be_left_off(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """``OTEL_PYTHON_DISABLED_INSTRUMENTATIONS``."""
        from opentelemetry.instrumentation.requests import RequestsInstrumentor

        with opentelemetry_on(monkeypatch, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="requests, httpx"):
            assert not RequestsInstrumentor().is_instrumented_by_opentelemetry
        with opentelemetry_on(monkeypatch, OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=""):
            assert RequestsInstrumentor().is_instrumented_by_opentelemetry

    def test_of_what_we_trace_ourselves_are_not(self, traced: Traced) -> None:
        """Or each request would have two spans."""
        from opentelemetry.instrumentation.celery import CeleryInstrumentor
        from opentelemetry.instrumentation.django import DjangoInstrumentor

        assert not DjangoInstrumentor().is_instrumented_by_opentelemetry
        assert not CeleryInstrumentor().is_instrumented_by_opentelemetry

    def test_inside_spans_only_in_both_ways_to_start_one(self, traced: Traced) -> None:
        """As current and not."""
        tracer = InsideSpansOnly().get_tracer("redis")
        assert not tracer.start_span("a").is_recording()
        with tracer.start_as_current_span("b") as span:
            assert not span.is_recording()
        with trace.get_tracer("application").start_as_current_span("work"):
            assert tracer.start_span("c").is_recording()
            with tracer.start_as_current_span("d") as span:
                assert span.is_recording()


class TestPerProcess:
    def test_is_made_once_for_many_threads(self) -> None:
        """Whoever comes while it is made waits for it."""
        entered, go = threading.Event(), threading.Event()
        made: list[object] = []

        def make() -> object:
            entered.set()
            go.wait(10)
            made.append(object())
            return made[-1]

        shared = PerProcess(make)
        got: list[object] = []
        threads = [threading.Thread(target=lambda: got.append(shared.get())) for _ in range(8)]
        for thread in threads:
            thread.start()
        entered.wait(10)
        go.set()
        for thread in threads:
            thread.join(10)
        assert got == made * 8

    def test_asked_for_by_its_own_making_is_none(self) -> None:
        """A line that is logged while it is made must not wait for it."""
        inside: list[object] = []
        shared: PerProcess[str] = PerProcess(lambda: inside.append(shared.get()) or "made")
        assert shared.get() == "made"
        assert inside == [None]

    @pytest.mark.telemetry_fails
    def test_that_cannot_be_made_is_said_once(self, log_output: LogOutput) -> None:
        """The process goes on without it."""
        shared: PerProcess[float] = PerProcess(lambda: 1 / 0)
        assert [shared.get(), shared.get()] == [None, None]
        assert log_output.one("telemetry_failed")["where"] == "OpenTelemetry's set-up"


@pytest.mark.parametrize(
    ("path", "matched", "route"),
    [
        ("/ws/draft/5/", {"args": (), "kwargs": {"draft_id": 5}}, "/ws/draft/<draft_id>/"),
        ("/ws/draft/007/", {"args": (), "kwargs": {"draft_id": 7}}, None),
        ("/ws/all/", {"args": (), "kwargs": {}}, "/ws/all/"),
        ("/ws/5/5/", {"args": ("5", "5"), "kwargs": {}}, "/ws/<0>/<1>/"),
        ("/ws/x/", None, None),
    ],
)
def test_the_route_of_a_handshake(path: str, matched: Any, route: str | None) -> None:
    """As far as Channels' router tells it."""
    assert route_of(path, matched) == route


class TestOperations:
    def test_an_operation_is_a_trace_of_its_own(self, traced: Traced, log_output: LogOutput) -> None:
        """Also inside a span, with its closing event in it."""
        with trace.get_tracer("application").start_as_current_span("around") as around, operation("nightly", **{"user.id": 5}):
            assert trace.get_current_span() is not around
        assert trace.get_current_span() is trace.INVALID_SPAN

        spans = {span.name: span for span in traced.flushed().spans}
        span = spans["operation nightly"]
        assert (span.kind, span.parent_id, span.status) == ("INTERNAL", "", "UNSET")
        assert (span.attributes["operation.name"], span.attributes["user.id"]) == ("nightly", 5)
        assert log_output.one("operation_completed")["span_id"] == span.span_id

    def test_that_fails_is_an_error(self, traced: Traced) -> None:
        """With the exception."""
        with pytest.raises(RuntimeError), operation("nightly"):
            raise RuntimeError("no mana")

        (span,) = [span for span in traced.flushed().spans if span.name == "operation nightly"]
        assert (span.status, len(span.events)) == ("ERROR", 1)
