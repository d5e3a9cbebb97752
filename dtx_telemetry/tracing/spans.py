"""What stands on every span, and the span of a scope: begun and ended with it, current while it is."""

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.context import Context, get_current
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanContext, SpanKind, get_current_span, set_span_in_context

from ..config import get_settings
from ..context import End, Scope, bound
from ..guard import never_raises, report
from .current import ROOT, Current
from .failures import Failures
from .otlp_values import as_attribute
from .sdk.providers import Providers

__all__ = ["ScopeFields", "ScopeSpan", "ScopeSpans", "new_trace", "scope_fields"]


def scope_fields() -> dict[str, Any]:
    """Return the scope's own fields. What the application binds besides stays on its lines."""
    own = get_settings().own_keys
    return {key: as_attribute(value) for key, value in bound().items() if key in own and value is not None}


class ScopeFields(SpanProcessor):
    """Puts the scope's fields on each span that starts, also on those of instrumentations and of the application."""

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        """Set the attributes."""
        try:
            span.set_attributes(scope_fields())
        except Exception as error:
            report("the fields of a span", error)

    def on_end(self, span: ReadableSpan) -> None:
        """No-op: it was done at the start."""

    def shutdown(self) -> None:
        """No-op: it holds nothing."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Return True: it holds nothing."""
        return True


class ScopeSpan(Current):
    """A span that is current in its scope.

    Args:
        span: the span.
        parent: the context that it was started in.
        failures: records what it fails with.
    """

    __slots__ = ("_ended", "_failures", "span")

    def __init__(self, span: Span, parent: Context, failures: Failures) -> None:
        super().__init__(self.around(span, parent))
        self.span = span
        self._failures = failures
        self._ended = False

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._ended

    @never_raises
    def end(self, error: BaseException | None = None) -> None:
        """End the span, once. It stays current until its scope is left, so that the closing event is a part of it.

        Args:
            error: what the scope failed with.
        """
        if self._ended:
            return
        self._ended = True
        try:
            self.note_end(error)
        finally:
            self.span.end()

    def finish_scope(self, scope: Scope, end: End) -> None:
        """End the span as *scope* ends."""
        self.end(end.error)

    def note_end(self, error: BaseException | None, *, owned: bool = True) -> None:
        """Note what is known at the end, on a span of ours or, if it is not *owned*, of somebody else's."""
        if error is not None:
            (self._failures.record if owned else self._failures.record_once)(self.span, error)
        # Often the user is known long after the scope began.
        if self.span.is_recording() and (user := bound().get("user.id")) is not None:
            self.span.set_attribute("user.id", as_attribute(user))


class ScopeSpans:
    """Begins spans of scopes that no request and no message asked for: commands, operations.

    Args:
        providers: make spans.
        failures: records what they fail with.
    """

    def __init__(self, providers: Providers, failures: Failures) -> None:
        self._providers = providers
        self._failures = failures

    @never_raises
    def begin(
        self,
        name: str,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        parent: Context | None = None,
        attributes: Mapping[str, Any] | None = None,
        link: SpanContext | None = None,
    ) -> ScopeSpan:
        """Begin a span and make it current.

        Args:
            name: its name, of low cardinality.
            kind: its kind.
            parent: the context of its parent. None for what is current, `ROOT` for a trace of its own.
            attributes: its attributes at the start, which a sampler sees.
            link: another span to point at.
        """
        links: Sequence[Link] | None = [Link(link)] if link is not None and link.is_valid else None
        parent = get_current() if parent is None else parent
        span = self._providers.tracer().start_span(name, parent, kind, dict(attributes or {}), links)
        return ScopeSpan(span, parent, self._failures)

    def begin_operation(self, scope: Scope, about: object) -> ScopeSpan | None:
        """Begin the span of an operation, which starts a trace, whatever is current."""
        return self.begin(f"operation {scope.own['operation.name']}", parent=ROOT)

    def begin_command(self, scope: Scope, about: object) -> ScopeSpan | None:
        """Begin the span of a management command."""
        return self.begin(f"command {scope.own['command.name']}")

    def end(self, span: object, error: BaseException | None = None) -> None:
        """End the span that `begin` returned, if it did.

        Args:
            span: what a scope has as its span.
            error: what the scope failed with.
        """
        if isinstance(span, ScopeSpan):
            span.end(error)


def new_trace(sender: Context) -> tuple[Context, SpanContext]:
    """Return the context for a new trace, with the baggage of *sender*, and the sender's span to link to."""
    return set_span_in_context(INVALID_SPAN, sender), get_current_span(sender).get_span_context()
