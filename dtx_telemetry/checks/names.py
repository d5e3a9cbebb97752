"""Checks of names: settings and environment variables that are nearly ours, and those that have no effect."""

import difflib
import os
import sys
from collections.abc import Iterable, Iterator

from django.conf import settings
from django.core import checks

from ..config import Settings, get_settings
from ..errors import install_command

__all__ = ["check_names", "check_otel"]

_SETTING = "DTX_TELEMETRY"
#: A slip of the fingers, and no name of somebody else's: one or two letters wrong, missing, or in each other's place.
_CUTOFF = 0.9
#: Names that others read, though they are near one of ours.
_OTHERS = frozenset({"LOGLEVEL", "OTEL_TRACES_SAMPLER"})
#: Variables that are read with OpenTelemetry off, or that switch it off.
_EFFECTIVE = frozenset({"OTEL_ENABLED", "OTEL_SDK_DISABLED", "OTEL_SEMCONV_STABILITY_OPT_IN"})


def check_names() -> Iterator[checks.CheckMessage]:
    """Yield W003, for each setting and each environment variable that is near one of ours."""
    for name in sorted(set(dir(settings))):
        if name.isupper() and _nearest(name, [_SETTING]):
            yield _near("setting", name, _SETTING)
    ours = _our_variables()
    for name in sorted(os.environ):
        if near := _nearest(name.upper(), ours):
            yield _near("environment variable", name, near)


def check_otel() -> Iterator[checks.CheckMessage]:
    """Yield W006, once."""
    found = get_settings()
    # An application's own SDK, or a vendor's, reads them.
    if not found.enabled or found.otel_enabled or "opentelemetry.sdk" in sys.modules:
        return
    idle = sorted(name for name in os.environ if name.startswith("OTEL_") and name not in _EFFECTIVE and os.environ[name])
    if idle:
        yield checks.Warning(
            f"OpenTelemetry is off, so these environment variables have no effect: {', '.join(idle)}.",
            hint=f"Set OTEL_ENABLED=true (it needs: {install_command('otel', 'opentelemetry-sdk')}), or remove them.",
            id="dtx_telemetry.W006",
        )


def _our_variables() -> list[str]:
    declared = [spec.metadata.get("env", "") for spec in Settings.__dataclass_fields__.values()]
    return [name for name in declared if name] + ["OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER_ARG"]


def _nearest(name: str, ours: Iterable[str]) -> str | None:
    """Return which of *ours* is nearly *name*; ``None`` where none is, or *name* is one of them itself."""
    known = list(ours)
    if name in known or name in _OTHERS:
        return None
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=_CUTOFF)), None)


def _near(kind: str, name: str, near: str) -> checks.Warning:
    return checks.Warning(
        f"dtx_telemetry does not read the {kind} {name}.", hint=f"Did you mean {near}?", id="dtx_telemetry.W003"
    )
