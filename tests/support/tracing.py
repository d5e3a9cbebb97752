"""OpenTelemetry in the test's own process: on for one test, and then as if it had never been."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import entry_points

import pytest
from opentelemetry import _logs, context, metrics, trace
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

from dtx_telemetry import config, startup, tracing
from dtx_telemetry.config import Settings
from dtx_telemetry.tracing.sdk.processes import close_all

from .otlp import Collector, otlp_collector

__all__ = ["Traced", "forget_providers", "opentelemetry_on"]


# A busy machine may take its time, and what is left behind exports in the next test.
_PATIENCE = 180.0


class Traced:
    """What this process has sent to a collector of its own.

    Attributes:
        collector: the collector.
    """

    def __init__(self, collector: Collector) -> None:
        self.collector = collector

    def flushed(self) -> Collector:
        """Send what is left, for the last time, and return the collector that has it."""
        close_all(_PATIENCE)
        return self.collector


@contextmanager
def opentelemetry_on(monkeypatch: pytest.MonkeyPatch, **environ: str) -> Iterator[Traced]:
    """Switch OpenTelemetry on for the block, with every request sampled and all signals sent to a collector."""
    with otlp_collector(protocols="http") as collector:
        for name, value in {**collector.environ(), **environ}.items():
            monkeypatch.setenv(name, value)
        forget_providers()
        config.reset()
        startup.init_telemetry()
        assert tracing.TRACING.on is not None
        tracing.TRACING.on.work.begin("first").leave()  # settles the providers
        outside = context.get_current()
        try:
            yield Traced(collector)
        finally:
            left = context.get_current()
            context.attach(outside)
            close_all(_PATIENCE)
            tracing.configure(Settings(enabled=False))
            close_all(_PATIENCE)  # a worker's thread may have measured in between, which made a provider anew
            _wait_for_exporters()
            _switch_off_instrumentations()
            forget_providers()
        assert left == outside, "a span is current still"


def _wait_for_exporters() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith(("dtx_telemetry.", "Otel")):
            thread.join(_PATIENCE)
            assert not thread.is_alive(), f"{thread.name} exports still"


def forget_providers() -> None:
    """Make OpenTelemetry's API as it is before anybody has set a provider; an application needs no way to, so it has none."""
    trace._TRACER_PROVIDER = None
    trace._TRACER_PROVIDER_SET_ONCE._done = False
    metrics._internal._METER_PROVIDER = None
    metrics._internal._METER_PROVIDER_SET_ONCE._done = False
    metrics._internal._PROXY_METER_PROVIDER = metrics._internal._ProxyMeterProvider()
    _logs._internal._LOGGER_PROVIDER = None
    _logs._internal._LOGGER_PROVIDER_SET_ONCE._done = False


def _switch_off_instrumentations() -> None:
    for instrumentor in _instrumentors():
        if instrumentor.is_instrumented_by_opentelemetry:
            instrumentor.uninstrument()


@cache
def _instrumentors() -> list[BaseInstrumentor]:
    found = []
    for entry_point in entry_points(group="opentelemetry_instrumentor"):
        with suppress(ImportError):
            found.append(entry_point.load()())
    return found
