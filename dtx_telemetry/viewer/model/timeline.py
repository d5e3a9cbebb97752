"""Which scope ran at a time."""

from collections.abc import Callable, Iterable

from .scope import Scope

__all__ = ["TOLERANCE", "Timeline"]

#: Seconds. A duration is rounded, and measured by another clock than the line's time.
TOLERANCE = 0.001


def _always(_scope: Scope) -> bool:
    return True


class Timeline:
    """Scopes in the order in which they ran; to be asked for times that only grow."""

    def __init__(self, scopes: Iterable[Scope]) -> None:
        self._waiting = sorted(scopes, key=lambda scope: scope.start, reverse=True)
        self._running: list[Scope] = []
        self._latest = self._waiting[-1] if self._waiting else None

    def innermost(self, time: float, fits: Callable[[Scope], bool] = _always) -> Scope | None:
        """Return the scope that ran at *time*, of several the one that began last; ``None`` where none did."""
        while self._waiting and self._waiting[-1].start - TOLERANCE <= time:
            self._latest = self._waiting.pop()
            self._running.append(self._latest)
        self._running = [scope for scope in self._running if scope.closing is None or time <= scope.end + TOLERANCE]
        return next((scope for scope in reversed(self._running) if fits(scope)), None)

    def nearest(self, time: float) -> Scope | None:
        """Return what `innermost` does; where none ran, the one that had begun last, or begins first."""
        return self.innermost(time) or self._latest
