"""Projects of a test's own: complete, small, written into a folder, and run by their own ``manage.py``."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .processes import ROOT, clean_environ

__all__ = ["CELERY_FILES", "CHANNELS_FILES", "CHANNELS_SETTINGS", "SmallProject", "write_project"]

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


@dataclass(frozen=True)
class SmallProject:
    """A project on disk.

    Attributes:
        folder: where its ``manage.py`` is, and the package ``dota``.
        environ: what its processes get.
    """

    folder: Path
    environ: Mapping[str, str]

    def manage(self, *args: str) -> "subprocess.CompletedProcess[str]":
        """Run a command to its end."""
        command = [sys.executable, "manage.py", *args]
        return subprocess.run(command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=180)


def write_project(folder: Path, settings: str, files: Mapping[str, str], environ: Mapping[str, str]) -> SmallProject:
    """Write the project ``dota`` into *folder*.

    Args:
        folder: an empty one.
        settings: what its settings have besides.
        files: more files of its package, or others in place of its own.
        environ: what its processes get besides.
    """
    package = folder / "dota"
    package.mkdir()
    texts = {"__init__.py": "", **PLAIN, **files}
    texts["settings.py"] = textwrap.dedent(PLAIN["settings.py"]) + textwrap.dedent(settings)
    for name, text in texts.items():
        (package / name).write_text(textwrap.dedent(text).lstrip())
    (folder / "manage.py").write_text(
        "import sys\nfrom django.core.management import execute_from_command_line as run\nrun(sys.argv)\n"
    )
    path = os.pathsep.join([str(folder), str(ROOT)])
    return SmallProject(folder, clean_environ(PYTHONPATH=path, DJANGO_SETTINGS_MODULE="dota.settings", **environ))
