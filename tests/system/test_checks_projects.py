"""System checks of real projects, complete and small, each by its own ``manage.py check``."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.processes import ROOT, clean_environ

PLAIN: dict[str, str] = {
    "settings.py": """
        SECRET_KEY = "generated"
        ROOT_URLCONF = "dota.urls"
        WSGI_APPLICATION = "dota.wsgi.application"
        INSTALLED_APPS = ["dtx_telemetry", "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
                          "django.contrib.sessions", "django.contrib.messages", "django.contrib.staticfiles"]
        MIDDLEWARE = [
            "dtx_telemetry.middleware.TelemetryMiddleware",
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.common.CommonMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
            "django.middleware.clickjacking.XFrameOptionsMiddleware",
        ]
        TEMPLATES = [{
            "BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
            "OPTIONS": {"context_processors": ["django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth", "django.contrib.messages.context_processors.messages"]},
        }]
        DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
        STATIC_URL = "static/"
    """,
    "urls.py": """
        from django.contrib import admin
        from django.urls import path
        urlpatterns = [path("admin/", admin.site.urls)]
    """,
    "wsgi.py": """
        from django.core.wsgi import get_wsgi_application
        application = get_wsgi_application()
    """,
}
CHANNELS_FILES = {
    "consumers.py": """
        from channels.generic.websocket import AsyncJsonWebsocketConsumer
        from dtx_telemetry import telemetry_consumer

        @telemetry_consumer
        class DraftConsumer(AsyncJsonWebsocketConsumer):
            pass
    """,
    "asgi.py": """
        from channels.auth import AuthMiddlewareStack
        from channels.routing import ProtocolTypeRouter, URLRouter
        from channels.security.websocket import AllowedHostsOriginValidator
        from django.core.asgi import get_asgi_application
        from django.urls import path
        http = get_asgi_application()
        from .consumers import DraftConsumer
        websocket = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter([path("ws/", DraftConsumer.as_asgi())])))
        application = ProtocolTypeRouter({"http": http, "websocket": websocket})
    """,
}
CHANNELS_SETTINGS = """
    INSTALLED_APPS = ["daphne", *INSTALLED_APPS, "channels"]
    ASGI_APPLICATION = "dota.asgi.application"
    CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": ["redis://r"]}}}
"""
CELERY_FILES = {
    "celery.py": """
        from celery import Celery
        import dtx_telemetry.celery
        app = Celery("dota")
        app.config_from_object("django.conf:settings", namespace="CELERY")
        app.autodiscover_tasks(["dota"])
    """,
    "__init__.py": "from .celery import app as celery_app",
    "tasks.py": "from celery import shared_task",
}
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
    package = folder / "dota"
    package.mkdir()
    texts = {"__init__.py": "", **PLAIN, **files}
    texts["settings.py"] = textwrap.dedent(PLAIN["settings.py"]) + textwrap.dedent(settings)
    for name, text in texts.items():
        (package / name).write_text(textwrap.dedent(text).lstrip())
    (folder / "manage.py").write_text(
        "import sys\nfrom django.core.management import execute_from_command_line as run\nrun(sys.argv)\n"
    )
    given = clean_environ(
        PYTHONPATH=os.pathsep.join([str(folder), str(ROOT)]), DJANGO_SETTINGS_MODULE="dota.settings", **environ
    )
    command = [sys.executable, "manage.py", "check", *args]
    done = subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, timeout=120)
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
