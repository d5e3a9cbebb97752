"""Channels consumers: one decorator."""

try:
    import channels  # noqa: F401 - said here, once, rather than at the first use
except ImportError as error:
    raise ImportError("dtx_telemetry.websocket needs Channels: pip install 'dtx_telemetry[channels]'") from error

from .decorator import telemetry_consumer

__all__ = ["telemetry_consumer"]
