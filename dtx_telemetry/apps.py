"""The Django app: being in ``INSTALLED_APPS`` is all the set-up that a project needs besides its middleware."""

from collections.abc import Callable

from django.apps import AppConfig
from django.core.signals import setting_changed

from . import config, startup
from .errors import NotInstalledError
from .guard import report

__all__ = ["TelemetryConfig"]


class TelemetryConfig(AppConfig):
    """Sets up telemetry as Django starts."""

    name = "dtx_telemetry"
    verbose_name = "Telemetry"

    def ready(self) -> None:
        """Set up logging, commands and Django's Tasks, and Celery's signals and channel layers if those are installed."""
        from . import checks, commands, django_tasks

        setting_changed.connect(config.reset, dispatch_uid="dtx_telemetry.reset")
        config.reset()  # read before Django's settings were there, they have nothing of those
        startup.init_telemetry(stream=commands.default_stream())
        _if_installed(_connect_celery)
        _if_installed(_wrap_channel_layers)
        commands.install()
        checks.install()
        django_tasks.install()


def _if_installed(install: Callable[[], None]) -> None:
    """Call *install*, unless its package is not installed. One that is there and cannot be imported is reported."""
    try:
        install()
    except NotInstalledError:
        pass
    except Exception as error:
        report(install.__name__.strip("_"), error)


def _connect_celery() -> None:
    from . import celery  # noqa: F401 - imported for its signals


def _wrap_channel_layers() -> None:
    from .websocket import layer

    layer.install()
