"""The Django app: being in ``INSTALLED_APPS`` is all the set-up that a project needs besides its middleware."""

from django.apps import AppConfig
from django.core.signals import setting_changed

from . import config, startup

__all__ = ["TelemetryConfig"]


class TelemetryConfig(AppConfig):
    """Sets up telemetry as Django starts."""

    name = "dtx_telemetry"
    verbose_name = "Telemetry"

    def ready(self) -> None:
        """Set up logging, management commands, and, where they are installed, Celery's signals and the channel layers."""
        from . import commands

        setting_changed.connect(config.reset, dispatch_uid="dtx_telemetry.reset")
        config.reset()  # whoever asked for them before Django's settings were there got none of them
        startup.init_telemetry(stream=commands.default_stream())
        try:
            from . import celery  # noqa: F401 - imported for its signals
        except ImportError:  # Celery is not installed
            pass
        try:
            from .websocket import layer

            layer.install()
        except ImportError:  # Channels is not installed
            pass
        commands.install()
