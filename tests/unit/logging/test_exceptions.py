"""Exceptions on lines: the traceback once, in full, without locals."""

import asyncio
import gc
import logging
import sys
import weakref
from pathlib import Path
from typing import Any

import pytest

from dtx_telemetry.logging import get_logger, tracebacks
from tests.support.pipeline import Printed, only_ours, our_handler, print_lines

log = get_logger()


@pytest.fixture
def printed(tmp_path: Path) -> Printed:
    return print_lines(tmp_path)


def raised(error: BaseException) -> BaseException:
    """Return *error* with a traceback that has a frame with a local variable."""
    local = "a local's value"
    try:
        raise error
    except BaseException as caught:
        assert local
        return caught


def test_traceback_and_error(printed: Printed) -> None:
    """The traceback stands under exception, its last line under error, and no local variable's value in either."""
    log.error("x", exc_info=raised(ValueError("bad")))
    line = printed.last
    assert line["error"] == "ValueError: bad"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("\nValueError: bad")
    assert "in raised" in line["exception"]
    assert "a local's value" not in printed.text.replace("local = ", "")


def test_once(printed: Printed) -> None:
    """Later lines about the same object have its error alone, whoever logs them; an equal object is another."""
    error = raised(ValueError("bad"))
    log.error("first", exc_info=error)
    log.error("second", exc_info=error)
    logging.getLogger("lib").error("third", exc_info=error)
    log.error("other", exc_info=raised(ValueError("bad")))
    assert ["exception" in line for line in printed.lines] == [True, False, False, True]
    assert {line["error"] for line in printed.lines} == {"ValueError: bad"}


class Closed(Exception):
    __slots__ = ()

    @property
    def __dict__(self) -> Any:  # type: ignore[override]
        raise RuntimeError("no")


class Frozen(Exception):
    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(name)


@pytest.mark.parametrize("kind", [Closed, Frozen])
def test_odd_classes(printed: Printed, kind: type[Exception]) -> None:
    """Printing raises nothing, whatever the class does, and prints the traceback once."""
    error = kind("bad")
    log.error("x", exc_info=error)
    assert printed.last["error"] == f"{kind.__name__}: bad"
    assert printed.last["exception"].endswith(f"{kind.__name__}: bad")
    log.error("again", exc_info=error)
    assert "exception" not in printed.last


class Noted(Exception):
    pass


KINDS = [ValueError, Noted, KeyError, Closed]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_written_on_the_exception(printed: Printed, kind: type[Exception]) -> None:
    """An error handler that answers with ``vars(error)`` finds what the application put there."""
    error = raised(kind("bad"))
    log.error("x", exc_info=error)
    log.error("y", exc_info=error)
    assert BaseException.__dict__["__dict__"].__get__(error) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_another_exception_at_the_same_address(printed: Printed, kind: type[Exception]) -> None:
    """In a loop each exception often lies where the last one lay: each has its own traceback printed."""
    only_ours()
    for _ in range(50):
        log.error("x", exc_info=raised(kind("bad")))
    assert ["exception" in line for line in printed.lines] == [True] * 50


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_kept_alive(printed: Printed, kind: type[Exception]) -> None:
    """The exception and its frames go with their last reference, without the garbage collector."""

    class Local:
        """Something that can be seen to go."""

    def fail() -> weakref.ref[Local]:
        local = Local()
        try:
            raise kind("bad")
        except kind:
            log.exception("x")
        return weakref.ref(local)

    only_ours()
    gc.disable()
    try:
        assert fail()() is None
    finally:
        gc.enable()


def test_what_is_remembered_is_bounded(printed: Printed) -> None:
    """As many exceptions as an application may keep."""
    only_ours()
    kept = [raised(kind("bad")) for kind in KINDS * 100]
    for error in kept:
        log.error("x", exc_info=error)
    assert len(tracebacks._known) == tracebacks._MAX_KNOWN
    log.error("x", exc_info=kept[-1])
    assert "exception" not in printed.last
    kept.clear()
    del error
    gc.collect()  # they are in the locals of their own frames
    log.error("x", exc_info=raised(ValueError("bad")))
    assert len(tracebacks._known) == 1


