"""What the live page reads: files through rotation and truncation, pipes, archives; what it says of the rest; the cost."""

import bz2
import errno
import gzip
import lzma
import os
import resource
import shutil
import sys
from pathlib import Path

import orjson
import psutil
import pytest

from dtx_telemetry.viewer.cli import main
from dtx_telemetry.viewer.errors import UsageError
from dtx_telemetry.viewer.model.store import Store
from dtx_telemetry.viewer.page import follow
from dtx_telemetry.viewer.page.detail import Asked, detail
from dtx_telemetry.viewer.page.follow import Follower
from dtx_telemetry.viewer.page.listing import Listing
from dtx_telemetry.viewer.page.live import Live
from dtx_telemetry.viewer.page.reports import report_errors, report_slow
from dtx_telemetry.viewer.page.search import Search
from dtx_telemetry.viewer.page.sources import open_sources
from dtx_telemetry.viewer.reading.filters import parse_filters
from dtx_telemetry.viewer.reading.pieces import Cutter
from dtx_telemetry.viewer.reading.unwrap import Unwrapper
from tests.support.page_lines import LogFile, click, deep, line, queries, request


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


def test_a_large_file_is_read_from_its_beginning(log):
    """What stands first in it counts as well; how much is read is told meanwhile."""
    log.write(request("first"), *(request(f"number-{number}", labels=["x" * 4000]) for number in range(2000)), request("last"))
    follower = Follower([str(log.path)])
    progress, found = [], []
    for batch in follower.batches():
        progress.append(follower.progress)
        found += [each.text("request.id") for each in batch]
    assert (found[0], found[-1], len(found)) == ("first", "last", 2002)
    assert 0 < progress[0] < 0.1
    assert progress == sorted(progress, key=lambda part: 1 if part is None else part)
    assert progress[-1] is None
    follower.close()


def test_large_files_are_read_in_turn(tmp_path):
    """So that what is kept is of all of them."""
    names = []
    for name in ("a.log", "b.log"):
        names.append(str(tmp_path / name))
        (tmp_path / name).write_bytes(b"".join(request(f"{name}-{number}", labels=["x" * 4000]) for number in range(100)))
    follower = Follower(names)
    sources = [batch[0].source for batch in follower.batches() if batch]
    assert sources[:4] == ["a.log", "b.log", "a.log", "b.log"]
    follower.close()


def test_a_pattern_fits_later_files_too(tmp_path, monkeypatch):
    """Lines say which file they are of, once there is more than one."""
    monkeypatch.setattr(follow, "_LOOK", 0.0)
    (tmp_path / "a.log").write_bytes(request("one"))
    (source,) = open_sources([str(tmp_path / "*.log")])
    assert ids(source) == ["one"]
    (tmp_path / "b.log").write_bytes(request("two"))
    assert [found.source for batch in source.batches() for found in batch] == ["b.log"]
    source.close()


def test_what_a_rotation_packs_is_not_read_again(log):
    """Nor taken for lines that are none."""
    log.write(request("one"))
    follower = Follower([f"{log.path}*"])
    assert ids(follower) == ["one"]
    Path(f"{log.path}.1.gz").write_bytes(gzip.compress(request("one") * 1000))
    follower._looked -= 10
    assert ids(follower) == []
    assert [unwrapper.lines for unwrapper in follower.unwrappers] == [1, 0]
    assert follower.progress is None
    follower.close()


