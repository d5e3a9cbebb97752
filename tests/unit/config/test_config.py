"""Settings: the environment over ``DTX_TELEMETRY`` over the defaults, and what is said of a wrong one."""

import logging
import re
from types import MappingProxyType

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from dtx_telemetry import config, outgoing_headers, startup
from dtx_telemetry.config.labels import DEFAULT_RESOURCES
from dtx_telemetry.context import OWN_KEYS, bind

LEVELS = "CRITICAL, FATAL, ERROR, WARNING, WARN, INFO, DEBUG"
BOOLEANS = "true/false, 1/0, yes/no, on/off, in any case"
TEXTS = "a list of strings"

DEFAULTS = {
    "ENABLED": True,
    "LOG_LEVEL": None,
    "LOG_LEVELS": {},
    "LOG_FORMAT": "json",
    "LOG_STREAM": None,
    "LOG_QUEUE": False,
    "LOG_MAX_VALUE_LENGTH": 16384,
    "LOG_FIELD_NAMES": {},
    "DB_QUERIES": "count",
    "SQL_COMMENTS": "off",
    "OTEL_ENABLED": False,
    "REQUEST_ID_HEADER": "X-Request-ID",
    "USER_ID_FIELD": "pk",
    "RESOURCES": DEFAULT_RESOURCES,
    "RESOURCES_WITHOUT_ID": ("standings", "bracket", "stats"),
    "LABEL_PREFIXES": ("/api/", "/ws/"),
    "EXCLUDE_PATHS": (),
    "PROPAGATE": None,
    "REDACT_KEYS": (),
    "TASKS_CACHE": None,
    "TASK_SPANS": "child",
    "MESSAGE_SPANS": "child",
    "TRUST_TRACEPARENT": True,
    "CARRY_MESSAGES": True,
    "FRAMEWORK_LINES": False,
}

# The environment's name, another value than the default as text, what the dict has, and what each means.
BOTH = [
    ("TELEMETRY_ENABLED", "ENABLED", "off", False, True, True),
    ("LOG_LEVEL", "LOG_LEVEL", "warning", logging.WARNING, "DEBUG", logging.DEBUG),
    ("LOG_LEVELS", "LOG_LEVELS", "a.b=debug, c=ERROR", {"a.b": 10, "c": 40}, {"d": "INFO"}, {"d": 20}),
    ("LOG_FORMAT", "LOG_FORMAT", "Pretty", "pretty", "logfmt", "logfmt"),
    ("LOG_STREAM", "LOG_STREAM", "STDERR", "stderr", "stdout", "stdout"),
    ("LOG_QUEUE", "LOG_QUEUE", "Yes", True, False, False),
    ("LOG_MAX_VALUE_LENGTH", "LOG_MAX_VALUE_LENGTH", " 1000 ", 1000, 256, 256),
    (
        "LOG_FIELD_NAMES",
        "LOG_FIELD_NAMES",
        "level=severity, pageno=",
        {"level": "severity", "pageno": ""},
        {"a": "b"},
        {"a": "b"},
    ),
    ("DB_QUERIES", "DB_QUERIES", "Lines", "lines", "off", "off"),
    ("SQL_COMMENTS", "SQL_COMMENTS", "append", "append", "Prepend", "prepend"),
    ("OTEL_ENABLED", "OTEL_ENABLED", "1", True, "no", False),
]

DICT_ONLY = [
    ("REQUEST_ID_HEADER", "X-Correlation-Id", "X-Correlation-Id"),
    ("USER_ID_FIELD", "uuid", "uuid"),
    ("USER_ID_FIELD", None, None),
    ("RESOURCES", {"heroes": "hero"}, {"heroes": "hero"}),
    ("RESOURCES_WITHOUT_ID", [], ()),
    ("LABEL_PREFIXES", ("/v2/",), ("/v2/",)),
    ("PROPAGATE", ["tenant"], {"tenant"}),
    ("PROPAGATE", [], set()),
    ("REDACT_KEYS", ["hash", "-key"], ("hash", "-key")),
    ("QUIET_LOGGERS", ["boto"], ("boto",)),
    ("TASKS_CACHE", "redis", "redis"),
    ("FRAMEWORK_LINES", "yes", True),
    ("TASK_SPANS", "LINK", "link"),
    ("MESSAGE_SPANS", "Off", "off"),
    ("TRUST_TRACEPARENT", "False", False),
    ("CARRY_MESSAGES", False, False),
]

