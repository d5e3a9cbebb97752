"""Which lines are wanted: by level, logger, event, time and the values of fields."""

import glob
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

import orjson

from ..errors import UsageError
from .line import Line

__all__ = ["LEVELS", "Filters", "parse_moment", "split_pairs"]

LEVELS = ("debug", "info", "warning", "error", "critical")
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
#: Ids, of which a beginning is enough: they are shown cut to eight characters.
_IDS = frozenset({"request.id", "task.id", "trace_id", "ws.conn_id"})
_MIN_BEGINNING = 8


@dataclass(frozen=True)
class Filters:
    """What a line has to be; all of it must hold.

    Attributes:
        level: the lowest level, ``None`` for every one.
        loggers: names; each stands for the loggers below it too.
        events: names, in which ``*`` and ``?`` stand for any characters.
        since: seconds since the epoch, ``None`` for no limit.
        until: likewise.
        pairs: fields and the text of their values.
    """

    level: str | None = None
    loggers: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    pairs: tuple[tuple[str, str], ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything is asked for."""
        return self != Filters()

    @property
    def match(self) -> Callable[[Line], bool]:
        """The function that tells whether a line is wanted."""
        tests = [*self._named(), *[_has(name, text) for name, text in self.pairs]]
        if self.since is not None or self.until is not None:
            tests.append(self.in_time)
        return (lambda line: all(test(line) for test in tests)) if tests else _always

    def of(self, lines: Iterable[Line]) -> Iterable[Line]:
        """Return those of *lines* that are wanted."""
        return filter(self.match, lines) if self.any else lines

    def in_time(self, line: Line) -> bool:
        """Return whether a line is of the time that is asked for."""
        return (self.since is None or line.time >= self.since) and (self.until is None or line.time <= self.until)

    def _named(self) -> list[Callable[[Line], bool]]:
        tests: list[Callable[[Line], bool]] = []
        if self.level is not None:
            levels = frozenset(LEVELS[LEVELS.index(self.level) :])
            tests.append(lambda line: line.level in levels or line.level not in LEVELS)
        if self.loggers:
            tests.append(lambda line: any(_is_below(str(line.fields["logger"]), name) for name in self.loggers))
        if self.events:
            tests.append(lambda line: any(fnmatchcase(line.event, pattern) for pattern in self.events))
        return tests


def _always(_line: Line) -> bool:
    return True


def _is_below(logger: str, name: str) -> bool:
    return logger == name or logger.startswith(f"{name}.")


def _has(name: str, text: str) -> Callable[[Line], bool]:
    def has(line: Line) -> bool:
        value = line.fields.get(name, _MISSING)
        if isinstance(value, list):
            return any(_text(item) == text for item in value) or ",".join(map(_text, value)) == text
        found = _text(value)
        return found == text or (name in _IDS and len(text) >= _MIN_BEGINNING and found.startswith(text))

    return has


_MISSING = object()


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is _MISSING else orjson.dumps(value).decode()


def parse_moment(text: str, now: float | None = None) -> float:
    """Return a time as seconds since the epoch.

    Args:
        text: ISO 8601 (local where it has no offset), or how long before *now*: ``90s``, ``10m``, ``2h``, ``1d``.
        now: ``None`` for the time of the call.

    Raises:
        UsageError: it is neither.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return (time.time() if now is None else now) - float(ago[1]) * _SECONDS[ago[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no time: write 10m, 2h or an ISO 8601 date and time") from None


def split_pairs(words: Iterable[str]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return which of *words* are files, and which ``key=value``."""
    files: list[str] = []
    pairs: list[tuple[str, str]] = []
    for word in words:
        name, equals, value = word.partition("=")
        if equals and name and "/" not in name and not _is_file(word):
            pairs.append((name, value))
        else:
            files.append(word)
    return files, pairs


def _is_file(word: str) -> bool:
    # Of `Path.exists` some names, such as one that is too long, make an error.
    return os.path.exists(word) or bool(glob.glob(word, recursive=True))  # noqa: PTH110, PTH207
