"""Writing lines from real processes: streams that fail, are shared, replaced or gone."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from dtx_telemetry.logging.streams import StreamTarget
from tests.support.lines import parse_line, parse_lines
from tests.support.processes import ROOT, clean_environ, run_python
from tests.unit.logging.test_output import stdout_is

PREPARE = """
import logging, os, sys, threading, time, warnings
warnings.simplefilter("ignore")  # Python's own about forks beside threads would be lines
from dtx_telemetry.config import Settings
from dtx_telemetry.logging import configure, get_logger
log = get_logger("app")
"""


def run(script: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a script in a process of its own, where logging is prepared but not configured."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": 180, **options}
    environ = clean_environ(PYTHONUNBUFFERED="")
    return subprocess.run([sys.executable, "-c", PREPARE + textwrap.dedent(script)], env=environ, cwd=ROOT, **options)


def test_order_with_print() -> None:
    """What was printed before a line comes out before it, though print is buffered."""
    result = run("""
        assert not sys.stdout.write_through
        configure(Settings(log_format="json"))
        print("first"); log.info("second"); print("third")
    """)
    assert [line if line in {"first", "third"} else json.loads(line)["event"] for line in result.stdout.splitlines()] == [
        "first",
        "second",
        "third",
    ]


def test_what_the_application_captures_has_no_lines() -> None:
    """Lines go where the process's output went at the set-up: what captures sys.stdout later gets the application's alone."""
    result = run("""
        import contextlib, io
        configure(Settings(log_format="json"))
        with contextlib.redirect_stdout(io.StringIO()) as captured:
            print("mine"); log.info("x"); logging.getLogger("lib").warning("y")
            thread = threading.Thread(target=log.info, args=("of another request",)); thread.start(); thread.join()
        log.info("captured", text=captured.getvalue())
    """)
    lines = parse_lines(result.stdout)
    assert [line["event"] for line in lines] == ["x", "y", "of another request", "captured"]
    assert lines[-1]["text"] == "mine\n"


def test_stream_replaced_before_the_set_up() -> None:
    """A stream that was put in the place of sys.stdout before the set-up is where the process's output goes."""
    result = run("""
        import io
        good, sys.stdout = sys.stdout, io.StringIO()
        configure(Settings(log_format="json"))
        log.info("in memory")
        log_file, sys.stdout = sys.stdout, good
        log.info("still there")
        print(log_file.getvalue(), end="")
    """)
    assert [line["event"] for line in parse_lines(result.stdout)] == ["in memory", "still there"]


@pytest.mark.parametrize("how", ["sys.stdout.close()", "sys.stdout.detach()", "sys.stdout = None; configure(Settings())"])
def test_a_stream_that_is_gone_is_replaced(how: str) -> None:
    """Where the first stream was closed or taken apart, or there was none, lines go to the one of now."""
    result = run(f"""
        saved = os.dup(1)
        configure(Settings(log_format="json"))
        {how}
        sys.stdout = open(saved, "w")
        log.info("x")
    """)
    assert [line["event"] for line in parse_lines(result.stdout)] == ["x"]


@pytest.mark.parametrize("proxy_first", [False, True])
def test_celerys_proxy_is_passed_by(proxy_first: bool) -> None:
    """Where Celery's worker replaced stdout by a proxy that logs, lines go to the real one, and what is printed is a line."""
    set_up = ["configure(Settings(log_format='json'))", "sys.stdout = sys.stderr = LoggingProxy(redirected, logging.WARNING)"]
    result = run(f"""
        from celery.utils.log import LoggingProxy
        redirected = logging.getLogger("celery.redirected")
        {"; ".join(reversed(set_up) if proxy_first else set_up)}
        log.info("x"); print("printed"); log.info("y")
    """)
    assert [line["event"] for line in parse_lines(result.stdout)] == ["x", "printed", "y"]


def test_a_line_in_the_midst_of_a_print() -> None:
    """A signal handler that logs while the application is inside print, which holds the stream, loses no line."""
    result = run("""
        import io, signal
        class Slow(io.RawIOBase):
            def writable(self): return True
            def fileno(self): return 1
            def write(self, data): signal.raise_signal(signal.SIGUSR1); return os.write(1, data)
        sys.stdout = io.TextIOWrapper(io.BufferedWriter(Slow()), write_through=True)
        configure(Settings(log_format="json"))
        signal.signal(signal.SIGUSR1, lambda *_: log.info("from the handler"))
        print("printed", flush=True)
    """)
    lines = result.stdout.splitlines()
    assert "printed" in lines
    assert {parse_line(line)["event"] for line in lines if line and line != "printed"} == {"from the handler"}


def test_stream_that_logs() -> None:
    """A stream that logs what is written to it does not run in circles."""
    result = run("""
        class Logging:
            def write(self, text): logging.getLogger("looped").warning(text.strip())
            def flush(self): pass
        sys.stdout = Logging()
        configure(Settings(log_format="json"))
        log.info("x")
    """)
    lines = parse_lines(result.stdout)
    assert [line["logger"] for line in lines] == ["looped"]
    assert parse_line(lines[0]["event"])["event"] == "x"
    assert result.returncode == 0


