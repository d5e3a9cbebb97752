"""The closing events of HTTP requests and their fields, for whatever serves them: the middleware or a consumer."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from ..config import Settings
from ..context import Scope, current_scope
from ..errors import error_text
from ..guard import report
from ..logging import log_closing_event, note_request, release

if TYPE_CHECKING:
    from ..tracing.requests import RequestSpan

__all__ = ["RequestEvents", "note_failure"]

# OpenTelemetry semantic conventions, http.request.method: any other method is reported as _OTHER.
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


def note_failure(scope: Scope, error: BaseException | None) -> bool:
    """Remember the exception that a request ends with.

    Returns whether it is a failure: an exception that says that nobody waits for the response any more is none.
    """
    if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
        return False
    if error is not scope.failure and not scope.closed:
        scope.failure = error
    return True


class RequestEvents:
    """A request and its response, for whatever serves it.

    Args:
        log: the edge's logger.
        settings: the settings of now.
        scope: the request's scope; its `failure` is the exception that the request ends with.
        method: the request's method.
        path: the request's path, without its query.
    """

    __slots__ = ("_log", "_method", "_path", "_route", "_settings", "scope", "span")

    def __init__(self, log: Any, settings: Settings, scope: Scope, method: str, path: str) -> None:
        self._log = log
        self._settings = settings
        self._method = method
        self._path = path
        #: The pattern of the URL that matched, where one did and it is asked for.
        self._route: str | None = None
        self.scope = scope
        #: The request's span, where it has one.
        self.span: RequestSpan | None = None
        if settings.framework_lines:
            note_request(scope, path)

    def end(self, status: int | None) -> None:
        """Log the one closing event: ``request_failed``, ``request_cancelled`` or ``request_completed``. Raises nothing.

        Args:
            status: the response's status, or ``None`` for a request that the client left.
        """
        scope = self.scope
        if not scope.close():
            return
        if current_scope() is scope:
            self._end(status)
            return
        outside = scope.resume()  # the garbage collector ends a request that was left half way, in another's context
        try:
            self._end(status)
        finally:
            scope.pause(outside)

    def _end(self, status: int | None) -> None:
        scope, settings = self.scope, self._settings
        error = scope.failure
        try:
            if scope.failure is not None:
                self._end_failed(scope.failure, status or 500)
            elif settings.exclude_paths and (status is None or status < 500) and settings.excludes(self._path):
                return
            elif status is None:
                log_closing_event(self._log, self.scope, logging.WARNING, "request_cancelled", self._fields(None))
            else:
                level = logging.INFO if status < 400 else logging.WARNING if status < 500 else logging.ERROR
                log_closing_event(self._log, self.scope, level, "request_completed", self._fields(status))
        except Exception as failure:
            report("the closing event", failure)
        finally:
            if scope.waiting:  # there was no event, or none came about
                release(scope)
        if self.span is not None:
            self.span.finish(status if error is None else status or 500, self._route, error)

    def _end_failed(self, error: BaseException, status: int) -> None:
        fields = {**self._fields(status), "error": error_text(error), "exc_info": error}
        log_closing_event(self._log, self.scope, logging.ERROR, "request_failed", fields)
        self.scope.failure = None  # its traceback holds the scope: neither would be freed before the garbage collector comes by

    def _fields(self, status: int | None) -> dict[str, Any]:
        """Return what the request was and came to, under the names that ``OTEL_SEMCONV_STABILITY_OPT_IN`` asks for."""
        fields: dict[str, Any] = {"http.method": self._method, "http.route": self._path}
        if status is not None:
            fields["http.status_code"] = status
        if self._settings.semconv != "old":
            fields = self._stable(fields, status)
        fields["duration_ms"] = self.scope.duration_ms
        return fields

    def _stable(self, old: dict[str, Any], status: int | None) -> dict[str, Any]:
        stable = {
            "http.request.method": self._method if self._method in _METHODS else "_OTHER",
            "url.path": self._path,
            "http.route": self._route,
            "http.response.status_code": status,
        }
        del old["http.route"]
        both = old | stable if self._settings.semconv == "http/dup" else stable
        return {name: value for name, value in both.items() if value is not None}
