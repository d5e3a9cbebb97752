"""Carrying a context out of a process and in again: what is safe in JSON and AMQP, bounded in size, and never trusted."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

from . import binding
from .binding import is_known, variables
from .request_ids import valid_request_id, valid_scope_id
from .scope import current

__all__ = ["CONTEXT_KEY", "MAX_SIZE", "Parcel", "carry_in", "carry_out", "outgoing_fields"]

#: The one key of ours in a channel layer's message, and the header of a task's message, that holds the context.
CONTEXT_KEY = "dtx.context"

#: Bytes of the serialised context that go along with a message, ``request.id`` aside.
MAX_SIZE = 4096
_MAX_DEPTH = 32
# AMQP 0-9-1, section 4.2.5.3: the names in a field table are short strings, of 255 bytes at most.
_MAX_KEY_BYTES = 255
# Characters of keys and values that serialise to MAX_SIZE at most, be each of them escaped by six.
_PLAIN_LENGTH = 600
_PLAIN_COUNT = 16
_INT64_END = 2**63
_INT64_START = -_INT64_END
_INT64 = range(_INT64_START, _INT64_END)
#: Written as text without a word about it: their text says all that they hold.
_TEXTUAL = (datetime, date, time, timedelta, UUID, Decimal)
# kombu reads a dict of just these keys as an object of its own, and refuses the whole message if it knows no such type.
_KOMBU_KEYS = {"__type__", "__value__"}
# Every distinct key costs structlog a variable for good. A process that has this many takes no new ones from outside.
_MAX_VARIABLES = 2048
_MAX_PROBLEMS = 32
_ALWAYS = frozenset({"request.id", "scope.id"})


@dataclass(slots=True)
class Parcel:
    """What is carried, and what had to be done to it.

    Attributes:
        request_id: a valid id, or ``None``.
        fields: the rest, equal on both sides.
        problems: by key what was done: ``left out``, ``turned into text``, ``replaced``.
    """

    request_id: str | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def note(self, key: object, problem: str) -> None:
        """Note a problem with *key*, unless there are many already: the sender chooses how many keys there are."""
        if len(self.problems) < _MAX_PROBLEMS:
            self.problems[_text(key)[:64]] = problem


@lru_cache(maxsize=256)
def travels(key: str) -> bool:
    """Return True if *key* may go along with a message: a message of Celery names its parent task itself."""
    return key != "scope.cause" and not key.startswith("task.")


def outgoing_fields(keys: Collection[str] | None = None) -> dict[str, Any]:
    """Return what a message that is published now takes along, as a new dict.

    That is what the scopes bound. What the process had bound before its outermost scope stays at home, and so do ``task.*``,
    since a message of Celery names its parent task itself, and ``scope.cause``.

    Args:
        keys: only these travel, besides ``request.id`` and ``scope.id``. ``None``: all of them.
    """
    fields = {key: value for key, value in binding.bound().items() if travels(key)}
    scope = current.get()
    if scope is not None and not scope.own.keys() <= fields.keys():
        fields = {key: value for key, value in scope.own.items() if travels(key)} | fields
    if keys is not None:
        fields = {key: value for key, value in fields.items() if key in keys or key in _ALWAYS}
    if scope is None or not scope.base:
        return fields
    base = scope.base
    return {key: value for key, value in fields.items() if key not in base or base[key] is not value}


def carry_out(fields: dict[str, Any]) -> Parcel:
    """Return *fields*, a dict given away, as they go along with a message: safe in JSON and AMQP, of `MAX_SIZE` bytes at most.

    JSON scalars, lists and dicts arrive equal. Anything else becomes text or, if it has none, a word about it.
    Over the limit the biggest values are left out first. Never raises.
    """
    return _pack(fields.pop("request.id", None), fields)


def carry_in(request_id: object, fields: object) -> Parcel:
    """Return what of a received id and context is good. Each is judged by itself. Never raises.

    The sender's ``scope.id`` becomes the ``scope.cause`` of the scope that is entered for the message.

    Args:
        request_id: as it came, ``None`` if the message had none.
        fields: as they came, ``None`` if the message had none.
    """
    if not isinstance(fields, dict):
        parcel = _pack(request_id, {})
        if fields is not None:
            parcel.note(CONTEXT_KEY, "left out")
        return parcel
    has_room = variables() < _MAX_VARIABLES
    welcome = {
        key: value
        for key, value in fields.items()
        if isinstance(key, str) and key != "request.id" and travels(key) and (has_room or is_known(key))
    }
    cause = welcome.pop("scope.id", None)
    parcel = _pack(request_id, welcome)
    if len(welcome) + (cause is not None) != len(fields):
        for key in fields.keys() - welcome.keys() - {"scope.id"}:
            parcel.note(key, "left out")
    if valid_scope_id(cause):
        parcel.fields["scope.cause"] = cause
    elif cause is not None:
        parcel.note("scope.id", "left out")
    return parcel


def _pack(request_id: object, fields: dict[Any, Any]) -> Parcel:
    parcel = Parcel(None, fields, {})
    if valid_request_id(request_id):
        parcel.request_id = request_id
    elif request_id is not None:
        parcel.note("request.id", "replaced")
    if not _is_plain(fields):
        parcel.fields = {}
        for key, value in fields.items():
            _pack_one(parcel, key, value)
        _fit(parcel)
        if parcel.fields.keys() == _KOMBU_KEYS:
            parcel.fields = {}
            parcel.note("__type__", "left out")
    return parcel


def _is_plain(fields: dict[Any, Any]) -> bool:
    """Return True if *fields* are few short texts and whole numbers, the usual case, which needs no walk and no measuring."""
    if len(fields) > _PLAIN_COUNT or "__type__" in fields:
        return False
    length = 0
    for key, value in fields.items():
        if type(key) is not str or not key.isascii() or len(key) > _MAX_KEY_BYTES:
            return False
        length += len(key) + 6
        kind = type(value)
        if kind is str:
            if not value.isascii():
                return False
            length += len(value)
        elif kind is list:
            for item in value:
                if type(item) is not str or not item.isascii():
                    return False
                length += len(item) + 1
        elif (kind is not int or not _INT64_START <= value < _INT64_END) and kind is not bool and value is not None:
            return False
    return length <= _PLAIN_LENGTH


def _pack_one(parcel: Parcel, key: object, value: Any) -> None:
    walk = _Walk()
    try:
        if not isinstance(key, str) or not _is_key(key):
            raise _CannotFit
        parcel.fields[str.__str__(key)] = walk.safe(value, 0)
    except Exception:
        parcel.note(key, "left out")
    else:
        if walk.changed:
            parcel.note(key, "turned into text")


def _fit(parcel: Parcel) -> None:
    """Leave out the biggest values until what is left serialises to the limit."""
    sizes = {key: len(json.dumps({key: value})) for key, value in parcel.fields.items()}
    total = sum(sizes.values())
    for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
        if total <= MAX_SIZE:
            return
        total -= sizes[key]
        del parcel.fields[key]
        parcel.note(key, "left out")


class _CannotFit(Exception):
    """A value is so big that there is no need to look at all of it."""


class _Walk:
    """One value on its way to something that JSON and AMQP can both hold. Notes whether it had to be changed."""

    __slots__ = ("_around", "_left", "changed")

    def __init__(self) -> None:
        self.changed = False
        self._left = MAX_SIZE // 2  # each value takes two bytes at least: itself and a comma
        self._around: list[int] = []

    def safe(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _CannotFit
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self._clean(str.__str__(value))
        if isinstance(value, int):
            return int(value) if int(value) in _INT64 else self._as_text(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else self._as_text(float(value))
        if isinstance(value, Mapping | list | tuple | set | frozenset):
            return self._container(value, depth)
        return _text(value) if isinstance(value, _TEXTUAL) else self._as_text(value)

    def _container(self, value: Any, depth: int) -> Any:
        if depth >= _MAX_DEPTH or id(value) in self._around:
            self.changed = True
            return f"<{type(value).__name__}>"
        self._around.append(id(value))
        try:
            if isinstance(value, Mapping):
                return self._mapping(value, depth)
            return [self.safe(item, depth + 1) for item in value]
        finally:
            self._around.pop()

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> Any:
        if value.keys() == _KOMBU_KEYS:
            return self._as_text(dict(value))
        result = {}
        for key, item in value.items():
            name = str.__str__(key) if isinstance(key, str) else self._as_text(key)
            if _is_key(name):
                result[name] = self.safe(item, depth + 1)
            else:
                self.changed = True
        return result

    def _clean(self, text: str) -> str:
        if len(text) > MAX_SIZE:
            raise _CannotFit
        clean = _encodable(text)
        self.changed = self.changed or clean != text
        return clean

    def _as_text(self, value: Any) -> str:
        self.changed = True
        return _text(value)


def _is_key(key: str) -> bool:
    try:
        return len(key.encode()) <= _MAX_KEY_BYTES
    except UnicodeEncodeError:
        return False


def _text(value: object) -> str:
    """Return *value* as text, whatever its ``__str__`` and ``__repr__`` do, cut if it is too long to be carried."""
    if isinstance(value, bytes | bytearray):
        return bytes(value[: MAX_SIZE + 1]).decode("utf-8", "backslashreplace")
    for render in (str, repr):
        try:
            return _encodable(render(value)[: MAX_SIZE + 1])
        except Exception:  # noqa: S112 - an object that cannot say what it is: the next way, or its type's name
            continue
    return f"<{type(value).__name__}>"


def _encodable(text: str) -> str:
    """Return *text* with lone surrogates written as escapes: UTF-8 (RFC 3629), and so AMQP, has none."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
