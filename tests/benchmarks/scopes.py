"""Entering and leaving a scope, extracting labels, and how the cost grows with what does not matter to them."""

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import structlog

from dtx_telemetry import context, events
from dtx_telemetry.config.labels import LabelTable

from .harness import Comparison, Subject, compare, times

FIELDS = {"request.id": "0af7651916cd43dd8448eb211c80319c", "user.id": 42, "labels": ["tournament"], "tournament.id": 5}
PATH = "/api/tournaments/5/draft/12/"


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Yield the tables of this module."""
    here = __name__
    yield compare(
        "scope with four fields: enter and leave",
        [
            Subject("dtx_telemetry", f"{here}:scope"),
            Subject("structlog bind and unbind", f"{here}:bind_and_unbind"),
            Subject("structlog bound_contextvars", f"{here}:bound_contextvars"),
        ],
        rounds=rounds,
    )
    yield _growth("scope: growth with fields bound around it", "scope_among_fields", ("0", "10", "100"), rounds)
    yield _growth("scope: growth with context variables of others", "scope_among_variables", ("0", "100", "1000"), rounds)
    yield _growth("labels: growth with the table", "labels", ("10", "1000"), rounds)


def _growth(title: str, function: str, sizes: tuple[str, ...], rounds: int) -> Comparison:
    subjects = [Subject(size, f"{__name__}:{function}", (size,)) for size in sizes]
    return compare(title, subjects, {f"{sizes[-1]} to {sizes[0]}": times(sizes[-1], sizes[0])}, rounds=rounds)


def scope() -> Callable[[], None]:
    """Our scope of a request."""

    def work() -> None:
        context.enter_root(events.OPERATION, FIELDS).leave()

    return work


def bind_and_unbind() -> Callable[[], None]:
    """What structlog's documentation shows for a request; it leaves nothing as it was found."""

    def work() -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**FIELDS)
        structlog.contextvars.unbind_contextvars(*FIELDS)

    return work


def bound_contextvars() -> Callable[[], None]:
    """structlog's way to bind for a block."""

    def work() -> None:
        with structlog.contextvars.bound_contextvars(**FIELDS):
            pass

    return work


def scope_among_fields(count: str) -> Callable[[], None]:
    """Our scope where the process has bound fields of its own."""
    structlog.contextvars.bind_contextvars(**{f"field{number}": number for number in range(int(count))})
    return scope()


def scope_among_variables(count: str) -> Callable[[], None]:
    """Our scope where other libraries hold context variables."""
    variables: list[ContextVar[Any]] = [ContextVar(f"other{number}") for number in range(int(count))]
    for variable in variables:
        variable.set(1)
    return scope()


def labels(count: str) -> Callable[[], dict[str, Any]]:
    """The labels of a path, by a table of so many resources."""
    resources = {f"resource{number}": f"resource{number}" for number in range(int(count) - 2)}
    table = LabelTable({**resources, "tournaments": "tournament", "draft": "draft"})
    return lambda: table.extract(PATH)