def test_more_files_than_may_be_open_are_followed(tmp_path):
    """They are opened when there is something to read."""
    for number in range(150):
        (tmp_path / f"{number}.log").write_bytes(request(f"first-{number}"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (140 + sum(1 for _ in Path("/proc/self/fd").iterdir()), hard))
    try:
        follower = Follower([str(tmp_path / "*.log")])
        follower._most = 10
        assert len(ids(follower)) == 150
        with (tmp_path / "149.log").open("ab") as file:
            file.write(request("later"))
        assert ids(follower) == ["later"]
        follower.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_what_copytruncate_copied_counts_once(log):
    """The copy fits the pattern too."""
    log.write(request("one"), request("two"))
    live, follower = Live(), Follower([f"{log.path}*"])
    for batch in follower.batches():
        live.take(batch)
    shutil.copy(log.path, f"{log.path}.1")
    log.truncate()
    log.write(request("three"))
    again = Follower([f"{log.path}*"])
    for batch in again.batches():
        live.take(batch)
    assert sorted((entry.request_id, entry.summary.lines) for entry in live.store) == [("one", 1), ("three", 1), ("two", 1)]
    follower.close()
    again.close()


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


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lzma.compress, lambda data: data.decode().encode("utf-16")],
    ids=["gzip", "bz2", "xz", "utf-16"],
)
def test_an_archive_is_read_once(tmp_path, pack):
    """It is unpacked; it grows no more."""
    path = tmp_path / "old.log.packed"
    path.write_bytes(pack(request("packed")))
    (source,) = open_sources([str(path)])
    assert ids(source) == ["packed"]
    assert ids(source) == []
    source.close()


@pytest.fixture
def piped(monkeypatch):
    """The source of standard input, and what is written into that."""
    ours, theirs = os.pipe()
    with os.fdopen(ours) as file:
        monkeypatch.setattr(sys, "stdin", file)
        (source,) = open_sources([])
        yield source, theirs


def test_standard_input_is_never_waited_for(piped):
    """What is there is read; the last line needs no line feed."""
    source, theirs = piped
    assert ids(source) == []
    os.write(theirs, request("one"))
    assert ids(source) == ["one"]
    os.write(theirs, request("two").rstrip())
    os.close(theirs)
    assert ids(source) == ["two"]
    assert ids(source) == []


def test_standard_input_may_be_utf16(piped):
    """A character may come in two pieces."""
    source, theirs = piped
    data = (request("one") + request("two")).decode().encode("utf-16")
    os.write(theirs, data[:101])
    assert ids(source) == []
    os.write(theirs, data[101:])
    os.close(theirs)
    assert ids(source) == ["one", "two"]


def test_standard_input_may_be_gzip(piped, capfd):
    """As it comes; that it is cut is said."""
    source, theirs = piped
    packed = gzip.compress(request("one")) + gzip.compress(request("two") + request("three"))
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
    cutter = Cutter()
    lines = [found for _ in range(40) if (found := cutter.take(b"x" * 1024 * 1024))]
    assert len(lines) == 2
    assert len(cutter.begun) < 16 * 1024 * 1024


async def news(live, version=0, text="", run=None):
    """Return what a browser is told that has *version*."""
    return orjson.loads(await Listing(live).news(live.run if run is None else run, version, text))


async def test_a_browser_gets_everything_and_then_what_changed():
    """One that comes back to another process begins anew."""
    live = Live()
    live.take(lines(click("one"), click("two")))
    told = await news(live)
    assert told["anew"]
    assert {row[0] for row in told["rows"]} == {"one", "two"}
    live.take(lines([line("later", "one")]))
    later = await news(live, told["version"])
    assert not later["anew"]
    assert [row[0] for row in later["rows"]] == ["one"]
    assert (await news(live, later["version"]))["rows"] == []
    assert (await news(live, told["version"], run="another"))["anew"]


async def test_a_filter_asks_for_any_field_of_any_line():
    """A row is wanted if its lines together have all of it, also when they come later; a minus takes away what has it."""
    live = Live()
    live.take(lines(click("one"), [line("ordered", "two", order_id=7)]))
    listing = Listing(live)

    async def shown(text, version=0):
        told = orjson.loads(await listing.news(live.run, version, text))
        return {row[0] for row in told["rows"]}, told["gone"]

    assert await shown("order.id=7") == ({"two"}, [])
    assert await shown("task.name~announce hero=Invoker") == ({"one"}, [])
    assert await shown("announce_pick draft") == ({"one"}, [])
    assert await shown("-hero=Invoker") == ({"two"}, ["one"])
    version = live.store.version
    live.take(lines([line("late", "two", hero="Invoker")]))
    assert await shown("hero=Invoker", version) == ({"two"}, [])
    assert await shown("-hero=Invoker", version) == (set(), ["two"])
    assert await shown("hero=Invoker") == ({"one", "two"}, [])
    with pytest.raises(UsageError, match="no filter"):
        await shown("=7")


