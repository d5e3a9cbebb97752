"""Whose line it is: the frame that called a logger."""

import sys
from types import FrameType

# Where structlog's async methods note their caller, before they hop to a thread; its processors begin their search there.
from structlog.contextvars import _ASYNC_CALLING_STACK as CALLER

__all__ = ["CALLER", "calling_frame"]


def calling_frame() -> FrameType:
    """Return the frame outside structlog and this package that logs; the outermost one where there is none, as at exit."""
    frame = CALLER.get(None) or sys._getframe(1)
    while _is_loggers(frame) and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _is_loggers(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__"))
    return name.partition(".")[0] == "structlog" or name.startswith("dtx_telemetry.logging.")
