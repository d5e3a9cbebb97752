"""The bound context for handlers of the application's own."""

import logging

from ..context import bound
from ..guard import never_raises
from ..rendering.secrets import REDACTED
from .console import INSTALLED
from .records import NO_REQUEST_ID

__all__ = ["ContextFilter"]


class ContextFilter(logging.Filter):
    """Puts everything that is bound on each record, and lets all records through.

    For handlers that stay beside ours: files, mail, a log server. A format can then say ``%(request.id)s``, which is ``-``
    if there is none, and formatters that print a record's extra attributes (JSON ones) print the context. Attributes that
    the record has already are left alone. What is bound under a key that names a secret is redacted.

    Attach it to the handler that the logging thread calls: to a ``QueueHandler`` and not to the handlers behind it, whose
    thread has nothing bound.

    .. versionadded:: 0.1.0
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the context to *record*. Never raises, and always returns True."""
        _add_context(record)
        return True


@never_raises
def _add_context(record: logging.LogRecord) -> None:
    attributes = record.__dict__
    is_secret = INSTALLED.sanitizer.secrets.names_secret
    for key, value in bound().items():
        attributes.setdefault(key, REDACTED if is_secret(key) else value)
    attributes.setdefault("request.id", NO_REQUEST_ID)
