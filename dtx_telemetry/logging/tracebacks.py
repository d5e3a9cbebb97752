"""Exceptions as text: the traceback once in a process, without locals, and the short form on every other line."""

import os
import traceback
from typing import Any

from ..errors import error_text

__all__ = ["format_traceback", "hold_traceback", "release_traceback", "take_traceback"]

# The mark stands in the exception's own ``__dict__`` and goes with it: no registry that could grow or keep it alive. It names
# the process, since a pickled exception takes its ``__dict__`` along, and pids are the same in many containers.
_MARK = "__dtx_telemetry__"
_TOKEN = os.urandom(8).hex()
_HELD = "held"
_PRINTED = "printed"


def hold_traceback(exc: BaseException) -> None:
    """Keep the traceback of *exc* for a later line: until `release_traceback`, lines about it print ``error`` alone."""
    if _mark(exc) != _PRINTED:
        _set_mark(exc, _HELD)


def release_traceback(exc: BaseException) -> None:
    """Let the next line about *exc* print its traceback, unless one did so before it was held."""
    if _mark(exc) == _HELD:
        _set_mark(exc, None)


def take_traceback(exc: BaseException) -> bool:
    """Whether a line about *exc* prints its traceback now; the next one will not."""
    if _mark(exc) is not None:
        return False
    _set_mark(exc, _PRINTED)
    return True


def _mark(exc: BaseException) -> Any:
    try:
        process, mark = exc.__dict__.get(_MARK, (None, None))
    except Exception:  # an odd class without a usable __dict__: its traceback is printed each time
        return None
    return mark if process == _process() else None


def _set_mark(exc: BaseException, mark: str | None) -> None:
    try:
        exc.__dict__[_MARK] = (_process(), mark)
    except Exception:  # noqa: S110 - see _mark
        pass


def _process() -> str:
    return f"{_TOKEN}.{os.getpid()}"


def format_traceback(kind: type[BaseException] | None, exc: BaseException, tb: Any) -> str:
    """Return the traceback as Python prints it, with its chain, group and notes, and never with local variables."""
    try:
        return "".join(traceback.TracebackException(kind or type(exc), exc, tb, capture_locals=False).format()).rstrip("\n")
    except Exception as error:
        return f"{error_text(exc)}\n[the traceback could not be printed: {type(error).__name__}]"
