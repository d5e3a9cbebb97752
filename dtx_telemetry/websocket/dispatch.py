"""Dispatching one message: a channel layer's is handled in the context of its sender, and what it brought is gone after it."""

import asyncio
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from .. import context
from ..config import get_settings
from ..guard import never_raises
from ..logging import get_logger
from ..tracing import TRACING
from .consumer_call import ConsumerCall, is_failure
from .deliveries import Delivery, Source, current_delivery, split_message

__all__ = ["dispatching"]

# What the propagators of OpenTelemetry put into a message: W3C's, B3's, Jaeger's and AWS's. Also where it is off here.
_TRACE_KEYS = frozenset(
    {"b3", "baggage", "traceparent", "tracestate", "uber-trace-id", "x-amzn-trace-id", "x-b3-flags", "x-b3-parentspanid"}
    | {"x-b3-sampled", "x-b3-spanid", "x-b3-traceid"}
)
_log = get_logger("dtx_telemetry.websocket")


@contextmanager
def dispatching(call: ConsumerCall, message: Any) -> Generator[Any]:
    """Be in the scope that *message* belongs to for the block, which gets it without our key."""
    message, carried = split_message(message)
    outer = _outer_delivery(call)
    delivery = _next_delivery(outer, message, carried)
    if delivery is None:
        yield message
        return
    with ExitStack() as stack:
        if delivery.source is Source.CLIENT:
            stack.enter_context(call.traced(message))
        if outer.source is Source.NOTHING:
            stack.enter_context(call.turn())
        stack.enter_context(delivery.entered())
        if delivery.source is Source.LAYER:
            stack.enter_context(_message_scope(call, delivery, message))
        yield message


def _outer_delivery(call: ConsumerCall) -> Delivery:
    """Return the delivery that a dispatch is made in: that of here where it is of the same call."""
    current = current_delivery()
    return current if current is not None and current.consumer is call.first_delivery.consumer else call.first_delivery


@never_raises
def _next_delivery(outer: Delivery, message: Any, carried: Any) -> Delivery | None:
    return outer.next(message, carried)


@contextmanager
def _message_scope(call: ConsumerCall, delivery: Delivery, message: Any) -> Generator[None]:
    scope, is_handled, failure = _enter(call, delivery, message), True, None
    try:
        yield
    except (asyncio.CancelledError, GeneratorExit):
        is_handled = False
        raise
    except BaseException as error:
        failure = error if is_failure(error) else None
        raise
    finally:
        if scope is not None:
            scope.close()
            if is_handled and call.log_messages:
                _log.debug("ws_handled", **{"ws.message_type": message.get("type"), "duration_ms": scope.duration_ms})
            if TRACING.on is not None:
                TRACING.on.work.end(scope.span, failure)
            scope.leave()


@never_raises
def _enter(call: ConsumerCall, delivery: Delivery, message: Any) -> context.Scope:
    own = get_settings().own_keys
    carried, trace = _without_trace(delivery.carried)
    parcel = context.unpack_message_context(carried, own)
    scope = call.enter_message(parcel, own)
    if TRACING.on is not None:
        scope.span = TRACING.on.sockets.process(str(message.get("type")), trace, call.spans)
    if parcel.problems:
        _log.warning("context_not_restored_whole", fields=parcel.problems)
    return scope


def _without_trace(carried: Any) -> tuple[Any, dict[str, str]]:
    """Return what a message carried without the headers of its trace, and those: they are nobody's fields."""
    if not isinstance(carried, dict) or _TRACE_KEYS.isdisjoint(carried):
        return carried, {}
    trace = {key: carried[key] for key in _TRACE_KEYS & carried.keys() if isinstance(carried[key], str)}
    return {key: value for key, value in carried.items() if key not in _TRACE_KEYS}, trace
