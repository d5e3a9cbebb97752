"""Who takes part in the life of each scope: the database's totals, the log lines, OpenTelemetry's spans and metrics.

They stand on higher floors and register here at start-up. So no edge asks whether one of them is on, and what goes with a
beginning and an end is done in the same order for all edges.
"""

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..events import Event

if TYPE_CHECKING:
    from .scope import Scope

__all__ = ["PARTICIPANTS", "End", "Participant", "inject", "listen", "take_part", "tell"]

#: In the order in which they are called: the line has the database's totals, and stands before the end of its span.
_ORDER = ("database", "logging", "tracing")


@dataclass(slots=True)
class End:
    """How a scope ends.

    Attributes:
        event: its closing event. ``None`` if somebody else will tell of it, as a worker does of a process that it lost.
        fields: the event's own fields.
        error: what the scope failed with.
        with_traceback: whether the event prints the traceback of *error*.
        is_printed: whether the event is logged at all. The path of a request may be excluded.
        facts: what the edge knows besides and does not print: what OpenTelemetry wants to hear.
        level: the level of the event.
        outcome: how it ended, in a word that metrics use.
    """

    event: Event | None
    fields: dict[str, Any]
    error: BaseException | None
    with_traceback: bool
    is_printed: bool
    facts: dict[str, Any]
    level: int = 0
    outcome: str = ""


class Participant:
    """Takes part in the life of scopes. Override what is of interest. Nothing may raise an exception."""

    def entered(self, scope: "Scope", about: Any) -> None:
        """Take note of a scope that was just entered.

        Args:
            scope: the scope.
            about: what the edge knows of it: a request, a task's request, a handshake.
        """

    def resumed(self, scope: "Scope") -> None:
        """Take note that *scope* is current once more, in a context that was made for its end."""

    def ending(self, scope: "Scope") -> None:
        """Make current again what belongs to *scope*: the application may have left something else so."""

    def ended(self, scope: "Scope", end: End) -> None:
        """Take part in the end of *scope*, which is current and comes but once."""

    def left(self, scope: "Scope") -> None:
        """Take note of a scope that was just left."""


class _Participants:
    """What to call, in order. Each attribute is replaced as a whole, at start-up alone."""

    __slots__ = ("by_name", "ended", "ending", "entered", "injector", "left", "moments", "resumed")

    def __init__(self) -> None:
        self.by_name: dict[str, Participant] = {}
        self.moments: dict[str, Callable[..., Any]] = {}
        self.injector: Callable[[MutableMapping[str, Any]], object] | None = None
        self.collect()

    def collect(self) -> None:
        present = [self.by_name[name] for name in _ORDER if name in self.by_name]
        self.entered = _overridden(present, "entered")
        self.resumed = _overridden(present, "resumed")
        self.ending = _overridden(present, "ending")
        self.ended = _overridden(present, "ended")
        self.left = _overridden(present, "left")


def _overridden(present: list[Participant], name: str) -> tuple[Callable[..., None], ...]:
    plain = getattr(Participant, name)
    return tuple(getattr(each, name) for each in present if getattr(type(each), name) is not plain)


PARTICIPANTS = _Participants()


def take_part(name: str, participant: Participant | None) -> None:
    """Let *participant* take part from now on, in place of the one of that name.

    Args:
        name: ``database``, ``logging`` or ``tracing``.
        participant: ``None`` for nothing.
    """
    if participant is None:
        PARTICIPANTS.by_name.pop(name, None)
    else:
        PARTICIPANTS.by_name[name] = participant
    PARTICIPANTS.collect()


def listen(
    moments: dict[str, Callable[..., Any]], injector: Callable[[MutableMapping[str, Any]], object] | None = None
) -> None:
    """Listen to moments inside scopes, and add to what leaves the process. Tracing does.

    Args:
        moments: what to call, by the name of the moment. None of them may raise an exception.
        injector: adds the headers of the current span to a mapping.
    """
    PARTICIPANTS.moments = moments
    PARTICIPANTS.injector = injector


def tell(moment: str, *facts: Any) -> Any:
    """Tell the listener of a moment inside a scope, and return its answer, or ``None`` without a listener.

    Args:
        moment: its name.
        facts: what there is to say of it, as the listener of that moment takes it.
    """
    listener = PARTICIPANTS.moments.get(moment)
    return None if listener is None else listener(*facts)


def inject(carrier: MutableMapping[str, Any]) -> None:
    """Let *carrier*, the headers of what leaves the process, carry the current span, if tracing is on."""
    if PARTICIPANTS.injector is not None:
        PARTICIPANTS.injector(carrier)
