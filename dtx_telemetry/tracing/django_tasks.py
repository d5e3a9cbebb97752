"""Spans and metrics of Django's own Tasks, for which OpenTelemetry has no instrumentation."""

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context, get_current
from opentelemetry.semconv._incubating.attributes.messaging_attributes import (
    MESSAGING_DESTINATION_NAME,
    MESSAGING_MESSAGE_ID,
    MESSAGING_OPERATION_NAME,
    MESSAGING_OPERATION_TYPE,
    MESSAGING_SYSTEM,
)
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, StatusCode, set_span_in_context

from ..context import End, Scope
from ..guard import never_raises
from .current import ROOT
from .failures import Failures
from .metrics import Measures
from .sdk.providers import Providers
from .spans import ScopeSpan, new_trace

__all__ = ["DjangoTaskSpans"]


class DjangoTaskSpans:
    """Begins the spans of enqueueing and of running tasks.

    Args:
        providers: make spans.
        failures: records what they fail with.
        measures: the metrics.
        links: a task's span is a trace of its own, linked to its publisher's.
    """

    def __init__(self, providers: Providers, failures: Failures, measures: Measures, *, links: bool) -> None:
        self._providers = providers
        self._failures = failures
        self._measures = measures
        self._links = links

    @never_raises
    def enqueued(self, result: Any) -> dict[str, str]:
        """Make the span of a task that has been enqueued, and return what carries it.

        Django has no signal before a task is enqueued, so the span begins when the result says that it was.

        Args:
            result: the task's result.
        """
        now = time.time_ns()
        at = result.enqueued_at
        start = now if at is None else min(int(at.timestamp() * 1e9), now)
        name, attributes = f"enqueue/{result.task.module_path}", _attributes(result, "enqueue", "send")
        span = self._providers.tracer().start_span(name, kind=SpanKind.PRODUCER, attributes=attributes, start_time=start)
        span.end()
        carrier: dict[str, str] = {}
        propagate.inject(carrier, set_span_in_context(span))
        return carrier

    @never_raises
    def begin(self, scope: Scope, about: tuple[Any, object, float | None]) -> "_DjangoTaskSpan":
        """Begin the span of an execution and make it current.

        Args:
            scope: the task's.
            about: first the task's result. Then what came along from `enqueued`, or ``None`` for a task that runs in
                `enqueue` itself, in its caller's span. Last the milliseconds between enqueueing and now, if they are known.
        """
        result, carrier, waited_ms = about
        name = result.task.module_path
        if waited_ms is not None:
            self._measures.task_queued(name, waited_ms / 1000)
        parent, link = (get_current(), None) if carrier is None else self._origin(carrier)
        links = [Link(link)] if link is not None and link.is_valid else None
        attributes = _attributes(result, "run", "process")
        span = self._providers.tracer().start_span(f"run/{name}", parent, SpanKind.CONSUMER, attributes, links)
        return _DjangoTaskSpan(span, parent, self._failures, self._measures)

    def _origin(self, carrier: object) -> tuple[Context, SpanContext | None]:
        found: dict[Any, Any] = dict(carrier) if isinstance(carrier, Mapping) else {}
        texts = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, str)}
        context = propagate.extract(texts, ROOT)
        return new_trace(context) if self._links else (context, None)


class _DjangoTaskSpan(ScopeSpan):
    """The span of one execution.

    Args:
        span: the span.
        parent: the context that it was started in.
        failures: records what it fails with.
        measures: the metrics.
    """

    __slots__ = ("_measures",)

    def __init__(self, span: Span, parent: Context, failures: Failures, measures: Measures) -> None:
        super().__init__(span, parent, failures)
        self._measures = measures

    def finish_scope(self, scope: Scope, end: End) -> None:
        """End the span and measure the task. Django does not always tell what it failed with."""
        if end.outcome == "failed" and end.error is None:
            self.span.set_status(StatusCode.ERROR)
        self.end(end.error)
        self._measures.task_done(scope.own["task.name"], scope.duration_ms / 1000, end.outcome)


def _attributes(result: Any, operation: str, kind: str) -> dict[str, str]:
    """Return the attributes of a span by the semantic conventions of messaging."""
    return {
        MESSAGING_SYSTEM: "django_tasks",
        MESSAGING_OPERATION_NAME: operation,
        MESSAGING_OPERATION_TYPE: kind,
        MESSAGING_DESTINATION_NAME: result.task.queue_name,
        MESSAGING_MESSAGE_ID: result.id,
    }
