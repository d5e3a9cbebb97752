"""Reading lines: what is around them is taken off, what is broken is passed over, and nothing is read twice."""

import gzip
import json
import os
import sys
import threading
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtx_telemetry.viewer.errors import UsageError
from dtx_telemetry.viewer.reading.envelope import parse
from dtx_telemetry.viewer.reading.inputs import Input, open_inputs
from dtx_telemetry.viewer.reading.line import Line, parse_time
from dtx_telemetry.viewer.reading.pieces import whole_lines
from dtx_telemetry.viewer.reading.search import find_lines, lines_with
from dtx_telemetry.viewer.reading.unwrap import Unwrapper
from tests.support.viewer import BEGIN, CLICK, as_bytes, line, read

LINE = line(0, "draft_pick_made", hero='Größe "日本"', note="a\\b\n", labels=["draft"])
RAW = as_bytes([LINE]).rstrip(b"\n")
TEXT = RAW.decode()
STAMP = "2026-01-15T10:23:45.123456789Z"
WRAPPED = {
    "as it is": RAW,
    "Docker": json.dumps({"log": TEXT + "\n", "stream": "stdout", "time": STAMP}).encode(),
    "Docker with labels": json.dumps({"attrs": {"tag": "x"}, "log": TEXT + "\n", "stream": "stderr", "time": STAMP}).encode(),
    "CRI": f"{STAMP} stdout F {TEXT}".encode(),
    "CRI with tags": f"{STAMP} stderr F:x {TEXT}".encode(),
    "kubectl --prefix": b"[pod/web-5d9c7/app] " + RAW,
    "kubectl --prefix --timestamps": f"[pod/web-5d9c7/app] {STAMP} {TEXT}".encode(),
    "stern": b"web-5d9c7 app " + RAW,
    "stern in colour": b"\x1b[36mweb-5d9c7\x1b[0m \x1b[32mapp\x1b[0m " + RAW,
    "docker compose": b"web-1     | " + RAW,
    "journald": json.dumps({"__REALTIME_TIMESTAMP": "1", "MESSAGE": TEXT, "_PID": "1"}).encode(),
    "journald, bytes": json.dumps({"__REALTIME_TIMESTAMP": "1", "MESSAGE": list(RAW)}).encode(),
    "journald of old, bytes": f'{{ "MESSAGE" : [ {", ".join(map(str, RAW))} ] }}'.encode(),
    "journald over Docker": json.dumps({"MESSAGE": "web-1 | " + TEXT}).encode(),
    "Loki": json.dumps({"labels": {"app": "web"}, "line": TEXT, "timestamp": STAMP}).encode(),
    "Filebeat": json.dumps({"@timestamp": STAMP, "log": {"offset": 5, "file": {"path": "/x"}}, "message": TEXT}).encode(),
    "stern -o extjson": json.dumps({"pod": "web-5d9c7", "message": LINE}).encode(),
    "Windows": RAW + b"\r",
}


@pytest.mark.parametrize("raw", WRAPPED.values(), ids=WRAPPED)
def test_what_is_around_a_line_is_taken_off(raw):
    """Whatever a container runtime or a collector makes of it, the line is the same, and so is its JSON."""
    (found,) = Unwrapper().read([raw])
    assert found.fields == LINE
    assert json.loads(found.raw) == LINE
    assert found.time == BEGIN.timestamp()


def cri(text, stream="stdout", size=40):
    """Return *text* as containerd writes it: long lines in pieces."""
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    return [f"{STAMP} {stream} {'F' if part is parts[-1] else 'P'} {part}".encode() for part in parts]


def docker(text, stream="stdout"):
    """Return *text* as Docker writes it: in pieces of 16 KiB."""
    parts = [text[start : start + DOCKER_PIECE] for start in range(0, len(text), DOCKER_PIECE)]
    parts[-1] += "\n"
    return [docker_entry(part, stream) for part in parts]


def docker_entry(text, stream="stdout"):
    return json.dumps({"log": text, "stream": stream, "time": STAMP}, separators=(",", ":")).encode()


