"""The publishing side: the context goes into a message's headers, and ``task_published`` is logged."""

import time
from collections.abc import Mapping
from typing import Any

from celery.utils.dispatch import Signal

from .. import context
from ..config import get_settings
from ..events import CONTEXT_NOT_CARRIED_WHOLE, POLLING_TASK, TASK_PUBLISHED
from ..guard import signal_receiver
from .closing import level_of, log
from .headers import CONTEXT, PUBLISHED_AT, REQUEST_ID, workflow_id
from .reports import headers_of_lost_task

__all__ = ["add_context", "context_publishing", "log_published"]

#: Sent as a task is published, with ``sender`` (its name) and ``context``: a dict of what travels, to be changed in place.
context_publishing = Signal(name="context_publishing", providing_args=["context"])


@signal_receiver
def add_context(sender: str | None, headers: Any, body: Any, exchange: Any, routing_key: Any, declare: Any) -> None:
    """Put the bound context into *headers*. A receiver of ``before_task_publish``.

    An id that the caller set by hand wins. What a retry publishes again is there already and is kept, so that a task's
    tenth attempt has the context, the cause and the size of its first.
    """
    settings = get_settings()
    if not settings.enabled or not isinstance(headers, dict):
        return
    fields = context.outgoing_fields(settings.propagate)
    if context_publishing.receivers:
        context_publishing.send(sender, context=fields)
    parcel = context.carry_out(fields)
    given, kept = headers.get(REQUEST_ID), headers.get(CONTEXT)
    if not context.valid_request_id(given):
        given, kept = parcel.request_id, None
        if given is None:  # the worker has nothing bound as it publishes the error callback of a task that it lost
            lost = headers_of_lost_task(headers.get("parent_id"))
            given, kept = (lost.request_id, lost.fields) if context.valid_request_id(lost.request_id) else (None, None)
    headers[REQUEST_ID] = given or _workflow_id(sender, headers, body)
    headers[CONTEXT] = kept if isinstance(kept, dict) else parcel.fields
    headers[PUBLISHED_AT] = time.time()
    context.tell("task_publishing", sender, headers, body, exchange, routing_key, declare)
    if parcel.problems:
        log.warning(CONTEXT_NOT_CARRIED_WHOLE.name, **{"task.name": sender, "fields": parcel.problems})


@signal_receiver
def log_published(sender: str | None, headers: Any, body: Any, exchange: Any, routing_key: Any) -> None:
    """Log ``task_published``. A receiver of ``after_task_publish``, which is not sent if publishing failed."""
    if not get_settings().enabled:
        return
    context.tell("task_published", headers)
    headers = headers if isinstance(headers, dict) else {}
    fields = {"task.id": headers.get("id") or _in_body(body, "id"), "task.name": sender}
    request_id, queue = headers.get(REQUEST_ID), routing_key or getattr(exchange, "name", exchange)
    if request_id is not None and request_id != context.get_request_id():
        fields[REQUEST_ID] = request_id
    if queue:
        fields["task.queue"] = queue
    log.emit(level_of(TASK_PUBLISHED, sender), TASK_PUBLISHED.name, fields)


def _workflow_id(sender: str | None, headers: Mapping[str, Any], body: Any) -> str:
    embed = body[2] if isinstance(body, tuple | list) and len(body) == 3 else body
    embed = embed if isinstance(embed, Mapping) else {}
    chord = embed.get("chord")
    if sender == POLLING_TASK:  # it has what it waits for, and the body, as arguments
        arguments = _in_body(body, "args") or body[0]
        chord = arguments[1]
    task_id = headers.get("id") or _in_body(body, "id")
    return workflow_id(
        headers.get("group") or _in_body(body, "group"), embed.get("chain"), chord, headers.get("root_id") or task_id
    )


def _in_body(body: object, key: str) -> Any:
    """Return *key* of a message of Celery's first protocol, which has everything in its body."""
    return body.get(key) if isinstance(body, Mapping) else None