WRONG = [
    ("ENABLED", "maybe", BOOLEANS),
    ("ENABLED", None, BOOLEANS),
    ("ENABLED", 2, BOOLEANS),
    ("LOG_LEVEL", "LOUD", LEVELS),
    ("LOG_LEVEL", 20, LEVELS),
    ("LOG_LEVELS", "django.db", "name=LEVEL pairs, separated by commas"),
    ("LOG_LEVELS", "=DEBUG", "name=LEVEL pairs, separated by commas"),
    ("LOG_LEVELS", {"": "DEBUG"}, "name=LEVEL pairs, separated by commas"),
    ("LOG_LEVELS", {5: "DEBUG"}, "name=LEVEL pairs, separated by commas"),
    ("LOG_LEVELS", ["a=DEBUG"], "name=LEVEL pairs, separated by commas"),
    ("LOG_LEVELS", "a=LOUD", f"name=LEVEL pairs with the levels {LEVELS}"),
    ("LOG_LEVELS", {"a": "LOUD"}, f"name=LEVEL pairs with the levels {LEVELS}"),
    ("LOG_FORMAT", "xml", "json, pretty, logfmt"),
    ("LOG_STREAM", "syslog", "stdout, stderr"),
    ("LOG_QUEUE", "", BOOLEANS),
    ("LOG_MAX_VALUE_LENGTH", 255, "a whole number, at least 256"),
    ("LOG_MAX_VALUE_LENGTH", 0, "a whole number, at least 256"),
    ("LOG_MAX_VALUE_LENGTH", -5, "a whole number, at least 256"),
    ("LOG_MAX_VALUE_LENGTH", 1.5, "a whole number, at least 256"),
    ("LOG_MAX_VALUE_LENGTH", True, "a whole number, at least 256"),
    ("LOG_MAX_VALUE_LENGTH", "many", "a whole number, at least 256"),
    ("LOG_MAX_VALUE_LENGTH", None, "a whole number, at least 256"),
    ("LOG_FIELD_NAMES", 5, "field=name pairs"),
    ("LOG_FIELD_NAMES", "severity", "field=name pairs"),
    ("LOG_FIELD_NAMES", {"level": 5}, "field=name pairs"),
    ("LOG_FIELD_NAMES", "level=name,event=name", "no two fields get the same name"),
    ("DB_QUERIES", "all", "count, lines, off"),
    ("DB_QUERIES", True, "count, lines, off"),
    ("SQL_COMMENTS", "yes", "off, append, prepend"),
    ("OTEL_ENABLED", "perhaps", BOOLEANS),
    ("REQUEST_ID_HEADER", "X Request", "the name of an HTTP header"),
    ("REQUEST_ID_HEADER", "X-Request-ID\n", "the name of an HTTP header"),
    ("REQUEST_ID_HEADER", "", "the name of an HTTP header"),
    ("REQUEST_ID_HEADER", None, "the name of an HTTP header"),
    ("REQUEST_ID_HEADER", "HTTP_X_REQUEST_ID", "the name of an HTTP header, such as X-Request-ID"),
    ("USER_ID_FIELD", "the pk", "the name of an attribute of the user, or None"),
    ("USER_ID_FIELD", 5, "the name of an attribute of the user, or None"),
    ("RESOURCES", ["team"], "a dict of path segments and labels, both strings"),
    ("RESOURCES", {"teams": 5}, "a dict of path segments and labels, both strings"),
    ("RESOURCES", {"": "team"}, "a dict of path segments and labels, both strings"),
    ("RESOURCES_WITHOUT_ID", "stats", TEXTS),
    ("LABEL_PREFIXES", "/api/", "a list of path prefixes, such as /api/, each with its first slash"),
    ("LABEL_PREFIXES", ["/api/", ""], "a list of path prefixes"),
    ("LABEL_PREFIXES", ["api/"], "a list of path prefixes"),
    ("EXCLUDE_PATHS", "/health/", TEXTS),
    ("EXCLUDE_PATHS", ["("], "a list of regular expressions"),
    ("EXCLUDE_PATHS", ["a{99999999999999999999}"], "a list of regular expressions"),
    ("EXCLUDE_PATHS", ["(" * 5000 + ")" * 5000], "a list of regular expressions"),
    ("EXCLUDE_PATHS", [5], TEXTS),
    ("PROPAGATE", "tenant", TEXTS),
    ("PROPAGATE", {"tenant": 1}, TEXTS),
    ("REDACT_KEYS", 5, TEXTS),
    ("QUIET_LOGGERS", [None], TEXTS),
    ("TASKS_CACHE", "", "an alias of CACHES, or None"),
    ("TASKS_CACHE", 5, "an alias of CACHES, or None"),
    ("FRAMEWORK_LINES", "some", BOOLEANS),
    ("TASK_SPANS", "both", "child, link"),
    ("MESSAGE_SPANS", "both", "child, link, off"),
    ("TRUST_TRACEPARENT", "sometimes", BOOLEANS),
    ("CARRY_MESSAGES", "later", BOOLEANS),
]


