"""LOG_QUEUE: a thread renders and writes, the application does not wait."""

import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import get_logger
from tests.support.lines import parse_lines
from tests.support.pipeline import our_handler, print_lines
from tests.support.processes import ROOT, clean_environ
from tests.support.waiting import wait_until
from tests.unit.logging.test_output import PREPARE, run

log = get_logger()


def test_context_and_values_of_the_call(tmp_path: Path) -> None:
    """A line shows context and values as they were when it was logged, not when it is written."""
    printed = print_lines(tmp_path, log_queue=True)
    values: list[Any] = [1]
    threads = []

    class Telling:
        def __repr__(self) -> str:
            threads.append(threading.current_thread())
            return "<Telling>"

    with bind_fields(**{"request.id": "abc"}):
        log.info("x", values=values, telling=Telling())
        values.append(2)
    our_handler().flush()
    assert printed.last["request.id"] == "abc"
    assert printed.last["values"] == [1]
    assert threads == [threading.current_thread()]


def test_all_formats(tmp_path: Path) -> None:
    """Each format can be queued; a value that had to be cut is cut once."""
    for form in ("json", "pretty", "logfmt"):
        printed = print_lines(tmp_path, log_queue=True, log_format=form, log_max_value_length=100)
        printed.clear()
        log.info("x", value="y" * 1000)
        our_handler().flush()
        assert printed.text.count("[cut: 1000 characters]") == 1
        assert printed.text.count("\n") == 1


def test_reader_that_stops_reading() -> None:
    """With a pipe that nobody reads, log calls return at once, and the exit is not held up for long."""
    script = """
        from dtx_telemetry.logging.sinks import QueueSink
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
    assert process.wait(60) == 0
    assert time.monotonic() - start < 20
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


def test_forked_child() -> None:
    """A forked child has a thread of its own, and does not write what waited in its parent."""
    result = run("""
        configure(Settings(log_format="json", log_queue=True))
        for index in range(500): log.info("parent", index=index)
        pid = os.fork()
        log.info("child" if not pid else "after", pid=os.getpid())
        if not pid:
            logging.shutdown(); os._exit(0)
        os.waitpid(pid, 0)
    """)
    events = [line["event"] for line in parse_lines(result.stdout)]
    assert (events.count("parent"), events.count("child"), events.count("after")) == (500, 1, 1)


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


def test_many_threads_start_one_thread(tmp_path: Path) -> None:
    """Threads that log first at the same moment lose nothing."""
    printed = print_lines(tmp_path, log_queue=True)
    barrier = threading.Barrier(16)

    def work() -> None:
        barrier.wait(30)
        log.info("x")

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(printed.lines) == 16)
