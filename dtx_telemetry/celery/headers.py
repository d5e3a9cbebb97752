"""What a message says about its context, read again: for the scope of a task, and for a line about a task that never ran."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from celery.app.task import Context
from celery.utils.dispatch import Signal

from .. import context
from .closing import AnyTask, log
from .workflow import workflow_id

__all__ = ["CONTEXT", "PUBLISHED_AT", "REQUEST_ID", "OurHeaders", "context_restored", "read_headers", "restored_fields"]

REQUEST_ID = "request.id"
CONTEXT = context.CONTEXT_KEY
PUBLISHED_AT = "dtx.published_at"

#: Sent as a task starts, with ``sender`` (the task) and ``context``: a dict of what will be bound, to be changed in place.
context_restored = Signal(name="context_restored", providing_args=["context"])


class OurHeaders(NamedTuple):
    """Our headers of a message as they came, ``None`` where there was none."""

    request_id: Any
    fields: Any
    published_at: Any

    def seconds_since(self, now: float) -> float | None:
        """Return how long ago it was published, 0 if the publisher's clock is ahead; ``None`` if missing or implausible."""
        at = self.published_at
        if type(at) not in (float, int) or not 0 < at < 2**40:
            return None
        return now - at if now > at else 0.0


def read_headers(request: Context | Mapping[str, Any] | None) -> OurHeaders:
    """Return our headers of a task's request, or of a message's headers.

    An eager task has them only under ``headers``, a task from a message as attributes too.
    """
    # A task's context has a method of that name too, which asks its class as well.
    get = request.__dict__.get if isinstance(request, Context) else getattr(request, "get", None)
    if get is None:
        return OurHeaders(None, None, None)
    found = OurHeaders(get(REQUEST_ID), get(CONTEXT), get(PUBLISHED_AT))
    if None in found and isinstance(nested := get("headers"), Mapping):
        values = map(nested.get, (REQUEST_ID, CONTEXT, PUBLISHED_AT))
        found = OurHeaders(*[other if one is None else one for one, other in zip(found, values, strict=True)])
    return found


def restored_fields(
    sender: "AnyTask | str | None", found: OurHeaders, request: Context | Mapping[str, Any] | None, task_id: str | None
) -> dict[str, Any]:
    """Return the fields to bind for a task: what its message carried, as far as it is good, and always a ``request.id``.

    Args:
        sender: the task, for ``context_restored``.
        found: what the message carried.
        request: what else the message says: its workflow's id, in every process the same, stands in for one that is missing or
            bad.
        task_id: the task's id.
    """
    parcel = context.carry_in(found.request_id, found.fields)
    request_id = parcel.request_id or _workflow_id(request, task_id)
    fields = {**parcel.fields, "request.id": request_id}
    if context_restored.receivers:
        fields = _changed_by_receivers(sender, fields, request_id)
    if parcel.problems:
        log.warning("context_not_restored_whole", **{**fields, "fields": parcel.problems})
    return fields


def _changed_by_receivers(sender: "AnyTask | str | None", fields: dict[str, Any], request_id: str) -> dict[str, Any]:
    """Return *fields* as the receivers of ``context_restored`` want them."""
    context_restored.send(sender, context=fields)
    if not context.valid_request_id(fields.get("request.id")):
        fields["request.id"] = request_id
    return {key: value for key, value in fields.items() if isinstance(key, str)}


def _workflow_id(request: Context | Mapping[str, Any] | None, task_id: str | None) -> str:
    get = getattr(request, "get", lambda _: None)
    return workflow_id(get("group"), get("chain"), get("chord"), get("root_id") or task_id)
