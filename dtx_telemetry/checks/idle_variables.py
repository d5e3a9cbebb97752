"""The check of OpenTelemetry: variables that are set and have no effect."""

import os
import sys
from collections.abc import Iterator

from django.core import checks

from ..config import get_settings
from ..errors import install_command

__all__ = ["check_idle_variables"]

#: Variables that are read with OpenTelemetry off, or that switch it off.
_EFFECTIVE = frozenset({"OTEL_ENABLED", "OTEL_SDK_DISABLED", "OTEL_SEMCONV_STABILITY_OPT_IN"})


def check_idle_variables() -> Iterator[checks.CheckMessage]:
    """Yield W006, once, for the ``OTEL_*`` variables that are set while OpenTelemetry is off."""
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
