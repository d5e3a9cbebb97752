"""Ids of requests and of scopes: new ones, and which of those that come from outside are accepted."""

import os
import random
import re
from typing import TypeGuard

__all__ = ["MAX_REQUEST_ID_LENGTH", "new_request_id", "new_scope_id", "valid_request_id", "valid_scope_id"]

MAX_REQUEST_ID_LENGTH = 128
_REQUEST_ID = re.compile(rf"[A-Za-z0-9._\-:/+=~@]{{1,{MAX_REQUEST_ID_LENGTH}}}", re.ASCII)
_SCOPE_ID = re.compile("[0-9a-f]{8}", re.ASCII)
# The bits of a version 4 UUID that are random, and the others that are set.
_UUID_FREE, _UUID_SET = 0xFFFFFFFFFFFF0FFF3FFFFFFFFFFFFFFF, 0x00000000000040008000000000000000
# Ours alone: an application that seeds Python's own, to have the same numbers again, would have the same ids again.
_random = random.Random()  # noqa: S311 - no secret, and asking the system costs three times as much
os.register_at_fork(after_in_child=_random.seed)


def new_request_id() -> str:
    """Return a new random id, 32 hexadecimal digits (122 random bits, as a version 4 UUID of RFC 9562).

    It tells requests apart and is no secret: anyone may send one.
    """
    return (_random.getrandbits(128) & _UUID_FREE | _UUID_SET).to_bytes(16).hex()


def new_scope_id() -> str:
    """Return a new random id of a scope: eight hexadecimal digits, enough to tell the scopes of one request apart."""
    return _random.getrandbits(32).to_bytes(4).hex()


def valid_request_id(value: object) -> TypeGuard[str]:
    """Return True if *value* is accepted as a request id: 1 to 128 characters of ``A-Z a-z 0-9 . _ - : / + = ~ @``."""
    if type(value) is str and value.isalnum() and value.isascii():  # most are; asked without the regular expression
        return len(value) <= MAX_REQUEST_ID_LENGTH
    return isinstance(value, str) and _REQUEST_ID.fullmatch(value) is not None


def valid_scope_id(value: object) -> TypeGuard[str]:
    """Return True if *value* has the form of a scope's id."""
    return isinstance(value, str) and _SCOPE_ID.fullmatch(value) is not None