def value_of(key):
    return getattr(config.get_settings(), key.lower())


def test_every_key_has_its_default():
    """Where nothing is given the design's defaults hold, and no key is without one here."""
    found = {key: value_of(key) for key in DEFAULTS}

    assert found == DEFAULTS
    declared = {name.upper() for name, spec in config.Settings.__dataclass_fields__.items() if spec.metadata}
    assert declared == {*DEFAULTS, "QUIET_LOGGERS"}
    assert {"urllib3", "kombu", "redis"} < set(value_of("QUIET_LOGGERS"))


@pytest.mark.parametrize(("name", "key", "text", "from_text", "given", "from_dict"), BOTH)
def test_the_environment_wins_over_the_dict(settings, monkeypatch, name, key, text, from_text, given, from_dict):
    """A key takes the dict's value, and the environment's in its place where that is set and not blank."""
    settings.DTX_TELEMETRY = {key: given}
    assert value_of(key) == from_dict

    for blank in ("", "  "):
        monkeypatch.setenv(name, blank)
        config.reset()
        assert value_of(key) == from_dict

    monkeypatch.setenv(name, text)
    config.reset()
    assert value_of(key) == from_text


@pytest.mark.parametrize(("key", "given", "expected"), DICT_ONLY)
def test_the_dict_wins_over_the_default(settings, monkeypatch, key, given, expected):
    """A key that stands only in the dict takes its value, and no environment variable of that name counts."""
    settings.DTX_TELEMETRY = {key: given}
    monkeypatch.setenv(key, "ignored")

    assert value_of(key) == expected


def test_what_was_given_is_told_with_its_source(settings, monkeypatch):
    """The environment variable that gave a value, else the dict; what nobody gave is left out."""
    settings.DTX_TELEMETRY = {"LOG_LEVEL": "debug", "TASK_SPANS": "link"}
    monkeypatch.setenv("LOG_LEVEL", "error")

    assert config.given_settings() == {
        "log_level": ("log_level", logging.ERROR, "LOG_LEVEL"),
        "task_spans": ("task_spans", "link", "DTX_TELEMETRY"),
    }


def test_every_key_can_be_given(settings):
    """The tables above leave out no key."""
    tried = {row[1] for row in BOTH} | {row[0] for row in DICT_ONLY} | {"EXCLUDE_PATHS"}

    assert tried == {*DEFAULTS, "QUIET_LOGGERS"}


def test_excluded_paths_are_compiled(settings):
    """They come as patterns, ready to match."""
    settings.DTX_TELEMETRY = {"EXCLUDE_PATHS": [r"/health/.*", "/ready"]}

    assert value_of("EXCLUDE_PATHS") == (re.compile(r"/health/.*"), re.compile("/ready"))


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "1", "yes", "YES", "on", "On", " on ", True, 1])
def test_booleans_that_are_true(settings, text):
    """All spellings, in any case."""
    settings.DTX_TELEMETRY = {"LOG_QUEUE": text}
    assert value_of("LOG_QUEUE") is True


