"""Readers of single settings. Each takes what was given and returns the value, or says what it accepts."""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

try:
    from django.core.exceptions import ImproperlyConfigured
except ImportError:  # a Celery app without Django

    class ImproperlyConfigured(Exception):  # type: ignore[no-redef]
        """A setting is wrong."""


__all__ = ["NOTHING", "ImproperlyConfigured", "parse"]

NOTHING: Mapping[str, int] = MappingProxyType({})
_Value = TypeVar("_Value")

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
# Those of the standard library, its two short forms included.
_LEVELS = ("CRITICAL", "FATAL", "ERROR", "WARNING", "WARN", "INFO", "DEBUG")
# RFC 9110, section 5.6.2: a field name is a token.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)


class _NotAccepted(ValueError):
    """What was given is not accepted. The message says what is."""


def parse(name: str, read: Callable[[object], _Value], given: object) -> _Value:
    """Return what *read* makes of *given*.

    Raises:
        ImproperlyConfigured: with the name, what was given and what is accepted.
    """
    try:
        return read(given)
    except _NotAccepted as error:
        raise ImproperlyConfigured(f"{name} is {given!r}; accepted: {error}.") from None


def boolean(given: object) -> bool:
    value = given if isinstance(given, bool) else _BOOLEANS.get(str(given).strip().lower())
    if value is None:
        raise _NotAccepted("true/false, 1/0, yes/no, on/off, in any case")
    return value


def level(given: object) -> int:
    name = str(given).strip().upper()
    if name not in _LEVELS:
        raise _NotAccepted(", ".join(_LEVELS))
    return logging.getLevelNamesMapping()[name]


def levels(given: object) -> Mapping[str, int]:
    """Read ``name=LEVEL`` pairs: ``django.db=DEBUG,celery=WARNING``, or a dict of them."""
    pairs = list(given.items()) if isinstance(given, Mapping) else _pairs(given, "name=LEVEL")
    if not all(isinstance(name, str) and name.strip() for name, _ in pairs):
        raise _NotAccepted("name=LEVEL pairs, separated by commas")
    try:
        return MappingProxyType({name.strip(): level(value) for name, value in pairs})
    except _NotAccepted as error:
        raise _NotAccepted(f"name=LEVEL pairs with the levels {error}") from None


def _pairs(given: object, kind: str) -> list[tuple[str, str]]:
    """Split a text. A pair without ``=`` comes back without a name."""
    if not isinstance(given, str):
        raise _NotAccepted(f"{kind} pairs, separated by commas")
    pairs = [pair.partition("=") for pair in given.split(",") if pair.strip()]
    return [(name if equals else "", value) for name, equals, value in pairs]


def choice(*accepted: str) -> Callable[[object], str]:
    """Return a reader of one of *accepted*, in any case."""

    def read(given: object) -> str:
        value = str(given).strip().lower()
        if value not in accepted:
            raise _NotAccepted(", ".join(accepted))
        return value

    return read


def at_least(least: int) -> Callable[[object], int]:
    """Return a reader of whole numbers from *least* on."""

    def read(given: object) -> int:
        try:
            value = int(given) if isinstance(given, int | str) and not isinstance(given, bool) else 0
        except ValueError:
            value = 0
        if value < least:
            raise _NotAccepted(f"a whole number, at least {least}")
        return value

    return read


def field_names(given: object) -> Mapping[str, str]:
    """Read ``field=name`` pairs: ``level=severity,pageno=``, or a dict of them."""
    pairs = list(given.items()) if isinstance(given, Mapping) else _pairs(given, "field=name")
    if not all(isinstance(field, str) and field.strip() and isinstance(name, str) for field, name in pairs):
        raise _NotAccepted("field=name pairs, separated by commas")
    names = {field.strip(): name.strip() for field, name in pairs}
    used = [name for name in names.values() if name]
    if len(used) != len(set(used)):
        raise _NotAccepted("field=name pairs in which no two fields get the same name")
    return MappingProxyType(names)


def header_name(given: object) -> str:
    if not isinstance(given, str) or not _TOKEN.fullmatch(given) or given.startswith("HTTP_"):
        raise _NotAccepted("the name of an HTTP header, such as X-Request-ID")
    return given


def attribute_path(given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or not given.isidentifier():
        raise _NotAccepted("the name of an attribute of the user, or None")
    return given


def cache_alias(given: object) -> str | None:
    if given is not None and (not isinstance(given, str) or not given):
        raise _NotAccepted("an alias of CACHES, or None")
    return given


def path_prefixes(given: object) -> tuple[str, ...]:
    try:
        values = texts(given)
    except _NotAccepted:
        values = ("",)
    if not all(value.startswith("/") for value in values):
        raise _NotAccepted("a list of path prefixes, such as /api/, each with its first slash")
    return values


def texts(given: object) -> tuple[str, ...]:
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise _NotAccepted("a list of strings")
    values = tuple(given)
    if not all(isinstance(value, str) and value for value in values):
        raise _NotAccepted("a list of strings")
    return values


def optional_texts(given: object) -> frozenset[str] | None:
    return None if given is None else frozenset(texts(given))


def text_by_text(given: object) -> Mapping[str, str]:
    if not isinstance(given, Mapping) or not all(isinstance(text, str) and text for pair in given.items() for text in pair):
        raise _NotAccepted("a dict of path segments and labels, both strings")
    if any("/" in segment for segment in given):
        raise _NotAccepted("a dict of path segments and labels; a segment has no slash")
    return MappingProxyType(dict(given))


def patterns(given: object) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(text) for text in texts(given))
    except (re.error, OverflowError, RecursionError) as error:
        raise _NotAccepted(f"a list of regular expressions ({error})") from None


def semconv(given: str) -> str:
    """Return what ``OTEL_SEMCONV_STABILITY_OPT_IN``, a comma-separated list, says of HTTP."""
    names = {name.strip() for name in given.split(",")}
    return next((name for name in ("http/dup", "http") if name in names), "old")
