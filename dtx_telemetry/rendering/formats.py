"""Lines for programs: JSON (RFC 8259, UTF-8) and logfmt, one line each.

orjson takes a tenth of the time of the standard library's json and half of msgspec's, has wheels for every platform and many
releases a year, and its licence (MPL 2.0) asks nothing of those who only use it.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from .sanitizer import Masked, Sanitizer
from .terminal import escape_in_json, printable

__all__ = ["JsonRenderer", "LogfmtRenderer", "pairs"]

# What is not exactly a built-in type is refused, and then made plain by us.
_OPTIONS = (
    orjson.OPT_APPEND_NEWLINE
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
_dump = orjson.dumps  # called with its arguments by position: by name they cost twice as much
_BARE = re.compile(r"[^\s\"=\\]+")
_NOT_IN_KEYS = re.compile(r"[\s\"=\\]")


class JsonRenderer:
    """Renders lines as JSON.

    Most lines are printed as they come. Whether one needs cleaning shows in its JSON, which is far cheaper to look through than
    the values are: a type that JSON does not have, too much text, a URL, a dict or list inside, NaN.

    Args:
        sanitizer: cleans lines.
    """

    __slots__ = ("_limit", "_sanitizer")

    def __init__(self, sanitizer: Sanitizer) -> None:
        self._sanitizer = sanitizer
        self._limit = sanitizer.limit

    def render(self, line: dict[str, Any]) -> bytes:
        """Render *line*, whatever its values are."""
        try:
            data = _dump(line, _unmasked, _OPTIONS)
            text = data.decode()
            if not text.isascii() or "\x7f" in text:
                data = escape_in_json(text).encode()
            # Single characters first: a string is searched for one of them ten times as fast as for two.
            if (
                "=" in text  # a URL with a query, perhaps
                or text.find("{", 1) > 0
                or len(text) > self._limit
                or ("@" in text and "://" in text)
                or "\\" in text  # a quoted name, perhaps
                or (text.find("[") != text.rfind("[") and (",[" in text or "[[" in text))
                or "null" in text  # what JSON makes of NaN
            ):
                return self.encode(self._sanitizer.line(line))
        except Exception:  # an odd type or key, a lone surrogate, a number beyond 64 bits: cleaning sees to them
            return self.encode(self._sanitizer.line(line))
        return data

    def encode(self, line: dict[str, Any]) -> bytes:
        """Render a *line* that is plain already."""
        data = _dump(line, None, _OPTIONS)
        return data if data.isascii() and b"\x7f" not in data else escape_in_json(data.decode()).encode()


def _unmasked(value: object) -> str:
    """Return a masked text as a plain string, for orjson, and refuse anything else."""
    if type(value) is Masked:
        return str(value)
    raise TypeError


class LogfmtRenderer:
    """Renders lines as ``key=value`` pairs separated by blanks."""

    __slots__ = ("_sanitizer",)

    def __init__(self, sanitizer: Sanitizer) -> None:
        self._sanitizer = sanitizer

    def render(self, line: dict[str, Any]) -> bytes:
        """Render *line*, whatever its values are."""
        return self.encode(self._sanitizer.line(line))

    def encode(self, line: dict[str, Any]) -> bytes:
        """Render a *line* that is plain already."""
        return f"{pairs(line)}\n".encode()


def pairs(fields: Mapping[str, object]) -> str:
    """Return plain *fields* as ``key=value key="two words"``."""
    return " ".join([f"{_key(key)}={_value(value)}" for key, value in fields.items()])


def _key(key: str) -> str:
    return _NOT_IN_KEYS.sub("_", printable(key)) or "_"


def _value(value: object) -> str:
    text = value if type(value) is str else orjson.dumps(value).decode()
    if text.isprintable() and _BARE.fullmatch(text):
        return text
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{printable(quoted)}"'
