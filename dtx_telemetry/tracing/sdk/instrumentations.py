"""Instrumentations of other libraries that are installed are switched on, but for those of what we trace ourselves."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from opentelemetry import trace
from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts
from opentelemetry.trace import INVALID_SPAN, Span, Tracer, TracerProvider, get_current_span

from ...guard import report

__all__ = ["InsideSpansOnly", "switch_on_installed"]

#: What we trace ourselves, and shells.
_NOT_OURS_TO_SWITCH_ON = frozenset({"django", "celery", "asgi", "wsgi", "logging", "click"})
#: An idle worker or channel layer asks its Redis all the time.
_ONLY_INSIDE_SPANS = frozenset({"redis", "aioredis", "valkey"})


def switch_on_installed() -> None:
    """Switch on each instrumentation that is registered, fits what it instruments, and is not on yet."""
    disabled = {name.strip() for name in os.environ.get("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "").split(",")}
    if "*" in disabled:
        return
    for entry_point in entry_points(group="opentelemetry_instrumentor"):
        if entry_point.name not in disabled | _NOT_OURS_TO_SWITCH_ON:
            try:
                _switch_on(entry_point)
            except ModuleNotFoundError:  # what it instruments is not installed
                continue
            except Exception as error:
                report(f"the instrumentation {entry_point.name}", error)


def _switch_on(entry_point: EntryPoint) -> None:
    if entry_point.dist is not None and get_dist_dependency_conflicts(entry_point.dist):
        return
    instrumentor = entry_point.load()()
    if instrumentor.is_instrumented_by_opentelemetry:  # by opentelemetry-instrument, or the application
        return
    options: dict[str, Any] = {"skip_dep_check": True}
    if entry_point.name in _ONLY_INSIDE_SPANS:
        options["tracer_provider"] = InsideSpansOnly()
    instrumentor.instrument(**options)


class InsideSpansOnly(TracerProvider):
    """Gives out tracers that start a span inside another one only."""

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Any = None,
    ) -> Tracer:
        """Return such a tracer, of the global provider as it will be when it is first used."""
        return _InsideSpansOnly(
            trace.get_tracer(instrumenting_module_name, instrumenting_library_version, None, schema_url, attributes)
        )


class _InsideSpansOnly(Tracer):
    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def start_span(self, name: str, context: Any = None, *args: Any, **kwargs: Any) -> Span:
        if not get_current_span(context).get_span_context().is_valid:
            return INVALID_SPAN
        return self._tracer.start_span(name, context, *args, **kwargs)

    @contextmanager
    def _outside(self) -> Iterator[Span]:
        yield INVALID_SPAN

    def start_as_current_span(self, name: str, context: Any = None, *args: Any, **kwargs: Any) -> Any:
        if not get_current_span(context).get_span_context().is_valid:
            return self._outside()
        return self._tracer.start_as_current_span(name, context, *args, **kwargs)
