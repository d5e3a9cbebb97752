"""What ends a command of the viewer early, and what cannot be read."""

__all__ = ["Unreadable", "UsageError"]


class UsageError(Exception):
    """The command line cannot be followed. The message says why, in one line."""


class Unreadable(Exception):
    """A file is of a kind that is not read. The message says which, and what to do."""
