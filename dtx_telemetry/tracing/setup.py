"""Switching OpenTelemetry on and off."""

import os
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .. import context, logging
from ..config import Settings
from ..errors import needs_extra
from .line_ids import API_MODULE, line_ids

if TYPE_CHECKING:
    from .tracing import Tracing

__all__ = ["TRACING", "Switch", "configure"]

_NEEDED = ("opentelemetry.sdk", "opentelemetry.instrumentation", "opentelemetry.semconv", "opentelemetry.util.http")


class Switch:
    """Holds what begins and ends spans, None while OpenTelemetry is off. Written at start-up, and when settings change."""

    __slots__ = ("on",)

    def __init__(self) -> None:
        self.on: Tracing | None = None


TRACING = Switch()


def configure(settings: Settings) -> None:
    """Switch OpenTelemetry on or off, as *settings* say. Callable any number of times.

    Off, nothing of it is imported. Lines still have the ids of a span that the application's own set-up has made current.

    Raises:
        NotInstalledError: it is to be on, and the extra is not installed.
        ImproperlyConfigured: one of its variables names something that is not there.
    """
    if TRACING.on is not None and TRACING.on.settings is settings:
        return  # by Django and by Celery, in one process
    _switch_off()
    context.take_part("tracing", None)
    context.listen({})
    logging.set_span_source(line_ids if settings.enabled else None, API_MODULE)
    if settings.enabled and settings.otel_enabled and not _is_disabled():
        _switch_on(settings)
    else:
        logging.set_exports()


def _switch_on(settings: Settings) -> None:
    _need_the_extra()
    from .sdk.complaints import Complaints
    from .sdk.first_use import settle_at_first_use
    from .sdk.instrumentations import switch_on_installed
    from .tracing import Tracing

    tracing = Tracing(settings)
    logging.set_exports(export=tracing.records, lets_pass=Complaints().lets_pass, count_lost=tracing.measures.lines_lost)
    TRACING.on = tracing
    context.take_part("tracing", tracing.scopes)
    context.listen(tracing.moments(), tracing.inject)
    settle_at_first_use(tracing.providers)
    switch_on_installed()


def _switch_off() -> None:
    if TRACING.on is not None:
        from .sdk.first_use import settle_no_more

        TRACING.on = None
        settle_no_more()


def _is_disabled() -> bool:
    """Return True if the SDK's own switch is off."""
    return os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _need_the_extra() -> None:
    for name in _NEEDED:
        with needs_extra("otel", name, what="OTEL_ENABLED"):
            if not _is_installed(name):
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # a package around it is not there
        return False
