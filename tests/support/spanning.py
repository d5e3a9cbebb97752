"""What a process does that is to be seen from outside: a span, a line and a measurement."""

from dtx_telemetry import get_logger, init_telemetry
from dtx_telemetry.tracing import TRACING

__all__ = ["work"]


def work(name: str) -> None:
    """Make one of each signal, under *name*."""
    if TRACING.on is None:
        init_telemetry()
    assert TRACING.on is not None
    span = TRACING.on.work.begin(f"command {name}")
    get_logger("app").info(name)
    TRACING.on.measures.message(name, "sent")
    assert span is not None
    span.end()
    span.leave()