#: What breaks the stream, and what mends it.
BROKEN = {
    "full": ("os.dup2(os.open('/dev/full', os.O_WRONLY), 1)", "os.dup2(saved, 1)"),
    "closed": ("sys.stdout.close()", "sys.stdout = open(saved, 'w')"),
    "pipe": ("r, w = os.pipe(); os.close(r); os.dup2(w, 1)", "os.dup2(saved, 1)"),
    "descriptor": ("os.close(1)", "os.dup2(saved, 1)"),
    "odd": ("del Odd.write", "Odd.write = write"),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.parametrize("form", ["json", "pretty", "logfmt"])
def test_faults_of_the_stream(fault: str, form: str) -> None:
    """The application goes on, and when output works again one line tells how many were lost."""
    break_it, mend_it = BROKEN[fault]
    result = run(f"""
        saved = os.dup(1)
        class Odd:
            def write(self, text): os.write(1, text.encode())
            def flush(self): pass
        write = Odd.write
        if {fault == "odd"}: sys.stdout = Odd()
        configure(Settings(log_format="{form}"))
        log.info("before")
        {break_it}
        for _ in range(3): log.info("lost")
        {mend_it}
        log.info("after"); log.info("later")
        os._exit(0)
    """)
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) == 4
    assert "log_lines_lost" in lines[1]
    assert "count=3" in lines[1] or '"count":3' in lines[1]
    assert "warning" in lines[1]
    assert ["before" in lines[0], "after" in lines[2], "later" in lines[3]] == [True] * 3


def test_a_soft_time_limit_is_the_tasks_own() -> None:
    """What a signal raises while a line waits for its reader goes on to who logged; the line counts as lost."""
    out = run_python("""
        import os, signal, sys
        from billiard.exceptions import SoftTimeLimitExceeded
        from dtx_telemetry.config import Settings
        from dtx_telemetry.logging import configure, get_logger

        def interrupt(*_):
            raise SoftTimeLimitExceeded

        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        while True:
            try:
                os.write(writing, b"x" * 65536)
            except BlockingIOError:
                break
        os.set_blocking(writing, True)
        stdout, sys.stdout = sys.stdout, os.fdopen(writing, "w")
        configure(Settings(log_format="json"))
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            get_logger("app").info("waits")
        except SoftTimeLimitExceeded:
            print("interrupted", file=stdout, flush=True)
        os.set_blocking(reading, False)
        try:
            while os.read(reading, 65536):
                pass
        except BlockingIOError:
            pass
        get_logger("app").info("goes on")
        stdout.write(os.read(reading, 65536).decode())
    """)
    first, *lines = out.splitlines()
    assert first == "interrupted"
    assert [json.loads(line)["event"] for line in lines] == ["log_lines_lost", "goes on"]


def test_threads_and_forks_do_not_interleave(tmp_path: Path) -> None:
    """Lines of many threads in several processes stay whole, and none is missing."""
    path = tmp_path / "out"
    with path.open("wb") as stream:
        result = run(
            """
            configure(Settings(log_format="json"))
            def work(number):
                for index in range(50): log.info("x", process=os.getpid(), thread=number, index=index, pad="y" * 3000)
            def threads():
                started = [threading.Thread(target=work, args=(number,)) for number in range(4)]
                for thread in started: thread.start()
                return started
            mine = threads()
            pids = []
            for _ in range(3):
                pid = os.fork()
                if not pid:
                    for thread in threads(): thread.join()
                    os._exit(0)
                pids.append(pid)
            for thread in mine: thread.join()
            for pid in pids: os.waitpid(pid, 0)
            """,
            stdout=stream,
        )
    assert result.returncode == 0
    lines = parse_lines(path.read_text())
    assert len(lines) == 4 * 4 * 50
    assert len({(line["process"], line["thread"], line["index"]) for line in lines}) == len(lines)


def test_processes_that_share_a_full_pipe_do_not_tear_long_lines() -> None:
    """Lines longer than what a pipe takes in one piece come out whole, though the reader is slower than four writers."""
    script = """
        configure(Settings(log_format="json"))
        for _ in range(4):
            if not os.fork():
                for index in range(150): log.info("x", process=os.getpid(), index=index, pad="y" * 9000)
                os._exit(0)
        for _ in range(4): os.wait()
    """
    args = [sys.executable, "-c", PREPARE + textwrap.dedent(script)]
    with subprocess.Popen(args, env=clean_environ(), cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        text = b"".join(iter(lambda: os.read(process.stdout.fileno(), 8192), b"")).decode()  # type: ignore[union-attr]
    lines = parse_lines(text)
    assert len({(line["process"], line["index"]) for line in lines}) == len(lines) == 4 * 150


def test_a_stopped_process_holds_nobody_up_for_long() -> None:
    """A long line waits for another process's lock on the pipe for a second, then it is written all the same."""
    read, write = os.pipe()
    script = f"import fcntl, time; fcntl.lockf({write}, fcntl.LOCK_EX); print(flush=True); time.sleep(60)"
    stopped = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, pass_fds=[write])
    assert stopped.stdout is not None
    stopped.stdout.readline()
    line = b"x" * 5000 + b"\n"
    try:
        with os.fdopen(write, "w") as stream, stdout_is(stream):
            StreamTarget("stdout").write(line, False)
            assert stopped.poll() is None
        assert os.read(read, 10_000) == line
    finally:
        stopped.kill()
        stopped.communicate()
        os.close(read)


def test_fork_while_a_line_is_written() -> None:
    """A child that was forked while another thread was writing logs on, and does not report its parent's losses."""
    result = run("""
        import io
        entered, go = threading.Event(), threading.Event()
        class Slow(io.StringIO):
            def write(self, text): entered.set(); go.wait(180); raise OSError
        good, sys.stdout = sys.stdout, Slow()
        configure(Settings(log_format="json"))
        thread = threading.Thread(target=log.info, args=("slow",)); thread.start(); entered.wait(180)
        pid = os.fork()
        if not pid:
            Slow.write, Slow.flush = lambda self, text: good.write(text), lambda self: good.flush()
            log.info("child")
            os._exit(0)
        print(os.waitpid(pid, 0)[1], file=sys.stderr)
        go.set(); thread.join()
    """)
    assert result.stderr.strip() == "0"
    assert [line["event"] for line in parse_lines(result.stdout)] == ["child"]
