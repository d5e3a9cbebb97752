"""System checks: each mistake in a project's set-up is told, with what to write, and no project that makes none is bothered."""

import functools
import logging
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import pytest
import sentry_sdk.integrations.asgi
from channels.auth import AuthMiddlewareStack
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.conf import settings as django_settings
from django.core.checks import CheckMessage, registry
from django.http import HttpResponse
from django.urls import path
from django.utils.deprecation import MiddlewareMixin

from dtx_telemetry import config, startup, telemetry_consumer
from dtx_telemetry.checks import check_telemetry, install
from dtx_telemetry.logging import configure as configure_logging
from dtx_telemetry.middleware import TelemetryMiddleware
from tests.conftest import LogOutput

OURS = "dtx_telemetry.middleware.TelemetryMiddleware"
HERE = "tests.unit.checks.test_checks"


def found() -> dict[str, list[CheckMessage]]:
    """What the checks say now, by id."""
    config.reset()
    messages: dict[str, list[CheckMessage]] = {}
    for message in check_telemetry():
        messages.setdefault(str(message.id).removeprefix("dtx_telemetry."), []).append(message)
    return messages


def one(key: str) -> CheckMessage:
    """The only thing that they say."""
    messages = found()
    assert list(messages) == [key], messages
    (message,) = messages[key]
    assert message.hint
    return message


