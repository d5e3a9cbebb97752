"""Lines are found in whatever platforms put around them, each once, with what those say of where it comes from."""

import bz2
import gzip
import json
import lzma
import re
from importlib import import_module
from importlib.util import find_spec
from itertools import chain

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtx_telemetry.viewer.cli import main
from dtx_telemetry.viewer.model.join import join
from dtx_telemetry.viewer.reading import usual
from dtx_telemetry.viewer.reading.envelope import parse_all
from dtx_telemetry.viewer.reading.inputs import open_inputs
from dtx_telemetry.viewer.reading.search import find_lines
from dtx_telemetry.viewer.reading.unwrap import Unwrapper
from tests.support.envelopes import ENVELOPES, NINE, ORIGINS
from tests.support.viewer import CLICK, as_bytes, line, outline

LIFE = ["request POST 202", "  task announce completed", "    message draft.pick completed"]


def read_all(path, texts=(), *, thorough=False):
    """Return the lines of a file, and what counted them."""
    unwrapper = Unwrapper()
    (read,) = open_inputs([str(path)])
    found = [*chain.from_iterable(find_lines(read.pieces(), texts, unwrapper, thorough=thorough))]
    read.close()
    return found, unwrapper


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lines"

    def write(data):
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("name", ENVELOPES)
def test_nine_lines_of_a_click(file, name):
    """Whatever a platform makes of them they are the same, nothing else is found, and nothing is foreign."""
    found, unwrapper = read_all(file(ENVELOPES[name]))
    # What a store that makes objects of names with points loses, no reader gets back.
    expected = [{key: value for key, value in each.items() if key != "nested" or "Datadog" not in name} for each in NINE]
    shown = [{key: value for key, value in each.fields.items() if key != "@timestamp"} for each in found]
    assert shown == expected
    assert (unwrapper.lines, unwrapper.foreign) == (9, 0)
    assert {json.dumps(dict(each.origin), sort_keys=True) for each in found if name in ORIGINS} <= {
        json.dumps(ORIGINS[name], sort_keys=True) if name in ORIGINS else ""
    }
    assert outline(join(found)) == LIFE


@pytest.mark.parametrize("thorough", [False, True])
@pytest.mark.parametrize("name", ENVELOPES)
def test_a_search_finds_what_reading_finds(file, name, thorough):
    """By an id, and by the text that all lines about durations have."""
    path = file(ENVELOPES[name])
    assert len(read_all(path, [CLICK.encode()], thorough=thorough)[0]) == 9
    durations = [each for each in read_all(path, [b"_ms"], thorough=thorough)[0] if "duration_ms" in each.fields]
    assert len(durations) == 3


@pytest.mark.parametrize("name", ENVELOPES)
def test_the_commands_read_them(file, name, capfd, monkeypatch):
    """The life is shown, the task is slow, and nothing is said of lines that were passed over."""
    monkeypatch.setenv("COLUMNS", "120")
    path = str(file(ENVELOPES[name]))
    assert main(["trace", CLICK, path]) == 0
    assert main(["slow", path]) == 0
    assert main(["list", path]) == 0
    assert main(["pretty", path]) == 0
    printed = capfd.readouterr()
    assert printed.out.count("announce") >= 4
    assert "draft_pick_announced" in printed.out
    assert printed.err == ""
    assert main(["errors", path]) == 1
    assert "none of 9 lines is of level error" in capfd.readouterr().err


KEYS = st.sampled_from(["a", "log", "message", "event", "data", "time", "level", "hits", "timestamp", "msg", "fields", "x y"])
NOISE = st.one_of(
    st.none(), st.integers(-(2**53), 2**53), st.text(max_size=8), st.just({"a": [1, {}]}), st.just("{"), st.just([1, "x"])
)
LEVELS = st.sampled_from(["object", "text", "array", "text before"])


