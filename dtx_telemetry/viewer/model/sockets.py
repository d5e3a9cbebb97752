"""The lines that share a WebSocket connection: its own, and those of messages that others sent it."""

from collections.abc import Sequence

from ..reading.line import Line
from .carving import carve
from .events import CLOSINGS, CONNECTION
from .scope import Scope

__all__ = ["is_connection", "split_connection", "split_messages"]


def split_connection(lines: Sequence[Line]) -> list[Scope]:
    """Return a connection, and after it what nests in it: messages that it sent to itself, commands.

    Args:
        lines: with the connection's own ``request.id``, in order of time.
    """
    # These are never a message's, however close they stand to one: its handler may have closed the connection.
    events = [line for line in lines if line.own_event in CONNECTION]
    others = [line for line in lines if line.own_event not in CONNECTION]
    inner, left = carve(others, lambda line: CLOSINGS[line.event].kind in ("message", "command"))
    own = sorted([*events, *left], key=lambda line: line.time)
    if not own:
        return inner
    closing = next((line for line in reversed(own) if line.own_event in CONNECTION & CLOSINGS.keys()), None)
    connection = Scope("connection", own, closing)
    for scope in inner:
        scope.parent = connection
    return [connection, *inner]


def split_messages(lines: Sequence[Line]) -> list[Scope]:
    """Return the messages that a connection handled for somebody else's ``request.id``.

    Where ``log_messages`` is off nothing says where one ends, and all together are one.
    """
    messages: list[Scope] = []
    waiting: list[Line] = []
    for line in lines:
        waiting.append(line)
        if line.own_event == "ws_handled":
            messages.append(Scope("message", waiting, line))
            waiting = []
    if waiting:
        messages.append(Scope("message", waiting))
    return messages


def is_connection(lines: Sequence[Line]) -> bool:
    """Whether a connection's own events are among *lines*."""
    return any(line.own_event in CONNECTION for line in lines)