@pytest.mark.parametrize("text", ["false", "False", "FALSE", "0", "no", "NO", "off", "Off", " off ", False, 0])
def test_booleans_that_are_false(settings, text):
    """All spellings, in any case."""
    settings.DTX_TELEMETRY = {"TRUST_TRACEPARENT": text}
    assert value_of("TRUST_TRACEPARENT") is False


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize(("key", "given", "accepted"), WRONG)
def test_a_wrong_value_stops_the_start(settings, key, given, accepted, enabled):
    """The error names the key, what was given and what is accepted, also where telemetry is switched off."""
    settings.DTX_TELEMETRY = {"ENABLED": enabled, key: given}

    with pytest.raises(ImproperlyConfigured) as caught:
        startup.init_telemetry()

    message = str(caught.value)
    assert f"DTX_TELEMETRY['{key}']" in message
    assert repr(given) in message
    assert accepted in message


@pytest.mark.parametrize("enabled", ["true", "false"])
@pytest.mark.parametrize(
    ("name", "given", "accepted"),
    [
        ("LOG_LEVEL", "LOUD", LEVELS),
        ("LOG_LEVELS", "a=LOUD", LEVELS),
        ("LOG_FORMAT", "xml", "json, pretty, logfmt"),
        ("LOG_STREAM", "file", "stdout, stderr"),
        ("LOG_QUEUE", "sure", BOOLEANS),
        ("LOG_MAX_VALUE_LENGTH", "-1", "a whole number, at least 256"),
        ("DB_QUERIES", "each", "count, lines, off"),
        ("SQL_COMMENTS", "on", "off, append, prepend"),
        ("OTEL_ENABLED", "sure", BOOLEANS),
    ],
)
def test_a_wrong_environment_variable_stops_the_start(monkeypatch, name, given, accepted, enabled):
    """The error names the variable, what was given and what is accepted, also where telemetry is switched off."""
    monkeypatch.setenv("TELEMETRY_ENABLED", enabled)
    monkeypatch.setenv(name, given)

    with pytest.raises(ImproperlyConfigured) as caught:
        startup.init_telemetry()

    assert re.fullmatch(f"the environment variable {name} is '{given}'; accepted: .*{re.escape(accepted)}.*", str(caught.value))


@pytest.mark.parametrize(("given", "level"), [("warn", 30), ("WARN", 30), ("fatal", 50), ("FATAL", 50), ("Critical", 50)])
def test_the_short_forms_of_the_standard_library_are_levels(monkeypatch, given, level):
    """``logging.WARN`` and ``logging.FATAL`` are names that people use, for all lines and for single loggers."""
    monkeypatch.setenv("LOG_LEVEL", given)
    monkeypatch.setenv("LOG_LEVELS", f"celery={given}")

    assert config.get_settings().log_level == level
    assert config.get_settings().log_levels == {"celery": level}


def test_a_wrong_switch_stops_the_start(monkeypatch):
    """``TELEMETRY_ENABLED`` itself is no exception."""
    monkeypatch.setenv("TELEMETRY_ENABLED", "2")

    with pytest.raises(ImproperlyConfigured, match="TELEMETRY_ENABLED is '2'; accepted: true/false"):
        startup.init_telemetry()


def test_a_wrong_value_counts_even_where_the_environment_overrides_it(settings, monkeypatch):
    """What is written in the settings has to be right, whoever wins."""
    settings.DTX_TELEMETRY = {"LOG_LEVEL": "LOUD"}
    monkeypatch.setenv("LOG_LEVEL", "INFO")

    with pytest.raises(ImproperlyConfigured, match="LOUD"):
        startup.init_telemetry()


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("LOG_LEVLE", "LOG_LEVEL"),
        ("log_format", "LOG_FORMAT"),
        ("RESOURCE", "RESOURCES"),
        ("TRUST_TRACEPARENTS", "TRUST_TRACEPARENT"),
    ],
)
def test_a_near_miss_is_told(settings, key, meant, enabled):
    """An unknown key stops the start with the key that was probably meant, and all that are accepted."""
    settings.DTX_TELEMETRY = {"ENABLED": enabled, key: 1}

    with pytest.raises(ImproperlyConfigured) as caught:
        startup.init_telemetry()

    message = str(caught.value)
    assert repr(key) in message
    assert f"Did you mean '{meant}'?" in message
    assert all(name in message for name in DEFAULTS)


