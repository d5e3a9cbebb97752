"""The log pipeline: every line of the process, whoever logs it, in one format, with the bound context, without secrets.

structlog's interface on stdlib logging, so that other handlers see each event too.
"""

from .closing import ClosingEvents
from .console import is_configured
from .context_filter import ContextFilter
from .emit import switch_off_where_unheard
from .format import LineFormatter
from .install import beside, configure, every_logger, prints_own_events, restore
from .line import set_span_source
from .logger import BoundLogger, get_logger, is_printed_at_once
from .output import set_exports
from .records import exception_of, fields_of
from .said_once import (
    Subject,
    about_exception,
    about_scope,
    lines_of,
    log_closing_event,
    note_failed_handshake,
    note_request,
    release,
)
from .tracebacks import format_traceback

__all__ = [
    "BoundLogger",
    "ClosingEvents",
    "ContextFilter",
    "LineFormatter",
    "Subject",
    "about_exception",
    "about_scope",
    "beside",
    "configure",
    "every_logger",
    "exception_of",
    "fields_of",
    "format_traceback",
    "get_logger",
    "is_configured",
    "is_printed_at_once",
    "lines_of",
    "log_closing_event",
    "note_failed_handshake",
    "note_request",
    "prints_own_events",
    "release",
    "restore",
    "set_exports",
    "set_span_source",
    "switch_off_where_unheard",
]
