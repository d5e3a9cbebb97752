"""One request id on every log line of Django, Celery and Channels.

The public names are loaded when they are first used, so that importing the package costs nothing and needs neither Celery nor
Channels nor OpenTelemetry.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import extract_labels
    from .context import bind_fields, carry_context, get_request_id
    from .http.outgoing import outgoing_headers
    from .logging import ContextFilter, LineFormatter, get_logger
    from .operations import operation
    from .startup import init_telemetry
    from .websocket.decorator import telemetry_consumer

__all__ = [
    "ContextFilter",
    "LineFormatter",
    "bind_fields",
    "carry_context",
    "extract_labels",
    "get_logger",
    "get_request_id",
    "init_telemetry",
    "operation",
    "outgoing_headers",
    "telemetry_consumer",
]

_HOMES = {
    "ContextFilter": "logging",
    "LineFormatter": "logging",
    "bind_fields": "context",
    "carry_context": "context",
    "extract_labels": "config",
    "get_logger": "logging",
    "get_request_id": "context",
    "init_telemetry": "startup",
    "operation": "operations",
    "outgoing_headers": "http.outgoing",
    "telemetry_consumer": "websocket.decorator",
}


def __getattr__(name: str) -> Any:
    """Import a public name from its module at its first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