async def test_a_browser_is_told_what_is_no_longer_kept():
    """It lets go the rows whose version is lower than the oldest one's."""
    live = Live(store=Store(lives=2))
    for name in ("one", "two", "three"):
        live.take(lines([request(name)]))
    told = await news(live)
    assert [row[0] for row in told["rows"]] == ["three", "two"]
    assert told["oldest"] == min(row[1] for row in told["rows"])
    assert (told["lives"], told["evicted"]) == (2, 1)


async def test_a_row_says_when_it_began_what_it_asked_and_where():
    """The start is the end without the duration; queries are those of the closing event."""
    live = Live()
    found = lines([request("one", **{"db.query_count": 31})])
    found[0].source = "web"
    live.take(found)
    (row,) = (await news(live))["rows"]
    assert row[7] == pytest.approx(found[0].time * 1000 - 12.5)
    assert row[16:] == [31, ["web"]]


async def test_the_strip_counts_what_began_and_what_failed():
    """A life counts once, however many lines and errors it has; with a filter, the browser counts."""
    live = Live()
    live.take(lines(click("one"), [request("two", status=500), line("again", "two", level="error")]))
    told = await news(live)
    assert [sum(counts) for counts in zip(*told["strip"]["parts"], strict=True)] == [2, 1]
    assert (await news(live, text="hero=Invoker"))["strip"] is None


async def test_pretty_lines_are_said_to_be_no_json(log):
    """And what to do; of lines that filters left out it is said too."""
    live = Live(counted=[follower := Follower([str(log.path)])])
    assert live.problem == ""
    log.write(b"2026-01-15 10:23:45 [info ] request_completed [telemetry] http.status_code=200\n" * 3)
    for batch in follower.batches():
        live.take(batch)
    assert (await news(live))["problem"] == (
        "3 lines were read, and nothing could be made of them: these lines are `pretty`: set LOG_FORMAT=json."
    )
    picky = Live(parse_filters(["user.id=7"]))
    picky.take(lines([request("one")]))
    assert picky.problem == "1 lines were read, and left out by user.id=7."
    follower.close()


async def test_an_archive_that_cannot_be_read_is_no_empty_page(tmp_path, capsys):
    """The page says so as well as the terminal, also beside what could be read."""
    (tmp_path / "app.zip").write_bytes(b"PK\x03\x04")
    (tmp_path / "app.log").write_bytes(request("one"))
    sources = open_sources([str(tmp_path / "app.zip"), str(tmp_path / "app.log")])
    live = Live(counted=sources)
    for source in sources:
        for batch in source.batches():
            live.take(batch)
        source.close()
    told = await news(live)
    assert (told["lives"], "app.zip: this is a zip archive: unpack it first." in told["problem"]) == (1, True)
    assert "app.zip" in capsys.readouterr().err


async def test_errors_and_slow_ones_have_the_rows_of_the_commands(log, capsysbinary):
    """Over the same lines, those without a request included."""
    failed = {"error": "ValueError: no", "exception": 'Traceback\n  File "/app/views.py", line 3, in pick\nValueError: no'}
    log.write(*click("one"), request("two"), line("request_failed", "three", level="error", duration_ms=9, **failed))
    log.write(b'{"timestamp":"2026-01-15T10:23:45Z","level":"error","logger":"app","event":"no_request"}\n')
    live, follower = Live(), Follower([str(log.path)])
    for batch in follower.batches():
        live.take(batch)
    follower.close()
    for command, report in (("errors", report_errors), ("slow", report_slow)):
        assert main([command, "--json", str(log.path)]) == 0
        printed = orjson.loads(capsysbinary.readouterr().out)
        shown = (await report(live, Search("")))["rows"]
        key = repr
        assert sorted(shown, key=key) == sorted(printed, key=key)
    assert [row["type"] for row in (await report_errors(live, Search("event=no_request")))["rows"]] == ["no_request"]


