"""The library's events, as far as they begin or end something."""

from typing import NamedTuple

__all__ = ["CLOSINGS", "CONNECTION", "Closing", "Kind"]

Kind = str


class Closing(NamedTuple):
    """What a closing event says.

    Attributes:
        kind: of the scope that it closes.
        outcome: how that ended, in a word.
        failed: whether that is a failure; a request's status may make it one as well.
    """

    kind: Kind
    outcome: str
    failed: bool = False


CLOSINGS = {
    "request_completed": Closing("request", "completed"),
    "request_failed": Closing("request", "failed", failed=True),
    "request_cancelled": Closing("request", "cancelled"),
    "ws_rejected": Closing("connection", "rejected"),
    "ws_disconnected": Closing("connection", "closed"),
    "ws_failed": Closing("connection", "failed", failed=True),
    "ws_handled": Closing("message", "handled"),
    "task_completed": Closing("task", "completed"),
    "task_failed": Closing("task", "failed", failed=True),
    "task_ignored": Closing("task", "ignored"),
    "task_retried": Closing("task", "retried"),
    "task_revoked": Closing("task", "revoked"),
    "task_rejected": Closing("task", "rejected"),
    "task_unknown": Closing("task", "unknown", failed=True),
    "command_completed": Closing("command", "completed"),
    "command_failed": Closing("command", "failed", failed=True),
    "operation_completed": Closing("operation", "completed"),
    "operation_failed": Closing("operation", "failed", failed=True),
}
#: Those that a connection's own scope logs.
CONNECTION = frozenset({"ws_connected", "ws_rejected", "ws_disconnected", "ws_failed"})
