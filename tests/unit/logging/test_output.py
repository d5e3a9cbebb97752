"""Writing lines: one write each, to where the stream is now, going on whatever happens to it."""

import contextlib
import errno
import io
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dtx_telemetry.config import Settings
from dtx_telemetry.logging import configure, get_logger, streams
from dtx_telemetry.logging.output import Output
from dtx_telemetry.logging.streams import FileTarget, StreamTarget, TornLineError
from tests.support.lines import parse_line
from tests.support.pipeline import only_ours, print_lines
from tests.support.waiting import wait_until

log = get_logger()


@contextmanager
def stdout_is(stream: Any) -> Iterator[None]:
    """Replace ``sys.stdout`` within a test; pytest puts its own back by itself."""
    found, sys.stdout = sys.stdout, stream
    try:
        yield
    finally:
        sys.stdout = found


def test_one_write_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line goes out in exactly one call of the system, its newline included, however long it is."""
    written: list[bytes] = []
    read, write = os.pipe()
    system_write = os.write

    def count(descriptor: int, data: bytes) -> int:
        if descriptor == write:
            written.append(bytes(data))
        return system_write(descriptor, data)

    monkeypatch.setattr(streams.os, "write", count)
    with os.fdopen(write, "w") as stream, stdout_is(stream):
        for form in ("json", "pretty", "logfmt"):
            configure(Settings(log_format=form))
            log.info("x", long="y" * 5000)
            logging.getLogger("lib").info("x\ny")
    os.close(read)
    assert len(written) == 6
    assert all(data.endswith(b"\n") and data.count(b"\n") == 1 for data in written)


@pytest.mark.parametrize("capture", ["capsys", "capfd"])
def test_pytests_capture_has_the_lines(capture: str, request: pytest.FixtureRequest) -> None:
    """What was set up before a test prints into the capture that the test asks for, and is not captured by redirect_stdout."""
    configure(Settings(log_format="json"))
    captured = request.getfixturevalue(capture)
    log.info("captured")
    with contextlib.redirect_stdout(io.StringIO()) as applications:
        log.info("redirected")
    assert parse_line(captured.readouterr().out)["event"] == "captured"
    assert applications.getvalue() == ""


class Failing:
    """A target that takes so many bytes, then fails."""

    def __init__(self) -> None:
        self.room = 10**9
        self.data = b""

    def flush(self) -> None:
        pass

    def write(self, data: bytes, _nested: bool, /) -> None:
        part = data[: self.room]
        self.data += part
        self.room -= len(part)
        if len(part) < len(data):
            raise TornLineError if part else OSError(errno.ENOSPC, "full")

    def is_terminal(self) -> bool:
        return False

    def close(self) -> None:
        pass


def test_torn_line() -> None:
    """After a line that only half got out the next one begins on a line of its own."""
    target = Failing()
    output = Output(target, lambda count: b"lost %d\n" % count)
    target.room = 3
    output.write(b"abcdef\n")
    output.write(b"ghi\n")
    target.room = 10**9
    output.write(b"jkl\n")
    output.write(b"mno\n")
    assert target.data == b"abc\nlost 2\njkl\nmno\n"


def test_short_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that takes only a part of a line at a time gets the rest."""
    read, write = os.pipe()
    system_write = os.write
    monkeypatch.setattr(streams.os, "write", lambda descriptor, data: system_write(descriptor, data[:3]))
    with os.fdopen(write, "w") as stream, stdout_is(stream):
        StreamTarget("stdout").write(b"0123456789\n", False)
    assert os.read(read, 100) == b"0123456789\n"
    os.close(read)


