"""Exceptions as fields."""

__all__ = ["error_text"]


def error_text(error: object) -> str:
    """Return ``TypeName: message``, or the type's name alone where the exception cannot say its message."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__