@pytest.fixture
def use_logging(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Set ``LOGGING`` without configuring logging by it, which pytest-django's ``settings`` does."""
    return lambda value: monkeypatch.setattr(django_settings, "LOGGING", value)


def test_the_project_of_the_tests_has_no_mistake() -> None:
    """Nor any setting that the checks fall over."""
    assert found() == {}


class OurSubclass(TelemetryMiddleware):
    """A project's own."""


def answering_function(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Answer health checks."""

    def middleware(request: Any) -> Any:
        if request.path == "/health/":
            return HttpResponse("ok")
        return get_response(request)

    return middleware


class AnsweringClass:
    """Answers health checks."""

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        if request.path == "/health/":
            return HttpResponse("ok")
        return self.get_response(request)


class AnsweringHook(MiddlewareMixin):
    """Answers health checks in the old style."""

    def process_request(self, request: Any) -> Any:
        if request.path == "/health/":
            return HttpResponse("ok")
        return None


class AnsweringByName(AnsweringClass):
    """Answers with a response that it has named first."""

    async def __call__(self, request: Any) -> Any:
        if request.path == "/health/":
            response = HttpResponse("ok")
            response.headers["Cache-Control"] = "no-store"
            return response
        return await self.get_response(request)


class PassingElsewhere:
    """Answers nothing by itself, and calls the rest of the chain by a name of its own."""

    def __init__(self, handler: Callable[[Any], Any]) -> None:
        self._rest = handler

    def __call__(self, request: Any) -> Any:
        response = self._rest(request)
        if response.status_code == 404:
            return HttpResponse("nobody is here", status=404)
        return response


def passing_elsewhere(handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The same as a function."""

    def middleware(request: Any) -> Any:
        response = handler(request)
        if response.status_code == 404:
            return HttpResponse("nobody is here", status=404)
        return response

    return middleware


class Passing(AnsweringClass):
    """Answers nothing by itself."""

    def __call__(self, request: Any) -> Any:
        try:
            return self.get_response(request)
        except KeyError:
            return HttpResponse("a failure of what stands further down", status=404)


def passing_function(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def middleware(request: Any) -> Any:
        response = get_response(request)
        response.headers["X-Passed"] = "1"
        return response

    return middleware


@pytest.mark.parametrize("second", [OURS, f"{HERE}.OurSubclass"])
def test_the_middleware_twice_is_an_error(settings: Any, second: str) -> None:
    """By another name too."""
    settings.MIDDLEWARE = [OURS, "django.middleware.common.CommonMiddleware", second]
    message = one("E001")
    assert message.msg == "TelemetryMiddleware is in MIDDLEWARE 2 times."
    assert message.is_serious()


def test_a_missing_middleware_is_told(settings: Any) -> None:
    """Where there is anything to serve."""
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    assert one("W001").hint == f'Put "{OURS}" first in MIDDLEWARE.'
    settings.MIDDLEWARE = [f"{HERE}.OurSubclass"]
    assert found() == {}


@pytest.mark.parametrize(
    "first",
    [
        "django.middleware.common.CommonMiddleware",
        "django.middleware.cache.FetchFromCacheMiddleware",
        "corsheaders.middleware.CorsMiddleware",
        f"{HERE}.answering_function",
        f"{HERE}.AnsweringClass",
        f"{HERE}.AnsweringHook",
        f"{HERE}.AnsweringByName",
    ],
)
def test_a_middleware_in_front_that_may_answer_is_told(settings: Any, first: str) -> None:
    """Those of others that are known, and those of the project whose code makes a response first."""
    settings.MIDDLEWARE = [first, OURS]
    message = one("W002")
    assert repr(first) in message.msg
    assert message.hint == f'Put "{OURS}" first in MIDDLEWARE.'


@pytest.mark.parametrize(
    "first",
    [
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.gzip.GZipMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "whitenoise.middleware.WhiteNoiseMiddleware",
        "no.such.Middleware",
        f"{HERE}.Passing",
        f"{HERE}.passing_function",
        f"{HERE}.PassingElsewhere",
        f"{HERE}.passing_elsewhere",
    ],
)
def test_a_middleware_in_front_that_answers_nothing_is_none_of_ours(settings: Any, first: str) -> None:
    """Nor is one that serves files alone, or cannot be imported."""
    settings.MIDDLEWARE = [first, OURS]
    assert found() == {}


def test_a_redirect_to_https_answers_first(settings: Any) -> None:
    """SecurityMiddleware does nothing of that kind unless it is told to."""
    settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", OURS]
    settings.SECURE_SSL_REDIRECT = True
    one("W002")


@pytest.mark.parametrize("name", ["DTX_TELEMTRY", "DTX_TELEMETRY_", "DTXTELEMETRY"])
def test_a_setting_that_is_nearly_ours_is_told(settings: Any, name: str) -> None:
    """It would say nothing and do nothing."""
    setattr(settings, name, {})
    message = one("W003")
    assert (message.msg, message.hint) == (f"dtx_telemetry does not read the setting {name}.", "Did you mean DTX_TELEMETRY?")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LOG_FORMT", "LOG_FORMAT"),
        ("LOG_LEVLE", "LOG_LEVEL"),
        ("LOG_LEEVL", "LOG_LEVEL"),
        ("LOG_QUEEU", "LOG_QUEUE"),
        ("LOG_QUEU", "LOG_QUEUE"),
        ("LGO_LEVEL", "LOG_LEVEL"),
        ("DB_QUERY", None),
        ("DB_QUEREIS", "DB_QUERIES"),
        ("SQL_COMENT", "SQL_COMMENTS"),
        ("LOG_MAX_VALUES_LENGHT", "LOG_MAX_VALUE_LENGTH"),
        ("DTX_LOG_LEVEL", "LOG_LEVEL"),
        ("TELEMETRY_LOG_LEVEL", "LOG_LEVEL"),
        ("DTX_TELEMETRY_LOG_FORMAT", "LOG_FORMAT"),
        ("DTX_TELEMETRY_LOG_FORMT", "LOG_FORMAT"),
        ("DTX_ENABLED", "TELEMETRY_ENABLED"),
        ("DTX_TELEMETRY_ENABLED", "TELEMETRY_ENABLED"),
        ("DTX_OTEL_SERVICE_NAME", "OTEL_SERVICE_NAME"),
        ("LOGFORMAT", "LOG_FORMAT"),
        ("LOG_LEVLES", "LOG_LEVELS"),
        ("LOG_STEAM", "LOG_STREAM"),
        ("OTEL_ENABELD", "OTEL_ENABLED"),
        ("OTEL_ENABLE", "OTEL_ENABLED"),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
        ("TELEMETRY_ENABLE", "TELEMETRY_ENABLED"),
        ("TELEMTRY_ENABLED", "TELEMETRY_ENABLED"),
    ],
)
def test_a_variable_that_is_nearly_ours_is_told(monkeypatch: pytest.MonkeyPatch, name: str, meant: str | None) -> None:
    """One letter wrong, or two in each other's place, or our prefix before it, and a deployment logs what nobody expects."""
    monkeypatch.setenv(name, "true")
    messages = found().get("W003", [])
    assert [(message.msg, message.hint) for message in messages] == [
        (f"dtx_telemetry does not read the environment variable {name}.", f"Did you mean {meant}?")
    ] * (meant is not None)


@pytest.mark.parametrize("name", ["TELEMETRY_USER_ID_FIELD", "DTX_TELEMETRY_USER_ID_FIELD", "DTX_USER_ID_FEILD"])
def test_a_key_of_the_dict_in_the_environment_is_told(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """With the place where it is read."""
    monkeypatch.setenv(name, "uuid")
    message = one("W003")
    assert message.msg == f"dtx_telemetry does not read the environment variable {name}."
    assert message.hint == "Write DTX_TELEMETRY = {'USER_ID_FIELD': …} in Django's settings."


@pytest.mark.parametrize("name", ["DTX_TELEMETRY_LOG_LEVEL", "DTX_LOG_LEVEL", "TELEMETRY_LOG_LEVEL", "DTX_LOG_LEVLE"])
def test_a_key_of_the_dict_as_a_setting_of_its_own_is_told(settings: Any, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Unless what it means is given in the right place, too: then the setting may be the project's own."""
    setattr(settings, name, "DEBUG")
    message = one("W003")
    assert message.msg == f"dtx_telemetry does not read the setting {name}."
    assert message.hint == "Write DTX_TELEMETRY = {'LOG_LEVEL': …}."
    monkeypatch.setenv("LOG_LEVEL", "DEBUG")
    assert found() == {}


@pytest.mark.parametrize(("name", "value"), [("LOG_FORMAT", "json"), ("LOG_QUEUE", True), ("DB_QUERIES", "off")])
def test_a_variable_of_ours_as_a_setting_is_told(settings: Any, name: str, value: object) -> None:
    """It is read from the environment or from our dict alone."""
    setattr(settings, name, value)
    message = one("W003")
    assert (message.msg, message.hint) == (
        f"dtx_telemetry does not read the setting {name}.",
        f"Write DTX_TELEMETRY = {{{name!r}: …}}.",
    )
    settings.DTX_TELEMETRY = {name: value}
    assert found() == {}


@pytest.mark.parametrize(("name", "value"), [("LOG_FORMAT", "%(message)s"), ("LOG_LEVEL", "DEBUG"), ("LOG_STREAM", None)])
def test_a_setting_of_the_projects_own_is_not_taken_for_a_variable_of_ours(settings: Any, name: str, value: object) -> None:
    """Its value is none of those that ours takes, or most projects have one of that name."""
    setattr(settings, name, value)
    assert found() == {}


def test_an_attribute_that_users_do_not_have_is_told(settings: Any) -> None:
    """Each request would fail to read it. One that they have, a property too, is none to tell of."""
    settings.DTX_TELEMETRY = {"USER_ID_FIELD": "uuid"}
    message = one("W009")
    assert message.msg == "USER_ID_FIELD is 'uuid', which auth.User does not have: no line has a user.id."
    for field in ("username", "is_anonymous", "pk", None):
        settings.DTX_TELEMETRY = {"USER_ID_FIELD": field}
        assert found() == {}


@pytest.mark.parametrize("threshold", [0, 5])
def test_comments_beside_prepared_statements_are_told(settings: Any, monkeypatch: pytest.MonkeyPatch, threshold: int) -> None:
    """For each database that prepares, with what to write; ``None`` is psycopg's word for never."""
    databases = {
        "default": {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"prepare_threshold": threshold}},
        "other": {"ENGINE": "django.db.backends.postgresql", "OPTIONS": {"prepare_threshold": None}},
        "plain": {"ENGINE": "django.db.backends.sqlite3"},
    }
    monkeypatch.setattr(django_settings, "DATABASES", databases)
    settings.DTX_TELEMETRY = {"SQL_COMMENTS": "append"}
    message = one("W008")
    assert "DATABASES['default']" in message.msg
    assert "SQL_COMMENTS=off" in str(message.hint)
    for others in ({"SQL_COMMENTS": "off"}, {"SQL_COMMENTS": "append", "DB_QUERIES": "off"}, {"ENABLED": False}):
        settings.DTX_TELEMETRY = {"SQL_COMMENTS": "prepend", **others}
        assert [message for message in found().get("W008", []) if "prepare_threshold" in message.msg] == []


def test_comments_that_are_not_written_are_told(settings: Any) -> None:
    """They come by the same way as the count."""
    settings.DTX_TELEMETRY = {"SQL_COMMENTS": "append", "DB_QUERIES": "off"}
    assert one("W008").msg == "SQL_COMMENTS=append has no effect: DB_QUERIES=off leaves connections alone."
    settings.DTX_TELEMETRY = {"SQL_COMMENTS": "append", "DB_QUERIES": "off", "ENABLED": False}
    assert found() == {}


#: Names that deployments have, near ours or not.
COMMON = """
    LOGLEVEL LOG_FILE LOG_DIR LOG_PATH LOG_LEVEL_ROOT DJANGO_LOG_LEVEL CELERY_LOG_LEVEL LOG_HANDLER LOG_COLOR LOG_TO_STDOUT
    LOG_JSON LOG_FORMATTER LOG_ENABLED LOG_DATE_FORMAT LOG_NAME LOG_MAX_SIZE LOG_MAX_LENGTH LOG_QUERIES LOG_TIMESTAMP
    LOG_DRIVER LOG_STYLE LOGNAME LOGGING LOGGING_LEVEL LOGGING_FORMAT RUST_LOG GUNICORN_CMD_ARGS UVICORN_LOG_LEVEL TELEMETRY
    TELEMETRY_URL NEXT_TELEMETRY_DISABLED HF_HUB_DISABLE_TELEMETRY DO_NOT_TRACK DISABLE_TELEMETRY TELEMETRY_OPTOUT SENTRY_DSN
    OTEL_SDK_DISABLED OTEL_PROPAGATORS OTEL_LOG_LEVEL OTEL_RESOURCE_ATTRIBUTES OTEL_TRACES_SAMPLER OTEL_TRACES_EXPORTER
    OTEL_METRICS_EXPORTER OTEL_LOGS_EXPORTER OTEL_SERVICE_VERSION OTEL_EXPORTER_OTLP_ENDPOINT OTEL_BSP_SCHEDULE_DELAY PATH
    HOME LANG TZ PWD USER SHELL TERM HOSTNAME PYTHONPATH PYTHONUNBUFFERED DATABASE_URL REDIS_URL SECRET_KEY DEBUG
    ALLOWED_HOSTS DJANGO_SETTINGS_MODULE DJANGO_DEBUG CELERY_BROKER_URL PORT WEB_CONCURRENCY AWS_REGION AWS_ACCESS_KEY_ID
    KUBERNETES_SERVICE_HOST
"""


def test_variables_of_others_are_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among them every one of OpenTelemetry's specification that its SDK knows."""
    sdk = _otel_variables()
    assert len(sdk) > 30
    for name in [*COMMON.split(), *sdk]:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TELEMETRY_ENABLED", "true")
    assert "W003" not in found()


def _otel_variables() -> list[str]:
    from opentelemetry.environment_variables import __dict__ as api
    from opentelemetry.sdk.environment_variables import __dict__ as sdk

    return sorted(name for name in {**api, **sdk} if name.startswith("OTEL_") and name != "OTEL_ENABLED")


def test_settings_of_django_are_not_taken_for_ours(settings: Any) -> None:
    """Nor those of packages that are named alike."""
    for name in ("TELEMETRY", "DTX", "DTX_TELEMETRY_URL_PREFIX", "OPENTELEMETRY", "DTX_SETTINGS"):
        setattr(settings, name, {})
    assert found() == {}


@pytest.fixture
def _no_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK is not loaded, whatever other tests loaded."""
    for name in [name for name in sys.modules if name.startswith("opentelemetry.sdk")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.usefixtures("_no_sdk")
def test_variables_of_opentelemetry_that_have_no_effect_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one message, with what switches it on."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "dota")
    message = one("W006")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SERVICE_NAME" in message.msg
    assert "pip install" not in str(message.hint)  # it is there
    assert "OTEL_ENABLED=true" in str(message.hint)


@pytest.mark.usefixtures("_no_sdk")
def test_a_misspelt_variable_of_opentelemetry_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As misspelt, not as one without effect as well."""
    monkeypatch.setenv("OTEL_ENABLE", "true")
    assert list(found()) == ["W003"]


@pytest.mark.usefixtures("_no_sdk")
@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_ENABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"},
        {"OTEL_ENABLED": "false"},
        {"OTEL_SDK_DISABLED": "true"},
        {"OTEL_SEMCONV_STABILITY_OPT_IN": "http"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
    ],
)
def test_variables_of_opentelemetry_that_have_an_effect_are_right(
    monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]
) -> None:
    """Those that switch it off, too, and those of our own lines."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert found() == {}


def test_variables_of_an_sdk_that_the_application_runs_are_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads them, whatever we do."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", ModuleType("opentelemetry.sdk"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    assert found() == {}


class CustomStream:
    """A handler's factory that is no class."""


