"""Lines that somebody made to break the viewer: they are shown, or passed over and counted, and take no time."""

import json

import pytest

from dtx_telemetry.viewer.cli import main
from dtx_telemetry.viewer.model.store import Store
from dtx_telemetry.viewer.page.detail import detail
from dtx_telemetry.viewer.reading.envelope import parse, parse_all
from dtx_telemetry.viewer.reading.line import to_json
from dtx_telemetry.viewer.reading.unwrap import Unwrapper
from tests.support.viewer import CLICK, as_bytes, line

FAILED = line(
    0, "request_failed", level="error", http__method="GET", http__route="/x", duration_ms=3, scope__id="5c09e001", error="E: x"
)
RAW = as_bytes([FAILED]).rstrip(b"\n")
COMMANDS = (["errors"], ["list"], ["slow"], ["pretty"], ["trace", CLICK, "--lines"], ["trace", CLICK, "--json"])
MILLION = 1_000_000


@pytest.fixture
def run(capfd, tmp_path):
    """Run a command over *data*; return its exit code, what it printed, and what it said on stderr."""
    path = tmp_path / "lines.json"

    def run_command(data, *arguments):
        path.write_bytes(data)
        code = main([*arguments, str(path)])
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return run_command


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("name", ["timestamp", "level", "logger", "event"])
@pytest.mark.parametrize("value", ["[1]", "{}", "null", "5"])
def test_a_field_that_comes_twice(run, command, name, value):
    """The second time it is no text: JSON takes the last one."""
    broken = RAW[:-1] + f',"{name}":{value}}}'.encode()
    code, printed, _ = run(RAW + b"\n" + broken + b"\n", *command)
    assert code == 0
    assert printed


@pytest.mark.parametrize("command", [*COMMANDS, ["pretty", "nobody"], ["pretty", "deep~nobody"]], ids=" ".join)
@pytest.mark.parametrize("around", ["{}", '{{"log":{}}}', "web-1 | {}"])
@pytest.mark.parametrize("levels", [90, 260, 1000])
def test_deeper_than_json_is_written(run, command, around, levels):
    """It is read, and what is too deep is left out of what is written."""
    raw = RAW[:-1].decode() + ',"deep":' + "[" * levels + "]" * levels + "}"
    code, _, err = run(around.format(raw).encode() + b"\n", *command)
    assert (code, err) in [(0, ""), (1, f"dtx-telemetry: no line fits {command[-1]}\n")]


def test_deeper_than_json_is_written_on_pages(run, tmp_path):
    """The one that `trace` writes, and the live one."""
    raw = RAW[:-1] + b',"deep":' + b'{"a":' * 400 + b"1" + b"}" * 400 + b"}"
    assert run(raw + b"\n", "trace", CLICK, "--html", str(tmp_path / "page.html"))[0] == 0
    found = parse(raw)
    assert found is not None
    assert to_json(detail(Store().take(found)))


@pytest.mark.parametrize(
    "raw",
    [
        b"a" * MILLION + RAW,
        b"a-" * MILLION + b" " + RAW,
        b"[pod/a/" * MILLION + RAW,
        b'a="' * MILLION + RAW,
        b'{"time":"' + b"9" * 400 + b'","message":"x"}',
        b'{"time":"' + b"9" * MILLION + b'","message":"x"}',
    ],
    ids=["a word", "words", "pods", "labels", "no time", "a long one"],
)
def test_long_text_around_a_line(raw):
    """Twice as much takes twice as long, not four times."""
    assert [found.event for found in parse_all(raw)] in (["request_failed"], [])


def test_long_text_that_may_be_pretty():
    """Most of it is looked at, to say what it is."""
    unwrapper = Unwrapper()
    list(unwrapper.read([b"2026-01-15 10:23:45 [" + b"a" * MILLION] * 500))
    assert unwrapper.reason == "plain text, not JSON"


@pytest.mark.parametrize("level", ["ERROR", "Error", "error ", "fatal", "CRITICAL", "severe", "alert"])
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_failures_by_another_name(run, level, separators):
    """Lines that have our four fields and were written by something else, among ours, are no good news."""
    data = json.dumps({**FAILED, "level": level, "logger": "app"}, separators=separators).encode()
    fine = as_bytes([line(10, "x")])
    code, printed, err = run(fine + data + b"\n" + fine, "errors", "--json")
    assert (code, err) == (0, "")
    assert [group["count"] for group in json.loads(printed)] == [1]


def test_a_level_as_an_object(run):
    """As loguru writes it."""
    data = json.dumps({"time": FAILED["timestamp"], "level": {"name": "ERROR", "no": 40}, "message": "boom"}).encode()
    assert run(data, "errors")[0] == 0


def test_durations_without_loggers(run, monkeypatch):
    """LOG_FIELD_NAMES may leave them out."""
    monkeypatch.setattr("dtx_telemetry.viewer.reading.usual._renamed", lambda: {"time": "timestamp"})
    data = {("time" if key == "timestamp" else key): value for key, value in FAILED.items() if key != "logger"}
    assert run(as_bytes([data]), "slow")[0] == 0


@pytest.mark.parametrize("command", [["errors"], ["list"], ["slow"], ["trace", CLICK]], ids=" ".join)
def test_json_drives_no_terminal(run, command):
    """It is escaped, as in the lines."""
    hostile = "\x9b31m\u202e\x7f\x1b[2J"
    fields = {"error": f"E: {hostile}", "http.route": f"/{hostile}", "user.id": hostile, "event": "request_failed"}
    code, printed, _ = run(as_bytes([{**FAILED, **fields}]), *command, "--json")
    assert (code, printed.isascii()) == (0, True)
    assert r"\u009b31m\u202e\u007f\u001b[2J" in printed
    assert json.loads(printed)


def test_names_of_files_drive_no_terminal(capfd, tmp_path):
    """In what is said on stderr."""
    path = tmp_path / "\x1b[2J\x9b31m.log"
    path.write_bytes(b"\x1f\x8b\x08broken")
    assert main(["errors", str(path)]) == 2
    assert main(["errors", f"{path}/missing"]) == 2
    assert "\x1b" not in (said := capfd.readouterr().err)
    assert "\x9b" not in said
