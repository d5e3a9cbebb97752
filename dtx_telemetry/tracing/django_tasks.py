"""Spans and metrics of Django's own Tasks, for which nobody else has an instrumentation."""

import time
from collections.abc import Mapping
from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.semconv._incubating.attributes.messaging_attributes import (
    MESSAGING_DESTINATION_NAME,
    MESSAGING_MESSAGE_ID,
    MESSAGING_OPERATION_NAME,
    MESSAGING_OPERATION_TYPE,
    MESSAGING_SYSTEM,
)
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, set_span_in_context

from ..guard import never_raises
from .current import ROOT
from .measures import Measures
from .sdk.providers import Providers
from .spans import ScopeSpan, ScopeSpans, new_trace

__all__ = ["DjangoTaskSpans"]


class DjangoTaskSpans:
    """Begins the spans of enqueueing and of running tasks.

    Args:
        providers: where spans come from.
        spans: begins those of scopes.
        measures: the metrics.
        links: whether a task's span is a trace of its own, linked to its publisher's.
    """

    def __init__(self, providers: Providers, spans: ScopeSpans, measures: Measures, *, links: bool) -> None:
        self._providers = providers
        self._spans = spans
        self._measures = measures
        self._links = links

    @never_raises
    def enqueued(self, result: Any) -> dict[str, str]:
        """Make the span of a task that has been enqueued, and return what carries it.

        Django has no signal before a task is enqueued; the span begins when the result says that it was.

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
    def start(self, result: Any, carrier: object, *, waited_ms: float | None) -> ScopeSpan | None:
        """Begin the span of an execution and make it current.

        Args:
            result: the task's result.
            carrier: what came along from `enqueued`, as far as it is good; ``None`` for a task that runs where it is enqueued,
                in its caller's span.
            waited_ms: milliseconds between enqueueing and now, where they are known.
        """
        name = result.task.module_path
        if waited_ms is not None:
            self._measures.task_queued(name, waited_ms / 1000)
        parent, link = (None, None) if carrier is None else self._origin(carrier)
        attributes = _attributes(result, "run", "process")
        return self._spans.begin(f"run/{name}", SpanKind.CONSUMER, parent=parent, attributes=attributes, link=link)

    @never_raises
    def finish(self, span: object, name: str, outcome: str, seconds: float, *, error: BaseException | None = None) -> None:
        """End the span of an execution and measure the task.

        Args:
            span: what `start` returned.
            name: the task's.
            outcome: ``completed`` or ``failed``.
            seconds: how long it took.
            error: what it failed with, where that is known.
        """
        if outcome == "failed" and error is None and isinstance(span, ScopeSpan):
            span.span.set_status(StatusCode.ERROR)
        self._spans.end(span, error)
        self._measures.task_done(name, seconds, outcome)

    def _origin(self, carrier: object) -> tuple[Context, SpanContext | None]:
        found: dict[Any, Any] = dict(carrier) if isinstance(carrier, Mapping) else {}
        texts = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, str)}
        context = propagate.extract(texts, ROOT)
        return new_trace(context) if self._links else (context, None)


def _attributes(result: Any, operation: str, kind: str) -> dict[str, str]:
    """Return the attributes of a span by the semantic conventions of messaging."""
    return {
        MESSAGING_SYSTEM: "django_tasks",
        MESSAGING_OPERATION_NAME: operation,
        MESSAGING_OPERATION_TYPE: kind,
        MESSAGING_DESTINATION_NAME: result.task.queue_name,
        MESSAGING_MESSAGE_ID: result.id,
    }
