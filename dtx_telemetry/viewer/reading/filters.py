"""The filter language of all commands and of the page: which lines are wanted.

A word has to be found in the line. ``key=value`` and its siblings ask for a field. ``-`` before either means not. All of them
have to hold: for a line by itself, for a row (a request, a task) by any of its lines.
"""

import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as clock_time
from fnmatch import fnmatchcase
from operator import ge, gt, le, lt
from typing import Any, NamedTuple

import orjson

from ..errors import UsageError
from .line import LEVELS, Line, to_json

__all__ = ["Condition", "Filters", "is_condition", "parse_filters", "parse_moment", "text_of", "typed_words"]

Test = Callable[[Line], bool]

_FIELD = re.compile(r"(-?)([A-Za-z_@][\w.@-]*?)(!=|>=|<=|=|>|<|~)(.*)", re.DOTALL)
#: A word of a text that people type: blanks may stand in quotes.
_WORD = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_AMOUNT = re.compile(r"(-?\d+(?:\.\d+)?)(ms|s|m|h)?")
_MILLISECONDS = {None: 1, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_CLOCK = re.compile(r"\d\d?:\d\d(:\d\d)?")
#: Ids, of which a beginning is enough: they are shown cut to eight characters.
_IDS = frozenset({"request.id", "task.id", "trace_id", "ws.conn_id"})
_MIN_BEGINNING = 8
#: What the stable semantic conventions call the same.
_SYNONYMS = {
    "http.status_code": "http.response.status_code",
    "http.response.status_code": "http.status_code",
    "http.method": "http.request.method",
    "http.request.method": "http.method",
}
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}


class Condition(NamedTuple):
    """One thing that is asked for.

    Attributes:
        text: as it was written.
        test: whether a line has it, a ``-`` before it aside.
        is_negated: whether no line may have it.
        is_time: whether it asks for the time alone.
    """

    text: str
    test: Test
    is_negated: bool
    is_time: bool


@dataclass(frozen=True)
class Filters:
    """Conditions, all of which have to hold."""

    conditions: tuple[Condition, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.conditions)

    @property
    def text(self) -> str:
        """Everything that is asked for, as it was written."""
        return " ".join(condition.text for condition in self.conditions)

    def match(self, line: Line) -> bool:
        """Return whether a line by itself is wanted."""
        return all(condition.test(line) is not condition.is_negated for condition in self.conditions)

    def mask(self, line: Line) -> int:
        """Return which conditions a line meets, a bit for each. Of a row, take those of all its lines together, by ``|``."""
        return sum(1 << place for place, condition in enumerate(self.conditions) if condition.test(line))

    def holds(self, mask: int) -> bool:
        """Return whether a row is wanted whose lines meet the conditions in *mask*."""
        return all(bool(mask >> place & 1) is not each.is_negated for place, each in enumerate(self.conditions))

    @property
    def times(self) -> "Filters":
        """Those that ask for the time alone."""
        return Filters(tuple(condition for condition in self.conditions if condition.is_time))


def typed_words(text: str) -> list[str]:
    """Return the words of what somebody typed, without their quotes."""
    return [word.replace('"', "") for word in _WORD.findall(text)]


def is_condition(word: str) -> bool:
    """Return whether *word* asks for a field."""
    return _FIELD.fullmatch(word) is not None


def parse_filters(words: Iterable[str], now: float | None = None) -> Filters:
    """Return the filters that *words* are.

    Args:
        words: such as ``user.id=42``, ``duration_ms>=2s``, ``-event=ws_*``, ``timestamp>=10m``, ``Invoker``.
        now: what times are reckoned from. ``None`` for the time of the call.

    Raises:
        UsageError: one is not understood. The message says what is.
    """
    moment = time.time() if now is None else now
    return Filters(tuple(_condition(word, moment) for word in words))


def _condition(word: str, now: float) -> Condition:
    found = _FIELD.fullmatch(word)
    if found is not None:
        minus, name, operator, value = found.groups()
        return Condition(word, _field_test(word, name, operator, value, now), minus == "-", name == "timestamp")
    if re.match(r"-?[=<>~!]", word) or word in ("", "-"):
        raise UsageError(
            f"{word!r} is no filter: write a word, key=value, key!=value, key>1, key>=1, key<1, key<=1, key~regex, or -filter"
        )
    is_negated = word.startswith("-")
    return Condition(word, _has_word(word.removeprefix("-")), is_negated, is_time=False)


def _field_test(word: str, name: str, operator: str, value: str, now: float) -> Test:
    if value.startswith("="):
        raise UsageError(f"{word!r} is no filter: write one = for equal")
    if name == "timestamp" and operator in _ORDERS:
        seconds, order = parse_moment(value, now), _ORDERS[operator]
        return lambda line: order(line.time, seconds)
    if name == "level" and operator in _ORDERS:
        return _level_test(word, operator, value.lower())
    if operator in _ORDERS:
        return _order_test(word, name, operator, value)
    if operator == "~":
        return _regex_test(word, name, value)
    has = _any_of(name, value.split(",")) if name in ("logger", "event") else _has(name, value)
    return has if operator == "=" else lambda line: _value(line, name) is not _MISSING and not has(line)


