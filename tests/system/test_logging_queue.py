"""LOG_QUEUE in real processes: at the exit, in children, with a reader that stops reading."""

import os
import pickle
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.support.lines import parse_lines
from tests.support.pipeline import print_lines
from tests.support.processes import ROOT, clean_environ
from tests.system.test_logging_output import PREPARE, run
from tests.unit.logging.test_exceptions import log, raised


def test_reader_that_stops_reading() -> None:
    """With a pipe that nobody reads, log calls return at once, and the exit is not held up for long."""
    script = """
        from dtx_telemetry.logging.queue import QueueSink
        configure(Settings(log_format="json", log_queue=True))
        start = time.monotonic()
        for _ in range(15_000): log.info("x", pad="y" * 100)
        print("logged", file=sys.stderr, flush=True)
    """
    args = [sys.executable, "-c", PREPARE + textwrap.dedent(script)]
    process = subprocess.Popen(args, env=clean_environ(), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert process.stderr.readline() == b"logged\n"
    start = time.monotonic()
    assert process.wait(180) == 0
    assert time.monotonic() - start < 50
    process.stderr.close()
    assert process.stdout is not None
    process.stdout.close()


def test_dropped_lines_are_counted() -> None:
    """What does not fit into the queue is dropped, and told when there is room again."""
    result = run("""
        read, write = os.pipe()
        good, sys.stdout = sys.stdout, open(write, "w")
        configure(Settings(log_format="json", log_queue=True))
        for _ in range(12_000): log.info("x", pad="y" * 100)
        reader = open(read)
        lines = []
        def drain():
            for line in reader: lines.append(line)
        thread = threading.Thread(target=drain); thread.start()
        logging.getLogger().handlers[0].flush()
        log.info("after")
        logging.getLogger().handlers[0].flush()
        sys.stdout.close(); sys.stdout = good
        thread.join(30)
        sys.stdout.write("".join(lines)); sys.stdout.flush()
    """)
    lines = parse_lines(result.stdout)
    lost = [line for line in lines if line["event"] == "log_lines_lost"]
    told = sum(line["count"] for line in lost)
    assert lines[-1]["event"] == "after"
    assert told > 0
    assert told + sum(line["event"] == "x" for line in lines) == 12_000


def test_flushed_at_exit() -> None:
    """Everything that was logged is written when the process ends by itself."""
    result = run("""
        configure(Settings(log_format="json", log_queue=True))
        for index in range(2000): log.info("x", index=index)
    """)
    assert [line["index"] for line in parse_lines(result.stdout)] == list(range(2000))


def test_logging_while_the_interpreter_ends() -> None:
    """Lines of the very end, when no thread can be started any more, are written too."""
    result = run("""
        import atexit
        class Last:
            def __del__(self, log=log): log.info("last")
        configure(Settings(log_format="json", log_queue=True))
        atexit.register(log.info, "at exit")
        last = Last()
    """)
    assert [line["event"] for line in parse_lines(result.stdout)] == ["at exit", "last"]
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("before", "in_child"),
    [("", ""), ("from gevent import monkey; monkey.patch_all()", "time.sleep(0.3)")],
    ids=["thread", "greenlet"],
)
def test_forked_child(before: str, in_child: str) -> None:
    """A forked child has a writer of its own, and does not write what waited in its parent.

    A fork copies greenlets, other than threads: the copy of the parent's writer, given its turn, writes nothing in the child.
    """
    result = run(f"""
        {before}
        configure(Settings(log_format="json", log_queue=True))
        for index in range(500): log.info("parent", index=index)
        pid = os.fork()
        log.info("child" if not pid else "after", pid=os.getpid())
        if not pid:
            {in_child}
            logging.shutdown(); os._exit(0)
        os.waitpid(pid, 0)
    """)
    events = [line["event"] for line in parse_lines(result.stdout)]
    assert (events.count("parent"), events.count("child"), events.count("after")) == (500, 1, 1), result.stderr


def test_children_of_multiprocessing_and_billiard() -> None:
    """Their children end without atexit, and their lines are written all the same."""
    for library in ("multiprocessing", "billiard"):
        result = run(f"""
            import {library} as library
            configure(Settings(log_format="json", log_queue=True))
            log.info("parent")
            def work():
                for index in range(300): log.info("child", index=index)
            context = library.get_context("fork")
            process = context.Process(target=work); process.start(); process.join()
        """)
        events = [line["event"] for line in parse_lines(result.stdout)]
        assert (events.count("parent"), events.count("child")) == (1, 300), result.stderr


def test_in_another_process(tmp_path: Path) -> None:
    """What one process printed does not count in another, whether it forks or the exception is pickled."""
    printed = print_lines(tmp_path)
    error = raised(ValueError("bad"))
    log.error("parent", exc_info=error)
    pid = os.fork()
    if pid == 0:
        try:
            log.error("child", exc_info=error)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    assert ["exception" in line for line in printed.lines] == [True, True]
    assert pickle.loads(pickle.dumps(error)).args == ("bad",)
