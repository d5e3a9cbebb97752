"""How values of each type are read: the parts of containers, the text of everything else."""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address
from math import isfinite, isnan
from numbers import Integral, Real
from os import PathLike
from typing import Any, Protocol
from uuid import UUID

from ..errors import error_text
from .shown import Fields, has_own_repr, hides_something, shown_fields

__all__ = ["Walk", "ask", "key_text", "reader", "unprintable"]

# Values that are asked for their text may log while they answer, also about themselves.
_MAX_NESTED_CALLS = 2
_calls = threading.local()


class Walk(Protocol):
    """One value's way into plain data."""

    room: int

    def value(self, value: Any) -> Any:
        """Make any value plain."""

    def text(self, text: str) -> str:
        """Make a string plain."""

    def mapping(self, value: object, items: Iterable[tuple[Any, Any]], count: int) -> Any:
        """Make the *count* items of *value* a plain dict."""

    def sequence(self, value: object, items: Iterable[Any], count: int) -> Any:
        """Make the *count* items of *value* a plain list."""

    def redact(self) -> str:
        """Return what stands for a secret."""

    def finds_secret(self, read: "Callable[[Walk], Any]") -> bool:
        """Whether *read* comes across a secret."""


Reader = Callable[[Walk, Any], Any]


def _constant(walk: Walk, value: Any) -> Any:
    walk.room -= 4
    return value


def _integer(walk: Walk, value: int) -> int | str:
    number = int.__add__(value, 0)
    if -(2**63) <= number < 2**64:
        walk.room -= number.bit_length() // 4  # its digits, roughly
        return number
    # As the JSON mapping of protocol buffers: what readers of JSON do not hold exactly is a string.
    return walk.text(str(number) if number.bit_length() < 14000 else hex(number))


def _float(walk: Walk, value: float) -> float | str:
    walk.room -= 8
    number = float.__add__(value, 0.0)
    if isfinite(number):
        return number
    return "NaN" if isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _bytes(walk: Walk, value: bytes | bytearray | memoryview) -> str:
    head = bytes(value[: max(walk.room, 0) + 2048])
    text = head.decode("utf-8", "backslashreplace")
    return walk.text(text)


def _dict(walk: Walk, value: dict[Any, Any]) -> Any:
    return walk.mapping(value, dict.items(value), dict.__len__(value))


def _mapping(walk: Walk, value: Mapping[Any, Any]) -> Any:
    return walk.mapping(value, value.items(), len(value))


def _sequence(walk: Walk, value: Any) -> Any:
    return walk.sequence(value, value, len(value))


def _fields(read_fields: Fields) -> Reader:
    def read(walk: Walk, value: Any) -> Any:
        fields = list(ask(lambda: read_fields(value)))
        return walk.mapping(value, fields, len(fields))

    return read


def ask(question: Callable[[], Any]) -> Any:
    """Return what *question* returns, which runs the code of values: that may do anything, log itself included.

    Raises:
        RecursionError: it is asked while values are being asked, several times over.
    """
    depth = getattr(_calls, "depth", 0)
    if depth >= _MAX_NESTED_CALLS:
        raise RecursionError
    _calls.depth = depth + 1
    try:
        return question()
    finally:
        _calls.depth = depth


def _as_shown(read: Reader) -> Reader:
    """Read a container or a string as its own repr shows it, where that leaves something out of it."""

    def read_as_shown(walk: Walk, value: Any) -> Any:
        text = ask(lambda: repr(value))
        if not hides_something(value, text):
            return read(walk, value)
        # What its text says of a secret cannot be told apart.
        return walk.redact() if walk.finds_secret(lambda probe: read(probe, value)) else walk.text(text)

    return read_as_shown


def _called(function: Callable[[Any], Any]) -> Reader:
    """Read by the value's own code."""
    return lambda walk, value: walk.value(ask(lambda: function(value)))


def _http_request(request: Any) -> str:
    # Its repr has the query string, which is nobody's business.
    return f"<{type(request).__name__}: {request.method} {request.path!r}>"


_TEXT_TYPES = (UUID, Decimal, Fraction, timedelta, IPv4Address, IPv6Address)
_READERS: tuple[tuple[Any, Reader], ...] = (
    (str, lambda walk, value: walk.text(str.__str__(value))),
    ((bool, type(None)), _constant),
    (int, _integer),
    (float, _float),
    ((bytes, bytearray, memoryview), _bytes),
    (Enum, lambda walk, value: walk.value(value._value_)),
    (dict, _dict),
    (Mapping, _mapping),
    ((list, tuple, set, frozenset, deque, AbstractSet), _sequence),
    ((date, time), _called(lambda value: value.isoformat())),
    (_TEXT_TYPES, _called(str)),
    (PathLike, _called(lambda value: value.__fspath__())),
    (BaseException, _called(error_text)),
    (Integral, _called(int)),
    (Real, _called(float)),
)
# What holds others, or text.
_HOLDERS = (str, bytes, bytearray, Mapping, list, tuple, set, frozenset, deque, AbstractSet)


@lru_cache(maxsize=1024)
def reader(kind: type) -> Reader:
    """Return what makes values of *kind* plain."""
    fields = shown_fields(kind)
    if fields is not None and not issubclass(kind, Enum | BaseException | dict):
        return _fields(fields)
    for types, read in _READERS:
        if issubclass(kind, types):
            return _as_shown(read) if issubclass(kind, _HOLDERS) and has_own_repr(kind) else read
    bases = {(base.__module__, base.__name__) for base in kind.__mro__}
    if ("django.http.request", "HttpRequest") in bases:
        return _called(_http_request)
    if ("django.utils.functional", "Promise") in bases:
        return _called(str)
    return _called(repr)


def key_text(key: object) -> str:
    """Return the key of a mapping as text."""
    if isinstance(key, bytes):
        return key.decode("utf-8", "backslashreplace")
    try:
        return str(key)
    except Exception:
        return unprintable(type(key))


def unprintable(kind: type) -> str:
    """Return what stands for a value that cannot be asked, as in a traceback of Python's."""
    return f"<unprintable {kind.__name__} object>"