DOCKER_PIECE = 16 * 1024
#: Of two pieces; its id is where Docker cuts it.
LONG_LINE = {**LINE, "note": "x" * (DOCKER_PIECE - len(CLICK) // 2 - json.dumps({**LINE, "note": ""}).index(CLICK))}
LONG = json.dumps(LONG_LINE)


@pytest.mark.parametrize(("pieces", "others"), [(cri(TEXT), cri(TEXT, "stderr", 60)), (docker(LONG), docker(LONG, "stderr"))])
def test_pieces_of_a_long_line_are_joined(pieces, others):
    """Also where those of the other stream come between them."""
    mixed = [piece for pair in zip(pieces, others, strict=False) for piece in pair]
    mixed += pieces[len(others) :] + others[len(pieces) :]
    unwrapper = Unwrapper()
    assert len(pieces) > 1
    assert [found.fields["event"] for found in unwrapper.read(mixed)] == [LINE["event"], LINE["event"]]
    assert (unwrapper.lines, unwrapper.foreign) == (2, 0)


@pytest.mark.parametrize("pieces", [cri(json.dumps(LINE, separators=(",", ":")), size=7), docker(LONG)])
def test_pieces_are_found_by_what_is_in_the_whole(pieces):
    """A search for an id finds a line whose id is in two pieces."""
    data = b"\n".join(pieces) + b"\n"
    assert CLICK.encode() not in data
    found = chain.from_iterable(find_lines([data], [CLICK.encode()], Unwrapper()))
    assert [each.fields["request.id"] for each in found] == [CLICK]


@pytest.mark.parametrize(
    ("begun", "whole"), [(cri(TEXT)[0], cri(TEXT, size=5000)[0]), (docker(LONG)[0], docker_entry(TEXT + "\n"))]
)
def test_a_piece_whose_end_never_came_takes_no_line_with_it(begun, whole):
    """Its process was killed, and the next one writes into the same file."""
    unwrapper = Unwrapper()
    found = [each for raw in (begun, whole, whole, begun) for each in unwrapper.take(raw)] + unwrapper.rest()
    assert [isinstance(each, bytes) for each in found] == [True, False, False, True]
    assert (unwrapper.lines, unwrapper.foreign) == (4, 2)


@pytest.mark.parametrize("text", [TEXT[:100], "Config {'a': 1}"])
def test_what_docker_would_not_cut_there_is_no_piece(text):
    """A process was killed in the middle of a line, or a collector has taken the line feeds off."""
    unwrapper = Unwrapper()
    found = [each for raw in (docker_entry(text), docker_entry(TEXT)) for each in unwrapper.take(raw)]
    assert found[0] == docker_entry(text)
    assert isinstance(found[1], Line)


@pytest.mark.parametrize("name", ["journald, bytes", "journald of old, bytes"])
def test_a_line_in_numbers_is_found(name):
    """A search looks for text."""
    found = chain.from_iterable(find_lines([WRAPPED[name] + b"\n"], [CLICK.encode()], Unwrapper()))
    assert [each.fields for each in found] == [LINE]


FOREIGN = {
    "text": b"Booting worker with pid: 7",
    "another program's JSON": b'{"msg": "hello", "level": "info"}',
    "JSON that is no object": b"[1, 2]",
    "cut": RAW[:-10],
    "cut at its beginning": RAW[10:],
    "no time": RAW.replace(b"2026-01-15T", b"yesterday, "),
    "a number for a time": json.dumps({**LINE, "timestamp": 5}).encode(),
    "no event": json.dumps({**LINE, "event": None}).encode(),
    "NaN": RAW.replace(b'["draft"]', b"NaN"),
    "too deep": b'{"a":' * 5000,
    "a wrapper around nothing": b'{"log": 5, "stream": "stdout"}',
    "bytes that are none": b'{"MESSAGE": [1000, "x"]}',
}


@pytest.mark.parametrize("raw", FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_line_is_counted_and_passed_over(raw):
    """The lines around it are read."""
    unwrapper = Unwrapper()
    found = list(unwrapper.read([RAW, raw, RAW]))
    assert [each.fields for each in found] == [LINE, LINE]
    assert (unwrapper.lines, unwrapper.foreign) == (3, 1)


@pytest.mark.parametrize("raw", [RAW + RAW, RAW[:30] + RAW + RAW[30:], RAW + b" behind", RAW + b"\x1b[0m"])
def test_what_stands_before_and_behind_a_line_does_not_hide_it(raw):
    """Two processes write at once, or something colours the line."""
    assert {json.dumps(found.fields) for found in read_lines(raw)} == {json.dumps(LINE)}


def test_what_is_not_utf8_is_shown_as_far_as_it_goes():
    """A byte that is none stands for itself."""
    (found,) = read_lines(RAW.replace(b"draft_pick_made", b"\xff\xfe"))
    assert found.event == "\ufffd\ufffd"


def read_lines(data):
    return list(Unwrapper().read(data.split(b"\n")))


@given(st.lists(st.sampled_from([*WRAPPED.values(), *FOREIGN.values()]), max_size=8), st.data())
def test_lines_cut_and_mixed(raws, data):
    """Whatever is cut or mixed, nothing raises, and there are never more lines than were written."""
    whole = b"\n".join(raws)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    order = data.draw(st.permutations(range(len(pieces))))
    mixed = b"".join(pieces[place] for place in order)
    unwrapper = read(mixed)
    assert unwrapper.lines - unwrapper.foreign <= len(raws)
    assert unwrapper.lines <= mixed.count(b"\n") + 1


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_pieces_end_where_lines_end(pieces):
    """However the system hands out what is read, lines are whole, in order, and nothing is lost."""
    whole = list(whole_lines(pieces))
    assert b"".join(whole) == b"".join(pieces)
    assert all(piece.endswith(b"\n") for piece in whole[:-1])


@given(
    st.lists(st.text("ab\n", max_size=6).map(str.encode), max_size=10),
    st.lists(st.sampled_from([b"a", b"ba", b"bb"]), min_size=1),
)
def test_a_search_finds_what_a_look_at_each_line_finds(parts, texts):
    """For one text and for several; each line once."""
    data = b"\n".join(parts)
    assert list(lines_with(data, texts)) == [each for each in data.split(b"\n") if any(text in each for text in texts)]


def write(path, *lines):
    """Write *lines* to *path*, in gzip if it is called so."""
    data = as_bytes(lines)
    path.write_bytes(
        gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :]) if path.suffix == ".gz" else data
    )
    return str(path)


def content(inputs):
    """Return all that can be read, and close."""
    data = b"".join(piece for each in inputs for piece in each.pieces())
    for each in inputs:
        each.close()
    return data


def test_files_patterns_and_gzip(tmp_path):
    """Several members in one gzip file, as logrotate and cat make them; a pattern's files in order of their names."""
    lines = [line(number, "seen", number=number) for number in range(3)]
    write(tmp_path / "a.json", lines[0])
    write(tmp_path / "b.json.gz", lines[1])
    write(tmp_path / "c.json", lines[2])

    assert content(open_inputs([str(tmp_path / "*.json*")])) == as_bytes(lines)
    assert content(open_inputs([str(tmp_path / "c.json"), str(tmp_path / "a.json")])) == as_bytes([lines[2], lines[0]])


def test_a_gzip_file_that_ends_too_early_is_read_as_far_as_it_goes(tmp_path):
    """The rest is a problem to be told, and no exception."""
    data = as_bytes(line(number, "seen", number=number, noise=os.urandom(50).hex()) for number in range(2000))
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(data)[:50_000])
    (found,) = open_inputs([str(path)])
    read_data = content([found])
    assert data.startswith(read_data)
    assert len(read_data) > 50_000
    assert "cut.gz" in found.problem


