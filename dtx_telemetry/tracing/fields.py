"""What is bound in a scope, as attributes of every span that starts in it."""

from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor

from ..config import get_settings
from ..context import bound
from ..guard import report

__all__ = ["ScopeFields", "scope_fields"]


def scope_fields() -> dict[str, Any]:
    """Return the scope's own fields; what the application binds besides stays on its lines."""
    own = get_settings().own_keys
    return {key: value for key, value in bound().items() if key in own and value is not None}


class ScopeFields(SpanProcessor):
    """Puts the scope's fields on each span that starts, whoever starts it."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Set the attributes."""
        try:
            span.set_attributes(scope_fields())
        except Exception as error:
            report("the fields of a span", error)

    def on_end(self, span: ReadableSpan) -> None:
        """Nothing is left to do."""

    def shutdown(self) -> None:
        """There is nothing to close."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """There is nothing to flush."""
        return True
