"""How values of each type are read: the parts of containers and data classes, the text of everything else.

A data class (of any make) shows what its ``repr`` shows, and nothing that it hides is dug out.
"""

import collections
import dataclasses
import inspect
import sys
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
from types import FunctionType
from typing import Any, Protocol, TypeVar
from uuid import UUID

from ..errors import error_text

__all__ = ["Walk", "ask", "key_text", "reader", "unprintable"]

# Values that are asked for their text may log while they answer, also about themselves.
_MAX_NESTED_CALLS = 2
_calls = threading.local()
_MAKES = "__dataclass_fields__", "__attrs_attrs__", "_fields", "__struct_fields__", "__pydantic_fields__"
_Answer = TypeVar("_Answer")


class Walk(Protocol):
    """One value's way into plain data: strings, numbers, lists and dicts."""

    room: int

    def value(self, value: object) -> Any:
        """Make any value plain."""

    def text(self, text: str) -> str:
        """Make a string plain."""

    def mapping(self, value: object, items: Iterable[tuple[object, object]], count: int) -> Any:
        """Make the *count* items of *value* a plain dict."""

    def sequence(self, value: object, items: Iterable[object], count: int) -> Any:
        """Make the *count* items of *value* a plain list."""

    def redact(self) -> str:
        """Return what stands for a secret."""

    def finds_secret(self, read: "Callable[[Walk], object]") -> bool:
        """Return True if *read* comes across a secret."""


#: Makes a value plain. Which type of value it takes is what `_READERS` and `reader` say.
_Reader = Callable[[Walk, Any], Any]
_Fields = Callable[[Any], Iterable[tuple[str, object]]]


@lru_cache(maxsize=1024)
def reader(kind: type) -> _Reader:
    """Return what makes values of *kind* plain."""
    fields = _shown_fields(kind)
    if fields is not None and not issubclass(kind, Enum | BaseException | dict):
        return _read_fields(fields)
    for types, read in _READERS:
        if issubclass(kind, types):
            return _as_shown(read) if issubclass(kind, _HOLDERS) and _has_own_repr(kind) else read
    bases = {(base.__module__, base.__name__) for base in kind.__mro__}
    if ("django.http.request", "HttpRequest") in bases:
        return _called(_http_request)
    if ("django.utils.functional", "Promise") in bases:
        return _called(str)
    return _called(repr)


def ask(question: Callable[[], _Answer]) -> _Answer:
    """Return what *question* returns. It runs the code of values, which may do anything, even log.

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


def _constant(walk: Walk, value: object) -> object:
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
    return walk.text(head.decode("utf-8", "backslashreplace"))


def _called(function: Callable[[Any], object]) -> _Reader:
    """Read by the value's own code."""
    return lambda walk, value: walk.value(ask(lambda: function(value)))


def _http_request(request: Any) -> str:
    # Its repr has the query string, which is private.
    return f"<{type(request).__name__}: {request.method} {request.path!r}>"


_TEXT_TYPES = (UUID, Decimal, Fraction, timedelta, IPv4Address, IPv6Address)
_SEQUENCES = (list, tuple, set, frozenset, deque, AbstractSet)
#: By type, the first that fits.
_READERS: tuple[tuple[Any, _Reader], ...] = (
    (str, lambda walk, value: walk.text(str.__str__(value))),
    ((bool, type(None)), _constant),
    (int, _integer),
    (float, _float),
    ((bytes, bytearray, memoryview), _bytes),
    (Enum, lambda walk, value: walk.value(value._value_)),
    (dict, lambda walk, value: walk.mapping(value, dict.items(value), dict.__len__(value))),
    (Mapping, lambda walk, value: walk.mapping(value, value.items(), len(value))),
    (_SEQUENCES, lambda walk, value: walk.sequence(value, value, len(value))),
    ((date, time), _called(lambda value: value.isoformat())),
    (_TEXT_TYPES, _called(str)),
    (PathLike, _called(lambda value: value.__fspath__())),
    (BaseException, _called(error_text)),
    (Integral, _called(int)),
    (Real, _called(float)),
)
# What holds others, or text.
_HOLDERS = (str, bytes, bytearray, Mapping, *_SEQUENCES)


def _as_shown(read: _Reader) -> _Reader:
    """Read a container or a string as its own repr shows it, if that leaves out something of what it holds."""

    def read_as_shown(walk: Walk, value: object) -> Any:
        text = ask(lambda: repr(value))
        if _plain_repr(value) in text:
            return read(walk, value)
        # What its text says of a secret cannot be told apart.
        return walk.redact() if walk.finds_secret(lambda probe: read(probe, value)) else walk.text(text)

    return read_as_shown


def _has_own_repr(kind: type) -> bool:
    """Return True if an application or a library wrote the repr of *kind*. The standard library's hide nothing."""
    owner = _repr_owner(kind)
    module = owner.__module__.partition(".")[0]
    written = isinstance(owner.__dict__["__repr__"], FunctionType)
    return written and module not in sys.stdlib_module_names and not issubclass(kind, Enum)


def _plain_repr(value: Any) -> str:
    for base in (str, bytes, bytearray, dict, list, tuple):
        if isinstance(value, base):
            return base.__repr__(value)
    if isinstance(value, Mapping):
        return repr(dict(value.items()))
    return repr(set(value) if isinstance(value, AbstractSet) else list(value))


def _read_fields(read_fields: _Fields) -> _Reader:
    def read(walk: Walk, value: object) -> Any:
        fields = list(ask(lambda: read_fields(value)))
        return walk.mapping(value, fields, len(fields))

    return read


def _shown_fields(kind: type) -> _Fields | None:
    """Return what reads the fields of *kind*, a data class, that its repr shows.

    ``None`` unless *kind* is a data class with a generated repr: a repr of its own is what it shows.
    """
    if not any(hasattr(kind, name) for name in _MAKES):
        return None
    owner = _repr_owner(kind)
    own = owner.__dict__
    # Generated code has a name in angle brackets.
    code = getattr(inspect.unwrap(own["__repr__"]), "__code__", None)
    written_in = "" if code is None else str(code.co_filename)
    if "__dataclass_fields__" in own and written_in == "<string>":
        return _by_name([field.name for field in dataclasses.fields(owner) if field.repr])
    if "__attrs_attrs__" in own and written_in.startswith("<attrs generated"):
        return _by_attribute(own["__attrs_attrs__"])
    if "_fields" in own and issubclass(owner, tuple) and written_in == collections.__file__:
        return _by_name(own["_fields"])
    if hasattr(kind, "__struct_fields__") and owner.__module__.startswith("msgspec"):
        return _by_name(kind.__struct_fields__)
    if hasattr(kind, "__pydantic_fields__") and owner.__module__.startswith("pydantic."):
        return lambda value: [(name or "value", item) for name, item in value.__repr_args__()]
    return None


def _repr_owner(kind: type) -> type:
    return next(base for base in kind.__mro__ if "__repr__" in base.__dict__)


def _by_name(names: Iterable[str]) -> _Fields:
    kept = tuple(names)
    return lambda value: [(name, getattr(value, name, None)) for name in kept]


def _by_attribute(attributes: Iterable[Any]) -> _Fields:
    """Read an attrs class, whose attributes may say how they are shown."""
    shown = [(attribute.name, attribute.repr) for attribute in attributes if attribute.repr is not False]

    def read(value: object) -> list[tuple[str, object]]:
        found = [(name, show, getattr(value, name, None)) for name, show in shown]
        return [(name, show(item) if callable(show) else item) for name, show, item in found]

    return read
