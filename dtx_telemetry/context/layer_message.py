"""The scope of a channel layer message: the sender's ids, and what stays the receiver's own."""

from collections.abc import Collection, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from ..events import MESSAGE
from .binding import OWN_KEYS
from .carrying import Parcel, carry_in
from .entering import bound, enter
from .request_ids import new_request_id
from .scope import Scope, current

__all__ = ["enter_message", "unpack_message_context"]

# A connection keeps these, whoever sends to it.
_RECEIVERS_OWN = frozenset({"ws.conn_id"})
# These are the sender's or absent: a message that no user sent is not handled as the connection's user.
_SENDERS_OR_ABSENT = frozenset({"request.id", "user.id", "command.name", "operation.name"})


def unpack_message_context(carried: object, own: AbstractSet[str] = OWN_KEYS) -> Parcel:
    """Return what a message carried, as far as it is good. Never raises.

    Args:
        carried: what stood under the message's one key, ``None`` if it had none.
        own: the keys that belong to an id. If a context brings some of them without an id, it gets a new one.
    """
    if not isinstance(carried, dict):
        return carry_in(None, carried)
    request_id = carried.get("request.id")
    parcel = carry_in(request_id, {key: value for key, value in carried.items() if key != "request.id"})
    if parcel.request_id is None and (request_id is not None or not own.isdisjoint(parcel.fields.keys() - {"scope.cause"})):
        parcel.request_id = new_request_id()
    return parcel


def enter_message(
    parcel: Parcel, own: AbstractSet[str] = OWN_KEYS, *, receiver: Scope | None = None, about: Any = None
) -> Scope:
    """Enter the scope of a message, nested in its receiver's.

    Ids and user are the sender's. Labels are the sender's followed by the receiver's. A resource's id is the sender's, else the
    receiver's. What the receiver's own code bound stays, and so does its ``ws.conn_id``. A message that carried nothing is
    handled with the receiver's ids.

    Args:
        parcel: what the message carried.
        own: our keys, the ids of resources included.
        receiver: the receiver's scope, if another of its messages may be in progress. That one's fields are not inherited.
        about: what the edge knows of the message, for the participants.
    """
    outer = current.get()
    around = receiver if receiver is not None and (outer is None or outer.own is not receiver.own) else None
    receivers = bound() if around is None else around.inside
    if parcel.request_id is None:
        return enter(MESSAGE, _unless_bound(parcel.fields, receivers), around=around, about=about)
    carried = {key: value for key, value in parcel.fields.items() if key not in _RECEIVERS_OWN}
    theirs = {key: value for key, value in carried.items() if key in own or key not in receivers}
    fields = {"request.id": parcel.request_id, **theirs}
    labels = _joined_labels(parcel.fields.get("labels"), receivers.get("labels"))
    if labels:
        fields["labels"] = labels
    return enter(MESSAGE, fields, drop=_SENDERS_OR_ABSENT - fields.keys(), around=around, about=about)


def _unless_bound(fields: Mapping[str, Any], receivers: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in receivers or key == "scope.cause"}


def _joined_labels(senders: object, receivers: object) -> list[Any]:
    """Return both lists as one, each label once."""
    lists = [labels for labels in (senders, receivers) if isinstance(labels, list)]
    return list({str(label): label for labels in lists for label in labels}.values())
