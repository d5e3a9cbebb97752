"""The ids of the current span, for log lines."""

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["API_MODULE", "line_ids"]

#: There is no span until this module is loaded, so it is not asked for one. Whose spans they are does not matter: a vendor's
#: come without OpenTelemetry's SDK.
API_MODULE = "opentelemetry.trace"
_NONE: Mapping[str, Any] = {}


def line_ids(*scope_span: Any) -> Mapping[str, Any]:
    """Return ``trace_id`` and ``span_id`` of the current span, of any library, or nothing outside of spans.

    Args:
        scope_span: what tracing keeps of a scope, for the ids of that one. ``None`` if it keeps nothing.
    """
    try:
        if scope_span:
            context = scope_span[0].span.get_span_context()
            return _as_text(context.trace_id, context.span_id) if context.is_valid else _NONE
        current = sys.modules["opentelemetry.context"].get_current()
        if not current:  # as it mostly is if a library has loaded the API and nothing traces
            return _NONE
        span = sys.modules[API_MODULE].get_current_span(current).get_span_context()
        return _as_text(span.trace_id, span.span_id) if span.is_valid else _NONE
    except (AttributeError, KeyError):  # the scope has no span, or the API is being imported by another thread
        return _NONE


# Many lines are of the same span.
@lru_cache(maxsize=256)
def _as_text(trace_id: int, span_id: int) -> Mapping[str, str]:
    return {"trace_id": f"{trace_id:032x}", "span_id": f"{span_id:016x}"}
