"""The publishing side: the context goes into a message's headers, and ``task_published`` is logged."""

import time
from collections.abc import Mapping, MutableMapping
from typing import Any

from celery.utils.dispatch import Signal

from .. import context
from ..carrying import Parcel, carry_out
from ..config import Settings, get_settings
from ..guard import never_raises
from . import reports
from .closing import log
from .restoring import CONTEXT, PUBLISHED_AT, REQUEST_ID
from .workflow import workflow_id

__all__ = ["context_publishing", "inject", "tell"]

#: Sent as a task is published, with ``sender`` (its name) and ``context``: a dict of what travels, to be changed in place.
context_publishing = Signal(name="context_publishing", providing_args=["context"])


@never_raises
def inject(sender: str | None = None, headers: Any = None, body: Any = None, **_: Any) -> None:
    """Put the bound context into *headers*; a receiver of ``before_task_publish``.

    An id that the caller set by hand wins. What a retry publishes again is there already and is kept, so that a task's
    tenth attempt has the context, and the size, of its first.
    """
    settings = get_settings()
    if not settings.enabled or not isinstance(headers, MutableMapping):
        return
    parcel = _pack(sender, settings)
    given, kept = headers.get(REQUEST_ID), headers.get(CONTEXT)
    if not context.valid_request_id(given):
        given, kept = _bound_or_lost(parcel, headers)
    headers[REQUEST_ID] = given or _workflow_id(sender, headers, body)
    headers[CONTEXT] = kept if isinstance(kept, dict) else parcel.fields
    headers[PUBLISHED_AT] = time.time()
    if parcel.problems:
        log.warning("context_not_carried_whole", **{"task.name": sender, "fields": parcel.problems})


@never_raises
def tell(
    sender: str | None = None, headers: Any = None, body: Any = None, exchange: Any = None, routing_key: Any = None, **_: Any
) -> None:
    """Log ``task_published``; a receiver of ``after_task_publish``, which is not sent where publishing failed."""
    if not get_settings().enabled:
        return
    headers = headers if isinstance(headers, Mapping) else {}
    fields = {"task.id": headers.get("id") or _in_body(body, "id"), "task.name": sender}
    request_id, queue = headers.get(REQUEST_ID), routing_key or getattr(exchange, "name", exchange)
    if request_id is not None:
        fields["request.id"] = request_id
    if queue:
        fields["task.queue"] = queue
    log.info("task_published", **fields)


def _pack(sender: str | None, settings: Settings) -> Parcel:
    fields = context.travelling(settings.propagate)
    if context_publishing.receivers:
        context_publishing.send(sender, context=fields)
    return carry_out(fields)


def _bound_or_lost(parcel: Parcel, headers: Mapping[str, Any]) -> tuple[str | None, Any]:
    """Return the id that is bound; where none is, id and context of the lost task whose error callback this is."""
    if parcel.request_id is not None:
        return parcel.request_id, None
    carried = reports.carried_by(headers.get("parent_id"))
    return (carried.request_id, carried.fields) if context.valid_request_id(carried.request_id) else (None, None)


def _workflow_id(sender: str | None, headers: Mapping[str, Any], body: Any) -> str:
    embed = body[2] if isinstance(body, tuple | list) and len(body) == 3 else body
    embed = embed if isinstance(embed, Mapping) else {}
    chord = embed.get("chord")
    if sender == "celery.chord_unlock":  # it has what it waits for, and the body, as arguments
        arguments = _in_body(body, "args") or body[0]
        chord = arguments[1]
    task_id = headers.get("id") or _in_body(body, "id")
    return workflow_id(
        headers.get("group") or _in_body(body, "group"), embed.get("chain"), chord, headers.get("root_id") or task_id
    )


def _in_body(body: Any, key: str) -> Any:
    """Return *key* of a message of Celery's first protocol, which has everything in its body."""
    return body.get(key) if isinstance(body, Mapping) else None