@given(st.lists(st.tuples(LEVELS, KEYS), max_size=4), st.dictionaries(KEYS, NOISE, max_size=3), st.booleans())
def test_any_nesting_of_our_lines_comes_out(levels, noise, is_document):
    """Up to four levels deep, as an object or as a text, in an array, in a document of many lines; nothing is found twice."""
    value = NINE[1]
    for kind, key in levels:
        inner = json.dumps(value) if kind == "text" else f"x {{y}} {json.dumps(value)} z" if kind == "text before" else value
        value = {**noise, key: [inner, inner, 5] if kind == "array" else inner}
        if value.keys() == {"event", "timestamp", "level"}:
            value["more"] = 1
    data = json.dumps(value, indent=2 if is_document else None).encode()
    unwrapper = Unwrapper()
    found = [*unwrapper.read(data.split(b"\n")), *unwrapper.rest()]
    ours = [each for each in found if not isinstance(each, bytes) and each.event == "draft_pick_made"]
    assert [each.fields for each in ours] == [NINE[1]]


VALUES = st.recursive(
    st.one_of(NOISE, st.just(json.dumps(NINE[0]))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_is_in_an_envelope_nothing_raises(value):
    """And what comes out is a line."""
    for each in parse_all(orjson.dumps(value)):
        assert all(isinstance(each.fields[name], str) for name in ("timestamp", "level", "logger", "event"))
        assert each.time > 0


@pytest.mark.parametrize("depth", [100, 1000, 100_000])
@pytest.mark.parametrize("opening", ['{"a":', "[", '{"a":[', "[ {"])
def test_what_is_too_deep_is_foreign(opening, depth):
    """It ends no process."""
    closing = "".join({"{": "}", "[": "]"}[char] for char in reversed(opening) if char in "{[")
    raws = [(opening * depth).encode(), (opening * depth + "1" + closing * depth).encode()]
    unwrapper = Unwrapper()
    assert list(unwrapper.read(raws)) == []


OTHERS = {
    # https://django-structlog.readthedocs.io
    "django-structlog": (
        {
            "code": 200,
            "request": "GET /",
            "event": "request_finished",
            "request_id": CLICK,
            "user_id": 1,
            "timestamp": "2026-01-15T10:23:45.123456Z",
            "logger": "django_structlog.middlewares.request",
            "level": "info",
        },
        ("request_finished", "info", "django_structlog.middlewares.request", CLICK),
    ),
    # https://github.com/madzak/python-json-logger
    "python-json-logger": (
        {
            "asctime": "2026-01-15 10:23:45,123",
            "levelname": "WARNING",
            "name": "app",
            "message": "slow",
            "correlation_id": CLICK,
        },
        ("slow", "warning", "app", CLICK),
    ),
    # https://www.elastic.co/guide/en/ecs-logging/python/current/installation.html
    "ecs-logging": (
        {
            "@timestamp": "2026-01-15T10:23:45.123Z",
            "log.level": "error",
            "message": "broke",
            "ecs": {"version": "1.6.0"},
            "log": {"logger": "app", "original": "broke"},
        },
        ("broke", "error", "app", None),
    ),
    # https://getpino.io
    "pino": (
        {"level": 50, "time": 1768472625123, "pid": 1, "hostname": "web-1", "name": "api", "msg": "broke", "request_id": CLICK},
        ("broke", "error", "api", CLICK),
    ),
    # https://pkg.go.dev/log/slog, https://pkg.go.dev/go.uber.org/zap
    "slog": ({"time": "2026-01-15T10:23:45.123Z", "level": "INFO", "msg": "started"}, ("started", "info", "", None)),
    "zap": ({"level": "fatal", "ts": 1768472625.123, "logger": "x", "msg": "gone"}, ("gone", "critical", "x", None)),
    "GELF": (
        {"version": "1.1", "host": "web-1", "short_message": "broke", "timestamp": 1768472625.123, "level": 3},
        ("broke", "error", "", None),
    ),
    "gcloud": (
        {"severity": "ERROR", "timestamp": "2026-01-15T10:23:45.123Z", "jsonPayload": {"message": "broke", "logger": "app"}},
        ("broke", "error", "app", None),
    ),
    "Docker": (
        {"log": '{"time": "2026-01-15T10:23:45.123Z", "level": "WARN", "msg": "full"}\n', "stream": "stdout", "time": "x"},
        ("full", "warning", "", None),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_lines_of_other_libraries_are_read_by_their_usual_names(name):
    """A time and a message make a line; the id of whichever library joins."""
    fields, expected = OTHERS[name]
    (found,) = parse_all(json.dumps(fields).encode())
    assert (found.event, found.level, found.fields["logger"], found.request_id) == expected
    assert round(found.time, 2) == 1768472625.12
    (again,) = parse_all(found.raw)
    assert again.fields == found.fields


def test_our_lines_under_other_names(monkeypatch):
    """As ``LOG_FIELD_NAMES`` has them where the viewer runs; a name that is left out is left out."""
    names = {"timestamp": "time", "level": "severity", "event": "message", "request.id": "rid"}
    renamed = {names.get(key, key): value for key, value in NINE[3].items() if key != "logger"}
    monkeypatch.setenv("LOG_FIELD_NAMES", "level=severity,event=message,timestamp=time,request.id=rid,logger=")
    usual._renamed.cache_clear()
    try:
        (found,) = parse_all(json.dumps(renamed).encode())
    finally:
        usual._renamed.cache_clear()
    assert found.fields == {**NINE[3], "logger": ""}
    assert found.own_event == "request_completed"


PACKED = {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}


@pytest.mark.parametrize("pack", PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("padding", [b"", b"\0" * 8])
def test_what_is_packed_is_unpacked(file, pack, padding):
    """By its first bytes, of several members too."""
    data = as_bytes([line(n, "seen", number=n) for n in range(5000)])
    half = data.index(b"\n", len(data) // 2) + 1
    found, unwrapper = read_all(file(pack(data[:half]) + padding + pack(data[half:])))
    assert [each.fields["number"] for each in found] == list(range(5000))
    assert unwrapper.foreign == 0


def test_zstd(file, capfd):
    """Where Python or a package reads it; else it is said how to have it."""
    try:
        from compression import zstd
    except ImportError:
        zstd = import_module("zstandard") if find_spec("zstandard") else None
    path = file(zstd.compress(as_bytes(NINE)) if zstd else b"\x28\xb5\x2f\xfd\x04\x00")
    code = main(["errors", str(path)])
    said = capfd.readouterr().err
    assert code == (1 if zstd else 2)
    assert ("none of 9 lines" if zstd else "pip install zstandard") in said


@pytest.mark.parametrize("command", [["errors"], ["slow"], ["list"], ["trace", CLICK]])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"2026-01-15 10:23:45 [info ] draft_pick_made [app] hero=Axe\n" * 3, "`pretty`: set LOG_FORMAT=json"),
        (
            b"\x1b[2m10:23:45.123\x1b[0m \x1b[32minfo    \x1b[0m \x1b[1mseen\x1b[0m  hero=Axe\n" * 3,
            "`pretty`: set LOG_FORMAT=json",
        ),
        (b"timestamp=2026-01-15T10:23:45Z level=info logger=app event=seen\n" * 3, "`logfmt`: set LOG_FORMAT=json"),
        (b"a worker's banner\n" * 9 + b"2026-01-15 10:23:45 [info ] seen [app]\n", "`pretty`: set LOG_FORMAT=json"),
        (b"2026-01-15 10:23:45 INFO app seen\n" * 3, "plain text, not JSON"),
        (b'{"event": "se\n' * 3, "cut, broken"),
        (b"PK\x03\x04rest", "zip archive: unpack it first"),
        (as_bytes(NINE).decode().encode("utf-16-le"), "UTF-16 without its mark"),
        (b"\x1f\x8b\x08\x00rest", "incorrect|invalid|too early|Error"),
    ],
)
def test_what_cannot_be_read_is_never_good_news(file, command, data, said, capfd):
    """It is said why, and the exit code is that of a file that cannot be read."""
    code = main([*command, str(file(data))])
    printed = capfd.readouterr()
    assert code == 2
    assert printed.out == ""
    assert re.search(said, printed.err)
    assert "none of" not in printed.err
