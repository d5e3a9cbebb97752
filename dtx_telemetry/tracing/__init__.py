"""OpenTelemetry: traces, metrics and logs of what the edges do.

Importing this room imports nothing of OpenTelemetry. The edges ask ``TRACING.on``, which is ``None`` while it is off.
"""

from .setup import TRACING, configure

__all__ = ["TRACING", "configure"]
