"""Setting up telemetry: settings, then logging, tracing and the database."""

import os
import sys

from . import logging, tracing
from .config import get_settings

__all__ = ["init_telemetry", "init_without_app"]

_log = logging.get_logger(__name__)


def init_telemetry(*, stream: str | None = None) -> None:
    """Read the settings and set up logging, tracing and the count of queries by them.

    Django does it by ``INSTALLED_APPS``, Celery's worker and beat by ``import dtx_telemetry.celery``.
    May be called any number of times. The last call's settings hold. It undoes the set-up if they switch telemetry off.

    Args:
        stream: ``stdout`` or ``stderr``, if ``LOG_STREAM`` says neither.

    Raises:
        ImproperlyConfigured: a value is wrong or a key unknown, or one of OpenTelemetry's names something that is not there.
        NotInstalledError: OpenTelemetry is to be on, and its extra is not installed.

    .. versionadded:: 0.1.0
    """
    settings = get_settings()
    logging.configure(settings, stream=stream)
    tracing.configure(settings)
    if _is_django_there():
        from . import database

        database.install(settings)


def _is_django_there() -> bool:
    """Return True in a Django project. A Celery app without Django has no connections of it."""
    return os.environ.get("DJANGO_SETTINGS_MODULE") is not None or (
        "django.conf" in sys.modules and sys.modules["django.conf"].settings.configured
    )


def init_without_app() -> None:
    """Set up telemetry if the app is missing from ``INSTALLED_APPS``, and say so once."""
    if get_settings().enabled and not logging.is_configured():
        init_telemetry()
        _log.warning("app_not_installed", hint="Put 'dtx_telemetry' into INSTALLED_APPS.")
