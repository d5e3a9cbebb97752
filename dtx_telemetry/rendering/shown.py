"""What an object's own ``repr`` shows of it: nothing that it hides is dug out."""

import collections
import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import Enum
from types import FunctionType
from typing import Any

__all__ = ["Fields", "has_own_repr", "hides_something", "shown_fields"]

Fields = Callable[[Any], Iterable[tuple[str, Any]]]

_MAKES = "__dataclass_fields__", "__attrs_attrs__", "_fields", "__struct_fields__", "__pydantic_fields__"


def shown_fields(kind: type) -> Fields | None:
    """Return what reads the fields of *kind*, a data class of any make, that its repr shows.

    ``None`` for a class that is none, or whose repr is not the one that its make writes: then that repr is what it shows.
    """
    if not any(hasattr(kind, name) for name in _MAKES):
        return None
    owner = _repr_owner(kind)
    written_in = _file_of(owner.__dict__["__repr__"])
    own = owner.__dict__
    if "__dataclass_fields__" in own and written_in == "<string>":
        return _by_name([field.name for field in dataclasses.fields(owner) if field.repr])
    if "__attrs_attrs__" in own and written_in.startswith("<attrs generated"):
        return _attrs_reader(own["__attrs_attrs__"])
    if "_fields" in own and issubclass(owner, tuple) and written_in == collections.__file__:
        return _by_name(own["_fields"])
    if hasattr(kind, "__struct_fields__") and owner.__module__.startswith("msgspec"):
        return _by_name(kind.__struct_fields__)
    if hasattr(kind, "__pydantic_fields__") and owner.__module__.startswith("pydantic."):
        return _pydantics
    return None


def has_own_repr(kind: type) -> bool:
    """Whether *kind* has a repr written by an application or a library; those of the standard library hide nothing."""
    owner = _repr_owner(kind)
    module = owner.__module__.partition(".")[0]
    written = isinstance(owner.__dict__["__repr__"], FunctionType)
    return written and module not in sys.stdlib_module_names and not issubclass(kind, Enum)


def hides_something(value: Any, text: str) -> bool:
    """Whether *text*, the repr of a container or string, leaves something out of what it holds."""
    return _plain_repr(value) not in text


def _plain_repr(value: Any) -> str:
    for base in (str, bytes, bytearray, dict, list, tuple):
        if isinstance(value, base):
            return base.__repr__(value)
    if isinstance(value, Mapping):
        return repr(dict(value.items()))
    return repr(set(value) if isinstance(value, AbstractSet) else list(value))


def _repr_owner(kind: type) -> type:
    return next(base for base in kind.__mro__ if "__repr__" in base.__dict__)


def _file_of(function: Any) -> str:
    """Return where *function* was written; generated code has a name in angle brackets."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "" if code is None else str(code.co_filename)


def _by_name(names: Iterable[str]) -> Fields:
    kept = tuple(names)
    return lambda value: [(name, getattr(value, name, None)) for name in kept]


def _attrs_reader(attributes: Iterable[Any]) -> Fields:
    shown = [(attribute.name, attribute.repr) for attribute in attributes if attribute.repr is not False]

    def read(value: Any) -> list[tuple[str, Any]]:
        found = [(name, show, getattr(value, name, None)) for name, show in shown]
        return [(name, show(item) if callable(show) else item) for name, show, item in found]

    return read


def _pydantics(value: Any) -> list[tuple[str, Any]]:
    return [(name or "value", item) for name, item in value.__repr_args__()]
