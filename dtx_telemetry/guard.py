"""The one guard between telemetry and the application that it watches.

Whatever goes wrong inside this library ends here, in one log line, and never in a view, a task or a consumer.
"""

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

__all__ = ["is_wrapped", "never_raises", "report", "signal_receiver", "wrap_method"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_MARK = "_dtx_wrapped"
_logger = logging.getLogger("dtx_telemetry")


def report(where: str, error: Exception) -> None:
    """Log that telemetry failed at *where*. Raises nothing, whatever the handlers do."""
    try:
        _logger.error("telemetry_failed", exc_info=error, extra={"where": where})
    except Exception:  # noqa: S110 - a handler of the application's failed: nothing is left to tell it to
        pass


def never_raises(function: Callable[_P, _R]) -> Callable[_P, _R | None]:
    """Make *function* return ``None`` and log ``telemetry_failed`` when it would raise an exception.

    ``KeyboardInterrupt``, ``SystemExit`` and ``asyncio.CancelledError`` are the application's and go on.
    """

    @functools.wraps(function)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R | None:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            report(function.__qualname__, error)
            return None

    return guarded


def signal_receiver(function: Callable[..., None]) -> Callable[..., None]:
    """Make *function* a receiver of signals that raises nothing, as with `never_raises`.

    It is called with those of the signal's arguments that it names, ``None`` for one that the signal does not have.
    """
    names = tuple(inspect.signature(function).parameters)

    @functools.wraps(function)
    def receive(**named: Any) -> None:
        try:
            function(*map(named.get, names))
        except Exception as error:
            report(function.__qualname__, error)

    del receive.__wrapped__  # what connects it looks at its signature, and is to find that it takes whatever comes
    return receive


def wrap_method(owner: object, name: str, wrap: Callable[[Any], Callable[..., Any]]) -> None:
    """Replace the method *name* of *owner*, mostly a class, by what *wrap* makes of it. A second call does nothing.

    *wrap* gets what stands in the class, which may be a descriptor: a synchronous consumer's ``dispatch`` hops to a thread, and
    does so for an instance alone.
    """
    if is_wrapped(owner, name):
        return
    method = inspect.getattr_static(owner, name)
    wrapper = functools.wraps(method, updated=())(wrap(method))
    setattr(wrapper, _MARK, True)
    setattr(owner, name, wrapper)


def is_wrapped(owner: object, name: str) -> bool:
    """Return True if `wrap_method` replaced the method *name* of *owner*, or of the base that it comes from."""
    return getattr(inspect.getattr_static(owner, name), _MARK, False) is True
