"""What goes along with a scope in a context of its own: OpenTelemetry's current span, of which this floor knows no more."""

from typing import Protocol

__all__ = ["Companion"]


class Companion(Protocol):
    """Is current while its scope is. Current from the beginning; its scope calls the rest."""

    def resume(self) -> object:
        """Be current again, and return what `pause` needs."""

    def pause(self, outside: object) -> None:
        """Make current again what was outside."""

    def leave(self) -> None:
        """Make current again what was found at first."""
