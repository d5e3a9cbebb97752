"""The providers of traces, metrics and logs: those that are there, or our own, at first use."""

import errno
from collections.abc import Callable
from typing import Any

from opentelemetry import _logs, metrics, trace
from opentelemetry.metrics import Meter, MeterProvider
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Tracer

from ...guard import report
from .batches import RecordBatches, SpanBatches
from .environment import Blueprint, make_resource
from .exporters import OwnLogExporter, OwnMetricExporter, OwnSpanExporter
from .meters import ForkedMeterProvider
from .processes import EXIT_SECONDS, Closer, PerProcess, register_end

__all__ = ["Providers"]

_NAME = "dtx_telemetry"
_ONE_PORT = (
    "Only one process can be asked for its metrics at a port. "
    "With several workers, send them by OTLP: OTEL_METRICS_EXPORTER=otlp, or give each its own OTEL_EXPORTER_PROMETHEUS_PORT."
)
# What the API returns while no provider is set. It has no public way to ask.
_PLACEHOLDERS = frozenset({"ProxyTracerProvider", "_ProxyMeterProvider", "ProxyLoggerProvider"})


class Providers:
    """The three providers, each found or made when it is first used in a process.

    Args:
        blueprint: what ours are made of.
        on_each_span: sees each span start, whoever's the provider is.
    """

    def __init__(self, blueprint: Blueprint, on_each_span: SpanProcessor) -> None:
        self._blueprint = blueprint
        self._resource: PerProcess[Resource] = PerProcess(make_resource)
        self._on_each_span = on_each_span
        self._watched: object = None
        self._tracer = PerProcess(self._find_tracer)
        self._loggers = PerProcess(lambda: _Loggers(self._find_logger_provider()))
        self._metering = PerProcess(self._find_meter_provider)
        #: True if log records have somewhere to go.
        self.exports_logs = bool(blueprint.exporters["logs"])

    def tracer(self) -> Tracer:
        """Return our tracer. The first call in a process settles whose providers are used in it."""
        return self._tracer.get() or trace.NoOpTracer()

    def meter(self) -> Meter:
        """Return our meter. The first call in a process settles whose provider is used in it."""
        provider = self._metering.get()
        return (provider or metrics.NoOpMeterProvider()).get_meter(_NAME)

    def logger(self, name: str) -> _logs.Logger | None:
        """Return the logger of that name, None while there is no provider."""
        loggers = self._loggers.get()
        return None if loggers is None else loggers[name]

    def _find_tracer(self) -> Tracer:
        self._metering.get()
        provider: Any = trace.get_tracer_provider()
        if type(provider).__name__ in _PLACEHOLDERS:
            trace.set_tracer_provider(self._make_tracer_provider())
            provider = trace.get_tracer_provider()
        if not isinstance(provider, _OwnTracerProvider):
            self._adopt("traces", provider)
            # A child inherits the provider and what was added to it.
            if self._watched is not provider and hasattr(provider, "add_span_processor"):
                self._watched = provider
                provider.add_span_processor(self._on_each_span)
        tracer: Tracer = provider.get_tracer(_NAME)
        return tracer

    def _make_tracer_provider(self) -> TracerProvider:
        make_sampler, make_ids = self._blueprint.make_sampler, self._blueprint.make_ids
        provider = _OwnTracerProvider(
            sampler=make_sampler() if make_sampler is not None else None,
            resource=self._resource.get(),
            id_generator=make_ids() if make_ids is not None else None,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._on_each_span)
        provider.add_span_processor(SpanBatches(self._make_span_processors))
        return provider

    def _make_span_processors(self) -> list[SpanProcessor]:
        register_end()
        exporters = self._blueprint.exporters["traces"]
        processors = [BatchSpanProcessor(OwnSpanExporter(make())) for make in exporters]
        for processor in processors:
            Closer("traces", processor.shutdown)
        return list(processors)

    def _find_meter_provider(self) -> MeterProvider:
        provider: Any = metrics.get_meter_provider()
        if type(provider).__name__ in _PLACEHOLDERS:
            metrics.set_meter_provider(ForkedMeterProvider(self._make_meter_provider))
            provider = metrics.get_meter_provider()
        if not isinstance(provider, ForkedMeterProvider):
            self._adopt("metrics", provider)
        found: MeterProvider = provider
        return found

    def _make_meter_provider(self) -> MeterProvider:
        register_end()
        readers = [reader for make in self._blueprint.exporters["metrics"] if (reader := _reader(make)) is not None]
        resource = self._resource.get()
        provider = SdkMeterProvider(metric_readers=readers, resource=resource, shutdown_on_exit=False)
        Closer("metrics", provider.shutdown)
        return provider

    def _find_logger_provider(self) -> _logs.LoggerProvider:
        provider: Any = _logs.get_logger_provider()
        if type(provider).__name__ in _PLACEHOLDERS:
            _logs.set_logger_provider(self._make_logger_provider())
            provider = _logs.get_logger_provider()
        if not isinstance(provider, _OwnLoggerProvider):
            self._adopt("logs", provider)
        found: _logs.LoggerProvider = provider
        return found

    def _make_logger_provider(self) -> LoggerProvider:
        provider = _OwnLoggerProvider(resource=self._resource.get(), shutdown_on_exit=False)
        provider.add_log_record_processor(RecordBatches(self._make_record_processors))
        return provider

    def _make_record_processors(self) -> list[LogRecordProcessor]:
        register_end()
        exporters = self._blueprint.exporters["logs"]
        processors = [BatchLogRecordProcessor(OwnLogExporter(make())) for make in exporters]
        for processor in processors:
            Closer("logs", processor.shutdown)
        return list(processors)

    def _adopt(self, signal: str, provider: Any) -> None:
        """Flush a provider that is not ours at the exit. Its owner shuts it down."""
        if hasattr(provider, "force_flush"):
            register_end()
            Closer(signal, lambda: provider.force_flush(int(EXIT_SECONDS * 1000)))


class _Loggers(dict[str, _logs.Logger]):
    """A provider's loggers by name, each asked for once: the SDK takes two locks to find one that it has."""

    def __init__(self, provider: _logs.LoggerProvider) -> None:
        super().__init__()
        self._provider = provider

    def __missing__(self, name: str) -> _logs.Logger:
        logger = self[name] = self._provider.get_logger(name)
        return logger


class _OwnTracerProvider(TracerProvider):
    """Our provider. In a forked child the SDK gives it a new resource, and `SpanBatches` its processors."""


class _OwnLoggerProvider(LoggerProvider):
    """Our provider. In a forked child the SDK gives it a new resource, and `RecordBatches` its processors."""


def _reader(make: Callable[[], MetricExporter | MetricReader]) -> MetricReader | None:
    """Make an exporter of metrics and what feeds it. Return None if that fails: the others are not lost with it."""
    try:
        exporter = make()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:  # Prometheus' exporter listens, and a machine has each port once
            error = OSError(error.errno, f"{error.strerror}. {_ONE_PORT}")
        report("the exporter of metrics", error)
        return None
    return exporter if isinstance(exporter, MetricReader) else PeriodicExportingMetricReader(OwnMetricExporter(exporter))
