"""Values of attributes, as OTLP holds them."""

from typing import Any

__all__ = ["as_attribute", "is_small"]

_START, _END = -(2**63), 2**63


def is_small(number: int) -> bool:
    """Return True if *number* fits into OTLP's integers, of 64 bits with a sign."""
    return _START <= number < _END


def as_attribute(value: Any) -> Any:
    """Return *value*, which is plain data, with integers that do not fit as text.

    The exporters leave such an attribute out, with a traceback, and some come from a URL: an id of twenty digits.
    """
    kind = type(value)
    if kind is int:
        return value if is_small(value) else str(value)
    if kind is list:
        return [as_attribute(item) for item in value]
    if kind is dict:
        return {key: as_attribute(item) for key, item in value.items()}
    return value
