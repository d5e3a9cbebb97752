"""System checks: mistakes in a project's set-up, told by ``manage.py check`` and at each start of a command.

- E001, W001, W002: `middleware`, the place of ours
- W003: `misspelt_names`, nearly ours
- W005: `consumers` that are not decorated
- W006: `idle_variables` of OpenTelemetry, without effect
- W007: `console`, lines that would come twice or not at all
- W008: `database`, comments beside prepared statements, or without effect
- W009: `users` without the attribute that is their id
"""

from collections.abc import Callable, Iterable, Sequence

from django.apps import AppConfig
from django.core.checks import CheckMessage, register

from ..guard import never_raises
from .console import check_celery_logging, check_console_handlers, check_formats, check_silent_loggers
from .consumers import check_consumers
from .database import check_prepared_statements
from .idle_variables import check_idle_variables
from .middleware import check_middleware
from .misspelt_names import check_names
from .users import check_user_id_field

__all__ = ["check_telemetry", "install"]

_CHECKS: tuple[Callable[[], Iterable[CheckMessage]], ...] = (
    check_middleware,
    check_names,
    check_console_handlers,
    check_formats,
    check_celery_logging,
    check_consumers,
    check_idle_variables,
    check_prepared_statements,
    check_silent_loggers,
    check_user_id_field,
)


def install() -> None:
    """Register the checks. A second call does nothing."""
    register(check_telemetry, "dtx_telemetry")


def check_telemetry(app_configs: Sequence[AppConfig] | None = None, **_: object) -> list[CheckMessage]:
    """Return what is wrong with the project's set-up. Raises nothing.

    Args:
        app_configs: the apps that ``manage.py check APP`` names. ``None``: the whole project.
    """
    if app_configs is not None and all(app.name != "dtx_telemetry" for app in app_configs):
        return []
    return [message for check in _CHECKS for message in _found_by(check) or ()]


@never_raises
def _found_by(check: Callable[[], Iterable[CheckMessage]]) -> list[CheckMessage]:
    return list(check())
