"""The ids of the current span, for log lines."""

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["SDK_MODULE", "line_ids"]

#: Until this module is loaded there is no span to ask for, so nobody asks. The API alone says nothing: redis-py imports it.
SDK_MODULE = "opentelemetry.sdk.trace"
_NONE: Mapping[str, Any] = {}


def line_ids() -> Mapping[str, Any]:
    """Return ``trace_id`` and ``span_id`` of the current span, whoever made it; nothing where there is none."""
    api = sys.modules["opentelemetry.trace"]
    try:
        context = api.get_current_span().get_span_context()
        return _as_text(context.trace_id, context.span_id) if context.is_valid else _NONE
    except AttributeError:  # it is being imported by another thread
        return _NONE


# Many lines are of the same span.
@lru_cache(maxsize=256)
def _as_text(trace_id: int, span_id: int) -> Mapping[str, str]:
    return {"trace_id": f"{trace_id:032x}", "span_id": f"{span_id:016x}"}
