"""Texts of results that a terminal and a page share."""

from datetime import datetime

from ..model.layout import Row
from ..model.scope import Scope

__all__ = ["day_and_time", "label", "length_text", "notes", "status_text", "time_text"]

_QUIET = frozenset({"completed", "closed", "handled"})


def length_text(seconds: float) -> str:
    """Return a length of time as people say it: ``1.25 ms``, ``103.6 ms``, ``2.35 s``, ``4 m 05 s``, ``2 h 07 m``."""
    milliseconds = seconds * 1000
    if milliseconds < 9.995:
        return f"{milliseconds:.2f} ms"
    if milliseconds < 999.95:
        return f"{milliseconds:.1f} ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} m {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} m" if hours < 48 else f"{hours // 24} d {hours % 24:02} h"


def label(scope: Scope) -> str:
    """Return what a scope is called: a request by its method and path, everything else by kind and name."""
    name = scope.name
    kind = "" if scope.kind == "request" and name else scope.kind
    attempt = f"#{scope.attempt + 1}" if scope.attempt else ""
    return " ".join(part for part in (kind, name, attempt) if part)


def status_text(scope: Scope) -> str:
    """Return what came of a scope, nothing where all is as it should be and has no number."""
    return "" if scope.status in _QUIET else scope.status


def notes(row: Row) -> list[str]:
    """Return what else there is to say about a row."""
    scope = row.scope
    said = []
    if row.start > row.queued:
        said.append(f"{length_text(row.start - row.queued)} in the queue")
    if scope.attempt:
        said.append(f"attempt {scope.attempt + 1}")
    if scope.shift:
        said.append(f"moved by {length_text(scope.shift)}: its clock is behind")
    return said


def day_and_time(seconds: float) -> str:
    """Return a time as ``2026-11-24 19:37:36.166``, in the local zone."""
    return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "milliseconds")[:23]


def time_text(seconds: float) -> str:
    """Return a time of day as ``19:37:36.166``, in the local zone."""
    return day_and_time(seconds)[11:]
