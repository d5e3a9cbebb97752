"""Celery's spans: those of opentelemetry-instrumentation-celery, with its faults mended.

The signals are our own edge's to receive. The span of an execution is current in its scope and ends with it, so nothing of a
task is kept on the task's object, and nothing has to be looked up by the task's id.
"""

from collections.abc import Mapping, MutableMapping
from contextvars import ContextVar
from typing import Any

from opentelemetry import propagate
from opentelemetry.context import Context, get_current
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.celery.utils import set_attributes_from_context
from opentelemetry.propagators.textmap import Getter
from opentelemetry.semconv._incubating.attributes.messaging_attributes import MESSAGING_MESSAGE_ID
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, set_span_in_context

from ..context import End, Scope
from ..events import TASK_FAILED
from ..guard import never_raises
from .current import ROOT, Current
from .failures import Failures
from .metrics import Measures
from .sdk.providers import Providers
from .spans import ScopeSpan, new_trace

__all__ = ["TaskSpans"]

# The span of a message that is being published: between the two signals nothing runs here but the broker's client.
_publishing: ContextVar[tuple[Any, Span] | None] = ContextVar("dtx_telemetry_publishing", default=None)

#: The semantic conventions' word for a value from outside that is not among the known ones.
_OTHER = "_OTHER"
#: Options that may be objects of kombu's.
_NAMED = ("exchange", "queue")
#: Celery's names of what we call an outcome. A task that the worker ended has no such name.
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
        providers: make spans.
        failures: records what they fail with.
        measures: the metrics.
        links: a task's span is a trace of its own, linked to its publisher's.
    """

    def __init__(self, providers: Providers, failures: Failures, measures: Measures, *, links: bool) -> None:
        self._failures = failures
        self._measures = measures
        self._providers = providers
        self._links = links
        # A singleton: the application, or opentelemetry-instrument, may have switched it on.
        self._plain: Any = CeleryInstrumentor()  # type: ignore[no-untyped-call]

    @property
    def _is_traced_by_another(self) -> bool:
        return bool(self._plain.is_instrumented_by_opentelemetry)

    @never_raises
    def publishing(
        self, sender: str | None, headers: MutableMapping[str, Any], body: Any, exchange: Any, routing_key: Any, declare: Any
    ) -> None:
        """Begin the span of a message, and let its *headers* carry it. It is never current: publishing may fail without a word.

        Args:
            sender: the task's name.
            headers: the message's headers.
            body: its body. In Celery's first protocol it has the id.
            exchange: an exchange or its name.
            routing_key: its routing key.
            declare: what is to be declared before.
        """
        if _publishing.get() is not None:
            _end_unpublished()
        if self._is_traced_by_another:
            return
        name = sender or "unknown"
        span = self._providers.tracer().start_span(f"apply_async/{name}", kind=SpanKind.PRODUCER)
        if span.is_recording():
            attributes = _Attributes({"celery.action": "apply_async", "celery.task_name": name})
            task_id = headers.get("id") or (body.get("id") if isinstance(body, Mapping) else None)
            if task_id is not None:
                attributes[MESSAGING_MESSAGE_ID] = task_id
            attributes.add_from({"exchange": exchange, "routing_key": routing_key, "declare": declare})
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
    def begin(self, scope: Scope, about: tuple[Any, Any, Mapping[str, Any]]) -> "_TaskSpan | _MeasuredTask":
        """Begin the span of an execution and make it current.

        Args:
            scope: the task's.
            about: the task, its request, and the fields of ``task_started``.
        """
        task, request, started = about
        if (waited_ms := started.get("task.queue_ms")) is not None:
            self._measures.task_queued(task.name, waited_ms / 1000)
        if self._is_traced_by_another:
            return _MeasuredTask(task.name, self._measures)
        parent, links = self._origin(request)
        span = self._providers.tracer().start_span(f"run/{task.name}", parent, SpanKind.CONSUMER, None, links)
        return _TaskSpan(span, parent, self._failures, task.name, request, self._measures)

    @never_raises
    def begin_report(self, scope: Scope, request: Any) -> "_ReportedTask":
        """Make a message's trace current, for what a worker says about a task that does not run here.

        There is no span of its own: the semantic conventions have one for a message that is processed, and this one is not.
        The line is a part of the publisher's trace, and of its span.

        Args:
            scope: the report's.
            request: the task's request as the worker has it, or the headers of a message.
        """
        return _ReportedTask(_extract(request), self._measures)

    def _origin(self, request: Any) -> tuple[Context, list[Link] | None]:
        """Return the context that a task's message brings, or for an eager task its caller's."""
        if request.is_eager:
            return get_current(), None
        context = _extract(request)
        if not self._links:
            return context, None
        root, publisher = new_trace(context)
        return root, [Link(publisher)] if publisher.is_valid else None


class _TaskSpan(ScopeSpan):
    """The span of one execution.

    Args:
        span: the span.
        parent: the context that it was started in.
        failures: records what it fails with.
        name: the task's name.
        request: the task's request.
        measures: the metrics.
    """

    __slots__ = ("_measures", "_name", "_request")

    def __init__(self, span: Span, parent: Context, failures: Failures, name: str, request: Any, measures: Measures) -> None:
        super().__init__(span, parent, failures)
        self._name = name
        self._request = request
        self._measures = measures

    def finish_scope(self, scope: Scope, end: End) -> None:
        """End the span and measure the task."""
        if _publishing.get() is not None:
            _end_unpublished()
        if self.span.is_recording():
            self._note(end)
        self.end(end.error if end.with_traceback else None)  # an error that the task declares is no failure
        if end.event is not None:  # else the worker tells of it, and measures it
            self._measures.task_done(self._name, scope.duration_ms / 1000, end.outcome)

    def _note(self, end: End) -> None:
        """Set the attributes that the instrumentation sets at the end."""
        state = _STATES[end.outcome]
        attributes = _Attributes({"celery.action": "run", "celery.task_name": self._name, "celery.state": state})
        attributes.add_from(self._request.__dict__)
        if end.outcome == "retried":
            attributes["celery.retry.reason"] = end.fields["error"]
        self.span.set_attributes(attributes)
        if end.error is None and end.outcome in {"failed", "killed"}:
            self.span.set_status(StatusCode.ERROR, end.fields.get("error", "the worker ended it"))


class _MeasuredTask:
    """Measures an execution whose span is made by somebody else's instrumentation."""

    __slots__ = ("_measures", "_name")

    def __init__(self, name: str, measures: Measures) -> None:
        self._name = name
        self._measures = measures

    def attach(self) -> None:
        """No-op: nothing of ours is current."""

    def leave(self) -> None:
        """No-op likewise."""

    def finish_scope(self, scope: Scope, end: End) -> None:
        """Measure the task."""
        if end.event is not None:
            self._measures.task_done(self._name, scope.duration_ms / 1000, end.outcome)