def test_a_line_that_could_not_be_made_takes_no_traceback_away(printed: Printed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where telemetry fails at a line with a traceback, the next line about that exception has it."""
    error = raised(ValueError("bad"))
    only_ours()
    with monkeypatch.context() as patched:
        patched.setattr(our_handler().printer, "_prepare", failing_once(our_handler().printer._prepare))
        log.error("x", exc_info=error)
    log.error("y", exc_info=error)
    assert ["exception" in line for line in printed.lines] == [False, True]


def failing_once(prepare: Any) -> Any:
    answers = iter([RuntimeError("no")])

    def prepared(line: Any) -> Any:
        for error in answers:
            raise error
        return prepare(line)

    return prepared


def test_other_handlers_always_have_it(printed: Printed, caplog: pytest.LogCaptureFixture) -> None:
    """Whether we print the traceback or not, every other handler gets the exception."""
    error = raised(ValueError("bad"))
    log.error("x", exc_info=error)
    log.error("x", exc_info=error)
    assert [record.exc_info and record.exc_info[1] for record in caplog.records] == [error] * 2


def test_chain_group_and_notes(printed: Printed) -> None:
    """Causes, contexts, members of groups and notes are all there."""
    inner = raised(KeyError("inner"))
    inner.add_note("a note")
    outer = raised(ExceptionGroup("several", [OSError("one"), TypeError("two")]))
    outer.__cause__ = inner
    log.error("x", exc_info=outer)
    assert printed.last["error"] == "ExceptionGroup: several (2 sub-exceptions)"
    for text in ("KeyError: 'inner'", "a note", "direct cause", "OSError: one", "TypeError: two"):
        assert text in printed.last["exception"]


def test_chain_in_a_circle(printed: Printed) -> None:
    """Exceptions that are each other's cause end."""
    one, two = raised(ValueError("one")), raised(ValueError("two"))
    one.__cause__, two.__cause__ = two, one
    log.error("x", exc_info=one)
    assert printed.last["exception"].count("ValueError: one") == 1


def test_long_traceback_keeps_its_end(tmp_path: Path) -> None:
    """Of a traceback that is too long the middle is cut out, since its end says what happened."""
    printed = print_lines(tmp_path, log_max_value_length=400)
    log.error("x", exc_info=raised(ValueError("y" * 10_000 + "the end")))
    text = printed.last["exception"]
    assert text.startswith("Traceback")
    assert text.endswith("the end")
    assert "[cut: " in text
    assert len(text) < 500


@pytest.mark.parametrize("exc_info", [True, 1, (None, None, None), (), None, False])
def test_without_an_exception(printed: Printed, exc_info: Any) -> None:
    """Asking for an exception where there is none prints none."""
    log.error("x", exc_info=exc_info)
    log.exception("x")
    logging.getLogger("lib").error("x", exc_info=exc_info)
    assert all(set(line) == {"timestamp", "level", "logger", "event"} for line in printed.lines)
    assert len(printed.lines) == 3


@pytest.mark.parametrize("way", ["exception", "true", "tuple", "object"])
def test_ways_to_give_it(printed: Printed, way: str) -> None:
    """The exception at hand, an exception and an exc_info tuple are all understood."""
    try:
        raise ValueError("bad")
    except ValueError as error:
        if way == "exception":
            log.exception("x")
        else:
            log.error("x", exc_info={"true": True, "tuple": sys.exc_info(), "object": error}[way])
    assert printed.last["error"] == "ValueError: bad"
    assert "Traceback" in printed.last["exception"]


def test_own_error_field(printed: Printed) -> None:
    """A field error of the event's own stays."""
    log.error("x", exc_info=ValueError("bad"), error="mine")
    assert printed.last["error"] == "mine"


def test_base_exceptions(printed: Printed) -> None:
    """An exit or an interrupt can be logged as well."""
    log.error("x", exc_info=KeyboardInterrupt())
    assert printed.last["error"] == "KeyboardInterrupt"


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_exceptions_that_cannot_be_printed(printed: Printed) -> None:
    """An exception whose methods raise is printed as far as it goes, in a chain or a group too."""
    only_ours()
    log.error("x", exc_info=raised(Broken()))
    log.error("x", exc_info=raised(ExceptionGroup("g", [Broken()])))
    broken_notes = raised(ValueError("bad"))
    broken_notes.__notes__ = 5  # type: ignore[attr-defined]
    log.error("x", exc_info=broken_notes)
    assert [line["error"] for line in printed.lines] == [
        "Broken: <unprintable message>",
        "ExceptionGroup: g (1 sub-exception)",
        "ValueError: bad",
    ]
    assert all("exception" in line for line in printed.lines)


def test_pretty_block(tmp_path: Path) -> None:
    """In pretty the traceback is indented beneath its event, and nothing in it can look like one."""
    printed = print_lines(tmp_path, log_format="pretty")
    log.error("x", exc_info=raised(ValueError("bad\n2024-01-15 10:23:45 [info ] forged\x1b[2J")))
    first, *rest = printed.text.removesuffix("\n").split("\n")
    assert "[error] x [" in first
    assert rest
    assert all(line.startswith("    ") for line in rest)
    assert "\x1b" not in printed.text


@pytest.mark.parametrize("kind", [SystemExit, GeneratorExit, asyncio.CancelledError])
def test_what_an_exceptions_text_raises_ends_nothing(printed: Printed, kind: type[BaseException]) -> None:
    """Python's own traceback bears it, so the line does."""

    class Odd(Exception):
        def __str__(self) -> str:
            raise kind

    only_ours()
    try:
        raise Odd
    except Odd:
        log.exception("failed", also=Odd())
    assert printed.last["error"] == printed.last["also"] == "Odd: <unprintable message>"
    assert "Odd: <exception str() failed>" in printed.last["exception"]
