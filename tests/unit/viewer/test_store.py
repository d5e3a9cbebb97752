"""Lives that grow line by line: what a live view keeps, and what it lets go."""

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtx_telemetry.viewer.model.store import Store
from dtx_telemetry.viewer.reading.envelope import parse
from tests.support.viewer import as_bytes, line, outline, task_line

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def fill(store, *lines):
    """Put *lines* into *store*."""
    for each in lines:
        store.take(parse(as_bytes([each]).rstrip(b"\n")))
    return store


def request(number, milliseconds=0, **fields):
    """Return the one line of a request with an id made from *number*."""
    return line(
        milliseconds, "request_completed", f"{number:016x}", http__method="GET", http__route="/", duration_ms=5, **fields
    )


def summaries(store):
    """Return what a list shows of each entry, the newest first."""
    return [(entry.summary.title, entry.summary.running) for entry in store]


def test_a_life_grows():
    """It is named as soon as a line says what it is, runs while something in it does, and can be joined at any time."""
    store = Store()
    steps = [
        (line(10, "seen", user__id=42, labels=["draft"]), "request", True),
        (task_line(20, "task_published"), "request", True),
        (
            line(30, "request_completed", http__method="POST", http__route="/x/", http__status_code=202, duration_ms=30),
            "POST /x/ 202",
            True,
        ),
        (task_line(40, "task_started", task__retries=0, task__queue_ms=20), "POST /x/ 202", True),
        (line(45, "noise", None), "POST /x/ 202", True),
        (task_line(50, "task_retried", task__retries=0, duration_ms=10, level="warning"), "POST /x/ 202", True),
        (task_line(60, "task_started", task__retries=1, task__queue_ms=20), "POST /x/ 202", True),
        (task_line(70, "task_failed", duration_ms=10, level="error"), "POST /x/ 202", False),
    ]
    for each, title, running in steps:
        fill(store, each)
        assert summaries(store) == [(title, running)]
    (entry,) = store
    assert (entry.summary.user, entry.summary.labels, entry.summary.tasks, entry.summary.errors) == (42, ["draft"], 1, 1)
    assert (entry.summary.duration, entry.summary.failed) == (0.03, False)
    assert [each.event for each in store.unbound.lines()] == ["noise"]
    assert outline(entry.life()) == ["request POST /x/ 202", "  task announce retried", "  task announce failed"]


@pytest.mark.parametrize(
    ("lines", "title", "running", "failed"),
    [
        ([task_line(0, "task_published")], "task announce", True, False),
        (
            [task_line(0, "task_started"), task_line(5, "task_completed", duration_ms=5)],
            "task announce completed",
            False,
            False,
        ),
        ([line(0, "ws_connected", ws__conn_id="c", http__route="/ws/")], "connection /ws/", True, False),
        ([line(0, "ws_failed", ws__conn_id="c", level="error", duration_ms=1)], "connection failed", False, True),
        ([line(0, "shown", ws__conn_id="c", scope__cause="x")], "message", False, False),
        ([line(0, "seen", None, correlation_id="c")], "lines", False, False),
        ([line(0, "command_started", command__name="x", level="debug")], "command x", True, False),
        ([line(0, "operation_completed", operation__name="x", duration_ms=1)], "operation x completed", False, False),
        ([request(1, level="error", http__status_code=500)], "GET / 500", False, True),
        ([line(5, "request_completed", duration_ms=5), line(9, "later")], "request completed", False, False),
    ],
)
def test_what_a_list_shows(lines, title, running, failed):
    """A life is named after the scope that began it, as far as that is known."""
    store = fill(Store(), *lines)
    (entry,) = store
    assert (entry.summary.title, entry.summary.running, entry.summary.failed) == (title, running, failed)


def test_the_oldest_goes_first_and_what_grows_stays():
    """Of too many lives those that were not heard of for the longest time."""
    store = Store(lives=3)
    fill(store, request(1), request(2), request(3), line(9, "later", f"{1:016x}"), request(4))
    assert [entry.request_id for entry in store] == [f"{number:016x}" for number in (4, 1, 3)]
    assert (len(store), store.evicted, store.get(f"{2:016x}")) == (3, 1, None)


def test_a_page_asks_for_what_changed():
    """By the version that it has seen, the newest first."""
    store = fill(Store(), request(1), request(2), request(3))
    seen = store.version
    assert not list(store.changed_since(seen))
    fill(store, line(9, "later", f"{2:016x}"), request(4))
    assert [entry.request_id for entry in store.changed_since(seen)] == [f"{number:016x}" for number in (4, 2)]


def test_a_life_is_found_by_the_beginning_of_an_id():
    """Of its request or of its trace; a whole id is that one alone."""
    store = fill(Store(), request(1, trace_id=TRACE), request(2), line(0, "seen", "click-1"), line(0, "seen", "click-10"))
    assert [entry.request_id for entry in store.find(TRACE[:8])] == [f"{1:016x}"]
    assert [entry.request_id for entry in store.find("click-1")] == ["click-1"]
    assert [entry.request_id for entry in store.find("click")] == ["click-10", "click-1"]
    assert len(store.find("0000")) == 2
    assert len(store.find("0000", most=1)) == 1


def test_a_life_without_an_end_keeps_its_first_line_and_its_last():
    """A connection that talks for days does not fill the memory; what was let go is counted."""
    store = Store(lines=10)
    fill(store, *[line(number, "tick", number=number) for number in range(100)])
    (entry,) = store
    assert [each.fields["number"] for each in entry.lines()] == [0, *range(91, 100)]
    assert (entry.dropped, entry.summary.lines) == (90, 100)


def test_a_life_of_large_lines_leaves_room_for_the_others():
    """It is cut down before they are let go."""
    store = fill(Store(size=100_000), request(1))
    fill(store, *[line(number, "tick", number=number, text="x" * 10_000) for number in range(100)])
    large, small = store
    assert [each.fields["number"] for each in large.lines()] == [0, 99]
    assert (large.dropped, small.request_id) == (98, f"{1:016x}")


def test_memory_is_bounded():
    """Whatever comes, large lines included: some 20 megabytes of lines keep within what 1 may have."""
    noise = random.Random(1)
    store = Store(size=1_000_000)
    tracemalloc.start()
    try:
        for number in range(2000):
            fill(store, line(number, "seen", f"id-{number}", text=f"{noise.getrandbits(40_000):x}"))
        assert tracemalloc.get_traced_memory()[0] < 3_000_000
    finally:
        tracemalloc.stop()
    assert store.evicted > 1800
    assert len(store) > 50


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 300)), max_size=60))
def test_what_is_kept_is_what_was_taken(taken):
    """Whatever the order, sizes add up and limits hold."""
    store = Store(lives=4, size=2000, lines=3)
    for request_id, size in taken:
        fill(store, line(size, "seen", request_id, text="x" * size))
        assert len(store) <= 4
        assert sum(entry.size for entry in store) <= 2000 or len(store) == 1
        assert store._bytes == sum(entry.size for entry in store)
    for entry in store:
        assert len(entry.lines()) <= 3
        assert len(entry.lines()) + entry.dropped <= sum(request_id == entry.request_id for request_id, _ in taken)
