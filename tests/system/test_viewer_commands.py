"""The command line of the viewer as a process: its streams, its terminal, and what it imports."""

import os
import pty
import re
import subprocess
import sys

import pytest

from tests.support.processes import ROOT, clean_environ
from tests.support.viewer import CLICK, as_bytes, line
from tests.unit.viewer.test_commands import LINES, TRACE, WATERFALL_80, strip


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lines.json"
    path.write_bytes(as_bytes(LINES))
    return str(path)


def process(*arguments, code=None, **options):
    """Run the command, or other *code* of Python, as a process of its own."""
    command = ["-m", "dtx_telemetry", *arguments] if code is None else ["-c", code]
    environ = clean_environ(COLUMNS="80", TZ="UTC")
    return subprocess.run([sys.executable, *command], env=environ, cwd=ROOT, capture_output=True, timeout=180, **options)


def test_help_imports_next_to_nothing():
    """No Django, no Celery, no structlog, no rich; so it answers at once."""
    code = """
import sys
from dtx_telemetry.viewer.cli import main
try:
    main(["--help"])
except SystemExit:
    print(*sys.modules)
"""
    done = process(code=code, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "trace" in done.stdout
    assert "dtx_telemetry" in loaded
    assert loaded.isdisjoint({"django", "celery", "structlog", "rich", "starlette", "uvicorn", "channels", "opentelemetry"})


def test_standard_input_is_read_where_no_file_is_named(file):
    """Also as ``-``; a trace id needs a second look at it."""
    data = as_bytes(LINES)
    for arguments in ((CLICK,), (CLICK, "-"), (TRACE,)):
        assert strip(process("trace", *arguments, input=data).stdout.decode()) == strip(WATERFALL_80)


def test_a_terminal_is_no_input():
    """Without a file it says what to do, and waits for nobody."""
    master, slave = pty.openpty()
    done = process("slow", stdin=slave)
    os.close(slave)
    os.close(master)
    assert (done.returncode, done.stderr) == (2, b"dtx-telemetry: name a file, or pipe lines in\n")


@pytest.mark.parametrize(
    "command", ["pretty {file}", "trace 9596ecf5 {file} --lines", "trace 9596ecf5 {file} --json", "slow {file}"]
)
def test_a_reader_who_goes_away_is_no_traceback(tmp_path, command):
    """``| head`` ends it quietly."""
    path = tmp_path / "lines.json"
    path.write_bytes(as_bytes([line(n, "seen", number=n) for n in range(20_000)] + LINES))
    shell = f"(cat {path} | {sys.executable} -m dtx_telemetry {command.format(file=path)}; echo $? >&2) | head -n 1"
    done = subprocess.run(shell, shell=True, env=clean_environ(), cwd=ROOT, capture_output=True, timeout=180)
    assert done.stderr == b"0\n"


@pytest.mark.parametrize("command", ["pretty", "trace 9596ecf5 --json", "slow"])
@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [
        (">/dev/full", 2, "No space left on device"),
        ("<&-", 0, ""),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        ("- <&-", 2, "standard input is closed"),
    ],
)
def test_streams_that_cannot_be_used(file, command, redirected, code, said):
    """A full disk is told in one line; what the shell has closed is not missed unless it is asked for."""
    shell = f"{sys.executable} -m dtx_telemetry {command} {file} {redirected}"
    done = subprocess.run(shell, shell=True, env=clean_environ(), cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stderr) == (code, f"dtx-telemetry: {said}\n" if said else "")


def test_pretty_is_live():
    """A line is shown while the pipe that it came through is open."""
    command = [sys.executable, "-m", "dtx_telemetry", "pretty"]
    with subprocess.Popen(command, env=clean_environ(), cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as live:
        for number in range(3):
            live.stdin.write(as_bytes([line(number, f"event_{number}")]))
            live.stdin.flush()
            assert f"event_{number}".encode() in live.stdout.readline()
        live.stdin.close()
        assert live.wait(180) == 0


def test_on_a_terminal_lines_are_laid_out_and_foreign_ones_are_tame(file, tmp_path):
    """Colours that another program prints stay; what moves the cursor is shown as text."""
    path = tmp_path / "lines.json"
    path.write_bytes(b"\x1b[32mgreen\x1b[0m\tand \x1b[2J\n" + as_bytes(LINES[:1]))
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "dtx_telemetry", "pretty", str(path)]
    subprocess.run(command, env=clean_environ(TZ="UTC"), cwd=ROOT, stdout=slave, check=True, timeout=180)
    text = os.read(master, 10_000).decode()
    os.close(slave)
    os.close(master)
    assert "\x1b[32mgreen\x1b[0m" in text
    assert "\\x1b[2J" in text
    assert "10:23:45.020" in text


def test_without_rich_it_says_what_to_install(file):
    """All but `pretty` need it."""
    code = f"""
import sys
sys.modules["rich"] = None
from dtx_telemetry.viewer.cli import main
sys.exit(main(["slow", {file!r}]))
"""
    done = process(code=code, text=True)
    assert done.returncode == 2
    assert re.fullmatch(r"dtx-telemetry: slow needs rich: pip install 'rich\S+' 'starlette\S+' 'uvicorn\S+'\n", done.stderr)
