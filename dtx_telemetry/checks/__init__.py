"""System checks: mistakes in a project's set-up, told by ``manage.py check`` and at each start of a command."""

from typing import Any

from django.core.checks import CheckMessage, register

from ..guard import never_raises
from .console import check_celery_logging, check_console_handlers
from .consumers import check_consumers
from .middleware import check_middleware
from .names import check_names, check_otel

__all__ = ["check_telemetry", "install"]

_CHECKS = (check_middleware, check_names, check_console_handlers, check_consumers, check_otel, check_celery_logging)


def install() -> None:
    """Register the checks; a second call does nothing."""
    register(check_telemetry, "dtx_telemetry")


def check_telemetry(app_configs: Any = None, **_: Any) -> list[CheckMessage]:
    """Return what is wrong with the project's set-up. Raises nothing.

    Args:
        app_configs: the apps that ``manage.py check APP`` names; ``None`` for the whole project.
    """
    if app_configs is not None and all(app.name != "dtx_telemetry" for app in app_configs):
        return []
    return [message for check in _CHECKS for message in _found_by(check) or ()]


@never_raises
def _found_by(check: Any) -> list[CheckMessage]:
    return list(check())