@pytest.mark.parametrize(
    "value", [None, "logging.ini", {"version": 1, "root": {"handlers": None}, "loggers": {"dota": {"handlers": None}}}]
)
def test_logging_of_another_shape_is_no_mistake(
    use_logging: Callable[[Any], None], log_output: LogOutput, value: object
) -> None:
    """Django configures nothing by an empty LOGGING, and LOGGING_CONFIG may be a function that takes a file's path."""
    use_logging(value)
    assert found() == {}
    assert not log_output.events("telemetry_failed")


CONSOLES: list[dict[str, Any]] = [
    {"class": "logging.StreamHandler"},
    {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"},
    {"()": "logging.StreamHandler", "level": "ERROR"},
]


@pytest.mark.parametrize("handler", CONSOLES)
def test_a_loggers_own_console_handler_is_right(use_logging: Callable[[Any], None], handler: dict[str, Any]) -> None:
    """Ours stands in its place, with its level, whether the logger propagates or not."""
    logger = {"handlers": ["out"], "level": "DEBUG", "propagate": False}
    use_logging({"version": 1, "handlers": {"out": handler}, "loggers": {"dota": logger, "dota.draft": {"handlers": ["out"]}}})
    assert found() == {}


@pytest.mark.parametrize("given", [{}, {"disable_existing_loggers": True}])
def test_loggers_that_logging_disabled_are_told(use_logging: Callable[[Any], None], given: dict[str, Any]) -> None:
    """By name: it is Python's default, and silences the modules that were imported before."""
    logging.getLogger("dota.draft").disabled = True
    use_logging({"version": 1, **given})
    message = one("W007")
    assert "dota.draft" in message.msg
    assert "disable_existing_loggers" in str(message.hint)
    use_logging({"version": 1, "disable_existing_loggers": False})
    assert found() == {}


def silence_the_handler() -> None:
    """The console handler of LOGGING has the level WARNING, as in Django's documentation."""
    console = logging.StreamHandler()
    console.setLevel(logging.WARNING)
    logging.getLogger().addHandler(console)


def silence_the_logger() -> None:
    """LOGGING names our logger and gives it a level."""
    logging.getLogger("dtx_telemetry").setLevel(logging.WARNING)


def keep_it_to_itself() -> None:
    """LOGGING names our logger, without a handler and without propagating."""
    logging.getLogger("dtx_telemetry").propagate = False


@pytest.mark.parametrize("silence", [silence_the_handler, silence_the_logger, keep_it_to_itself])
def test_events_of_ours_that_are_printed_nowhere_are_told(monkeypatch: pytest.MonkeyPatch, silence: Callable[[], None]) -> None:
    """Unless somebody asked for such a level by our own settings."""
    startup.init_telemetry()
    assert found() == {}
    configure_logging(config.Settings(enabled=False))
    silence()
    startup.init_telemetry()
    assert "printed nowhere" in one("W007").msg
    monkeypatch.setenv("LOG_LEVEL", "WARNING")
    config.reset()
    startup.init_telemetry()
    assert found() == {}


IDS = {"format": "%(request.id)s %(message)s"}


@pytest.mark.parametrize("filters", [[], ["debug"]])
def test_a_format_with_our_ids_and_no_filter_is_told(use_logging: Callable[[Any], None], filters: list[str]) -> None:
    """Logging prints an error in place of each line; what the warning says to write cures it."""
    handler = {"class": "logging.handlers.HTTPHandler", "host": "h", "url": "/", "formatter": "ids", "filters": filters}
    given: dict[str, Any] = {
        "version": 1,
        "formatters": {"ids": IDS},
        "filters": {"debug": {"name": "dota"}},
        "handlers": {"out": handler},
        "root": {"handlers": ["out"]},
    }
    use_logging(given)
    message = one("W007")
    assert "'out' has %(request.id)" in message.msg
    assert "dtx_telemetry.ContextFilter" in str(message.hint)
    given["filters"]["context"] = {"()": "dtx_telemetry.ContextFilter"}
    given["handlers"]["out"] = {**handler, "filters": [*filters, "context"]}
    use_logging(given)
    assert found() == {}


@pytest.mark.parametrize(
    ("formatter", "handler"),
    [
        (IDS, {"class": "logging.StreamHandler"}),
        ({**IDS, "defaults": {"request.id": "-"}}, {"class": "logging.NullHandler"}),
        ({"format": "%(message)s"}, {"class": "logging.NullHandler"}),
    ],
)
def test_a_format_that_is_not_used_or_needs_no_filter_is_right(
    use_logging: Callable[[Any], None], formatter: dict[str, Any], handler: dict[str, Any]
) -> None:
    """Of a console handler the lines are ours."""
    handlers = {"out": {**handler, "formatter": "ids"}}
    use_logging({"version": 1, "formatters": {"ids": formatter}, "handlers": handlers, "root": {"handlers": ["out"]}})
    assert found() == {}


def test_a_variable_of_opentelemetry_as_a_setting_is_told(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it is on, and the variable is not there: a project may read it into a setting for itself."""
    monkeypatch.setattr(django_settings, "OTEL_SERVICE_NAME", "dota", raising=False)
    assert found() == {}
    settings.DTX_TELEMETRY = {"OTEL_ENABLED": True}
    message = one("W003")
    assert (message.msg, "environment variable OTEL_SERVICE_NAME" in str(message.hint)) == (
        "dtx_telemetry does not read the setting OTEL_SERVICE_NAME.",
        True,
    )
    monkeypatch.setenv("OTEL_SERVICE_NAME", "dota")
    assert found() == {}


def test_lines_of_queries_that_are_printed_nowhere_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are at debug, which has to be asked for as well."""
    monkeypatch.setenv("DB_QUERIES", "lines")
    config.reset()
    startup.init_telemetry()
    message = one("W007")
    assert "DB_QUERIES=lines" in message.msg
    name, _, value = str(message.hint).removeprefix("Set ").removesuffix(" too.").partition("=")
    monkeypatch.setenv(name, value)
    config.reset()
    startup.init_telemetry()
    assert found() == {}


@pytest.mark.parametrize("handler", CONSOLES)
@pytest.mark.parametrize("name", [None, "", "root"])
def test_a_console_handler_on_the_root_logger_is_what_ours_replaces(
    use_logging: Callable[[Any], None], handler: dict[str, Any], name: str | None
) -> None:
    """As in every project's LOGGING, under each of the root logger's names."""
    part = {"handlers": ["out"]}
    where = {"root": part} if name is None else {"loggers": {name: part}}
    use_logging({"version": 1, "handlers": {"out": handler}, **where})
    assert found() == {}


@pytest.mark.parametrize(
    "handler",
    [
        {"class": "rich.logging.RichHandler"},
        {"class": "logging.FileHandler", "filename": "/dev/stdout"},
        {"class": "logging.FileHandler", "filename": "/proc/1/fd/1"},
    ],
)
@pytest.mark.parametrize("place", ["root", "logger"])
def test_what_prints_beside_us_is_told(use_logging: Callable[[Any], None], handler: dict[str, Any], place: str) -> None:
    """A handler that is no stream's stays, and each line comes twice."""
    part = {"handlers": ["out"]}
    where = {"root": part} if place == "root" else {"loggers": {"dota": part}}
    use_logging({"version": 1, "handlers": {"out": handler}, **where})
    assert "twice" in one("W007").msg


@pytest.mark.parametrize("root", [{"root": {"handlers": ["out"]}}, {"loggers": {"": {"handlers": ["out"]}}}])
@pytest.mark.parametrize(
    "handler",
    [
        {"class": "logging.handlers.QueueHandler", "handlers": ["file", "console"]},
        {"()": "logging.handlers.QueueHandler", "handlers": ["cfg://handlers.console"]},
        {"class": "logging.handlers.MemoryHandler", "capacity": 10, "target": "console"},
        {"class": "logging.handlers.MemoryHandler", "capacity": 10, "target": "queue"},
        {"class": "logging.handlers.QueueHandler", "handlers": ["rich"]},
    ],
)
def test_a_handler_that_hands_lines_on_to_the_console_is_told(
    use_logging: Callable[[Any], None], handler: dict[str, Any], root: dict[str, Any]
) -> None:
    """The one behind it stands on no logger, so it is not taken off, and each line comes twice."""
    handlers = {
        "out": handler,
        "console": CONSOLES[0],
        "rich": {"class": "rich.logging.RichHandler"},
        "file": {"class": "logging.FileHandler", "filename": "/var/log/dota.log"},
        "queue": {"class": "logging.handlers.QueueHandler", "handlers": ["console"]},
    }
    use_logging({"version": 1, "handlers": handlers, **root})
    message = one("W007")
    assert "'out'" in message.msg
    assert "twice" in message.msg


@pytest.mark.parametrize(
    "handler",
    [
        {"class": "logging.FileHandler", "filename": "/var/log/dota.log"},
        {"class": "logging.handlers.RotatingFileHandler", "filename": "x"},
        {"class": "django.utils.log.AdminEmailHandler"},
        {"class": "logging.NullHandler"},
        {"class": "logging.handlers.SysLogHandler"},
        {"class": "no.such.Handler"},
        {"()": CustomStream},
        {"()": lambda: None},
        {"class": "logging.handlers.QueueHandler"},
        {"class": "logging.handlers.QueueHandler", "handlers": ["odd", "none", 5, None, {"no": "name"}]},
        {"class": "logging.handlers.QueueHandler", "handlers": None},
        {"class": "logging.handlers.MemoryHandler", "capacity": 10, "target": "out"},
        {},
        {"class": "logging.StreamHandler", "stream": "ext://tests.unit.checks.test_checks.some_file"},
    ],
)
def test_handlers_that_do_not_print_to_the_console_are_right(
    use_logging: Callable[[Any], None], handler: dict[str, Any]
) -> None:
    """On any logger."""
    part = {"handlers": ["out"], "propagate": False}
    use_logging(
        {
            "version": 1,
            "handlers": {"out": handler, "odd": None},
            "root": part,
            "loggers": {"django": part, "x": None},
        }
    )
    assert found() == {}


@pytest.mark.parametrize("name", ["CELERY_WORKER_HIJACK_ROOT_LOGGER", "CELERYD_HIJACK_ROOT_LOGGER"])
def test_celery_told_to_leave_logging_alone_is_told(settings: Any, name: str) -> None:
    """It does so anyway, for us."""
    setattr(settings, name, False)
    assert name in one("W007").msg
    assert str(one("W007").hint).startswith(f"Keep {name}")  # it is what holds when we are switched off
    setattr(settings, name, True)
    assert found() == {}


def test_another_receiver_that_sets_up_logging_for_celery_is_told() -> None:
    """It and ours would do it over each other."""
    from celery.signals import setup_logging

    def configure(**_: Any) -> None:
        """Be what a well-known recipe has here."""

    setup_logging.connect(configure)
    try:
        assert "setup_logging" in one("W007").msg
    finally:
        setup_logging.disconnect(configure)


class Bare(AsyncWebsocketConsumer):
    """Not decorated."""


class BareSync(WebsocketConsumer):
    """Neither."""


@telemetry_consumer
class Decorated(AsyncWebsocketConsumer):
    """Decorated."""


class OfDecorated(Decorated):
    """Decorated by its base."""


class SomebodysMiddleware:
    """Not one of Channels."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def asgi(settings: Any, monkeypatch: pytest.MonkeyPatch, application: Any) -> None:
    module = ModuleType("generated_asgi")
    module.application = application  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "generated_asgi", module)
    settings.ASGI_APPLICATION = "generated_asgi.application"


def test_a_consumer_that_is_not_decorated_is_told(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the application keeps it: behind routers, middlewares of Channels and of others."""
    bare: Any = Bare.as_asgi()
    routes = URLRouter([path("a/", bare), path("b/", URLRouter([path("c/", Decorated.as_asgi())]))])  # type: ignore[arg-type]
    inner = AllowedHostsOriginValidator(AuthMiddlewareStack(SomebodysMiddleware(routes)))
    channel = ChannelNameRouter({"work": BareSync.as_asgi(), "more": OfDecorated.as_asgi()})
    asgi(settings, monkeypatch, SomebodysMiddleware(ProtocolTypeRouter({"websocket": inner, "channel": channel})))
    messages = found()["W005"]
    assert [message.msg for message in messages] == [
        f"The consumer {HERE}.BareSync is not decorated: its lines have no id.",
        f"The consumer {HERE}.Bare is not decorated: its lines have no id.",
    ]
    assert messages[1].hint == "Write @telemetry_consumer above Bare (from dtx_telemetry import telemetry_consumer)."


class SlottedMiddleware:
    """One that keeps what it wraps in a slot, as Sentry's does."""

    __slots__ = ("app", "unset")

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def function_middleware(app: Any) -> Any:
    """One that is a function."""

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return middleware


async def answer(app: Any, scope: Any, receive: Any, send: Any) -> None:
    await app(scope, receive, send)


@pytest.mark.parametrize(
    "wrap",
    [
        SlottedMiddleware,
        sentry_sdk.integrations.asgi.SentryAsgiMiddleware,
        function_middleware,
        functools.partial,
        lambda app: functools.partial(answer, app),
        lambda app: functools.partial(answer, app=app),
        lambda app: SomebodysMiddleware(app).__call__,
    ],
)
def test_a_consumer_is_found_behind_whatever_wraps_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch, wrap: Callable[[Any], Any]
) -> None:
    """A wrapper need have no attribute for what it wraps."""
    routes = URLRouter([path("a/", wrap(Bare.as_asgi())), path("b/", wrap(Decorated.as_asgi()))])
    asgi(settings, monkeypatch, wrap(ProtocolTypeRouter({"websocket": wrap(routes)})))
    assert one("W005").msg == f"The consumer {HERE}.Bare is not decorated: its lines have no id."


def test_an_application_in_circles_is_looked_at_once(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or anything else that an attribute may hold."""
    application = SomebodysMiddleware(None)
    application.app = [application, {"x": application}, 5, Bare, "text"]
    asgi(settings, monkeypatch, application)
    assert [message.id for message in found()["W005"]] == ["dtx_telemetry.W005"]


@pytest.mark.parametrize("name", ["nowhere", "", "no.such.application", "generated_asgi.other"])
def test_an_application_that_is_not_there_is_not_ours_to_tell(
    settings: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The server says so."""
    asgi(settings, monkeypatch, None)
    monkeypatch.setattr(sys, "argv", ["manage.py", "check"])
    settings.ASGI_APPLICATION = name
    assert found() == {}


def test_switched_off_nothing_of_that_is_told(
    settings: Any, monkeypatch: pytest.MonkeyPatch, use_logging: Callable[[Any], None]
) -> None:
    """A development's settings may leave it all out."""
    asgi(settings, monkeypatch, Bare.as_asgi())
    settings.MIDDLEWARE = []
    settings.CELERYD_HIJACK_ROOT_LOGGER = False
    use_logging({"version": 1, "handlers": {"out": CONSOLES[0]}, "loggers": {"dota": {"handlers": ["out"]}}})
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "x")
    assert {"W001", "W005", "W007"} <= set(found())
    settings.DTX_TELEMETRY = {"ENABLED": False}
    assert found() == {}


def test_other_apps_alone_can_be_checked() -> None:
    """``manage.py check accounts`` is not about the project."""
    assert check_telemetry(app_configs=[]) == []


def test_the_checks_are_registered_once() -> None:
    """However often the app is set up."""
    install()
    install()
    assert [check for check in registry.registry.get_checks() if check is check_telemetry] == [check_telemetry]
    assert "dtx_telemetry" in registry.registry.tags_available()


@pytest.mark.telemetry_fails
def test_a_check_that_fails_stops_no_command(settings: Any, log_output: Any, use_logging: Callable[[Any], None]) -> None:
    """It is said in a line, and the other checks go on."""
    use_logging({"version": 1, "handlers": 5})
    settings.MIDDLEWARE = []
    assert list(found()) == ["W001"]
    assert log_output.one("telemetry_failed")