def _level_test(word: str, operator: str, value: str) -> Test:
    if value not in LEVELS:
        raise UsageError(f"{word!r}: {value!r} is no level; the levels are {', '.join(LEVELS)}")
    order, wanted = _ORDERS[operator], LEVELS.index(value)
    fitting = frozenset(level for place, level in enumerate(LEVELS) if order(place, wanted))
    # A level that is not known is not held back by one that is.
    return lambda line: line.level in fitting or (line.level not in LEVELS and operator in (">", ">="))


def _order_test(word: str, name: str, operator: str, value: str) -> Test:
    amount = _AMOUNT.fullmatch(value)
    if amount is None:
        raise UsageError(f"{word!r}: {value!r} is no number; write {name}{operator}100, or a length of time such as 500ms, 2s")
    order, wanted = _ORDERS[operator], float(amount[1]) * _MILLISECONDS[amount[2]]
    return lambda line: (found := _number(_value(line, name))) is not None and order(found, wanted)


def _regex_test(word: str, name: str, value: str) -> Test:
    try:
        search = re.compile(value).search
    except re.error as error:
        raise UsageError(f"{word!r}: {value!r} is no regular expression: {error}") from None
    return lambda line: any(search(text) for text in _texts(_value(line, name)))


def _has_word(word: str) -> Test:
    needle = orjson.dumps(word.casefold())[1:-1].decode()

    def has(line: Line) -> bool:
        raw = line.raw if line.raw and b"\\u" not in line.raw else to_json(line.fields)
        return needle in raw.decode(errors="replace").casefold()

    return has


def _any_of(name: str, texts: Iterable[str]) -> Test:
    tests = [_has(name, text) for text in texts]
    return lambda line: any(test(line) for test in tests)


def _has(name: str, text: str) -> Test:
    is_pattern, wanted = "*" in text or "?" in text, _number(text)

    def has(line: Line) -> bool:
        value = _value(line, name)
        found = _texts(value)
        if text in found or (is_pattern and value is not _MISSING and any(fnmatchcase(each, text) for each in found)):
            return True
        if name == "logger":
            return found[0].startswith(f"{text}.")
        if name in _IDS:
            return len(text) >= _MIN_BEGINNING and found[0].startswith(text)
        return wanted is not None and type(value) in (int, float) and value == wanted

    return has


_MISSING = object()


def text_of(line: Line, name: str) -> str:
    """Return what a line has under *name*, or its platform says of it, as text. Empty if there is nothing."""
    return _text(_value(line, name))


def _value(line: Line, name: str) -> Any:
    value = line.fields.get(name, _MISSING)
    if value is not _MISSING:
        return value
    if name == "request.id":
        return line.request_id or _MISSING
    if name == "service":
        return line.fields.get("service.name") or line.service or _MISSING
    if name in line.origin:
        return line.origin[name]
    other = _SYNONYMS.get(name)
    return _MISSING if other is None else line.fields.get(other, _MISSING)


def _texts(value: Any) -> list[str]:
    """Return what *value* may be written as. A list may be written as each of its items too."""
    if isinstance(value, list):
        items = [_text(item) for item in value]
        return [",".join(items), *items]
    return [_text(value)]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is _MISSING else to_json(value).decode()


def _number(value: Any) -> float | None:
    if type(value) in (int, float):
        return float(value)
    amount = _AMOUNT.fullmatch(value) if isinstance(value, str) else None
    return None if amount is None or amount[2] else float(amount[1])


def parse_moment(text: str, now: float | None = None) -> float:
    """Return a time as seconds since the epoch.

    Args:
        text: ISO 8601 (local if it has no offset), a time of day (the latest before *now*), or how long before *now*:
            ``90s``, ``10m``, ``2h``, ``1d``.
        now: ``None`` for the time of the call.

    Raises:
        UsageError: it is neither.
    """
    now = time.time() if now is None else now
    ago = _AGO.fullmatch(text)
    if ago is not None:
        return now - float(ago[1]) * _SECONDS[ago[2]]
    try:
        if _CLOCK.fullmatch(text):
            day = datetime.fromtimestamp(now).astimezone().date()
            clock = clock_time.fromisoformat(text.zfill(8 if text.count(":") > 1 else 5))
            moments = (datetime.combine(day - timedelta(days=back), clock).timestamp() for back in (0, 1))
            return next(moment for moment in moments if moment <= now)
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no time: write 10m, 2h, 14:03 or an ISO 8601 date and time") from None
