"""The headers of a task's message: what they are called, what is read of them, and the id of a workflow that has none.

========================  =============================================================================================
``request.id``            a string, readable by any other consumer
``dtx.context``           a dict: ``scope.id`` and whatever else is bound, see `dtx_telemetry.context.outgoing_fields`
``dtx.published_at``      seconds since the epoch, a float
========================  =============================================================================================
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

from celery.app.task import Context
from celery.utils.dispatch import Signal

from .. import context
from .closing import AnyTask

__all__ = ["CONTEXT", "PUBLISHED_AT", "REQUEST_ID", "OurHeaders", "context_restored", "read_headers", "restore", "workflow_id"]

REQUEST_ID = "request.id"
CONTEXT = context.CONTEXT_KEY
PUBLISHED_AT = "dtx.published_at"

#: Sent as a task starts, with ``sender`` (the task) and ``context``: a dict of what will be bound, to be changed in place.
context_restored = Signal(name="context_restored", providing_args=["context"])

#: A task's request, or the headers of a message that never became a request.
Message: TypeAlias = Context | Mapping[str, Any] | None
_MAX_NESTING = 32
_End: TypeAlias = tuple[Any, Any]


class OurHeaders(NamedTuple):
    """Our headers of a message as they came, ``None`` for one that it did not have."""

    request_id: Any
    fields: Any
    published_at: Any


def read_headers(message: Message) -> OurHeaders:
    """Return our headers of *message*.

    An eager task has them only under ``headers``, a task from a message as attributes too.
    """
    # A task's request has a method of that name too, which asks its class as well.
    get = message.__dict__.get if isinstance(message, Context) else getattr(message, "get", None)
    if get is None:
        return OurHeaders(None, None, None)
    found = OurHeaders(get(REQUEST_ID), get(CONTEXT), get(PUBLISHED_AT))
    if None in found and isinstance(nested := get("headers"), Mapping):
        values = map(nested.get, (REQUEST_ID, CONTEXT, PUBLISHED_AT))
        found = OurHeaders(*[other if one is None else one for one, other in zip(found, values, strict=True)])
    return found


def restore(
    sender: "AnyTask | str | None", found: OurHeaders, message: Message, task_id: str | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the fields to bind for a task, always with a ``request.id``, and what was wrong with those that it brought.

    The sender's ``scope.id`` has become the ``scope.cause``.

    Args:
        sender: the task, for ``context_restored``.
        found: what the message carried.
        message: what else it says: its workflow's id, in every process the same, stands in for one that is missing or bad.
        task_id: the task's id.
    """
    parcel = context.carry_in(found.request_id, found.fields)
    request_id = parcel.request_id
    if request_id is None:
        get = getattr(message, "get", lambda _: None)
        request_id = workflow_id(get("group"), get("chain"), get("chord"), get("root_id") or task_id)
    fields = {**parcel.fields, REQUEST_ID: request_id}
    if context_restored.receivers:
        fields = _changed_by_receivers(sender, fields, request_id)
    return fields, parcel.problems


def _changed_by_receivers(sender: "AnyTask | str | None", fields: dict[str, Any], request_id: str) -> dict[str, Any]:
    """Return *fields* as the receivers of ``context_restored`` want them."""
    context_restored.send(sender, context=fields)
    if not context.valid_request_id(fields.get(REQUEST_ID)):
        fields[REQUEST_ID] = request_id
    return {key: value for key, value in fields.items() if isinstance(key, str)}


def workflow_id(group: Any, chain: Any, chord: Any, root_id: Any) -> str:
    """Return the id of a workflow that was given none, for all its tasks the same: Celery says enough in each message.

    It is that of the outermost group that a task is published in, else its root task's, or a new one if neither is usable.

    Args:
        group: the id of the task's own group.
        chain: the tasks after it, the last one first. Of a chain in a group only the last task bears the group's id.
        chord: the body of the chord in whose header the task is. The chord goes on in it, in a group for example.
        root_id: the id of the root task.
    """
    try:
        group = _outermost_group(group, chain, chord)
    except Exception:  # noqa: S110 - a message of somebody else's, not as Celery makes them
        pass
    return next((value for value in (group, root_id) if context.valid_request_id(value)), None) or context.new_request_id()


def _outermost_group(group: Any, chain: Any, chord: Any) -> Any:
    if chain:
        group, chord = _group_and_chord_at_the_end(chain[0], 0)
    for _ in range(_MAX_NESTING):
        if not chord:
            break
        outer, chord = _group_and_chord_at_the_end(chord, 0)
        group = outer or group
    return group


def _group_and_chord_at_the_end(signature: Mapping[str, Any], depth: int) -> _End:
    """Return the group and the chord that the end of *signature* is part of: its last task's, or its body's."""
    options, kwargs = signature.get("options") or {}, signature.get("kwargs") or {}
    group, chord = options.get("group_id"), options.get("chord")
    kind = signature.get("subtask_type")
    last = kwargs.get("body") if kind == "chord" else kwargs["tasks"][-1] if kind in {"chain", "group"} else None
    if last and depth < _MAX_NESTING:
        inner_group, inner_chord = _group_and_chord_at_the_end(last, depth + 1)
        return inner_group or group, inner_chord or chord
    return group, chord
