"""What Django tells about a request outside of its middleware: exceptions made responses, and its own late lines."""

import logging
import sys
from typing import Any

from django.core.signals import got_request_exception

from ..context import current_scope
from ..guard import never_raises
from ..logging import find_scopes_by
from .events import note_failure
from .requests import telemetry_of
from .responses import close_inside_scopes

__all__ = ["install"]


def install() -> None:
    """Listen to Django. A second call does nothing."""
    got_request_exception.connect(_note_exception, dispatch_uid="dtx_telemetry.note_exception")
    logging.getLogger("django.request").addFilter(_late_lines)
    find_scopes_by("django.request", telemetry_of)
    close_inside_scopes()


@never_raises
def _note_exception(request: Any = None, **_: Any) -> None:
    """Note the exception that Django turns into a response, as ``got_request_exception`` tells it."""
    telemetry = telemetry_of(request)
    if telemetry is not None:
        note_failure(telemetry.scope, sys.exc_info()[1])
        if telemetry.has_answered and not telemetry.scope.ended:
            # A middleware outside of ours raised, so nobody reads or closes the body that is to end the request. The traceback
            # holds that body, which holds the request: only the garbage collector would end it.
            telemetry.end(500)


class _LateLines(logging.Filter):
    """Puts the request's context on what Django logs about its response after the last middleware is done."""

    def filter(self, record: logging.LogRecord) -> bool:
        telemetry = telemetry_of(record.__dict__.get("request"))
        if telemetry is not None and telemetry.scope is not current_scope():
            for key, value in telemetry.scope.inside.items():
                record.__dict__.setdefault(key, value)
        return True


_late_lines = _LateLines()
