"""Lines joined into lives: what is a scope, what caused what, and when it was."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtx_telemetry.viewer.model.events import CLOSINGS
from dtx_telemetry.viewer.model.join import join
from dtx_telemetry.viewer.model.layout import lay_out
from dtx_telemetry.viewer.reading.unwrap import Unwrapper
from tests.support.viewer import CLICK, as_bytes, life_of, line, outline, task_line

REQUEST = {"http__method": "POST", "http__route": "/picks/", "http__status_code": 202}


def closing(milliseconds, took, **fields):
    """Return the closing event of the click's request."""
    return line(milliseconds, "request_completed", duration_ms=took, **{**REQUEST, **fields})


def rows(life):
    """Return the rows of a life by label: when they were queued, began and ended, in milliseconds from its beginning."""
    found = {}
    for row in lay_out(life).rows:
        key = f"{row.scope.kind} {row.scope.name}" + (f" #{row.scope.attempt}" if row.scope.attempt else "")
        found[key] = tuple(round(seconds * 1000, 3) for seconds in (row.queued, row.start, row.end))
    return found


def test_a_click():
    """The request, in it the task that it published, in that the message that was sent to a browser."""
    life = life_of(
        line(20, "draft_pick_made", hero="Axe"),
        task_line(50, "task_published", task__queue="celery"),
        closing(100, 100),
        task_line(70, "task_started", task__retries=0, task__queue_ms=15),
        task_line(75, "announced"),
        line(80, "shown", ws__conn_id="c1", logger="app.consumers"),
        task_line(120, "task_completed", duration_ms=50),
    )

    assert outline(life) == ["request POST /picks/ 202", "  task announce completed", "    message shown handled"]
    assert rows(life) == {"request POST /picks/": (0, 0, 100), "task announce": (55, 70, 120), "message shown": (80, 80, 80)}


def test_the_order_of_lines_does_not_matter():
    """Lines of several machines come out of order."""
    lines = [
        line(20, "made"),
        task_line(50, "task_published"),
        closing(100, 100),
        task_line(70, "task_started", task__retries=0, task__queue_ms=15),
        task_line(80, "task_retried", task__retries=0, duration_ms=10, level="warning"),
        task_line(90, "task_started", task__retries=1, task__queue_ms=5),
        task_line(120, "task_completed", duration_ms=30),
        line(100, "shown", ws__conn_id="c1"),
    ]
    expected = rows(life_of(*lines))
    for seed in range(20):
        random.Random(seed).shuffle(lines)
        assert rows(life_of(*lines)) == expected


def test_attempts_of_a_task_stand_side_by_side():
    """Each has its own lines; what a retry publishes is a line of the attempt that asked for it."""
    life = life_of(
        closing(10, 10),
        task_line(5, "task_published"),
        task_line(20, "task_started", task__retries=0, task__queue_ms=15),
        task_line(25, "task_published"),
        task_line(30, "task_retried", task__retries=0, duration_ms=10, error="KeyError: 'x'", level="warning"),
        task_line(90, "task_started", task__retries=1, task__queue_ms=65),
        task_line(95, "trying"),
        task_line(99, "task_failed", duration_ms=9, error="KeyError: 'x'", level="error"),
    )

    assert outline(life) == ["request POST /picks/ 202", "  task announce retried", "  task announce #1 failed"]
    first, second = life.roots[0].children
    assert [each.event for each in first.lines] == ["task_started", "task_published", "task_retried"]
    assert [each.event for each in second.lines] == ["task_started", "trying", "task_failed"]
    assert (first.failed, first.notable, second.failed) == (False, True, True)


def test_a_retry_that_starts_before_the_attempt_that_asked_for_it_has_ended():
    """The closing event of a retry says which attempt it is of."""
    life = life_of(
        task_line(0, "task_published"),
        task_line(20, "task_started", task__retries=0, task__queue_ms=20),
        task_line(25, "task_published"),
        task_line(26, "task_started", task__retries=1, task__queue_ms=1),
        task_line(30, "task_retried", task__retries=0, duration_ms=10, level="warning"),
        task_line(40, "task_completed", duration_ms=14),
    )

    assert rows(life) == {"task announce": (0, 20, 30), "task announce #1": (25, 26, 40)}
    assert outline(life) == ["task announce retried", "task announce #1 completed"]


def test_a_task_that_was_delivered_twice_ran_twice():
    """Where a worker was lost the same attempt starts again; each start is an execution."""
    life = life_of(
        task_line(0, "task_started", task__retries=0, task__queue_ms=0),
        task_line(5, "task_failed", error="WorkerLostError: signal 9", level="error"),
        task_line(50, "task_started", task__retries=0, task__queue_ms=40),
        task_line(60, "task_completed", duration_ms=10),
    )

    assert outline(life) == ["task announce failed", "task announce completed"]


