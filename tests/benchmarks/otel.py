"""What OpenTelemetry costs with us, beside its own instrumentations of Django, Celery and logging.

Ours is all that we do: scope, line, span and metric. Theirs is the span and the metric alone, without any line. Both have the
same providers: batch processors with an exporter that drops, and a meter provider that is read by nobody. Lines go to the null
device and not to OpenTelemetry as well: records over OTLP have a table of their own.
"""

import gc
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON

from . import celery, http
from .harness import Comparison, Costs, Ratio, Subject, compare, times

__all__ = ["comparisons", "set_providers"]

Work = Callable[[], object]
BARE, OURS, CONTRIB = "bare", "dtx_telemetry", "contrib"
PLAIN, EXPORTED = "a line", "a line and its record"
KINDS = {"a WSGI request": "wsgi", "an ASGI request": "asgi", "publishing a task": "publisher", "executing a task": "executor"}


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Yield the tables of this module."""
    for title, kind in KINDS.items():
        for sampled in ("sampled", "unsampled"):
            subjects = [Subject(name, f"{__name__}:{kind}", (name, sampled)) for name in (BARE, OURS, CONTRIB)]
            yield compare(f"{title}, {sampled}", subjects, {"we add, to what contrib adds": _added}, rounds=rounds)
    subjects = [Subject(name, f"{__name__}:sleepers", (name, "sampled"), "perf_counter") for name in (BARE, OURS, CONTRIB)]
    ratios = {f"{name} takes, to bare": times(name, BARE) for name in (OURS, CONTRIB)}
    yield compare(f"{http.SLEEPERS} async views at once that sleep 0.1 s, on the wall", subjects, ratios, rounds=rounds)
    subjects = [
        Subject(f"{name}: {what}", f"{__name__}:line", (name, what)) for name in (OURS, CONTRIB) for what in (PLAIN, EXPORTED)
    ]
    ratio: Ratio = _record
    yield compare("a log record over OTLP", subjects, {"our record, to contrib's": ratio}, rounds=rounds)


def _added(costs: Costs) -> float:
    return (costs[OURS] - costs[BARE]) / (costs[CONTRIB] - costs[BARE])


def _record(costs: Costs) -> float:
    ours, theirs = (costs[f"{name}: {EXPORTED}"] - costs[f"{name}: {PLAIN}"] for name in (OURS, CONTRIB))
    return ours / theirs


class _DroppedSpans(SpanExporter):
    def export(self, spans: Sequence[Any]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class _DroppedRecords(LogRecordExporter):
    def export(self, batch: Sequence[Any]) -> LogRecordExportResult:
        return LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """There is nothing to close."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


def set_providers(sampled: str = "sampled") -> None:
    """Give this process the providers that all subjects have."""
    provider = TracerProvider(sampler=ALWAYS_ON if sampled == "sampled" else ALWAYS_OFF)
    provider.add_span_processor(BatchSpanProcessor(_DroppedSpans()))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([InMemoryMetricReader()]))
    loggers = LoggerProvider()
    loggers.add_log_record_processor(BatchLogRecordProcessor(_DroppedRecords()))
    _logs.set_logger_provider(loggers)


def _prepare(name: str, sampled: str) -> None:
    if name == OURS:
        os.environ.update(OTEL_ENABLED="true", OTEL_LOGS_EXPORTER="none", OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*")
    if name != BARE:
        set_providers(sampled)


def _served(kind: Callable[[str], Work], name: str, sampled: str) -> Work:
    _prepare(name, sampled)
    if name == CONTRIB:
        os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "http"
        http._configure_opentelemetry = _instrument_django
    return kind({BARE: "bare Django", OURS: "dtx_telemetry", CONTRIB: "OpenTelemetry"}[name])


def _instrument_django() -> None:
    from opentelemetry.instrumentation.django import DjangoInstrumentor

    DjangoInstrumentor().instrument()


wsgi = partial(_served, http.wsgi)
asgi = partial(_served, http.asgi)
sleepers = partial(_served, http.sleepers)


def _worked(kind: Callable[[str], Work], name: str, sampled: str) -> Work:
    _prepare(name, sampled)
    if name == CONTRIB:
        from opentelemetry.instrumentation.celery import CeleryInstrumentor

        CeleryInstrumentor().instrument()
    work = kind(celery.OURS if name == OURS else celery.BARE)
    if kind is celery.publisher:
        _add_task()
    gc.collect()
    gc.freeze()  # as for requests: what a subject imports is no part of a task
    return work


def _add_task() -> None:
    """Let the process that publishes know the task: contrib ends the span of an unknown one before it is published."""
    from celery import current_app

    def work() -> None:
        pass

    current_app.task(name="work", ignore_result=True)(work)


publisher = partial(_worked, celery.publisher)
executor = partial(_worked, celery.executor)


def line(name: str, what: str) -> Work:
    """Return what logs one line of stdlib logging with a few fields."""
    set_providers()
    logger = logging.getLogger("app")
    if name == OURS:
        exporter = "console" if what == EXPORTED else "none"  # of no effect: the provider is there
        disabled = {"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "*"}
        os.environ.update(LOG_FORMAT="json", OTEL_ENABLED="true", OTEL_LOGS_EXPORTER=exporter, **disabled)
        from dtx_telemetry import init_telemetry

        init_telemetry()
    else:
        logging.basicConfig(level=logging.INFO, stream=sys.stdout)
        if what == EXPORTED:
            from opentelemetry.instrumentation.logging import LoggingInstrumentor

            LoggingInstrumentor().instrument()  # type: ignore[no-untyped-call]
    fields = {"hero": "Invoker", "pick": 12, "share": 0.5}
    return lambda: logger.info("picked %s", "x", extra=fields)
