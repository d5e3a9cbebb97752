"""Messages of a channel layer: how one carries its sender's context past the handlers that must not see it."""

from typing import Any

from ..context import CONTEXT_KEY

__all__ = ["Message", "context_of", "without_context"]


class Message(dict[str, Any]):
    """A message without our key; what stood under it is in `carried`."""

    __slots__ = ("carried",)

    def __init__(self, message: dict[str, Any], carried: Any) -> None:
        super().__init__(message)
        self.carried = carried


def without_context(message: Any) -> Any:
    """Return *message*, which is left as it is, without our key."""
    if not isinstance(message, dict) or CONTEXT_KEY not in message:
        return message
    rest = {key: value for key, value in message.items() if key != CONTEXT_KEY}
    return Message(rest, message[CONTEXT_KEY])


def context_of(message: Any) -> Any:
    """Return what *message* carried, ``None`` where it carried nothing."""
    return getattr(message, "carried", None)
