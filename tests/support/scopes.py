"""What is bound, compared without the ids of scopes, which are new at each run."""

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["without_ids"]

_ID = re.compile("[0-9a-f]{8}")
_NAMES = ("scope.id", "scope.cause")


def without_ids(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return *fields* without ``scope.id`` and ``scope.cause``, having looked at the form of both."""
    for name in _NAMES:
        assert name not in fields or _ID.fullmatch(fields[name]), f"{name} is {fields[name]!r}"
    return {name: value for name, value in fields.items() if name not in _NAMES}
