"""Keys and plain values as they stand in lines for people."""

import re
from typing import Any

from .escape import printable

__all__ = ["key_text", "value_text"]

_BARE = re.compile(r"[^\s\"'=\\]+")


def key_text(key: str) -> str:
    """Return a key as one word."""
    return printable(key).replace(" ", "_")


def value_text(value: Any) -> str:
    """Return a value as it is where it is one word, else as Python writes it."""
    if type(value) is not str:
        return printable(str(value))
    return value if value.isprintable() and _BARE.fullmatch(value) else repr(value)
