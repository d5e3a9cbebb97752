"""Exceptions on spans and log records, by the semantic conventions, without secrets and cut to size."""

import os
from contextlib import suppress
from typing import Any

from opentelemetry.semconv.attributes.exception_attributes import (
    EXCEPTION_MESSAGE,
    EXCEPTION_STACKTRACE,
    EXCEPTION_TYPE,
)
from opentelemetry.trace import Span, StatusCode

from ..errors import error_text
from ..logging import format_traceback
from ..rendering import Sanitizer

__all__ = ["Failures", "type_name"]


def type_name(error: BaseException) -> str:
    """Return the name of the exception's type, with its module unless it is one of Python's own."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ in {"builtins", None} else f"{kind.__module__}.{kind.__qualname__}"


class Failures:
    """Records exceptions.

    ``logs`` in ``OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN`` keeps exceptions off spans. Log records have them in any case.

    Args:
        sanitizer: makes the texts safe.
    """

    def __init__(self, sanitizer: Sanitizer) -> None:
        self._sanitizer = sanitizer
        asked = {name.strip() for name in os.environ.get("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", "").split(",")}
        self._on_spans = "logs" not in asked or "logs/dup" in asked

    def attributes(self, error: BaseException, traceback: str | None) -> dict[str, Any]:
        """Return the attributes that tell of *error*.

        Args:
            error: the exception.
            traceback: its text, None to leave it out.
        """
        text = self._sanitizer.text
        attributes = {EXCEPTION_TYPE: type_name(error), EXCEPTION_MESSAGE: text(_message(error))}
        if traceback is not None:
            attributes[EXCEPTION_STACKTRACE] = self._sanitizer.line({"exception": traceback})["exception"]
        return attributes

    def record(self, span: Span, error: BaseException) -> None:
        """Make *span* one that failed with *error*, which is recorded unless the application has done so."""
        if not span.is_recording():
            return
        if self._on_spans and not _is_recorded(span, error):
            traceback = format_traceback(type(error), error, error.__traceback__)
            span.add_event("exception", self.attributes(error, traceback))
        span.set_status(StatusCode.ERROR, self._sanitizer.text(error_text(error)))

    def record_once(self, span: Span, error: BaseException) -> None:
        """Record *error* as `record` does on another library's span, which then does not record it again when it ends."""
        self.record(span, error)
        record_exception = span.record_exception

        def record_another(exception: BaseException, *args: Any, **kwargs: Any) -> None:
            if exception is not error:
                record_exception(exception, *args, **kwargs)

        if self._on_spans and span.is_recording():
            with suppress(AttributeError):  # a span with slots
                span.record_exception = record_another  # type: ignore[method-assign]


def _is_recorded(span: Span, error: BaseException) -> bool:
    told = {EXCEPTION_TYPE: type_name(error), EXCEPTION_MESSAGE: _message(error)}.items()
    return any(told <= (event.attributes or {}).items() for event in getattr(span, "events", ()))


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "<unprintable message>"
