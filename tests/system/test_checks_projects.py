"""System checks of real projects, complete and small, each by its own ``manage.py check``."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.small_project import CELERY_FILES, CHANNELS_FILES, CHANNELS_SETTINGS, write_project

LOGGING_TO_FILES = """
    LOGGING = {
        "version": 1, "disable_existing_loggers": False,
        "handlers": {"file": {"class": "logging.FileHandler", "filename": __file__ + ".log"}},
        "root": {"handlers": ["file"], "level": "INFO"},
        "loggers": {"django": {"handlers": ["file"], "propagate": False}},
    }
"""
LOGGING_WITH_MAIL = """
    LOGGING = {
        "version": 1, "disable_existing_loggers": False,
        "filters": {"production": {"()": "django.utils.log.RequireDebugFalse"}},
        "formatters": {"verbose": {"format": "{levelname} {message}", "style": "{"}},
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "verbose"},
            "mail_admins": {"class": "django.utils.log.AdminEmailHandler", "filters": ["production"], "level": "ERROR"},
            "null": {"class": "logging.NullHandler"},
        },
        "root": {"handlers": ["console"], "level": "INFO"},
        "loggers": {
            "django.request": {"handlers": ["mail_admins"], "level": "ERROR"},
            "django.security.DisallowedHost": {"handlers": ["null"], "propagate": False},
        },
    }
