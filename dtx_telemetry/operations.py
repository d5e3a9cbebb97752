"""Operations: a scope for work that no request asked for, and that no framework has a hook for."""

import functools
import inspect
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

from . import context
from .config import get_settings
from .context import Scope
from .errors import error_text, is_steering
from .events import OPERATION, OPERATION_COMPLETED, OPERATION_FAILED
from .guard import never_raises

__all__ = ["operation"]

_F = TypeVar("_F", bound=Callable[..., Any])


class operation:  # noqa: N801 - used as a function, as contextlib.suppress is
    """Give a block of work a scope of its own: one ``request.id`` on all its lines, and one closing event.

    For a turn of a bot, a message of a foreign queue, a job of a scheduler::

        with operation("discord.message", request_id=message.headers.get("X-Request-ID"), channel=message.channel.id):
            await answer(message)

    It starts anew inside another scope too, and works around ``await``. As a decorator, ``@operation("nightly")``, each call
    of the function, asynchronous or not, is an operation. What it publishes and sends bears its id.

    The end is logged as ``operation_completed``, or as ``operation_failed`` if an exception leaves the block. That is a warning
    without a traceback if nothing has failed: the work is cancelled, or a task asks to be retried (``Retry``).

    Args:
        name: what the work is called, one of few: it is a field of every line, ``operation.name``.
        request_id: an id that came with the work. ``None``, or one that is not acceptable: a new one.
        fields: bound for the scope. Write ``**{"user.id": 5}`` for a name with a dot.

    Raises:
        TypeError: what is decorated is a generator function, whose body runs after the call. Use ``with`` inside it.

    .. versionadded:: 0.1.0
    """

    def __init__(self, name: str, /, request_id: str | None = None, **fields: Any) -> None:
        self._name = name
        self._request_id = request_id
        self._fields = fields
        self._open: list[Scope] = []

    def __enter__(self) -> None:
        """Enter the scope."""
        self._begin()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Log the closing event and leave the scope. An exception goes on."""
        scope = self._take_scope()
        if scope is None:
            return
        _end(scope, error)
        scope.leave()

    def __call__(self, function: _F, /) -> _F:
        """Return *function* with each of its calls in a scope of its own."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"operation cannot decorate the generator function {function!r}: use 'with operation(...)' inside it"
            )
        decorated = self._around_async(function) if _is_asynchronous(function) else self._around(function)
        return functools.wraps(function)(decorated)  # type: ignore[return-value]

    def _around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def operate(*args: Any, **kwargs: Any) -> Any:
            with self._anew():
                return function(*args, **kwargs)

        return operate

    def _around_async(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def operate(*args: Any, **kwargs: Any) -> Any:
            with self._anew():
                return await function(*args, **kwargs)

        return operate

    def _anew(self) -> "operation":
        return operation(self._name, self._request_id, **self._fields)

    @never_raises
    def _begin(self) -> None:
        settings = get_settings()
        if settings.enabled:
            given = self._request_id
            request_id = given if context.valid_request_id(given) else context.new_request_id()
            fields = {**self._fields, "request.id": request_id, "operation.name": self._name}
            if (cause := context.current_scope_id()) is not None:
                fields["scope.cause"] = cause
            self._open.append(context.enter_root(OPERATION, fields, own=settings.own_keys))

    def _take_scope(self) -> Scope | None:
        """Return the scope that this task or thread opened, and forget it. Others may share this object."""
        scope = context.current_scope()
        while scope is not None and scope not in self._open:
            scope = scope.outer
        if scope is None:
            return self._open.pop() if self._open else None
        self._open.remove(scope)
        return scope


def _is_asynchronous(function: Callable[..., Any]) -> bool:
    """Return True for a coroutine function, and for an object that is called like one."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(type(function), "__call__", None))  # noqa: B004


def _end(scope: Scope, error: BaseException | None) -> None:
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        scope.end(OPERATION_COMPLETED)
    elif is_steering(error):
        scope.end(OPERATION_FAILED, {"error": error_text(error)}, level=logging.WARNING, outcome="cancelled")
    else:
        scope.end(OPERATION_FAILED, error=error)
