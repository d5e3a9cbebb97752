"""What an application should not have bound."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.utils.functional import lazystr

__all__ = ["Unprintable", "bad_context"]


class Unprintable:
    """Cannot say what it is."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def bad_context() -> dict[str, Any]:
    """Return everything that an application should not have bound."""
    loop: dict[Any, Any] = {1: 2}
    loop["self"] = loop
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    return {
        "a_set": {1},
        "unprintable": Unprintable(),
        "lazy": lazystr("lazy"),
        "model": User(username="invoker"),
        "when": datetime(2026, 1, 15, tzinfo=UTC),
        "decimal": Decimal("1.5"),
        "uuid": UUID(int=5),
        "nan": math.nan,
        "big": 2**70,
        "bytes": b"\xff",
        "surrogate": "\ud800",
        "long": "x" * 2**20,
        "deep": deep,
        "loop": loop,
        "kombu": {"__type__": "nothing", "__value__": 1},
        "id": "not this",
        "task": "not this",
        "root_id": "not this",
        "eta": "not this",
        "headers": {"id": "not this"},
    }
