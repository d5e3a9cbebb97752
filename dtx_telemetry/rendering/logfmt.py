"""Lines as logfmt: ``key=value`` pairs separated by blanks, each line one event."""

import re
from typing import Any

from .escape import printable
from .json import encode
from .sanitizer import Sanitizer

__all__ = ["LogfmtRenderer", "pairs"]

_BARE = re.compile(r"[^\s\"=\\]+")
_NOT_IN_KEYS = re.compile(r"[\s\"=\\]")


class LogfmtRenderer:
    """Renders lines as logfmt."""

    __slots__ = ("_sanitizer",)

    def __init__(self, sanitizer: Sanitizer) -> None:
        self._sanitizer = sanitizer

    def render(self, line: dict[str, Any]) -> bytes:
        return self.encode(self._sanitizer.line(line))

    def encode(self, line: dict[str, Any]) -> bytes:
        return f"{pairs(line)}\n".encode()


def pairs(fields: dict[str, Any]) -> str:
    """Return plain *fields* as ``key=value key="two words"``."""
    return " ".join([f"{_key(key)}={_value(value)}" for key, value in fields.items()])


def _key(key: str) -> str:
    return _NOT_IN_KEYS.sub("_", printable(key)) or "_"


def _value(value: Any) -> str:
    text = value if type(value) is str else encode(value)
    if text.isprintable() and _BARE.fullmatch(text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(quoted)}"'
