"""The check of names: settings and environment variables that are nearly ours, so that nothing reads them."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import fields

from django.conf import settings
from django.core import checks

from ..config import Settings, get_settings, given_settings

__all__ = ["check_names", "is_misspelt"]

_SETTING = "DTX_TELEMETRY"
#: What people put in front of our names.
_PREFIXES = ("DTX_TELEMETRY_", "DTX_", "TELEMETRY_")
#: A setting of many projects, which their own LOGGING reads.
_THEIRS = "LOG_LEVEL"
#: Names that others read, though they are near one of ours.
_OTHERS = frozenset({"LOGLEVEL", "OTEL_TRACES_SAMPLER"})
#: Names so long are told with two mistakes in them, shorter ones with one: names of others are not as near.
_LONG = 12


def check_names() -> Iterator[checks.CheckMessage]:
    """Yield W003, for each setting and each environment variable that is near one of ours."""
    variables = _variables_by_key()
    given = {name.upper() for name in given_settings()}
    yield from _near_settings(variables, given)
    yield from _near_variables(variables, given)


def _near_settings(keys: Mapping[str, str], given: Collection[str]) -> Iterator[checks.CheckMessage]:
    for name in sorted(filter(str.isupper, set(dir(settings)))):
        if _nearest(name, [_SETTING]):
            yield _warning("setting", name, f"Did you mean {_SETTING}?")
        elif (key := _behind_prefix(name, keys) or _as_it_stands(name, keys)) is not None and key not in given:
            yield _warning("setting", name, f"Write {_SETTING} = {{{key!r}: …}}.")
        elif name.startswith("OTEL_") and get_settings().otel_enabled and name not in os.environ:
            yield _warning("setting", name, f"Set the environment variable {name}: OpenTelemetry reads no settings of Django.")


def _as_it_stands(name: str, keys: Mapping[str, str]) -> str | None:
    """Return *name* if it is a variable of ours, written as a setting with a value that it would take, or ``None``."""
    if keys.get(name) != name or name == _THEIRS:
        return None
    (parse,) = (spec.metadata["parse"] for spec in fields(Settings) if spec.name.upper() == name)
    try:
        parse(getattr(settings, name))
    except (TypeError, ValueError):
        return None
    return name


def _near_variables(keys: Mapping[str, str], given: Collection[str]) -> Iterator[checks.CheckMessage]:
    ours = _variables()
    for written in sorted(os.environ):
        name = written.upper()
        if name in ours or name in _OTHERS:
            continue
        if near := _nearest(name, ours):
            yield _warning("environment variable", written, f"Did you mean {near}?")
        elif (near := _behind_prefix(name, [*ours, *keys])) is not None and near not in given and near not in os.environ:
            variable = keys.get(near, near)
            hint = f"Did you mean {variable}?" if variable else f"Write {_SETTING} = {{{near!r}: …}} in Django's settings."
            yield _warning("environment variable", written, hint)


def is_misspelt(variable: str) -> bool:
    """Return True if W003 tells of the environment variable *variable* that it is near one of ours."""
    ours = _variables()
    return variable not in ours and variable not in _OTHERS and _nearest(variable, ours) is not None


def _variables_by_key() -> dict[str, str]:
    """Return each key of `DTX_TELEMETRY` with its environment variable, which is empty if it has none."""
    return {spec.name.upper(): spec.metadata["env"] for spec in fields(Settings) if spec.metadata}


def _variables() -> list[str]:
    return [*filter(None, _variables_by_key().values()), "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER_ARG"]


def _behind_prefix(name: str, ours: Iterable[str]) -> str | None:
    """Return which of *ours* is *name* without the prefix that somebody put in front of it, or ``None``."""
    known = list(ours)
    for prefix in _PREFIXES:
        rest = name.removeprefix(prefix)
        if rest != name and (near := rest if rest in known else _nearest(rest, known)):
            return near
    return None


def _nearest(name: str, ours: Iterable[str]) -> str | None:
    """Return which of *ours* is nearly *name*, and not *name* itself, or ``None``."""
    for mistakes in (1, 2):
        for known in ours:
            is_as_long = abs(len(name) - len(known)) <= mistakes and (mistakes == 1 or len(known) >= _LONG)
            if is_as_long and name != known and _is_within(name, known, mistakes):
                return known
    return None


def _is_within(one: str, other: str, mistakes: int) -> bool:
    """Return True if so many letters wrong, missing, too many or in each other's place make *one* of *other* (Damerau)."""
    while one and other and one[0] == other[0]:
        one, other = one[1:], other[1:]
    if not one or not other:
        return len(one) + len(other) <= mistakes
    if not mistakes:
        return False
    swapped = one[:2] == other[1::-1] and len(one) > 1
    return (swapped and _is_within(one[2:], other[2:], mistakes - 1)) or any(
        _is_within(one[in_one:], other[in_other:], mistakes - 1) for in_one, in_other in ((1, 1), (1, 0), (0, 1))
    )


def _warning(kind: str, name: str, hint: str) -> checks.Warning:
    return checks.Warning(f"dtx_telemetry does not read the {kind} {name}.", hint=hint, id="dtx_telemetry.W003")
