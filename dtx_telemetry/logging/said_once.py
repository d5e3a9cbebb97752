"""Said once: what an event of ours says, no line of a framework repeats on our output.

Access lines, and lines about tasks that were received or discarded, are left out always, others only if our event was printed.
One that comes before that event (Django logs an exception before its request has ended) waits for it, and is printed after it
if the event was not: its level was off, a filter dropped it, its path is excluded, or telemetry failed. So a failure's
traceback always stands somewhere.

Other handlers get every line. `FRAMEWORK_LINES` prints them all, with the ids of what they are about. `frameworks` tells which
line repeats what.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from ..context import Scope, current_scope
from .line import span_ids
from .tracebacks import reported_ids

__all__ = ["WATCH", "Rule", "Subject", "about_exception", "about_scope", "lines_of", "print_unless_said", "release", "rule_for"]


class Subject(NamedTuple):
    """What a line of a framework is about.

    Attributes:
        said: whether an event of ours says the same.
        ids: what the line is about, if that is not bound.
        scope: the scope whose closing event will say the same, if it is still open.
    """

    said: bool
    ids: Mapping[str, Any] = {}
    scope: Scope | None = None


Rule = Callable[[logging.LogRecord], Subject | None]
PrintRecord = Callable[..., None]

# Written as modules are imported.
_rules: dict[str, Rule] = {}
#: Returns the rule for the lines of a logger, or ``None``.
rule_for = _rules.get


class _Watch(threading.local):
    """The logger of the closing event that this thread is logging, and whether the handler printed an event of it since."""

    logger: str | None = None
    printed = False


WATCH = _Watch()


def lines_of(logger: str) -> Callable[[Rule], Rule]:
    """Make the decorated function the rule for the lines of *logger*: it returns ``None`` for a line that repeats nothing."""

    def add(rule: Rule) -> Rule:
        _rules[logger] = rule
        return rule

    return add


def about_scope(scope: Scope) -> Subject:
    """Return the subject of a line that says what the closing event of *scope* says."""
    ids = {} if scope is current_scope() else {**scope.inside, **span_ids(scope.span)}
    return Subject(scope.told, ids, None if scope.ended else scope)


def about_exception(error: object) -> Subject | None:
    """Return the subject of a line that tells of *error*, ``None`` if no closing event has told of it."""
    ids = reported_ids(error) if isinstance(error, BaseException) else None
    return None if ids is None else Subject(True, ids)


def print_unless_said(record: logging.LogRecord, rule: Rule, print_record: PrintRecord, *, wanted: bool) -> None:
    """Print *record* now, later or not at all.

    Args:
        record: a line of a framework.
        rule: tells what it is about.
        print_record: prints it, with the ids that it is given.
        wanted: print it in any case: then an exception waits for the event that prints its traceback, and nothing else does.
    """
    subject = rule(record)
    if subject is None:
        print_record(record)
    elif subject.scope is not None and (not wanted or record.exc_info):
        scope = subject.scope
        scope.waiting = (*scope.waiting, (wanted, partial(print_record, record)))
    elif wanted or not subject.said:
        print_record(record, subject.ids)


def release(scope: Scope) -> None:
    """Print the lines that waited for the closing event of *scope*, unless that said the same. Nothing waits afterwards."""
    waiting, scope.waiting = scope.waiting, ()
    for wanted, print_record in waiting:
        if wanted or not scope.told:
            print_record()
