"""The library's events, as far as they begin or end something."""

from typing import NamedTuple

__all__ = ["CLOSINGS", "CONNECTION", "FAILURES", "Closing", "Kind"]

Kind = str


class Closing(NamedTuple):
    """What a closing event says.

    Attributes:
        kind: of the scope that it closes.
        outcome: how that ended, in a word.
    """

    kind: Kind
    outcome: str


CLOSINGS = {
    "request_completed": Closing("request", "completed"),
    "request_failed": Closing("request", "failed"),
    "request_cancelled": Closing("request", "cancelled"),
    "ws_rejected": Closing("connection", "rejected"),
    "ws_disconnected": Closing("connection", "closed"),
    "ws_failed": Closing("connection", "failed"),
    "ws_handled": Closing("message", "handled"),
    "task_completed": Closing("task", "completed"),
    "task_failed": Closing("task", "failed"),
    "task_ignored": Closing("task", "ignored"),
    "task_retried": Closing("task", "retried"),
    "task_revoked": Closing("task", "revoked"),
    "task_rejected": Closing("task", "rejected"),
    "task_unknown": Closing("task", "unknown"),
    "command_completed": Closing("command", "completed"),
    "command_failed": Closing("command", "failed"),
    "operation_completed": Closing("operation", "completed"),
    "operation_failed": Closing("operation", "failed"),
}
#: The levels of a closing event that tells of a failure. A task's exception that it declares in ``throws`` is logged as info.
FAILURES = frozenset({"error", "critical"})
#: Those that a connection's own scope logs.
CONNECTION = frozenset({"ws_connected", "ws_rejected", "ws_disconnected", "ws_failed"})
