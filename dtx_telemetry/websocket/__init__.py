"""Channels consumers: one decorator."""

from ..errors import needs_extra

with needs_extra("channels", "channels", what=__name__):
    import channels  # noqa: F401 - said here, once, rather than at the first use

from .decorator import telemetry_consumer

__all__ = ["telemetry_consumer"]