def test_a_task_hangs_under_the_task_that_published_it():
    """By its ``task.parent_id``: the line of the publication has the new task's id in place of the parent's."""
    life = life_of(
        closing(10, 10),
        task_line(5, "task_published"),
        task_line(20, "task_started", task__retries=0, task__queue_ms=15),
        task_line(25, "task_published", "t2", "tell"),
        task_line(40, "task_completed", duration_ms=20),
        task_line(50, "task_started", "t2", "tell", task__retries=0, task__queue_ms=25, task__parent_id="t1"),
        task_line(60, "task_completed", "t2", "tell", duration_ms=10),
    )

    assert outline(life) == ["request POST /picks/ 202", "  task announce completed", "    task tell completed"]
    assert "task_published" in [each.event for each in life.roots[0].children[0].lines]


def test_a_task_that_was_published_and_has_not_begun():
    """It is there, waiting; so is a retry."""
    life = life_of(
        closing(10, 10),
        task_line(5, "task_published"),
        task_line(6, "task_published", "t2", "tell"),
        task_line(20, "task_started", "t2", "tell", task__retries=0, task__queue_ms=14),
        task_line(25, "task_published", "t2", "tell"),
        task_line(30, "task_retried", "t2", "tell", task__retries=0, duration_ms=10, level="warning"),
    )

    assert outline(life) == [
        "request POST /picks/ 202",
        "  task announce queued",
        "  task tell retried",
        "  task tell #1 queued",
    ]


def test_a_task_that_beat_published_is_a_life_of_its_own():
    """Nothing ran where it was published, so that line is the task's."""
    life = life_of(
        task_line(0, "task_published"),
        task_line(20, "task_started", task__retries=0, task__queue_ms=19),
        task_line(30, "task_completed", duration_ms=10),
    )

    assert outline(life) == ["task announce completed"]
    assert rows(life) == {"task announce": (0, 19, 29)}


def test_tasks_of_a_group_that_a_shell_published():
    """They begin while the others are still being published; that these ran then does not make them the cause."""
    life = life_of(
        task_line(0, "task_published", "t1"),
        task_line(5, "task_started", "t1", task__retries=0, task__queue_ms=5),
        task_line(10, "task_published", "t2"),
        task_line(15, "task_started", "t2", task__retries=0, task__queue_ms=5),
        task_line(20, "task_completed", "t1", duration_ms=15),
        task_line(30, "task_completed", "t2", duration_ms=15),
    )

    assert outline(life) == ["task announce completed", "task announce completed"]


def test_a_task_that_was_revoked_never_began():
    """Its closing event is all there is of it."""
    life = life_of(closing(10, 10), task_line(5, "task_published"), task_line(99, "task_revoked", level="warning"))

    assert outline(life) == ["request POST /picks/ 202", "  task announce revoked"]


def test_an_expected_exception_is_no_failure():
    """What a task declares in ``throws`` is logged as info."""
    (scope,) = life_of(task_line(5, "task_failed", duration_ms=1, error="Denied: no")).scopes()

    assert (scope.status, scope.failed, scope.notable) == ("failed", False, True)


def test_a_connection_and_a_message_that_it_sent_to_itself():
    """What ``log_messages`` logs tells where a message begins and ends; a command in a consumer is a scope too."""
    life = life_of(
        line(0, "ws_connected", ws__conn_id="c1", labels=["draft"]),
        line(50, "shown", ws__conn_id="c1", labels=["draft"]),
        line(
            55, "ws_handled", ws__conn_id="c1", ws__message_type="draft.pick", duration_ms=10, level="debug", labels=["draft"]
        ),
        line(99, "ws_disconnected", ws__conn_id="c1", close_code=1000, duration_ms=100, labels=["draft"]),
    )

    assert outline(life) == ["connection draft closed", "  message draft.pick handled"]
    assert [each.event for each in life.roots[0].children[0].lines] == ["shown", "ws_handled"]


def test_a_connection_that_a_message_closes():
    """Within the tolerance that clocks and rounding need, and so close to its beginning, too."""
    life = life_of(
        line(0, "ws_connected", ws__conn_id="c1", labels=["draft"]),
        line(0.9, "ws_handled", ws__conn_id="c1", ws__message_type="draft_over", duration_ms=0.3),
        line(1.3, "ws_disconnected", ws__conn_id="c1", labels=["draft"], duration_ms=1.3, close_code=1000),
    )

    assert outline(life) == ["connection draft closed", "  message draft_over handled"]


