"""Messages of a channel layer: each is handled in the context of who sent it, and what it brought is gone after it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .. import context
from ..config import get_settings
from ..guard import never_raises
from ..logging import get_logger
from .consumer_call import Receive, Send
from .messages import context_of, without_context

__all__ = ["Channel", "handling", "is_handling"]

_log = get_logger("dtx_telemetry.websocket")
# Whose message is being handled: a dispatch inside that, of an overriding class or by the consumer itself, is a part of it.
_handled: ContextVar[object] = ContextVar("dtx_telemetry_handled", default=None)


class Channel:
    """A channel that a worker process listens on: no connection, no events, a scope for each message."""

    def __init__(self, scope: Any) -> None:
        """Nothing is bound for the channel itself."""

    def receiving(self, receive: Receive) -> Receive:
        return receive

    def sending(self, send: Send) -> Send:
        return send

    def is_clients(self, message: Any) -> bool:
        """There is no client; every message comes from somebody else."""
        return False

    def learn(self, scope: Mapping[str, Any] | None) -> None:
        """There is no user."""

    def fail(self, error: BaseException) -> None:
        """There is no closing event to tell it."""

    def close(self) -> None:
        """There is nothing to leave."""


def is_handling(peer: object) -> bool:
    """Whether a message to *peer* is being handled here."""
    return _handled.get() is peer


@contextmanager
def handling(message: Any, peer: object) -> Generator[Any]:
    """Be in the scope of *message* for the block, which gets it without our key."""
    clean = without_context(message)
    scope = _enter(clean, peer)
    _handled.set(peer)
    try:
        yield clean
    finally:
        # Not by its token: the garbage collector may end this in another context, which knows neither.
        if is_handling(peer):
            _handled.set(None)
        if scope is not None:
            context.leave(scope)


@never_raises
def _enter(message: Any, peer: object) -> context.Scope:
    own = get_settings().own_keys
    parcel = context.unpack_message_context(context_of(message), own)
    if isinstance(peer, Channel):
        fields = {"request.id": parcel.request_id or context.new_request_id(), **parcel.fields}
        scope = context.enter_root(fields, own=own)
    else:
        scope = context.enter_senders(parcel, own)
    if parcel.problems:
        _log.warning("context_not_restored_whole", fields=parcel.problems)
    return scope
