"""Celery's spans: those of opentelemetry-instrumentation-celery, with its faults mended.

The signals are our own edge's to receive: it knows the scope of an execution, which the span has to be current in and to end
with. So nothing of a task is kept on the task's object, and nothing has to be looked up by the task's id.
"""

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context, get_current
from opentelemetry.instrumentation.celery import CeleryInstrumentor, celery_getter
from opentelemetry.instrumentation.celery.utils import set_attributes_from_context
from opentelemetry.semconv._incubating.attributes.messaging_attributes import MESSAGING_MESSAGE_ID
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    StatusCode,
    set_span_in_context,
)

from ..guard import never_raises
from .current import ROOT, Current
from .failures import Failures
from .measures import Measures
from .sdk.providers import Providers
from .spans import ScopeSpan, new_trace

__all__ = ["TaskSpan", "TaskSpans"]

# The span of a message that is being published: between the two signals nobody else's code runs here but the broker's client.
_publishing: ContextVar[tuple[Any, Span] | None] = ContextVar("dtx_telemetry_publishing", default=None)


#: The semantic conventions' word for a value from outside that is not among the known ones.
_OTHER = "_OTHER"
#: Options that may be objects of kombu's.
_NAMED = frozenset({"exchange", "queue"})
#: Celery's names of what we call an outcome; a task that the worker ended has none.
_STATES = {
    "completed": "SUCCESS",
    "failed": "FAILURE",
    "retried": "RETRY",
    "ignored": "IGNORED",
    "rejected": "REJECTED",
    "killed": "",
}


class TaskSpans:
    """Begins the spans of publishing and of running tasks.

    Args:
        providers: where spans come from.
        failures: records what they fail with.
        measures: the metrics.
        links: whether a task's span is a trace of its own, linked to its publisher's.
    """

    def __init__(self, providers: Providers, failures: Failures, measures: Measures, *, links: bool) -> None:
        self.failures = failures
        self.measures = measures
        self._providers = providers
        self._links = links
        # A singleton: the application, or opentelemetry-instrument, may have switched it on.
        self._plain: Any = CeleryInstrumentor()  # type: ignore[no-untyped-call]

    @property
    def _is_traced_by_another(self) -> bool:
        return bool(self._plain.is_instrumented_by_opentelemetry)

    @never_raises
    def publish(self, sender: str | None, headers: MutableMapping[str, Any], body: Any, options: Mapping[str, Any]) -> None:
        """Begin the span of a message, and let its *headers* carry it. It is never current: publishing may fail without a word.

        Args:
            sender: the task's name.
            headers: the message's headers.
            body: its body, where Celery's first protocol has the id.
            options: what else the signal tells.
        """
        if _publishing.get() is not None:
            self.abandon()
        if self._is_traced_by_another:
            return
        name = sender or "unknown"
        span = self._providers.tracer().start_span(f"apply_async/{name}", kind=SpanKind.PRODUCER)
        if span.is_recording():
            attributes = _Attributes({"celery.action": "apply_async", "celery.task_name": name})
            task_id = headers.get("id") or (body.get("id") if isinstance(body, Mapping) else None)
            if task_id is not None:
                attributes[MESSAGING_MESSAGE_ID] = task_id
            attributes.add_from(options)
            span.set_attributes(attributes)
        propagate.inject(headers, set_span_in_context(span))
        _publishing.set((headers, span))

    @never_raises
    def published(self, headers: Any) -> None:
        """End the span of a message that the broker has."""
        pending = _publishing.get()
        if pending is not None and pending[0] is headers:
            _publishing.set(None)
            pending[1].end()

    @never_raises
    def abandon(self) -> None:
        """End the span of a message that was never published: no signal tells of it, but what comes after it does."""
        pending = _publishing.get()
        if pending is not None:
            _publishing.set(None)
            pending[1].set_status(StatusCode.ERROR, "not published")
            pending[1].end()

    @never_raises
    def start(self, task: Any, *, waited_ms: float | None) -> "TaskSpan | None":
        """Begin the span of an execution and make it current.

        Args:
            task: the task.
            waited_ms: milliseconds between publishing and now, where they are known.
        """
        if waited_ms is not None:
            self.measures.task_queued(task.name, waited_ms / 1000)
        if self._is_traced_by_another:
            return None
        parent, links = self._origin(task.request)
        span = self._providers.tracer().start_span(f"run/{task.name}", parent, SpanKind.CONSUMER, None, links)
        return TaskSpan(span, parent, self.failures)

    @never_raises
    def finish(
        self, span: object, task: Any, outcome: str, seconds: float, *, error: Any = None, reason: object = None
    ) -> None:
        """End the span of an execution and measure the task.

        Args:
            span: what `start` returned.
            task: the task.
            outcome: ``completed``, ``failed``, ``retried``, ``ignored``, ``rejected`` or ``killed``.
            seconds: how long it took.
            error: the exception that makes it a failure; ``None`` for one that the task declares.
            reason: why it is retried.
        """
        if _publishing.get() is not None:
            self.abandon()
        if isinstance(span, TaskSpan):
            if span.ended:
                return
            if span.span.is_recording():
                span.note(task.name, task.request.__dict__, outcome, reason)
            if outcome == "killed" and error is None:
                span.span.set_status(StatusCode.ERROR, "the worker ended it")
            span.end(error if isinstance(error, BaseException) else None)
        self.measures.task_done(task.name, seconds, outcome)

    @never_raises
    def in_publishers_trace(self, request: Any) -> Current:
        """Make a message's trace current, for what a worker says about a task that does not run here.

        There is no span of its own: the semantic conventions have one for a message that is processed, and this one is not.
        The line is a part of the publisher's trace, and of its span.

        Args:
            request: the task's request as the worker has it.
        """
        return Current(propagate.extract(request, ROOT, celery_getter))

    @never_raises
    def never_ran(self, name: str | None, outcome: str) -> None:
        """Measure a task that ended before it ran, which took no time.

        Args:
            name: the task's name; ``None`` where the worker has no task of that name.
            outcome: ``revoked``, ``expired``, ``rejected`` or ``unknown``.
        """
        self.measures.task_done(name or _OTHER, 0.0, outcome)

    def _origin(self, request: Any) -> tuple[Context, list[Link] | None]:
        """Return the context that a task's message brings; an eager task has its caller's."""
        if request.is_eager:
            return get_current(), None
        context = propagate.extract(request, ROOT, celery_getter)
        if not self._links:
            return context, None
        root, publisher = new_trace(context)
        return root, [Link(publisher)] if publisher.is_valid else None


class TaskSpan(ScopeSpan):
    """The span of one execution."""

    __slots__ = ()

    def note(self, name: str, request: Mapping[str, Any], outcome: str, reason: object) -> None:
        """Set the attributes that the instrumentation sets at the end."""
        attributes = _Attributes({"celery.action": "run", "celery.task_name": name, "celery.state": _STATES[outcome]})
        attributes.add_from(request)
        if reason is not None:
            attributes["celery.retry.reason"] = str(reason)
        self.span.set_attributes(attributes)


class _Attributes(dict[str, Any]):
    """Attributes that are set in one go. To the instrumentation, which knows what to tell of a message, it is a span."""

    def add_from(self, options: Mapping[str, Any]) -> None:
        """Add what the instrumentation tells of *options*; of queues and exchanges, which no attribute can hold, the names."""
        objects = {key: name for key in _NAMED if (name := getattr(options.get(key), "name", None)) is not None}
        set_attributes_from_context(self, {**options, **objects} if objects else options)  # type: ignore[arg-type]

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self[key] = value
