"""What is bound, request ids, scopes, and carrying them out of a process and in again.

It knows nothing of Django, Celery or Channels.
"""

from .binding import OWN_KEYS, bind, carried_keys, unbind, variables
from .carrying import CONTEXT_KEY, MAX_SIZE, Parcel, carry_in, carry_out
from .companion import Companion
from .outgoing import outgoing_fields
from .reading import bound, get_request_id
from .request_ids import MAX_REQUEST_ID_LENGTH, new_request_id, valid_request_id
from .scope import Outside, Scope, current_scope, milliseconds
from .scopes import bind_fields, enter, enter_root, leave, outside_scopes
from .senders import enter_senders, unpack_message_context
from .threads import carry_context
from .users import user_id

__all__ = [
    "CONTEXT_KEY",
    "MAX_REQUEST_ID_LENGTH",
    "MAX_SIZE",
    "OWN_KEYS",
    "Companion",
    "Outside",
    "Parcel",
    "Scope",
    "bind",
    "bind_fields",
    "bound",
    "carried_keys",
    "carry_context",
    "carry_in",
    "carry_out",
    "current_scope",
    "enter",
    "enter_root",
    "enter_senders",
    "get_request_id",
    "leave",
    "milliseconds",
    "new_request_id",
    "outgoing_fields",
    "outside_scopes",
    "unbind",
    "unpack_message_context",
    "user_id",
    "valid_request_id",
    "variables",
]