"""
TYPICAL: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "plain Django": ("", {}, {}),
    "DRF": ('INSTALLED_APPS += ["rest_framework", "rest_framework.authtoken"]', {}, {}),
    "Channels": (CHANNELS_SETTINGS, CHANNELS_FILES, {}),
    "ASGI without Channels": (
        'ASGI_APPLICATION = "dota.asgi.application"\ndel WSGI_APPLICATION',
        {"asgi.py": "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()"},
        {},
    ),
    "Celery alone": (
        """
        INSTALLED_APPS = ["dtx_telemetry", "django.contrib.contenttypes"]
        MIDDLEWARE = TEMPLATES = []
        del ROOT_URLCONF, WSGI_APPLICATION
        CELERY_BROKER_URL = "redis://127.0.0.1:6379"
        """,
        CELERY_FILES,
        {},
    ),
    "everything": (CHANNELS_SETTINGS + LOGGING_WITH_MAIL, {**CHANNELS_FILES, **CELERY_FILES}, {"LOG_FORMAT": "json"}),
    "LOGGING with files": (LOGGING_TO_FILES, {}, {"LOG_LEVEL": "INFO", "LOGLEVEL": "INFO"}),
    "LOGGING with mail": (LOGGING_WITH_MAIL, {}, {}),
    "middlewares in front": (
        """
        MIDDLEWARE.remove("django.middleware.security.SecurityMiddleware")
        MIDDLEWARE[:0] = ["django.middleware.security.SecurityMiddleware", "dota.middleware.WhiteNoiseMiddleware",
                          "django.middleware.gzip.GZipMiddleware"]
        """,
        {
            "middleware.py": """
                class WhiteNoiseMiddleware:
                    def __init__(self, get_response):
                        self.get_response = get_response
                    def __call__(self, request):
                        file = None
                        if file is not None:
                            return self.serve(file, request)
                        return self.get_response(request)
            """
        },
        {},
    ),
    "an asgi module that fails": (CHANNELS_SETTINGS, {"asgi.py": "raise RuntimeError('no mana')"}, {}),
    "an asgi module that exits": (CHANNELS_SETTINGS, {"asgi.py": "raise SystemExit('no mana')"}, {}),
    "switched off": ('MIDDLEWARE.pop(0)\nDTX_TELEMETRY = {"ENABLED": False}', {}, {"OTEL_TRACES_EXPORTER": "otlp"}),
}


def check_project(
    folder: Path, settings: str, files: Mapping[str, str], environ: Mapping[str, str], *args: str
) -> tuple[int, str]:
    """Write a project and run its ``manage.py check``; return the exit code and all that it said."""
    done = write_project(folder, settings, files, environ).manage("check", *args)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", TYPICAL)
def test_a_typical_project_is_not_bothered(tmp_path: Path, name: str) -> None:
    """A warning of ours would fail the command."""
    code, text = check_project(tmp_path, *TYPICAL[name], "--tag", "dtx_telemetry", "--fail-level", "WARNING")
    assert (code, "no issues" in text) == (0, True), text


def test_settings_in_several_modules_are_not_bothered(tmp_path: Path) -> None:
    """The one that is run decides, whatever the one that it starts from says."""
    production = """
        from dota.settings import *
        SECURE_SSL_REDIRECT = True
        DTX_TELEMETRY = {**DTX_TELEMETRY, "LOG_LEVEL": "WARNING"}
    """
    files = {"production.py": production}
    environ = {"LOG_FORMAT": "json"}
    code, text = check_project(
        tmp_path,
        "DTX_TELEMETRY = {'LOG_FORMAT': 'pretty'}",
        files,
        environ,
        "--settings",
        "dota.production",
        "--fail-level",
        "WARNING",
    )
    assert (code, "dtx_telemetry." in text.replace('"logger":"dtx_telemetry.', "")) == (0, False), text


MISTAKES = (
    CHANNELS_SETTINGS
    + """
    MIDDLEWARE = ["django.middleware.common.CommonMiddleware", *MIDDLEWARE, MIDDLEWARE[0]]
    DTX_TELEMTRY = {"LOG_FORMAT": "json"}
    CELERY_WORKER_HIJACK_ROOT_LOGGER = False
    LOGGING = {
        "version": 1,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"dota": {"handlers": ["console"]}},
    }
    """
)


def test_every_mistake_is_told_in_a_real_project(tmp_path: Path) -> None:
    """All at once, by ``manage.py check``, each with its hint; the middleware is missing in another."""
    bare = CHANNELS_FILES["consumers.py"].replace("@telemetry_consumer", "")
    environ = {"LOG_FORMT": "json", "OTEL_TRACES_EXPORTER": "otlp"}
    code, text = check_project(tmp_path, MISTAKES, {**CHANNELS_FILES, "consumers.py": bare}, environ)
    assert code == 1, text
    for key in ("E001", "W002", "W003", "W005", "W006", "W007"):
        assert f"(dtx_telemetry.{key})" in text, text
    assert text.count("Did you mean ") >= 2
    assert text.count("HINT: ") >= 8
    assert "Traceback" not in text


def test_a_missing_middleware_is_told_in_a_real_project(tmp_path: Path) -> None:
    """It is one line in the wrong settings module away."""
    code, text = check_project(tmp_path, "MIDDLEWARE.pop(0)", {}, {}, "--fail-level", "WARNING")
    assert code == 1
    assert "(dtx_telemetry.W001)" in text


def test_looking_at_the_asgi_module_leaves_logging_as_it_is(tmp_path: Path) -> None:
    """Making Django's application configures logging again; the command's own lines still come once."""
    code, text = check_project(
        tmp_path, CHANNELS_SETTINGS + LOGGING_WITH_MAIL, CHANNELS_FILES, {"LOG_FORMAT": "json", "LOG_LEVEL": "DEBUG"}
    )
    assert code == 0
    assert text.count("command_completed") == 1, text


def test_looking_at_the_asgi_module_disables_no_logger(tmp_path: Path) -> None:
    """Nor does a check name those of the apps as disabled, which a server that makes the application once does not."""
    first_of_all = "import logging\nlogging.getLogger('a.picks')"
    settings = """
    INSTALLED_APPS += ["dota"]
    LOGGING = {"version": 1}
    """
    code, text = check_project(tmp_path, CHANNELS_SETTINGS + settings, {**CHANNELS_FILES, "apps.py": first_of_all}, {})
    assert code == 0
    assert "a.picks" not in text
