"""Exceptions: as fields, and those that are none of ours to catch."""

__all__ = ["error_text", "is_interruption"]


def error_text(error: object) -> str:
    """Return ``TypeName: message``, or the type's name alone where the exception cannot say its message."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def is_interruption(error: BaseException) -> bool:
    """Whether *error* was raised by a signal in the midst of our work and is the application's to see.

    Celery's soft time limit is one that ``except Exception`` catches, and it may well come while a line waits for its reader.
    """
    return any(kind.__name__ == "SoftTimeLimitExceeded" for kind in type(error).__mro__)
