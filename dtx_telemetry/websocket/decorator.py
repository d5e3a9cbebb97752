"""``@telemetry_consumer``: a scope for each connection of a consumer class, and for each message that others send it."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from channels.exceptions import StopConsumer

from ..config import get_settings
from ..guard import never_raises, wrap_method
from .connection import Connection
from .consumer_call import Receive, Send
from .handling import Channel, handling, is_handling
from .http_request import ConsumerRequest

__all__ = ["telemetry_consumer"]

_C = TypeVar("_C", bound=type)
_ATTRIBUTE = "_dtx_peer"
_PEERS: Mapping[str, Callable[[Any], Connection | ConsumerRequest | Channel]] = {
    "websocket": Connection,
    "http": ConsumerRequest,
    "channel": Channel,
}


def telemetry_consumer(consumer: _C) -> _C:
    """Give every connection of *consumer* an id, its user and its labels, on all lines, and log how it began and ended.

    For any Channels consumer class, synchronous or asynchronous, of WebSockets, HTTP or channels. Returns the same class;
    a class whose base is decorated too is one consumer, not two.

    Raises:
        TypeError: it is no consumer class; what ``as_asgi()`` returns is none.
    """
    if not isinstance(consumer, type) or not hasattr(consumer, "dispatch"):
        raise TypeError(f"telemetry_consumer decorates a consumer class of Channels, not {consumer!r}")
    wrap_method(consumer, "__call__", _calling)
    wrap_method(consumer, "dispatch", _dispatching)
    return consumer


def _calling(call: Any) -> Any:
    async def call_in_scope(self: Any, scope: Any, receive: Receive, send: Send) -> Any:
        peer = None if _ATTRIBUTE in self.__dict__ else _peer_of(scope)
        if peer is None:
            return await call(self, scope, receive, send)
        self.__dict__[_ATTRIBUTE] = peer
        try:
            return await call(self, scope, peer.receiving(receive), peer.sending(send))
        except BaseException as error:
            peer.fail(error)
            raise
        finally:
            del self.__dict__[_ATTRIBUTE]
            peer.close()

    return call_in_scope


def _dispatching(dispatch: Any) -> Any:
    async def dispatch_in_scope(self: Any, message: Any) -> Any:
        handle = dispatch.__get__(self, type(self))
        peer = self.__dict__.get(_ATTRIBUTE)
        if peer is None or is_handling(peer):
            return await handle(message)
        # A consumer that overrides __call__ may have none.
        peer.learn(getattr(self, "scope", None))
        if peer.is_clients(message):
            try:
                return await handle(message)
            except StopConsumer:
                # It ends here, whatever Channels still waits for: a layer that loses its cancel never lets the consumer go.
                peer.end()
                raise
        with handling(message, peer) as clean:
            return await handle(clean)

    return dispatch_in_scope


@never_raises
def _peer_of(scope: Any) -> Connection | ConsumerRequest | Channel | None:
    """Enter the scope of what *scope* describes; ``None`` where telemetry is off or the kind is unknown."""
    make = _PEERS.get(scope.get("type"))
    return make(scope) if make is not None and get_settings().enabled else None