def lines(*parts):
    """Return what *parts*, lists of raw lines, say."""
    return list(Unwrapper().read(raw for part in parts for raw in part))


def test_fifty_thousand_requests_take_the_room_of_ten_thousand():
    """The newest are kept, and memory does not grow with what went by."""
    live = Live()

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
    assert len(shown["lines"]) == 1000
    assert shown["dropped"] == 2000
    (row,) = detail(entry, Asked(open=[shown["rows"][0]["key"]]))["rows"]
    assert (len(row["lines"]), row["hidden"]) == (1000, 2000)


def test_of_501_scopes_each_has_its_lines():
    """Also the 500th of a chain, which is 499 deep."""
    store = Store()
    for found in lines(deep("chain", 501)):
        entry = store.take(found)
    rows = detail(entry)["rows"]
    assert [row["depth"] for row in rows] == [*range(501)]
    assert [row["parent"] for row in rows] == [*range(-1, 500)]
    (opened,) = [row for row in detail(entry, Asked(open=[rows[499]["key"]]))["rows"] if row["lines"] is not None]
    assert [said["event"] for said in opened["lines"]] == ["task_started", "turn", "task_published", "task_completed"]
    assert opened["label"].endswith("step_499")


def test_the_queries_of_a_scope_are_marked_counted_and_listed():
    """The closing event says how many there were and how often the same; statements are grouped, the slowest first."""
    store = Store()
    for found in lines(queries("asks")):
        entry = store.take(found)
    (row,) = detail(entry)["rows"]
    assert row["queries"] == {
        "count": 12, "took": 84.0, "repeat": 10, "repeated": "SELECT hero WHERE id = ?", "told": 12,
    }  # fmt: skip
    assert len(row["marks"]) == 12
    assert all(0 <= begin < end <= 100 for begin, end in row["marks"])
    listed = detail(entry, Asked(queries=row["key"]))["statements"]
    assert [(group["text"], group["count"], group["took"]) for group in listed["groups"]] == [
        ("SELECT team", 2, 14.0),
        ("SELECT hero WHERE id = ?", 10, 10.0),
    ]
    assert [statement["text"] for statement in listed["each"]][:2] == ["SELECT team", "SELECT hero WHERE id = ?"]
    assert "db_queried" not in [said["event"] for said in detail(entry)["lines"]]


def test_a_scope_that_tells_only_how_many_queries_it_made_has_no_marks():
    """As without ``DB_QUERIES=lines``; one that made none says nothing."""
    store = Store()
    store.take(*lines([request("counted", **{"db.query_count": 3, "db.duration_ms": 4.5})]))
    store.take(*lines([request("none")]))
    (row,) = detail(store.get("counted"))["rows"]
    assert (row["queries"]["count"], row["queries"]["took"], row["queries"]["told"], row["marks"]) == (3, 4.5, 0, [])
    (row,) = detail(store.get("none"))["rows"]
    assert row["queries"] is None


def test_a_trace_is_searched_by_names_and_lines():
    """A row is found by its name or by what any of its lines has; the lines found are listed."""
    store = Store()
    for found in lines(click("one")):
        entry = store.take(found)

    def found_by(text):
        shown = detail(entry, Asked(search=Search(text)))
        return [row["kind"] for row in shown["rows"] if row["hit"]], [said["event"] for said in shown["lines"]]

    assert found_by("hero=Invoker") == (["request"], ["draft_pick_made"])
    assert found_by("announce_pick")[0] == ["request", "task"]
    assert found_by("nowhere") == ([], [])