def test_threads_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that the system takes in parts is not interrupted by another thread's."""
    system_write = os.write

    def some(descriptor: int, data: bytes) -> int:
        time.sleep(0)  # let another thread go on
        return system_write(descriptor, data[:5])

    monkeypatch.setattr(streams.os, "write", some)
    path = tmp_path / "out"
    output = Output(FileTarget(str(path)), lambda count: b"lost\n")
    lines = [bytes([letter]) * 200 + b"\n" for letter in b"abcdefgh"]
    threads = [threading.Thread(target=lambda line=line: [output.write(line) for _ in range(10)]) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(path.read_bytes().splitlines(keepends=True)) == set(lines)


def test_a_reader_who_stopped_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a non-blocking descriptor: one wait for all lines, then they are lost and counted; each would wait in the lock."""
    waits: list[float] = []
    monkeypatch.setattr(streams.select, "select", lambda *args: waits.append(args[3]) or ([], [], []))
    read, write = os.pipe()
    os.set_blocking(write, False)
    with os.fdopen(write, "w") as stream, stdout_is(stream):
        output = Output(StreamTarget("stdout"), lambda count: b"lost %d\n" % count)
        for _ in range(50):
            output.write(b"x" * 4095 + b"\n")
        assert [wait for wait in waits if wait > 0] == [1.0]
        os.set_blocking(read, False)
        while len(os.read(read, 1_000_000)) == 1_000_000:
            pass
        output.write(b"read again\n")
        told = os.read(read, 1_000_000).decode().splitlines()
        assert [told[0], told[-1]] == [f"lost {len(waits)}", "read again"]
        for _ in range(50):
            output.write(b"x" * 4095 + b"\n")
        assert [wait for wait in waits if wait > 0] == [1.0, 1.0]  # who reads again is waited for again
    os.close(read)


def test_reader_of_a_non_blocking_pipe_is_waited_for() -> None:
    """A full pipe that somebody made non-blocking is waited for, and given up if nobody reads."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    line = b"x" * 1_000_000 + b"\n"
    with os.fdopen(write, "w") as stream, stdout_is(stream):
        target = StreamTarget("stdout")
        reader = threading.Thread(target=lambda: [os.read(read, 4096) for _ in range(20)])
        reader.start()
        with pytest.raises(TornLineError):
            target.write(line, False)
        reader.join()
        os.set_blocking(read, False)
        assert os.read(read, 100_000)
    os.close(read)


@pytest.mark.parametrize("how", ["field", "nested", "argument"])
def test_a_soft_time_limit_in_a_values_own_code_is_the_tasks_own(tmp_path: Path, how: str) -> None:
    """So does what is raised while a value says what it is: a query may be what that takes."""

    class SoftTimeLimitExceeded(Exception):
        pass

    class Query:
        def __repr__(self) -> str:
            raise SoftTimeLimitExceeded

    printed = print_lines(tmp_path)
    only_ours()
    with pytest.raises(SoftTimeLimitExceeded):
        if how == "argument":
            logging.getLogger("lib").info("found %s", Query())
        else:
            log.info("found", rows=Query() if how == "field" else [Query()])
    assert printed.lines == []


def test_moved_file(tmp_path: Path) -> None:
    """A file that was moved away, or removed, is made anew."""
    path = tmp_path / "log"
    target = FileTarget(str(path))
    target.write(b"one\n", False)
    path.rename(tmp_path / "log.1")
    target.write(b"two\n", False)
    path.unlink()
    target.write(b"three\n", False)
    assert (tmp_path / "log.1").read_bytes() == b"one\n"
    assert path.read_bytes() == b"three\n"


def test_file_that_cannot_be_made_anew(tmp_path: Path) -> None:
    """While a moved file cannot be made anew lines are lost, and later ones are written again."""
    folder = tmp_path / "logs"
    folder.mkdir()
    target = FileTarget(str(folder / "log"))
    output = Output(target, lambda count: b"lost %d\n" % count)
    folder.rename(tmp_path / "old")
    output.write(b"one\n")
    output.write(b"two\n")
    folder.mkdir()
    output.write(b"three\n")
    output.close()
    output.write(b"four\n")
    assert (folder / "log").read_bytes() == b"lost 2\nthree\nfour\n"


def test_output_object_counts_what_is_reported_to_it() -> None:
    """Lines that were lost on the way are told with the next one."""
    target = Failing()
    output = Output(target, lambda count: b"lost %d\n" % count)
    output.lose(2)
    output.write(b"a\n")
    assert target.data == b"lost 2\na\n"
    wait_until(lambda: target.data.endswith(b"a\n"))