@pytest.mark.parametrize("key", ["COLOUR", 5, None, "SEMCONV_", "LABEL_TABLE", "OWN_KEYS"])
def test_an_unknown_key_stops_the_start(settings, key):
    """Also one that is like none, that is no string, or that is a name of our own insides."""
    settings.DTX_TELEMETRY = {key: 1}

    with pytest.raises(ImproperlyConfigured, match=f"unknown key {key!r}"):
        startup.init_telemetry()


@pytest.mark.parametrize("given", [["LOG_LEVEL"], "LOG_LEVEL", 5, False])
def test_the_setting_itself_has_to_be_a_dict(settings, given):
    """Anything else is named, with what is accepted."""
    settings.DTX_TELEMETRY = given

    with pytest.raises(ImproperlyConfigured, match=re.escape(f"DTX_TELEMETRY is {given!r}; accepted: a dict.")):
        startup.init_telemetry()


def test_no_setting_at_all_is_no_error(settings):
    """Absent and ``None`` mean the defaults."""
    settings.DTX_TELEMETRY = None
    assert value_of("ENABLED") is True
    del settings.DTX_TELEMETRY
    assert value_of("ENABLED") is True


def test_the_format_follows_debug(settings):
    """Readable while developing, JSON otherwise, unless it is given."""
    settings.DEBUG = True
    assert value_of("LOG_FORMAT") == "pretty"
    settings.DEBUG = False
    assert value_of("LOG_FORMAT") == "json"
    settings.DEBUG = True
    settings.DTX_TELEMETRY = {"LOG_FORMAT": "logfmt"}
    assert value_of("LOG_FORMAT") == "logfmt"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", "old"),
        ("http", "http"),
        ("http/dup", "http/dup"),
        ("database, http", "http"),
        ("http,http/dup", "http/dup"),
        ("database/dup,https", "old"),
    ],
)
def test_opting_in_to_stable_names(monkeypatch, given, expected):
    """``OTEL_SEMCONV_STABILITY_OPT_IN`` is a comma-separated list; of it what is about HTTP counts, and both wins."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", given)

    assert config.get_settings().semconv == expected


def test_settings_are_frozen():
    """Nobody changes them after they were read, their tables included."""
    settings = config.get_settings()

    with pytest.raises(AttributeError):
        settings.enabled = False
    assert isinstance(settings.log_levels, MappingProxyType)


def test_settings_are_read_once(settings):
    """The same object comes until Django says that a setting of ours has changed, and then the new values."""
    first = config.get_settings()
    assert config.get_settings() is first

    settings.LANGUAGE_CODE = "fi"
    assert config.get_settings() is first

    settings.DTX_TELEMETRY = {"LOG_LEVEL": "ERROR"}
    assert config.get_settings().log_level == logging.ERROR


def test_the_ids_of_the_configured_resources_are_no_processs_own(settings):
    """A request starts without any of them, should someone have leaked one."""
    settings.DTX_TELEMETRY = {"RESOURCES": {"heroes": "hero"}}

    assert config.get_settings().own_keys == OWN_KEYS | {"hero.id"}


@pytest.mark.leaves_bound
def test_the_headers_for_another_service(settings):
    """They carry the bound id under the configured name, and are empty where none is bound."""
    assert outgoing_headers() == {}
    bind({"request.id": "r1"})
    assert outgoing_headers() == {"X-Request-ID": "r1"}
    settings.DTX_TELEMETRY = {"REQUEST_ID_HEADER": "X-Correlation-ID"}
    assert outgoing_headers() == {"X-Correlation-ID": "r1"}


@given(
    st.dictionaries(
        st.one_of(st.sampled_from([*DEFAULTS, "QUIET_LOGGERS"]), st.text(max_size=5)),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.binary(max_size=3)),
            lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
            max_leaves=4,
        ),
        max_size=4,
    )
)
def test_whatever_is_given_is_read_or_refused(given):
    """No value of any type leads to another error than the one that says what is wrong."""
    message = ""
    try:
        list(config.settings._read(given, {}))
    except ImproperlyConfigured as error:
        message = str(error)
    assert not message or any(repr(key) in message for key in given)
