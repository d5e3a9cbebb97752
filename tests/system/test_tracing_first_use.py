"""The application's own first span, record or measurement is not lost, and neither is a provider of its own."""

import json
from collections.abc import Iterator

import pytest

from tests.support.otlp import Collector, otlp_collector
from tests.support.processes import run_python

SETUP = """
import json, os, threading
from opentelemetry import _logs, metrics, trace
from opentelemetry._logs import LogRecord
early = trace.get_tracer("early")
early_picks = metrics.get_meter("early").create_counter("early.picks")
early_records = _logs.get_logger("early")
before = dict(os.environ)
import django
django.setup()
from dtx_telemetry import get_logger
log = get_logger("app")
"""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with otlp_collector(protocols="http") as collector:
        yield collector


def run(collector: Collector, code: str, **environ: str) -> str:
    """Run *code* in a script that has set Django up, and return what it printed."""
    project = {"DJANGO_SETTINGS_MODULE": "tests.project.settings", "LOG_FORMAT": "json"}
    return run_python(SETUP + code, **project, **collector.environ(), **environ)


SPANS = {
    "at once": "with trace.get_tracer('x').start_as_current_span('job'): log.info('picked')",
    "by a tracer from before": "with early.start_as_current_span('job'): log.info('picked')",
    "not current at first": "span = early.start_span('job')\nwith trace.use_span(span, end_on_exit=True): log.info('picked')",
    "as a decorator": "@early.start_as_current_span('job')\ndef job(): log.info('picked')\njob()",
    "in a thread": (
        "def job():\n    with early.start_as_current_span('job'): log.info('picked')\n"
        "thread = threading.Thread(target=job)\nthread.start()\nthread.join()"
    ),
    "after the first measurement": "early_picks.add(1)\nwith early.start_as_current_span('job'): log.info('picked')",
}


@pytest.mark.parametrize("code", SPANS.values(), ids=SPANS)
def test_a_span_is_made_and_its_lines_have_its_ids(collector: Collector, code: str) -> None:
    """No scope of ours has begun."""
    (line,) = map(json.loads, run(collector, code).splitlines())

    span = collector.span("job")
    assert (line["event"], line["trace_id"], line["span_id"]) == ("picked", span.trace_id, span.span_id)
    (record,) = collector.wait_for_records(body="picked")
    assert record.span_id == span.span_id


MEASUREMENTS = {
    "early.picks": "early_picks.add(1)",
    "picks": "metrics.get_meter('x').create_counter('picks').add(1)",
    "open": "metrics.get_meter('x').create_up_down_counter('open').add(1)",
    "seconds": "metrics.get_meter('x').create_histogram('seconds').record(1)",
    "level": "metrics.get_meter('x').create_gauge('level').set(1)",
}


@pytest.mark.parametrize(("name", "code"), MEASUREMENTS.items(), ids=MEASUREMENTS)
def test_a_measurement_arrives(collector: Collector, name: str, code: str) -> None:
    """Of each kind that is measured by a call."""
    run(collector, code)

    assert [(point.value, point.count) for point in collector.points if point.name == name] == [(1, 1)]


@pytest.mark.parametrize("code", ["early_records", "_logs.get_logger('x')"])
def test_a_record_arrives(collector: Collector, code: str) -> None:
    """Of OpenTelemetry's own API."""
    run(collector, f"{code}.emit(LogRecord(body='told'))")

    assert [record.body for record in collector.records] == ["told"]


def test_until_then_nothing_is_made(collector: Collector) -> None:
    """Tracers, meters and loggers are often made at import, and in a process that forks those that work."""
    said = run(
        collector,
        """
trace.get_tracer("x"); metrics.get_meter("x").create_counter("y"); _logs.get_logger("x")
metrics.get_meter("x").create_observable_gauge("z", [lambda options: []])
providers = trace.get_tracer_provider(), metrics.get_meter_provider(), _logs.get_logger_provider()
print(*(type(provider).__name__ for provider in providers), threading.active_count(), os.environ == before)
        """,
    )

    assert said.split() == ["ProxyTracerProvider", "_ProxyMeterProvider", "ProxyLoggerProvider", "1", "True"]
    assert not collector.requests


def test_a_provider_that_is_set_before_is_used(collector: Collector) -> None:
    """Also by tracers and instruments that were made before it, which the API allows."""
    said = run(
        collector,
        """
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
tracer, picks, records = trace.get_tracer("x"), metrics.get_meter("x").create_counter("picks"), _logs.get_logger("x")
reader, theirs = InMemoryMetricReader(), TracerProvider()
trace.set_tracer_provider(theirs)
metrics.set_meter_provider(MeterProvider([reader]))
_logs.set_logger_provider(LoggerProvider())
for one in (early, tracer):
    with one.start_as_current_span("job") as span:
        print(span.resource is theirs.resource)
for counter in (early_picks, picks):
    counter.add(1)
records.emit(LogRecord(body="told"))
(found,) = reader.get_metrics_data().resource_metrics
print(*sorted(metric.name for scope in found.scope_metrics for metric in scope.metrics))
        """,
    )

    assert said.split() == ["True", "True", "early.picks", "picks"]
    assert not collector.requests


def test_each_process_makes_its_own(collector: Collector) -> None:
    """The parent made none, or its own, before it forked."""
    run(
        collector,
        """
import multiprocessing
def job(name):
    with early.start_as_current_span(name):
        early_picks.add(1)
fork = multiprocessing.get_context("fork")
for name in ("before", "after"):
    child = fork.Process(target=job, args=(name,))
    child.start(); child.join()
    assert child.exitcode == 0
    job("parent")
        """,
    )

    assert sorted(span.name for span in collector.spans) == ["after", "before", "parent", "parent"]
    instances = {span.name: span.resource["service.instance.id"] for span in collector.spans}
    assert len(set(instances.values())) == 3
    assert sorted(point.value for point in collector.points if point.name == "early.picks") == [1, 1, 2]


@pytest.mark.parametrize("off", [{"OTEL_ENABLED": "false"}, {"OTEL_SDK_DISABLED": "true"}, {"TELEMETRY_ENABLED": "false"}])
def test_off_nothing_is_made(collector: Collector, off: dict[str, str]) -> None:
    """The API is as it is without us."""
    project = {"DJANGO_SETTINGS_MODULE": "tests.project.settings"}
    code = "with early.start_as_current_span('job') as span: print(span.is_recording())"
    assert run_python(SETUP + code, **{**project, **collector.environ(), **off}).split() == ["False"]
    assert not collector.requests
