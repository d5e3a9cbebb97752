"""The log pipeline: every line of the process, whoever logs it, in one format, with the bound context, without secrets.

structlog's interface on stdlib logging, so that other handlers see each event too.
"""

from .closing import ClosingEvents
from .context_filter import ContextFilter
from .install import beside, configure, restore
from .lines import set_span_source
from .logger import BoundLogger, get_logger
from .records import exception_of, fields_of
from .said_once import (
    Subject,
    about_exception,
    about_scope,
    lines_of,
    log_closing_event,
    note_connection,
    note_request,
    release,
)
from .state import is_configured
from .taps import set_taps
from .tracebacks import format_traceback
from .unmade import is_printed_at_once, switch_off_where_unheard

__all__ = [
    "BoundLogger",
    "ClosingEvents",
    "ContextFilter",
    "Subject",
    "about_exception",
    "about_scope",
    "beside",
    "configure",
    "exception_of",
    "fields_of",
    "format_traceback",
    "get_logger",
    "is_configured",
    "is_printed_at_once",
    "lines_of",
    "log_closing_event",
    "note_connection",
    "note_request",
    "release",
    "restore",
    "set_span_source",
    "set_taps",
    "switch_off_where_unheard",
]
