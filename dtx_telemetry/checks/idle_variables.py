"""The check of OpenTelemetry: variables that are set and have no effect."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from django.core import checks

from ..config import get_settings
from ..errors import install_command
from .misspelt_names import is_misspelt

__all__ = ["check_idle_variables"]

#: Variables that are read with OpenTelemetry off, or that switch it off.
_EFFECTIVE = frozenset({"OTEL_ENABLED", "OTEL_SDK_DISABLED", "OTEL_SEMCONV_STABILITY_OPT_IN"})


def check_idle_variables() -> Iterator[checks.CheckMessage]:
    """Yield W006, once, for the ``OTEL_*`` variables that are set while OpenTelemetry is off."""
    found = get_settings()
    # An application's own SDK, or a vendor's, reads them.
    if not found.enabled or found.otel_enabled or "opentelemetry.sdk" in sys.modules:
        return
    given = [name for name in os.environ if name.startswith("OTEL_") and os.environ[name]]
    idle = sorted(name for name in given if name not in _EFFECTIVE and not is_misspelt(name))
    if idle:
        is_there = find_spec("opentelemetry") is not None and find_spec("opentelemetry.sdk") is not None
        needed = "" if is_there else f" (it needs: {install_command('otel', 'opentelemetry-sdk')})"
        yield checks.Warning(
            f"OpenTelemetry is off, so these environment variables have no effect: {', '.join(idle)}.",
            hint=f"Set OTEL_ENABLED=true{needed}, or remove them.",
            id="dtx_telemetry.W006",
        )
