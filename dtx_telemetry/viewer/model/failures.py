"""Failures of one kind, counted."""

from dataclasses import dataclass
from typing import Any

from ..reading.line import Line

__all__ = ["Group"]


@dataclass
class Group:
    """Errors of one type at one place.

    Attributes:
        type: the exception's, else what was logged.
        place: the application's last frame, else what was running.
        count: how many there were.
        first: when the first was, as its line has it.
        last: likewise.
        example: the ``request.id`` of the last one that has any.
        message: of the last one.
    """

    type: str
    place: str
    count: int
    first: Line
    last: Line
    example: str | None
    message: str

    def as_json(self) -> dict[str, Any]:
        return {
            "type": self.type,
            "place": self.place,
            "count": self.count,
            "first": self.first.fields["timestamp"],
            "last": self.last.fields["timestamp"],
            "request.id": self.example,
            "message": self.message,
        }
