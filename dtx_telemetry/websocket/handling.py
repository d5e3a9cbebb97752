"""Messages of a channel layer: each is handled in the context of who sent it, and what it brought is gone after it."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from .. import context
from ..carrying import Parcel, carry_in
from ..config import get_settings
from ..guard import never_raises
from ..logging import get_logger
from ..messages import context_of, without_context
from .peer import Receive, Send

__all__ = ["Channel", "handling", "is_handling"]

# This stays the connection's own, whoever sends to it.
_CONNECTIONS_OWN = frozenset({"ws.conn_id"})
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
    parcel = _unpack(context_of(message), own)
    if isinstance(peer, Channel):
        fields = {"request.id": parcel.request_id or context.new_request_id(), **parcel.fields}
        scope = context.enter_root(fields, own=own)
    elif parcel.request_id is None:
        scope = context.enter(_unless_bound(parcel.fields))
    else:
        scope = context.enter(_senders(parcel, own), drop=own - _CONNECTIONS_OWN)
    if parcel.problems:
        _log.warning("context_not_restored_whole", fields=parcel.problems)
    return scope


def _unpack(carried: Any, own: frozenset[str]) -> Parcel:
    """Return what a message carried; with a new id where its own is bad, or where it has none for the rest of its set."""
    if not isinstance(carried, dict):
        return carry_in(None, carried)
    request_id = carried.get("request.id")
    parcel = carry_in(request_id, {key: value for key, value in carried.items() if key != "request.id"})
    if parcel.request_id is None and (request_id is not None or not own.isdisjoint(parcel.fields)):
        parcel.request_id = context.new_request_id()
    return parcel


def _senders(parcel: Parcel, own: frozenset[str]) -> dict[str, Any]:
    """Return what to bind of the sender's: ids and labels as a set, and what the connection's own code has not bound."""
    theirs = {key: value for key, value in parcel.fields.items() if key in own and key not in _CONNECTIONS_OWN}
    rest = _unless_bound({key: value for key, value in parcel.fields.items() if key not in own})
    return {"request.id": parcel.request_id, **theirs, **rest}


def _unless_bound(fields: Mapping[str, Any]) -> dict[str, Any]:
    mine = context.bound()
    return {key: value for key, value in fields.items() if key not in mine}
