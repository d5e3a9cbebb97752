"""Setting up telemetry: settings, then logging."""

from .config import get_settings
from .logging import configure, get_logger, is_configured

__all__ = ["init_telemetry", "init_without_app"]

_log = get_logger(__name__)


def init_telemetry(*, stream: str | None = None) -> None:
    """Read the settings and set up logging by them, or undo it where they switch telemetry off.

    Django does it by ``INSTALLED_APPS``, Celery's worker and beat by ``import dtx_telemetry.celery``.
    May be called any number of times; the last call's settings hold.

    Args:
        stream: ``stdout`` or ``stderr``, where ``LOG_STREAM`` says neither.

    Raises:
        ImproperlyConfigured: a value is wrong or a key unknown.

    .. versionadded:: 0.1.0
    """
    configure(get_settings(), stream=stream)


def init_without_app() -> None:
    """Set up telemetry where nobody did, since the app is missing from ``INSTALLED_APPS``, and say so once."""
    if get_settings().enabled and not is_configured():
        init_telemetry()
        _log.warning("app_not_installed", hint="Put 'dtx_telemetry' into INSTALLED_APPS.")
