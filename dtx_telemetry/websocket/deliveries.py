"""Which message a consumer handles here, and which ones came off a channel layer and wait to be handled.

Handlers get plain dicts with nothing of ours in them. So the layer's ``receive`` notes each message and its context in the
delivery of here, where the consumer's ``dispatch`` finds them. Channels calls ``receive`` in a task of its own, but a task
starts with the context variables of the one that starts it, and so with the same delivery.
"""

from collections import deque
from collections.abc import Generator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from contextvars import ContextVar
from enum import Enum
from typing import TYPE_CHECKING, Any

from ..context import CONTEXT_KEY, outside_scopes
from ..guard import never_raises

if TYPE_CHECKING:
    from ..tracing.current import Current

__all__ = ["Delivery", "Source", "current_delivery", "note_received", "outside", "split_message"]

# What a server sends to an application; a channel layer's messages have types of the application's own.
_CLIENTS_TYPES = ("websocket.connect", "websocket.receive", "websocket.disconnect", "http.request", "http.disconnect")
# Messages that wait. A consumer that takes messages off the layer by itself may never dispatch them, and they must not pile up;
# a worker process receives ahead of its consumer, whose queue holds the messages anyway.
_FEW, _MANY = 64, 10_000


class Source(Enum):
    """Where a message came from."""

    #: There is none: the consumer waits.
    NOTHING = "nothing"
    CLIENT = "client"
    LAYER = "layer"


class _Waiting(deque[tuple[object, Any, Any]]):
    """Messages that were received and not dispatched: (where, message, context)."""

    limit = _FEW


class Delivery:
    """A message on its way through one call of a consumer.

    It holds nothing of the consumer, because context variables outlive calls: a pooled connection keeps those of its opener.

    Attributes:
        consumer: tells one call from another; ``None`` in a worker process that receives for its consumers.
        source: where the message came from.
        carried: the context that came with it, ``None`` where none did.
    """

    __slots__ = ("_place", "_waiting", "carried", "consumer", "source")

    def __init__(self, consumer: object, source: Source, carried: Any, waiting: _Waiting) -> None:
        self.consumer = consumer
        self.source = source
        self.carried = carried
        self._waiting = waiting
        self._place = object()

    @classmethod
    def first(cls, consumer: object) -> "Delivery":
        """Return the delivery of a call that has handled no message yet."""
        current = _current.get()
        if current is None or current.consumer is not None:
            return cls(consumer, Source.NOTHING, None, _Waiting())
        current._waiting.limit = _MANY
        return cls(consumer, Source.NOTHING, None, current._waiting)

    def next(self, message: Any, carried: Any) -> "Delivery | None":
        """Return the delivery of *message*, dispatched in the course of this one; ``None`` where it is a part of this one.

        That is the case where it carries the same context or none: an overriding ``dispatch`` hands on the same message, or a
        changed copy of it.

        Args:
            message: without our key.
            carried: what stood under our key, where the message came past our channel layer.
        """
        received = self._take(message)
        if carried is None and received is not None:
            (carried,) = received
        from_client = received is None and carried is None and _type_of(message) in _CLIENTS_TYPES
        if self.source is Source.CLIENT:
            is_part = from_client
        else:
            is_part = self.source is Source.LAYER and (carried is None or carried == self.carried)
        if is_part:
            return None
        return Delivery(self.consumer, Source.CLIENT if from_client else Source.LAYER, carried, self._waiting)

    @contextmanager
    def entered(self) -> Generator[None]:
        """Be the delivery of here for the block."""
        with _set(self):
            yield

    def note(self, message: Any, carried: Any) -> None:
        """Note what came off a channel layer here."""
        waiting = self._waiting
        while len(waiting) >= waiting.limit:
            waiting.popleft()
        waiting.append((self._place, message, carried))

    def forget(self) -> None:
        """Forget the messages that still wait: the call is over."""
        if self._waiting.limit == _FEW:
            self._waiting.clear()

    def _take(self, message: Any) -> tuple[Any] | None:
        """Return the context of *message*, which waits no longer; ``None`` where it did not wait."""
        for index, (_, waiting, carried) in enumerate(self._waiting):
            if waiting is message:
                del self._waiting[index]
                return (carried,)
        return self._take_original(message)

    def _take_original(self, message: Any) -> tuple[Any] | None:
        """As `_take`, where *message* is a copy of what was received here: the first one of the same type is the original."""
        kind = _type_of(message)
        if kind is None or kind in _CLIENTS_TYPES:
            return None
        for index, (place, waiting, carried) in enumerate(self._waiting):
            if place is self._place and _type_of(waiting) == kind:
                del self._waiting[index]
                return (carried,)
        return None


_current: ContextVar[Delivery | None] = ContextVar("dtx_telemetry_delivery", default=None)


def current_delivery() -> Delivery | None:
    """Return the delivery of here, ``None`` outside any consumer."""
    return _current.get()


@never_raises
def note_received(message: Any, carried: Any) -> None:
    """Note that *message* came off a channel layer here, with the context that it carried."""
    delivery = _current.get()
    if delivery is None:
        # A worker process receives before it makes its consumer's task, which then starts with this variable.
        delivery = Delivery(None, Source.NOTHING, None, _Waiting())
        _current.set(delivery)
    delivery.note(message, carried)


@contextmanager
def outside(own: AbstractSet[str], span: "Current | None", *, keep_fields: bool = False) -> Generator[None]:
    """Be outside any scope and delivery for the block: what starts in it and outlives it keeps neither.

    Args:
        own: the keys that are never the process's own.
        span: what is current in the block, left at its end.
        keep_fields: what is bound here stays bound.
    """
    try:
        with _set(None), outside_scopes(keep_fields=keep_fields, own=own):
            yield
    finally:
        if span is not None:
            span.leave_block()


def split_message(message: Any) -> tuple[Any, Any]:
    """Return *message*, which is left as it is, without our key, and what stood under it; the very object if nothing did."""
    if not isinstance(message, dict) or CONTEXT_KEY not in message:
        return message, None
    return {key: value for key, value in message.items() if key != CONTEXT_KEY}, message[CONTEXT_KEY]


@contextmanager
def _set(delivery: Delivery | None) -> Generator[None]:
    token = _current.set(delivery)
    try:
        yield
    finally:
        try:
            _current.reset(token)
        except ValueError:  # the garbage collector ends this in another context
            pass


def _type_of(message: Any) -> Any:
    return message.get("type") if isinstance(message, dict) else None
