"""Configuration: one frozen object, from the environment over ``settings.DTX_TELEMETRY`` over the defaults.

Everything is validated when it is read, so that a wrong value stops the start and not a request.
"""

import difflib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, TypeVar, cast

from ..context import OWN_KEYS
from . import parsing
from .labels import DEFAULT_PREFIXES, DEFAULT_RESOURCES, DEFAULT_WITHOUT_ID, LabelTable
from .parsing import ImproperlyConfigured

__all__ = ["NOISY_LOGGERS", "Given", "Settings", "extract_labels", "get_settings", "given_settings", "reset"]

#: Loggers that say much and mean little.
NOISY_LOGGERS = (
    "amqp",
    "asyncio",
    "botocore",
    "channels_redis",
    "httpcore",
    "httpx",
    "kombu",
    "opentelemetry",
    "redis",
    "requests",
    "urllib3",
)


_Value = TypeVar("_Value")


def _setting(default: object, parse: Callable[[object], _Value], *, env: str = "") -> _Value:
    """Declare a setting: its default, what reads it, and the environment variable that gives it, if there is one."""
    declared: Any = field(default_factory=lambda: default, metadata={"parse": parse, "env": env})
    return cast("_Value", declared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings. A field's name in upper case is its key in ``DTX_TELEMETRY``."""

    enabled: bool = _setting(True, parsing.boolean, env="TELEMETRY_ENABLED")
    #: ``None``: not given.
    log_level: int | None = _setting(None, parsing.level, env="LOG_LEVEL")
    log_levels: Mapping[str, int] = _setting(parsing.NOTHING, parsing.levels, env="LOG_LEVELS")
    #: ``None``: ``pretty`` under ``DEBUG``, else ``json``.
    log_format: str | None = _setting(None, parsing.choice("json", "pretty", "logfmt"), env="LOG_FORMAT")
    #: ``None``: ``stdout``, and ``stderr`` in a management command that is no server.
    log_stream: str | None = _setting(None, parsing.choice("stdout", "stderr"), env="LOG_STREAM")
    log_queue: bool = _setting(False, parsing.boolean, env="LOG_QUEUE")
    #: Characters of one value that are printed. No id and no key of ours has as many as the least: they are never cut.
    log_max_value_length: int = _setting(16384, parsing.at_least(256), env="LOG_MAX_VALUE_LENGTH")
    #: Other names of fields on lines; an empty one leaves the field out.
    log_field_names: Mapping[str, str] = _setting(parsing.NOTHING, parsing.field_names, env="LOG_FIELD_NAMES")
    #: What is done with the database's queries: counted, logged one by one as well, or nothing.
    db_queries: str = _setting("count", parsing.choice("count", "lines", "off"), env="DB_QUERIES")
    #: Where a statement gets a comment with the ids of its scope.
    sql_comments: str = _setting("off", parsing.choice("off", "append", "prepend"), env="SQL_COMMENTS")
    otel_enabled: bool = _setting(False, parsing.boolean, env="OTEL_ENABLED")
    request_id_header: str = _setting("X-Request-ID", parsing.header_name)
    user_id_field: str | None = _setting("pk", parsing.attribute_path)
    resources: Mapping[str, str] = _setting(DEFAULT_RESOURCES, parsing.text_by_text)
    resources_without_id: tuple[str, ...] = _setting(tuple(DEFAULT_WITHOUT_ID), parsing.texts)
    label_prefixes: tuple[str, ...] = _setting(tuple(DEFAULT_PREFIXES), parsing.path_prefixes)
    exclude_paths: tuple[re.Pattern[str], ...] = _setting((), parsing.patterns)
    propagate: frozenset[str] | None = _setting(None, parsing.optional_texts)
    #: Channel layer messages take the context along. One that comes with a context gives it up in either case.
    carry_messages: bool = _setting(True, parsing.boolean)
    redact_keys: tuple[str, ...] = _setting((), parsing.texts)
    quiet_loggers: tuple[str, ...] = _setting(NOISY_LOGGERS, parsing.texts)
    #: An alias of ``CACHES``: the context of Django's own Tasks goes along in it.
    tasks_cache: str | None = _setting(None, parsing.cache_alias)
    #: Also print the lines of frameworks that repeat what an event of ours says.
    framework_lines: bool = _setting(False, parsing.boolean)
    task_spans: str = _setting("child", parsing.choice("child", "link"))
    message_spans: str = _setting("child", parsing.choice("child", "link", "off"))
    trust_traceparent: bool = _setting(True, parsing.boolean)
    #: Which names HTTP fields have: ``old`` (the design's), ``http`` (stable), ``http/dup`` (both).
    semconv: str = field(default="old", metadata={})
    #: Derived: the labels' table.
    label_table: LabelTable = field(init=False, metadata={})
    #: Derived: the same for scopes. In it no resource's id takes the place of a field of our own: ``/api/users/5/`` may be
    #: asked for by any other user.
    scope_table: LabelTable = field(init=False, metadata={})
    #: Derived: every key that no process may own.
    own_keys: frozenset[str] = field(init=False, metadata={})
    #: Derived: the request id's header as a key of CGI (RFC 3875), WSGI and Django's ``META``.
    request_id_meta: str = field(init=False, metadata={})

    def __post_init__(self) -> None:
        resources = self.resources, self.resources_without_id, self.label_prefixes
        table = LabelTable(*resources)
        derived = {
            "label_table": table,
            "scope_table": LabelTable(*resources, reserved=OWN_KEYS),
            "own_keys": OWN_KEYS | frozenset(table.id_keys),
            "request_id_meta": "HTTP_" + self.request_id_header.upper().replace("-", "_"),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def excludes(self, path: str) -> bool:
        """Return True if *path* is not worth a closing event."""
        return any(pattern.fullmatch(path) for pattern in self.exclude_paths)

    def as_data(self) -> dict[str, Any]:
        """Return the settings by key, in types that JSON has: for reports, and for processes that compare theirs."""
        data = {name.upper(): _plain(getattr(self, name)) for name, spec in self.__dataclass_fields__.items() if spec.metadata}
        data["LOG_LEVEL"] = None if self.log_level is None else logging.getLevelName(self.log_level)
        data["LOG_LEVELS"] = {logger: logging.getLevelName(number) for logger, number in self.log_levels.items()}
        return data


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.pattern if isinstance(value, re.Pattern) else value


class Given(NamedTuple):
    """The value of a setting that was given."""

    name: str
    value: Any
    #: The environment variable that gave it, or ``DTX_TELEMETRY``.
    source: str


@cache
def get_settings() -> Settings:
    """Return the settings, read at the first call.

    Raises:
        ImproperlyConfigured: a value is wrong or a key unknown. The message names it and says what is accepted.
    """
    given, debug = _django_settings()
    values = {"log_format": "pretty" if debug else "json", **{name: value for name, value, _ in _read(given, os.environ)}}
    semconv = parsing.semconv(os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", ""))
    return Settings(**values, semconv=semconv)


def given_settings() -> dict[str, Given]:
    """Return the settings that were given, by name, each with its source.

    Raises:
        ImproperlyConfigured: as with `get_settings`.
    """
    return {each.name: each for each in _read(_django_settings()[0], os.environ)}


def reset(*, setting: str = "DTX_TELEMETRY", **_: object) -> None:
    """Forget the settings that were read. A receiver of Django's ``setting_changed``."""
    if setting in {"DTX_TELEMETRY", "DEBUG"}:
        get_settings.cache_clear()


def extract_labels(path: str) -> dict[str, Any]:
    """Return the labels and resource ids that *path* names, by the configured table.

    ``extract_labels("/api/tournaments/5/")`` gives ``{"labels": ["tournament"], "tournament.id": 5}``.

    Args:
        path: of a URL, without host and query.

    .. versionadded:: 0.1.0
    """
    return get_settings().label_table.extract(path)


def _read(given: Mapping[str, object], environ: Mapping[str, str]) -> Iterator[Given]:
    """Yield the values that were given, each read by its own parser. One of the environment comes after the dict's."""
    declared = {name: spec.metadata for name, spec in Settings.__dataclass_fields__.items() if spec.metadata}
    _refuse_unknown(given, [name.upper() for name in declared])
    for name, metadata in declared.items():
        key, env = name.upper(), metadata["env"]
        if key in given:
            yield Given(name, parsing.parse(f"DTX_TELEMETRY[{key!r}]", metadata["parse"], given[key]), "DTX_TELEMETRY")
        if env and environ.get(env, "").strip():
            yield Given(name, parsing.parse(f"the environment variable {env}", metadata["parse"], environ[env]), env)


def _refuse_unknown(given: Mapping[str, object], known: list[str]) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key).upper(), known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            if str(key).startswith("OTEL_"):  # the SDK reads none of Django's settings
                hint = f" Set the environment variable {key}."
            raise ImproperlyConfigured(
                f"DTX_TELEMETRY has the unknown key {key!r}.{hint} Accepted are: {', '.join(sorted(known))}."
            )


def _django_settings() -> tuple[Mapping[str, object], bool]:
    """Return ``DTX_TELEMETRY`` and ``DEBUG`` of Django's settings, or nothing if there is no Django project."""
    if "django" not in sys.modules and "DJANGO_SETTINGS_MODULE" not in os.environ:
        return {}, False
    try:
        from django.conf import settings
    except ImportError:
        return {}, False
    if not settings.configured and "DJANGO_SETTINGS_MODULE" not in os.environ:
        return {}, False
    given = getattr(settings, "DTX_TELEMETRY", None)
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"DTX_TELEMETRY is {given!r}; accepted: a dict.")
    return given, bool(settings.DEBUG)
