"""The id of a user, whatever kind of user it is."""

from typing import Any

__all__ = ["user_id"]


def user_id(user: Any, field: str) -> int | str | None:
    """Return *field* of *user* if it is authenticated, as something that any format can hold."""
    if user is None or not getattr(user, "is_authenticated", False):
        return None
    value = getattr(user, field)
    if value is None or type(value) in (int, str):
        return value  # type: ignore[no-any-return]
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else str(value)
