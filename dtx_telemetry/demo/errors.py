"""What ends the demo early."""

__all__ = ["DemoError", "Stopped"]


class DemoError(Exception):
    """The demo cannot go on. The message says why, for a person."""


class Stopped(BaseException):
    """A signal told the demo to stop.

    Attributes:
        number: the signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
