"""``manage.py telemetry``: everything that telemetry found in this project, and whether it works."""

import platform
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import django
from django.core.management.base import BaseCommand, CommandParser

from ...checks.misspelt_names import check_names
from ...checks.users import check_user_id_field
from ...config import get_settings, given_settings
from ..labels import look_at_labels
from ..layers import look_at_layers
from ..output import look_at_databases, look_at_logging, look_at_opentelemetry
from ..report import Finding, Part, Report, State, noted, told_by
from ..web import look_at_consumers, look_at_middleware
from ..work import look_at_celery


class Command(BaseCommand):
    """Print the report, and exit with 1 if something is wrong."""

    help = "Show what dtx_telemetry found in this project, try it, and ask the running workers."
    requires_system_checks = ()  # the report has ours

    def add_arguments(self, parser: CommandParser) -> None:
        """Add ``--json`` and ``--timeout``."""
        parser.add_argument("--json", action="store_true", dest="as_json", help="print the report as JSON")
        parser.add_argument("--timeout", type=float, default=2.0, metavar="SECONDS", help="how long to wait for each answer")

    def handle(self, *, as_json: bool, timeout: float, **_: Any) -> None:
        """Look at everything, and print it."""
        head = {"dtx_telemetry": _version(), "Python": platform.python_version(), "Django": django.get_version()}
        report = Report(head, _parts(head["dtx_telemetry"], timeout))
        paint: dict[State, Callable[[str], str]] = {
            "works": self.style.SUCCESS,
            "noted": self.style.NOTICE,
            "wrong": self.style.ERROR,
        }
        self.stdout.write(report.as_json() if as_json else report.as_text(paint))
        if report.mistakes:
            raise SystemExit(1)


def _parts(installed: str, seconds: float) -> Iterator[Part]:
    yield Part("Settings", _look_at_settings)
    if not get_settings().enabled:
        return
    yield Part("Middleware", look_at_middleware)
    yield Part("Labels", look_at_labels)
    yield Part("Logging", look_at_logging)
    yield Part("Celery", partial(look_at_celery, installed, seconds))
    yield Part("Consumers", look_at_consumers)
    yield Part("Channel layers", look_at_layers)
    yield Part("Databases", look_at_databases)
    yield Part("OpenTelemetry", partial(look_at_opentelemetry, seconds))


def _look_at_settings() -> Iterator[Finding]:
    """List each setting with its value and its source, those that somebody gave first."""
    yield from told_by(check_names)
    yield from told_by(check_user_id_field)
    sources = {name.upper(): given.source for name, given in given_settings().items()}
    for key, value in sorted(get_settings().as_data().items(), key=lambda item: item[0] not in sources):
        source = sources.get(key, "default")
        yield noted(f"{key} = {value!r} ({source})", setting=key, value=value, source=source)


def _version() -> str:
    try:
        return version("dtx_telemetry")
    except PackageNotFoundError:  # a copy of the sources
        return ""
