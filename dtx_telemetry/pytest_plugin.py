"""The pytest plugin ``dtx_telemetry``: what was logged as a fixture, and tests that leave something bound.

It loads nothing of the rest until a fixture asks for it, or the option is set.
"""

import copy
import json
import logging
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .context import Scope

__all__ = ["TelemetryEvents", "pytest_addoption", "pytest_runtest_call", "telemetry_events"]

Event = dict[str, Any]
_CHECK_LEAKS = "telemetry_check_leaks"


class TelemetryEvents(list[Event]):
    """What was logged, in order: each event a dict as its JSON line has it, but for ``exc_info``, the exception itself.

    .. versionadded:: 0.1.0
    """

    def one(self, event: str | None = None, /, **fields: Any) -> Event:
        """Return the only event of that name with these fields.

        Args:
            event: ``None``: of any name.
            fields: ``task_id="x"`` asks for ``task.id`` too: an underscore stands for a point if no field has that name.

        Raises:
            AssertionError: there is none, or more than one. The message has what there was.
        """
        __tracebackhide__ = True
        found = self.all(event, **fields)
        if len(found) != 1:
            asked = " ".join(filter(None, [event or "event", *(f"{name}={value!r}" for name, value in fields.items())]))
            there_was = "\n".join(f"  {seen}" for seen in self) or "  nothing"
            raise AssertionError(f"{len(found)} times {asked}, not once. There was:\n{there_was}")
        return found[0]

    def all(self, event: str | None = None, /, **fields: Any) -> list[Event]:
        """Return every event of that name with these fields. See `one`."""
        return [
            seen
            for seen in list(self)
            if event in (None, seen["event"]) and all(_field(seen, name) == value for name, value in fields.items())
        ]


@pytest.fixture
def telemetry_events() -> Iterator[TelemetryEvents]:
    """Everything that is logged during the test, by whichever thread, task or logger, as a list of dicts.

    .. versionadded:: 0.1.0
    """
    from .logging import beside

    events = TelemetryEvents()
    with beside(_Keeping(events)):
        yield events


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addini(_CHECK_LEAKS, "fail a test that leaves something bound to the log context", type="bool", default=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test after which something is bound that was not before, and take it away for the next one."""
    if not item.config.getini(_CHECK_LEAKS):
        return (yield)
    from . import context

    outer, before = context.current_scope(), context.bound()
    try:
        result = yield
    finally:
        left = _take_away(outer, before)
    if left:
        pytest.fail(f"the test leaves bound: {', '.join(left)}", pytrace=False)
    return result


def _take_away(outer: "Scope | None", before: Event) -> list[str]:
    """Bind again what was bound before, and return the names of what was left, in the order in which lines have them."""
    from . import context

    left = _changed(before)
    while (scope := context.current_scope()) is not None and scope is not outer:
        left = left or ["a scope that is still open"]
        scope.leave()
    for key in _changed(before):
        context.unbind(key)
        if key in before:
            context.bind({key: before[key]})
    return left


def _changed(before: Event) -> list[str]:
    from . import context

    return [key for key, value in context.bound().items() if key not in before or before[key] is not value]


class _Keeping(logging.Handler):
    """Keeps each record as the line that it makes, in the thread that logged it and so with its context."""

    def __init__(self, events: TelemetryEvents) -> None:
        super().__init__()
        self._events = events
        self._line_of = _line_maker()

    def handle(self, record: logging.LogRecord) -> bool:
        """Keep *record*. No lock is held, since a value's ``__repr__`` may wait for another thread that logs."""
        self._events.append(self._line_of(record))
        return True


def _line_maker() -> Callable[[logging.LogRecord], Event]:
    """Return what makes events of records, by the current settings."""
    from .config import get_settings
    from .errors import error_text
    from .logging.line import LineBuilder, bare_line, utc_clock
    from .rendering import JsonRenderer, Sanitizer, Secrets

    settings = get_settings()
    sanitizer = Sanitizer(Secrets(settings.redact_keys), settings.log_max_value_length)
    builder, renderer = LineBuilder(sanitizer, utc_clock()), JsonRenderer(sanitizer)

    def make_line(record: logging.LogRecord) -> Event:
        error = _exception_of(record)
        plain = copy.copy(record)
        plain.exc_info = plain.exc_text = None  # whose traceback is printed once, and not by us
        try:
            event: Event = json.loads(renderer.render(builder.of_record(plain)))
        except Exception as problem:
            event = bare_line({"level": record.levelname.lower(), "logger": record.name, "event": record.msg}, problem)
        return event if error is None else {"error": error_text(error), **event, "exc_info": error}

    return make_line


def _exception_of(record: logging.LogRecord) -> BaseException | None:
    exc_info: Any = record.exc_info
    error = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else exc_info
    return error if isinstance(error, BaseException) else None


def _field(event: Event, name: str) -> Any:
    if name in event:
        return event[name]
    return next((value for key, value in event.items() if key.replace(".", "_") == name), None)
