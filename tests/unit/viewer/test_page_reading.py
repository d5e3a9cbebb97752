"""What the live page reads: files through rotation and truncation, pipes, archives; and what that costs in memory."""

import asyncio
import errno
import gzip
import json
import os
import sys

import psutil
import pytest

from dtx_telemetry.viewer.model.store import Store
from dtx_telemetry.viewer.page import follow
from dtx_telemetry.viewer.page.detail import detail
from dtx_telemetry.viewer.page.follow import Follower
from dtx_telemetry.viewer.page.live import Live
from dtx_telemetry.viewer.page.pieces import LineCutter
from dtx_telemetry.viewer.page.sources import open_sources
from dtx_telemetry.viewer.reading.unwrap import Unwrapper
from tests.support.page_lines import LogFile, click, line, request


@pytest.fixture
def log(tmp_path):
    file = LogFile(tmp_path / "app.log")
    yield file
    file.close()


def ids(source):
    """Return the ids of the lines that are there by now."""
    return [found.text("request.id") for batch in source.batches() for found in batch]


def test_what_is_there_is_read_and_then_what_comes(log):
    """Each line once; one that is half written is read when its end is there."""
    log.write(request("before"))
    follower = Follower([str(log.path)])
    assert ids(follower) == ["before"]
    log.write(request("after"), request("half")[:40])
    assert ids(follower) == ["after"]
    log.write(request("half")[40:])
    assert ids(follower) == ["half"]
    assert ids(follower) == []
    follower.close()


def test_a_last_line_needs_no_line_feed(log):
    """One that comes after all does not make it two."""
    log.write(request("one"), request("two").rstrip())
    follower = Follower([str(log.path)])
    assert ids(follower) == ["one", "two"]
    log.write(b"\n", request("three"))
    assert ids(follower) == ["three"]
    assert (follower.unwrappers[0].lines, follower.unwrappers[0].foreign) == (3, 0)
    follower.close()


def test_of_a_large_file_only_the_end_is_read(log):
    """It begins with the first whole line there."""
    log.write(*(request(f"number-{number}") for number in range(100)))
    follower = Follower([str(log.path)], backlog=1000)
    found = ids(follower)
    assert found[-1] == "number-99"
    assert 2 <= len(found) <= 5
    assert follower.unwrappers[0].foreign == 0
    follower.close()


def test_rotation_loses_nothing(log):
    """What is still written into the moved file is read, and the new file from its beginning."""
    log.write(request("one"))
    follower = Follower([str(log.path)])
    assert ids(follower) == ["one"]
    log.write(request("two"))
    new = log.rotate()
    log.write(request("three"))
    new.write(request("four"))
    assert ids(follower) == ["two", "three", "four"]
    follower.close()
    new.close()


def test_a_moved_file_is_let_go_after_a_while(log, monkeypatch):
    """No file stays open that has lost its name and is silent."""
    monkeypatch.setattr(follow, "_GRACE", -1.0)
    follower = Follower([str(log.path)])
    log.write(request("one"))
    new = log.rotate()
    assert ids(follower) == ["one"]
    reading = [file.path for file in psutil.Process().open_files() if file.mode == "r"]
    assert [path for path in reading if path.startswith(str(log.path))] == [str(log.path)]
    follower.close()
    new.close()


def test_a_file_that_moves_from_one_followed_name_to_another_is_read_once(log):
    """As with a pattern that the shell expanded to the log and the one before."""
    before = LogFile(log.path.with_suffix(".log.1"))
    before.write(request("zero"))
    log.write(request("one"))
    follower = Follower([str(log.path), str(before.path)])
    assert ids(follower) == ["one", "zero"]
    new = log.rotate()
    new.write(request("two"))
    assert ids(follower) == ["two"]
    follower.close()
    before.close()
    new.close()


def test_a_file_that_is_cut_off_is_read_anew(log):
    """As copytruncate leaves it."""
    log.write(request("one"), request("two"))
    follower = Follower([str(log.path)])
    assert ids(follower) == ["one", "two"]
    log.truncate()
    log.write(request("three"))
    assert ids(follower) == ["three"]
    follower.close()


def test_a_file_that_is_gone_for_a_while_is_waited_for(log):
    """It is read from its beginning once it is back."""
    follower = Follower([str(log.path)])
    log.path.unlink()
    assert ids(follower) == []
    new = LogFile(log.path)
    new.write(request("back"))
    assert ids(follower) == ["back"]
    follower.close()
    new.close()


def test_a_folder_that_takes_the_name_is_no_file(log):
    """Nor is a pipe; the file is waited for."""
    follower = Follower([str(log.path)])
    for make, remove in ((os.mkdir, os.rmdir), (os.mkfifo, os.unlink)):
        log.path.unlink()
        make(log.path)
        assert ids(follower) == []
        remove(log.path)
        new = LogFile(log.path)
        new.write(request("back"))
        assert ids(follower) == ["back"]
        new.close()
    follower.close()


