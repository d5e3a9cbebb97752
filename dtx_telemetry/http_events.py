"""The closing events of HTTP requests and their fields, for whatever serves them: the middleware or a consumer."""

import asyncio
import logging
from typing import Any

from .config import Settings
from .context import Scope
from .errors import error_text
from .guard import never_raises
from .logging import hold_traceback, release_traceback

__all__ = ["close", "note_failure"]

# OpenTelemetry semantic conventions, http.request.method: any other method is reported as _OTHER.
_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})


def note_failure(scope: Scope, error: BaseException | None) -> bool:
    """Remember the exception that a request ends with; until the closing event prints it, no other line prints its traceback.

    Returns whether it is a failure: an exception that says that nobody waits for the response any more is none.
    """
    if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
        return False
    if error is not scope.failure and not scope.closed:
        scope.failure = error
        hold_traceback(error)
    return True


@never_raises
def close(
    log: Any, settings: Settings, scope: Scope, status: int | None, *, method: str, path: str, route: str | None = None
) -> None:
    """Log the one closing event of a request: ``request_failed``, ``request_cancelled`` or ``request_completed``.

    Args:
        log: the edge's logger.
        settings: the settings of now.
        scope: the request's scope; its `failure` is the exception that the request ended with.
        status: the response's status, or ``None`` for a request that the client left.
        method: the request's method.
        path: the request's path, without its query.
        route: the pattern of the URL that matched, where one did.
    """
    if scope.closed:
        return
    scope.closed = True
    error = scope.failure
    if error is not None:
        release_traceback(error)
        status = status or 500
    elif settings.exclude_paths and (status is None or status < 500) and settings.excludes(path):
        return
    fields = _named(settings, method, path, route, status)
    fields["duration_ms"] = scope.duration_ms
    if error is not None:
        log.error("request_failed", **fields, error=error_text(error), exc_info=error)
        scope.failure = None  # its traceback holds the scope: neither would be freed before the garbage collector comes by
    elif status is None:
        log.warning("request_cancelled", **fields)
    elif status < 400:
        log.info("request_completed", **fields)
    else:
        log.log(logging.WARNING if status < 500 else logging.ERROR, "request_completed", **fields)


def _named(settings: Settings, method: str, path: str, route: str | None, status: int | None) -> dict[str, Any]:
    """Return what a request was and came to, under the names that ``OTEL_SEMCONV_STABILITY_OPT_IN`` asks for."""
    named: dict[str, Any] = {"http.method": method, "http.route": path}
    if status is not None:
        named["http.status_code"] = status
    if settings.semconv == "old":
        return named
    known = method if method in _METHODS else "_OTHER"
    stable = {"http.request.method": known, "url.path": path, "http.route": route, "http.response.status_code": status}
    del named["http.route"]
    both = named | stable if settings.semconv == "http/dup" else stable
    return {name: value for name, value in both.items() if value is not None}
