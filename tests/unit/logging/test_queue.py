"""LOG_QUEUE: a thread renders and writes, the application does not wait."""

import threading
from pathlib import Path
from typing import Any

from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import get_logger
from tests.support.pipeline import our_handler, print_lines
from tests.support.waiting import wait_until

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
