"""What Django tells about a request outside of its middleware: exceptions made responses, and its own late lines."""

import logging
import sys
from typing import Any

from django.core.signals import got_request_exception

from ..context import current_scope
from ..guard import never_raises
from ..logging import Subject, about_exception, about_scope, exception_of, lines_of
from .events import note_failure
from .requests import telemetry_of
from .responses import close_inside_scopes

__all__ = ["install"]


def install() -> None:
    """Listen to Django; a second call does nothing."""
    got_request_exception.connect(_note_exception, dispatch_uid="dtx_telemetry.note_exception")
    logging.getLogger("django.request").addFilter(_late_lines)
    close_inside_scopes()


@never_raises
def _note_exception(request: Any = None, **_: Any) -> None:
    """Note the exception that Django turns into a response; a receiver of ``got_request_exception``."""
    telemetry = telemetry_of(request)
    if telemetry is not None:
        note_failure(telemetry.scope, sys.exc_info()[1])


class _LateLines(logging.Filter):
    """Puts the request's context on what Django logs about its response after the last middleware is done."""

    def filter(self, record: logging.LogRecord) -> bool:
        telemetry = telemetry_of(record.__dict__.get("request"))
        if telemetry is not None and telemetry.scope is not current_scope():
            for key, value in telemetry.scope.inside.items():
                record.__dict__.setdefault(key, value)
        return True


_late_lines = _LateLines()


@lines_of("django.request")
def _about_response(record: logging.LogRecord) -> Subject | None:
    """Return what Django's line about a response repeats: how its request ended.

    It says more if it comes after the closing event with another status or an exception that no event has printed: then a
    middleware outside of ours, or the server's side of Django, has failed.
    """
    request = record.__dict__.get("request") if hasattr(record, "status_code") else None
    telemetry = telemetry_of(request)
    if telemetry is None:
        return None
    subject = about_scope(telemetry.scope)
    error = exception_of(record)
    is_news = record.status_code != telemetry.status or (error is not None and about_exception(error) is None)  # type: ignore[attr-defined]
    return subject._replace(said=False) if telemetry.scope.ended and is_news else subject