@pytest.mark.parametrize(("name", "said"), [("missing", "No such file"), ("*.nothing", "No such file"), (".", "directory")])
def test_what_cannot_be_opened(tmp_path, monkeypatch, name, said):
    """It is named, with the reason."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=said):
        open_inputs([name])


def test_a_pipe_is_read_as_it_comes_and_can_be_read_again(monkeypatch):
    """What is written is there at once; asked to be kept, it can be read from the beginning."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        (piped,) = open_inputs([])
        piped.keep()
        pieces = piped.pieces()
        seen = []
        for number in range(3):
            data = as_bytes([line(number, "seen", number=number)])
            os.write(writing, data)
            seen.append(data)
            assert next(pieces) == data
        threading.Thread(target=os.close, args=(writing,)).start()
        assert not list(pieces)
        assert b"".join(piped.pieces()) == b"".join(seen)
        piped.close()


def test_a_file_without_an_end_of_line_fills_no_memory(tmp_path):
    """It is cut where it is too long."""
    path = tmp_path / "long"
    path.write_bytes(b"x" * (40 * 1024 * 1024))
    long = Input(str(path))
    sizes = [len(piece) for piece in long.pieces()]
    long.close()
    assert sum(sizes) == 40 * 1024 * 1024
    assert max(sizes) < 20 * 1024 * 1024


def test_a_file_with_two_names_is_read_once(tmp_path, monkeypatch):
    """Patterns overlap, and names lead to other names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "web.log").write_bytes(RAW)
    (tmp_path / "link.log").symlink_to("web.log")

    inputs = open_inputs(["web.log", "*.log", "./web.log", str(tmp_path / "web.log")])

    assert [found.name for found in inputs] == ["web.log"]
    assert b"".join(inputs[0].pieces()) == RAW
    inputs[0].close()


def test_timestamps_are_read_as_they_are_written():
    """UTC where nothing else is said; nothing is returned for what is none."""
    assert parse_time("2026-01-15T10:23:45.000000Z") == parse_time("2026-01-15T10:23:45") == BEGIN.timestamp()
    assert parse_time("2026-01-15T12:23:45+02:00") == BEGIN.timestamp()
    assert parse_time("2026-99-15T10:23:45") is None
    assert parse(RAW.replace(b"10:23:45", b"99:99:99")).time == 0.0
