"""How a request ended: its closing event and the fields of it, for whatever serves it, the middleware or a consumer."""

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, ParamSpec, TypeVar

from ..config import Settings
from ..context import Scope
from ..events import REQUEST_CANCELLED, REQUEST_COMPLETED, REQUEST_FAILED
from ..guard import report
from ..logging import note_request

__all__ = ["ServedRequest", "note_failure"]

_P = ParamSpec("_P")
_R = TypeVar("_R")

# OpenTelemetry semantic conventions, http.request.method: any other method is reported as _OTHER.
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


def note_failure(scope: Scope, error: BaseException | None) -> bool:
    """Remember the exception that a request ends with.

    Returns False for the exceptions that say that no one waits for the response any more, which are no failures.
    """
    if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
        return False
    if error is not scope.failure and not scope.ended:
        scope.failure = error
    return True


class ServedRequest:
    """A request and its end.

    Args:
        settings: the current settings.
        scope: the request's scope, which is current. Its `failure` is the exception that the request ends with.
        method: the request's method.
        path: the request's path, without its query.

    Attributes:
        route: the pattern of the URL that matched, as a path template. ``None`` if none did, or no one asks for it.
        status: the status that the request ended with, once it has.
    """

    __slots__ = ("_context", "_settings", "method", "path", "route", "scope", "status")

    def __init__(self, settings: Settings, scope: Scope, method: str, path: str) -> None:
        self._settings = settings
        self._context: Context | None = None
        self.method = method
        self.path = path
        self.route: str | None = None
        self.scope = scope
        self.status: int | None = None
        if settings.framework_lines:
            note_request(scope, path)

    def keep_context(self) -> None:
        """Keep the context of the request, which is about to be left, for `run`."""
        self._context = copy_context()

    @property
    def has_answered(self) -> bool:
        """True if the middleware has handed its response on and nothing of the request, as its body, runs now."""
        return self._context is not None and not self.scope.is_entered

    def forget_context(self) -> None:
        """Give the kept context free, with all that the application's own variables hold."""
        self._context = None

    def run(self, function: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Call *function* inside the request, wherever this is called: by a server, after the middleware has returned."""
        if self._context is None or self.scope.is_entered:
            return function(*args, **kwargs)
        is_inside = False

        def call() -> _R:
            nonlocal is_inside
            is_inside = True
            return function(*args, **kwargs)

        try:
            return self._context.run(call)
        except RuntimeError:
            if is_inside:
                raise
        # Another thread is in the midst of a piece, in the context itself, as this one closes the body.
        return self._context.copy().run(function, *args, **kwargs)

    def context_elsewhere(self) -> Context | None:
        """Return the kept context for a coroutine to run in, or ``None`` if the request is entered or none was kept."""
        return None if self.scope.is_entered else self._context

    def end(self, status: int | None) -> None:
        """Log the one closing event: ``request_failed``, ``request_cancelled`` or ``request_completed``. Raises nothing.

        Args:
            status: the response's status, or ``None`` for a request that the client left.
        """
        if self.scope.ended:
            return
        try:
            self._end(status)
        except Exception as error:
            report("the closing event", error)
            self.scope.end(None, status=status, route=self.route)

    def _end(self, status: int | None) -> None:
        scope, level, error = self.scope, None, self.scope.failure
        if error is not None:
            event, status = REQUEST_FAILED, status or 500
        elif status is None:
            event = REQUEST_CANCELLED
        else:
            event, level = REQUEST_COMPLETED, _level(status)
        self.status = status
        settings = self._settings
        is_fine = error is None and (status is None or status < 500)
        excluded = is_fine and settings.exclude_paths and settings.excludes(self.path)
        fields = self._fields(status)
        scope.end(event, fields, error=error, level=level, is_printed=not excluded, status=status, route=self.route)

    def _fields(self, status: int | None) -> dict[str, Any]:
        """Return what the request was and came to, under the names that ``OTEL_SEMCONV_STABILITY_OPT_IN`` asks for."""
        fields: dict[str, Any] = {"http.method": self.method, "http.route": self.path}
        if status is not None:
            fields["http.status_code"] = status
        if self._settings.semconv != "old":
            fields = self._stable(fields, status)
        return fields

    def _stable(self, old: dict[str, Any], status: int | None) -> dict[str, Any]:
        stable = {
            "http.request.method": self.method if self.method in _METHODS else "_OTHER",
            "url.path": self.path,
            "http.route": self.route,
            "http.response.status_code": status,
        }
        del old["http.route"]
        both = old | stable if self._settings.semconv == "http/dup" else stable
        return {name: value for name, value in both.items() if value is not None}


def _level(status: int) -> int:
    return logging.INFO if status < 400 else logging.WARNING if status < 500 else logging.ERROR
