"""Exceptions: as text, and those that are not ours to catch."""

__all__ = ["error_text", "is_interruption"]


def error_text(error: object) -> str:
    """Return ``TypeName: message``, or the type's name alone where there is no message. Never raises."""
    name = type(error).__name__
    try:
        message = str(error)
    except Exception:
        message = "<unprintable message>"
    return f"{name}: {message}" if message else name


def is_interruption(error: BaseException) -> bool:
    """Return True for an exception that a signal raised in the midst of our work and that is the application's to see.

    ``except Exception`` catches Celery's soft time limit, which may well come while a line waits for its reader.
    """
    return any(kind.__name__ == "SoftTimeLimitExceeded" for kind in type(error).__mro__)
