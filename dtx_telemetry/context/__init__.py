"""What is bound, request ids, the life of scopes, and carrying a context out of a process and in again.

It knows nothing of Django, Celery or Channels.
"""

from . import pools  # noqa: F401 - it is told of forks
from .binding import OWN_KEYS, bind, unbind, variables
from .carrying import CONTEXT_KEY, MAX_SIZE, Parcel, carry_in, carry_out, outgoing_fields
from .entering import bind_fields, bound, enter, enter_root, get_request_id, no_scope, outside_context
from .layer_message import enter_message, unpack_message_context
from .participants import End, Participant, inject, listen, take_part, tell
from .process_end import ProcessEnd, end_with_uvicorn
from .request_ids import MAX_REQUEST_ID_LENGTH, new_request_id, valid_request_id
from .running import carry_context, run_in
from .scope import Scope, current_scope, current_scope_id, milliseconds
from .users import user_id

__all__ = [
    "CONTEXT_KEY",
    "MAX_REQUEST_ID_LENGTH",
    "MAX_SIZE",
    "OWN_KEYS",
    "End",
    "Parcel",
    "Participant",
    "ProcessEnd",
    "Scope",
    "bind",
    "bind_fields",
    "bound",
    "carry_context",
    "carry_in",
    "carry_out",
    "current_scope",
    "current_scope_id",
    "end_with_uvicorn",
    "enter",
    "enter_message",
    "enter_root",
    "get_request_id",
    "inject",
    "listen",
    "milliseconds",
    "new_request_id",
    "no_scope",
    "outgoing_fields",
    "outside_context",
    "run_in",
    "take_part",
    "tell",
    "unbind",
    "unpack_message_context",
    "user_id",
    "valid_request_id",
    "variables",
]