def test_a_file_that_cannot_be_read_for_a_while_is_read_after_it(log, monkeypatch):
    """Its server is gone and comes back."""
    log.write(request("one"))
    follower = Follower([str(log.path)])
    assert ids(follower) == ["one"]
    log.write(request("two"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", unavailable)
        assert ids(follower) == []
    assert ids(follower) == ["two"]
    follower.close()


def unavailable(*_):
    raise OSError(errno.ESTALE, "Stale file handle")


def test_a_named_pipe_is_never_waited_for_and_never_at_its_end(tmp_path):
    """Nobody may write into it yet, and after one the next; who writes where nobody reads hangs."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    (source,) = open_sources([str(path)])
    assert ids(source) == []
    for name in ("one", "two"):
        with path.open("wb") as theirs:
            theirs.write(request(name).rstrip())
        assert ids(source) == [name]
        assert ids(source) == []
    source.close()


def test_an_archive_is_read_once(tmp_path):
    """Gzip is unpacked; it grows no more."""
    path = tmp_path / "old.log.gz"
    path.write_bytes(gzip.compress(request("packed")))
    (source,) = open_sources([str(path)])
    assert ids(source) == ["packed"]
    assert ids(source) == []
    source.close()


def test_standard_input_is_never_waited_for(monkeypatch):
    """What is there is read; the last line needs no line feed."""
    ours, theirs = os.pipe()
    with os.fdopen(ours) as file:
        monkeypatch.setattr(sys, "stdin", file)
        (source,) = open_sources([])
        assert ids(source) == []
        os.write(theirs, request("one"))
        assert ids(source) == ["one"]
        os.write(theirs, request("two").rstrip())
        os.close(theirs)
        assert ids(source) == ["two"]
        assert ids(source) == []


def test_standard_input_may_be_gzip(monkeypatch, capfd):
    """As it comes; that it is cut is said."""
    packed = gzip.compress(request("one")) + gzip.compress(request("two") + request("three"))
    ours, theirs = os.pipe()
    with os.fdopen(ours) as file:
        monkeypatch.setattr(sys, "stdin", file)
        (source,) = open_sources([])
        os.write(theirs, packed[:5])
        assert ids(source) == []
        os.write(theirs, packed[5:-4])
        assert ids(source) == ["one", "two", "three"]
        os.close(theirs)
        assert ids(source) == []
        assert "too early" in capfd.readouterr().err
        assert ids(source) == []


def test_a_line_without_an_end_is_cut():
    """No input fills the memory."""
    cutter = LineCutter()
    lines = [found for _ in range(40) for found in cutter.cut(b"x" * 1024 * 1024)]
    assert len(lines) == 2
    assert len(b"".join(cutter.rest())) < 16 * 1024 * 1024


async def first_message(live, last=""):
    """Return the id and the content of the next event that a browser gets."""
    updates = live.updates(last)
    text = (await anext(updates)).decode()
    await updates.aclose()
    identifier, data = text.strip().split("\n")
    return identifier.removeprefix("id: "), json.loads(data.removeprefix("data: "))


async def test_a_browser_gets_everything_and_then_what_changed():
    """One that comes back says what it had; one that comes back to another run begins anew."""
    live = Live([], lambda _: True)
    live.take(lines(click("one"), click("two")))
    last, message = await first_message(live)
    assert message["anew"]
    assert [row[0] for row in message["rows"]] == ["one", "two"]
    live.take(lines([line("later", "one")]))
    _, message = await first_message(live, last)
    assert not message["anew"]
    assert [row[0] for row in message["rows"]] == ["one"]
    _, message = await first_message(live, "elsewhere-7")
    assert message["anew"]


async def test_a_browser_hears_no_more_than_a_few_times_a_second():
    """However many lines come, there are at most five updates in a second."""
    live = Live([], lambda _: True)
    count, loop = 0, asyncio.get_running_loop()
    live.take(lines(click("first")))
    begin = loop.time()
    async for _ in live.updates(""):
        count += 1
        live.take(lines(click(f"click-{count}")))
        if loop.time() - begin > 1:
            break
    assert 2 <= count <= 6


def lines(*parts):
    """Return what *parts*, lists of raw lines, say."""
    return list(Unwrapper().read(raw for part in parts for raw in part))


def test_fifty_thousand_requests_take_the_room_of_ten_thousand():
    """The newest are kept, and memory does not grow with what went by."""
    live = Live([], lambda _: True)

    def feed(numbers):
        for number in numbers:
            live.take(lines([request(f"request-{number:08}"), line("later", f"request-{number:08}")]))

    feed(range(10_000))
    sizes = [live.store._bytes]
    feed(range(10_000, 50_000))
    sizes.append(live.store._bytes)
    assert len(live.store) == 10_000
    assert live.store.evicted == 40_000
    assert sizes[1] <= sizes[0] * 1.01
    assert live.store.get("request-00049999") is not None
    assert live.store.get("request-00039999") is None


def test_a_life_with_many_lines_is_shown_in_part():
    """The page says how many lines it does not show."""
    store = Store()
    for found in lines([line("turn", "long", number=number) for number in range(3000)]):
        entry = store.take(found)
    shown = detail(entry)
    assert len(shown["lines"]) == 500
    assert shown["dropped"] == 2500