def test_messages_that_a_connection_handled_for_a_request():
    """Each ``ws_handled`` ends one; without it all lines of a connection are one."""
    handled = {"ws__conn_id": "c1", "ws__message_type": "draft.pick", "duration_ms": 5, "level": "debug"}
    life = life_of(
        closing(100, 100),
        line(20, "shown", ws__conn_id="c1"),
        line(21, "ws_handled", **handled),
        line(50, "shown", ws__conn_id="c1"),
        line(51, "ws_handled", **handled),
        line(60, "seen", ws__conn_id="c2"),
        line(90, "seen", ws__conn_id="c2"),
    )

    assert outline(life) == [
        "request POST /picks/ 202",
        "  message draft.pick handled",
        "  message draft.pick handled",
        "  message seen handled",
    ]
    assert rows(life)["message seen"] == (60, 60, 90)


def test_a_connection_whose_begin_and_end_are_not_there():
    """Lines under a connection's own id, with nothing else, are the connection's."""
    life = life_of(line(0, "ticked", ws__conn_id="c1"), line(50, "ticked", ws__conn_id="c1"))

    assert outline(life) == ["connection running"]


def test_a_task_that_a_consumer_published():
    """``ws.conn_id`` travels, so it is on the task's lines too; the task's own id goes before it."""
    bound = {"ws__conn_id": "c1", "labels": ["draft"]}
    life = life_of(
        line(0, "ws_connected", **bound),
        task_line(50, "task_published", **bound),
        task_line(70, "task_started", task__retries=0, task__queue_ms=20, **bound),
        task_line(90, "task_completed", duration_ms=20, **bound),
    )

    assert outline(life) == ["connection draft running", "  task announce completed"]


def test_a_command_and_what_it_published():
    """``command.name`` travels too."""
    life = life_of(
        line(0, "command_started", level="debug", command__name="import"),
        line(10, "importing", command__name="import"),
        task_line(20, "task_published", command__name="import"),
        line(30, "command_completed", command__name="import", duration_ms=30),
        task_line(50, "task_started", task__retries=0, task__queue_ms=30, command__name="import"),
    )

    assert outline(life) == ["command import completed", "  task announce running"]


def test_a_command_that_a_view_calls():
    """It has the request's id; what is logged in it is told by its name."""
    life = life_of(
        line(10, "seen"),
        line(30, "importing", command__name="import"),
        line(40, "command_completed", command__name="import", duration_ms=20),
        line(50, "seen"),
        closing(60, 60),
    )

    assert outline(life) == ["request POST /picks/ 202", "  command import completed"]
    assert [each.event for each in life.roots[0].lines] == ["seen", "seen", "request_completed"]


def test_an_operation():
    """Begun by nobody's request."""
    life = life_of(
        line(10, "received", operation__name="discord.message"),
        line(40, "operation_failed", operation__name="discord.message", duration_ms=40, error="KeyError: 'x'", level="error"),
    )

    assert outline(life) == ["operation discord.message failed"]
    assert life.roots[0].error == "KeyError: 'x'"


def test_a_service_that_calls_another_with_the_same_id():
    """The request that ran within the other hangs under it; one after the other are two."""
    inner = {"http__route": "/inner/", "http__method": "GET"}
    nested = life_of(closing(100, 100), closing(60, 40, **inner), line(50, "inside"), line(90, "outside"))
    in_turn = life_of(closing(100, 100), closing(160, 40, **inner))

    assert outline(nested) == ["request POST /picks/ 202", "  request GET /inner/ 202"]
    assert [each.event for each in nested.roots[0].children[0].lines] == ["inside", "request_completed"]
    assert outline(in_turn) == ["request POST /picks/ 202", "request GET /inner/ 202"]


def test_a_request_that_runs_still():
    """It has no closing event; its end is what was last heard of it."""
    life = life_of(line(10, "seen"), line(40, "seen"))

    assert outline(life) == ["request running"]
    assert life.roots[0].running


def test_stable_names_of_http():
    """The names of the stable semantic conventions are read as well; the path says more than the pattern."""
    life = life_of(
        line(
            10,
            "request_completed",
            http__request__method="GET",
            url__path="/teams/5/",
            http__route="teams/<int:pk>/",
            http__response__status_code=503,
            duration_ms=10,
            level="error",
        )
    )

    assert outline(life) == ["request GET /teams/5/ 503"]
    assert life.roots[0].failed


