"""What ends a command of the viewer early."""

__all__ = ["UsageError"]


class UsageError(Exception):
    """The command line cannot be followed; the message says why, in one line."""
