"""The log pipeline: every line of the process in one format, with the bound context, without secrets.

structlog's interface on stdlib logging, so that other handlers see each event too.
"""

from .closing import ClosingEvents
from .console import is_configured
from .context_filter import ContextFilter
from .format import LineFormatter
from .frameworks import find_scopes_by, note_failed_handshake, note_request, spare_unheard_lines
from .install import beside, configure, every_logger, prints_own_events, restore
from .line import set_span_source
from .logger import BoundLogger, get_logger
from .output import set_exports
from .records import fields_of
from .tracebacks import format_traceback, note_closing

__all__ = [
    "BoundLogger",
    "ClosingEvents",
    "ContextFilter",
    "LineFormatter",
    "beside",
    "configure",
    "every_logger",
    "fields_of",
    "find_scopes_by",
    "format_traceback",
    "get_logger",
    "is_configured",
    "note_closing",
    "note_failed_handshake",
    "note_request",
    "prints_own_events",
    "restore",
    "set_exports",
    "set_span_source",
    "spare_unheard_lines",
]