@pytest.mark.parametrize(("behind", "queue"), [(2000, 0), (5000, 0)])
def test_a_task_whose_clock_is_behind_is_moved(behind, queue):
    """It cannot have begun before it was published; what it caused moves with it as far as need be, and both are marked."""
    life = life_of(
        closing(100, 100),
        task_line(50, "task_published"),
        task_line(60 - behind, "task_started", task__retries=0, task__queue_ms=queue),
        line(70 - behind, "shown", ws__conn_id="c1"),
        task_line(90 - behind, "task_completed", duration_ms=30),
    )

    (task,) = life.roots[0].children
    (message,) = task.children
    assert round(task.shift * 1000) == behind - 10
    assert rows(life)["task announce"] == (50, 50, 80)
    assert rows(life)["request POST /picks/"] == (0, 0, 100)
    assert message.start + message.shift >= task.start + task.shift


def test_a_worker_that_is_faster_than_the_line_about_publishing_is_not_moved():
    """The line comes after the message is sent; the time in the queue tells that the clocks agree."""
    life = life_of(
        closing(100, 100),
        task_line(50, "task_published"),
        task_line(49, "task_started", task__retries=0, task__queue_ms=1),
        task_line(90, "task_completed", duration_ms=41),
    )

    assert life.roots[0].children[0].shift == 0


def test_an_application_may_use_the_names_of_our_events():
    """Only the library's own loggers close a scope."""
    life = life_of(line(5, "task_completed", logger="app", duration_ms=3), line(6, "request_completed", logger="app"))

    assert outline(life) == ["request running"]


def test_ids_that_somebody_made_up_cannot_make_a_circle():
    """Two tasks that say to be each other's parent; an id that is no text."""
    life = life_of(
        task_line(0, "task_started", "a", task__retries=0, task__parent_id="b"),
        task_line(1, "task_started", "b", task__retries=0, task__parent_id="a"),
        task_line(1, "task_started", "c", task__retries=0, task__parent_id="c"),
        line(2, "odd", task__id=["a"], ws__conn_id={"b": 1}),
    )

    assert len(life.scopes()) == 4
    assert len(rows(life)) >= 1


def test_many_tasks_of_one_request():
    """Joining takes time in proportion to the lines."""
    lines = [closing(100, 100)]
    for number in range(2000):
        lines += [
            task_line(number / 100, "task_published", f"t{number}"),
            task_line(number + 1, "task_started", f"t{number}", task__retries=0, task__queue_ms=1),
            task_line(number + 2, "task_completed", f"t{number}", duration_ms=1),
        ]

    assert len(life_of(*lines).scopes()) == 2001


IDS = st.sampled_from(["a", "b", "c"])
EVENTS = st.sampled_from([*CLOSINGS, "task_published", "task_started", "ws_connected", "seen"])
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3), st.lists(IDS, max_size=2)
)
LINES = st.builds(
    lambda time, event, rest: line(time, event, **rest),
    st.integers(-1000, 1000),
    EVENTS,
    st.fixed_dictionaries(
        {},
        optional={
            "request_id": IDS,
            "task__id": IDS,
            "task__name": IDS,
            "ws__conn_id": IDS,
            "command__name": IDS,
            "operation__name": IDS,
            "task__retries": st.one_of(st.integers(0, 2), VALUES),
            "task__queue_ms": st.one_of(st.integers(0, 100), VALUES),
            "task__parent_id": st.one_of(IDS, VALUES),
            "duration_ms": st.one_of(st.integers(0, 500), VALUES),
            "labels": VALUES,
            "user__id": VALUES,
            "level": st.sampled_from(["info", "warning", "error"]),
        },
    ),
)


@given(st.lists(LINES, max_size=25))
def test_whatever_lines_say_each_is_in_one_scope(lines):
    """Joining never raises, counts nothing twice, loses nothing, and makes a tree that can be laid out and dumped."""
    life = life_of(*lines)
    waterfall = lay_out(life)
    assert len(waterfall.rows) == len({id(row.scope) for row in waterfall.rows})
    assert all(row.queued >= 0 and row.end >= row.start >= row.queued for row in waterfall.rows)
    assert all(
        row.start >= row.scope.parent.start + row.scope.parent.shift - waterfall.begin - 0.1
        for row in waterfall.rows
        if row.scope.parent
    )
    json.dumps(waterfall.as_json())


def test_lines_without_an_id_are_in_no_scope():
    """They are of no request."""
    lines = list(Unwrapper().read(as_bytes([line(0, "started", None), line(1, "seen")]).split(b"\n")))
    life = join(lines)
    assert [scope.lines for scope in life.scopes()] == [[lines[1]]]
    assert life.values("request.id") == [CLICK]