class _ReportedTask(Current):
    """The trace that a message brings, for a report about its task.

    Args:
        context: the trace's.
        measures: the metrics.
    """

    __slots__ = ("_measures",)

    def __init__(self, context: Context, measures: Measures) -> None:
        super().__init__(context)
        self._measures = measures

    def finish_scope(self, scope: Scope, end: End) -> None:
        """Measure a task that never ran, or that the worker lost with its process. For how long that ran is not known."""
        # There is no end to the names that a message for no task of this worker may bring.
        name = _OTHER if end.outcome == "unknown" else scope.own.get("task.name", _OTHER)
        self._measures.task_done(name, 0.0, "killed" if end.event is TASK_FAILED else end.outcome)


def _end_unpublished() -> None:
    """End the span of a message that was never published: no signal tells of it, but what comes after it does."""
    pending = _publishing.get()
    if pending is not None:
        _publishing.set(None)
        pending[1].set_status(StatusCode.ERROR, "not published")
        pending[1].end()


def _extract(request: Any) -> Context:
    """Return the context that a message brings, from the headers of its request or, if none was made, from its own."""
    headers = request if isinstance(request, Mapping) else getattr(request, "__dict__", {})
    return propagate.extract(headers, ROOT, _TEXTS)


class _Texts(Getter[Mapping[str, Any]]):
    """Reads headers, which may be anything that a broker can hold."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        value = carrier.get(key)
        return [value] if isinstance(value, str) else None

    def keys(self, carrier: Mapping[str, Any]) -> list[str]:
        return list(carrier)


_TEXTS = _Texts()


class _Attributes(dict[str, Any]):
    """Attributes that are set in one go. To the instrumentation, which knows what to tell of a message, it is a span."""

    def add_from(self, options: Mapping[str, Any]) -> None:
        """Add what the instrumentation tells of *options*. No attribute can hold queues and exchanges: their names are told."""
        objects = {key: name for key in _NAMED if (name := getattr(options.get(key), "name", None)) is not None}
        set_attributes_from_context(self, {**options, **objects} if objects else options)  # type: ignore[arg-type]

    def is_recording(self) -> bool:
        return True

    def set_attribute(self, key: str, value: Any) -> None:
        self[key] = value
