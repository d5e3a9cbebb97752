"""Lines joined into lives: what is a scope, what caused what, and when it was."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtx_telemetry.viewer.model.join import join
from dtx_telemetry.viewer.model.layout import lay_out
from dtx_telemetry.viewer.model.scope import CLOSINGS
from dtx_telemetry.viewer.reading.unwrap import Unwrapper
from tests.support.viewer import CLICK, as_bytes, life_of, line, outline, task_line

REQUEST = {"http__method": "POST", "http__route": "/picks/", "http__status_code": 202}


def own(milliseconds, event, scope="r", cause=None, **fields):
    """Return a line of the scope *scope*, the click's request if none is named."""
    caused = {} if cause is None else {"scope__cause": cause}
    return line(milliseconds, event, scope__id=scope, **caused, **fields)


def closing(milliseconds, took, **fields):
    """Return the closing event of the click's request."""
    return own(milliseconds, "request_completed", duration_ms=took, **{**REQUEST, **fields})


def run(milliseconds, event, scope="x1", task="t1", name="announce", cause="r", **fields):
    """Return a line of one execution of a task."""
    return own(milliseconds, event, scope, cause, task__id=task, task__name=name, **fields)


def published(milliseconds, task="t1", name="announce", scope="r", **fields):
    """Return the line that says that *scope* published a task."""
    return own(milliseconds, "task_published", scope, task__id=task, task__name=name, **fields)


def rows(life):
    """Return the rows of a life by label: when they were queued, began and ended, in milliseconds from its beginning."""
    found = {}
    for row in lay_out(life).rows:
        key = f"{row.scope.kind} {row.scope.name}" + (f" #{row.scope.attempt}" if row.scope.attempt else "")
        found[key] = tuple(round(seconds * 1000, 3) for seconds in (row.queued, row.start, row.end))
    return found


CLICK_LINES = [
    own(20, "draft_pick_made", hero="Axe"),
    published(50, task__queue="celery"),
    closing(100, 100),
    run(70, "task_started", task__retries=0, task__queue_ms=15),
    run(75, "announced"),
    own(80, "shown", "m1", "x1", ws__conn_id="c1", logger="app.consumers"),
    run(120, "task_completed", duration_ms=50),
]


def test_a_click():
    """The request, in it the task that it published, in that the message that was sent to a browser."""
    life = life_of(*CLICK_LINES)

    assert outline(life) == ["request POST /picks/ 202", "  task announce completed", "    message shown completed"]
    assert rows(life) == {"request POST /picks/": (0, 0, 100), "task announce": (55, 70, 120), "message shown": (80, 80, 80)}


def test_the_order_of_lines_does_not_matter():
    """Lines of several machines come out of order."""
    lines = [
        *CLICK_LINES[:-1],
        run(80, "task_retried", task__retries=0, duration_ms=10, level="warning"),
        run(90, "task_started", "x2", task__retries=1, task__queue_ms=5),
        run(120, "task_completed", "x2", duration_ms=30),
    ]
    expected = rows(life_of(*lines))
    for seed in range(20):
        random.Random(seed).shuffle(lines)
        assert rows(life_of(*lines)) == expected


def test_a_message_hangs_under_what_sent_it_whatever_else_ran_then():
    """A request publishes A, then B; A sends a message when B has started."""
    life = life_of(
        published(1, "a", "first"),
        published(2, "b", "second"),
        closing(10, 10),
        run(20, "task_started", "xa", "a", "first"),
        run(30, "task_started", "xb", "b", "second"),
        own(35, "shown", "m", "xa", ws__conn_id="c1"),
        run(40, "task_completed", "xb", "b", "second", duration_ms=10),
        run(50, "task_completed", "xa", "a", "first", duration_ms=30),
    )

    assert outline(life) == [
        "request POST /picks/ 202",
        "  task first completed",
        "    message shown completed",
        "  task second completed",
    ]


def test_attempts_of_a_task_stand_side_by_side():
    """Each has its own lines; what a retry publishes is a line of the attempt that asked for it."""
    life = life_of(
        closing(10, 10),
        published(5),
        run(20, "task_started", task__retries=0, task__queue_ms=15),
        published(25, scope="x1"),
        run(30, "task_retried", task__retries=0, duration_ms=10, error="KeyError: 'x'", level="warning"),
        run(90, "task_started", "x2", task__retries=1, task__queue_ms=65),
        run(95, "trying", "x2"),
        run(99, "task_failed", "x2", duration_ms=9, error="KeyError: 'x'", level="error"),
    )

    assert outline(life) == ["request POST /picks/ 202", "  task announce retried", "  task announce #1 failed"]
    first, second = life.roots[0].children
    assert [each.event for each in first.lines] == ["task_started", "task_published", "task_retried"]
    assert [each.event for each in second.lines] == ["task_started", "trying", "task_failed"]
    assert (first.failed, first.notable, second.failed) == (False, True, True)


def test_a_task_that_was_delivered_twice_ran_twice():
    """A worker was lost: the same attempt starts again. A report ends the first, and each says which delivery it is."""
    life = life_of(
        run(0, "task_started", task__retries=0, task__queue_ms=0, cause=None),
        run(5, "task_failed", "report", error="WorkerLostError: signal 9", level="error", cause=None),
        run(50, "task_started", "x2", task__retries=0, task__queue_ms=40, cause=None),
        run(60, "task_completed", "x2", duration_ms=10, cause=None),
    )

    assert outline(life) == ["task announce failed", "task announce completed"]
    assert [scope.delivery for scope in life.roots] == [0, 1]
    assert [each.event for each in life.roots[0].lines] == ["task_started", "task_failed"]


def test_two_deliveries_that_run_at_once_are_told_apart():
    """A broker's time limit for visibility passed while the first ran on."""
    life = life_of(
        run(0, "task_started", task__retries=0, cause=None),
        run(10, "task_started", "x2", task__retries=0, cause=None),
        run(20, "seen", cause=None),
        run(25, "seen", "x2", cause=None),
        run(30, "task_completed", duration_ms=30, cause=None),
        run(50, "task_completed", "x2", duration_ms=40, cause=None),
    )

    assert [[round(each.time % 1 * 1000) for each in scope.lines] for scope in life.roots] == [[0, 20, 30], [10, 25, 50]]
    assert [scope.delivery for scope in life.roots] == [0, 1]


def test_a_task_that_was_published_and_has_not_begun():
    """It is there, waiting; so is a retry."""
    life = life_of(
        closing(10, 10),
        published(5),
        published(6, "t2", "tell"),
        run(20, "task_started", "x2", "t2", "tell", task__retries=0, task__queue_ms=14),
        published(25, "t2", "tell", scope="x2"),
        run(30, "task_retried", "x2", "t2", "tell", task__retries=0, duration_ms=10, level="warning"),
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
        run(20, "task_started", task__retries=0, task__queue_ms=19, cause=None),
        run(30, "task_completed", duration_ms=10, cause=None),
    )

    assert outline(life) == ["task announce completed"]
    assert rows(life) == {"task announce": (0, 19, 29)}
    assert outline(life_of(task_line(0, "task_published"))) == ["task announce queued"]


def test_a_task_that_was_revoked_never_began():
    """Its closing event is all there is of it."""
    life = life_of(closing(10, 10), published(5), run(99, "task_revoked", "report", level="warning"))

    assert outline(life) == ["request POST /picks/ 202", "  task announce revoked"]


def test_an_expected_exception_is_no_failure():
    """What a task declares in ``throws`` is logged as info."""
    (scope,) = life_of(run(5, "task_failed", duration_ms=1, error="Denied: no", cause=None)).scopes()

    assert (scope.status, scope.failed, scope.notable) == ("failed", False, True)


def test_a_connection_and_messages():
    """It is called by its path and consumer; what it handled hangs under it if who sent that is not there."""
    socket = {"ws__conn_id": "c1", "http__route": "/ws/draft/5/", "ws__consumer": "DraftConsumer"}
    life = life_of(
        own(0, "ws_connected", "c", **socket),
        own(50, "shown", "m", "c", ws__conn_id="c1"),
        own(55, "ws_handled", "m", "c", ws__conn_id="c1", ws__message_type="draft.pick", duration_ms=10, level="debug"),
        own(60, "shown", "n", "elsewhere", request_id="other", ws__conn_id="c1"),
        own(99, "ws_disconnected", "c", close_code=1000, duration_ms=100, **socket),
    )

    assert outline(life) == [
        "connection /ws/draft/5/ DraftConsumer completed",
        "  message draft.pick completed",
        "  message shown completed",
    ]
    assert [each.event for each in life.roots[0].children[0].lines] == ["shown", "ws_handled"]


def test_what_lacks_its_cause_hangs_under_the_request():
    """Its lines are in another file."""
    life = life_of(closing(10, 10), own(20, "command_completed", "k", "gone", command__name="import", duration_ms=5))

    assert outline(life) == ["request POST /picks/ 202", "  command import completed"]


def test_a_command_that_a_view_calls_and_what_it_publishes():
    """``command.name`` travels, so the task's lines have it too."""
    life = life_of(
        own(10, "seen"),
        own(30, "importing", "k", "r", command__name="import"),
        published(35, scope="k", command__name="import", scope__cause="r"),
        own(40, "command_completed", "k", "r", command__name="import", duration_ms=20),
        closing(60, 60),
        run(50, "task_started", cause="k", task__retries=0, command__name="import"),
    )

    assert outline(life) == ["request POST /picks/ 202", "  command import completed", "    task announce running"]
    assert [each.event for each in life.roots[0].lines] == ["seen", "request_completed"]


def test_an_operation():
    """Begun by nobody's request."""
    life = life_of(
        own(10, "received", "o", operation__name="discord.message"),
        own(
            40, "operation_failed", "o", operation__name="discord.message", duration_ms=40, error="KeyError: 'x'", level="error"
        ),
    )

    assert outline(life) == ["operation discord.message failed"]
    assert life.roots[0].error == "KeyError: 'x'"


def test_two_requests_with_the_same_id():
    """A service calls another with its own id: each is a scope."""
    inner = {"http__route": "/inner/", "http__method": "GET", "scope": "r2"}
    life = life_of(closing(100, 100), closing(60, 40, **inner), own(50, "inside", "r2"), own(90, "outside"))

    assert outline(life) == ["request POST /picks/ 202", "request GET /inner/ 202"]
    assert [each.event for each in life.roots[1].lines] == ["inside", "request_completed"]


def test_a_request_that_runs_still():
    """It has no closing event; its end is what was last heard of it."""
    life = life_of(own(10, "seen"), own(40, "seen"))

    assert outline(life) == ["request running"]
    assert life.roots[0].running


def test_stable_names_of_http():
    """The names of the stable semantic conventions are read as well; the path says more than the pattern."""
    life = life_of(
        own(
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


@pytest.mark.parametrize("behind", [2000, 5000])
def test_a_task_whose_clock_is_behind_is_moved(behind):
    """It cannot have begun before it was published; what it caused moves with it as far as need be, and both are marked."""
    life = life_of(
        closing(100, 100),
        published(50),
        run(60 - behind, "task_started", task__retries=0, task__queue_ms=0),
        own(70 - behind, "shown", "m", "x1", ws__conn_id="c1"),
        run(90 - behind, "task_completed", duration_ms=30),
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
        published(50),
        run(49, "task_started", task__retries=0, task__queue_ms=1),
        run(90, "task_completed", duration_ms=41),
    )

    assert life.roots[0].children[0].shift == 0


def test_an_application_may_use_the_names_of_our_events():
    """Only the library's own loggers close a scope."""
    life = life_of(own(5, "task_completed", logger="app", duration_ms=3), own(6, "request_completed", logger="app"))

    assert outline(life) == ["request running"]


def test_ids_that_somebody_made_up_cannot_make_a_circle():
    """Two scopes that say to be each other's cause; an id that is no text."""
    life = life_of(
        own(0, "seen", "a", "b"),
        own(1, "seen", "b", "a"),
        own(1, "seen", "c", "c"),
        own(2, "seen", "d", ["a"]),
        line(2, "odd", task__id=["a"], ws__conn_id={"b": 1}, scope__id=5),
    )

    assert len(life.scopes()) == 5
    assert len(rows(life)) >= 1


def test_many_tasks_of_one_request():
    """Joining takes time in proportion to the lines."""
    lines = [closing(100, 100)]
    for number in range(2000):
        lines += [
            published(number / 100, f"t{number}"),
            run(number + 1, "task_started", f"x{number}", f"t{number}", task__retries=0, task__queue_ms=1),
            run(number + 2, "task_completed", f"x{number}", f"t{number}", duration_ms=1),
        ]

    assert len(life_of(*lines).scopes()) == 2001


def test_a_chain_that_is_five_hundred_deep():
    """Each task publishes the next; all are rows."""
    lines = [closing(5, 5)]
    lines += [
        run(10 * number, "task_completed", f"x{number}", f"t{number}", cause=f"x{number - 1}", duration_ms=1)
        for number in range(500)
    ]
    life = life_of(*lines)

    assert max(row.depth for row in lay_out(life).rows) == 500


def test_what_a_scope_asked_of_the_database():
    """The closing event has the totals, lines the single queries."""
    asked = {"db__query_count": 31, "db__duration_ms": 84, "db__repeat_count": 28, "db__repeated_query": "SELECT 1"}
    life = life_of(own(40, "db_queried", duration_ms=20, db__query__text="SELECT 1", level="debug"), closing(100, 100, **asked))

    (row,) = lay_out(life).rows
    assert [tuple(round(1000 * part, 3) for part in query) for query in row.queries] == [(20, 40)]
    (shown,) = lay_out(life).as_json()["scopes"]
    assert (shown["db.query_count"], shown["db.repeat_count"], shown["db.repeated_query"]) == (31, 28, "SELECT 1")


OTHERS = [
    line(5, "request_started", None, logger="django_structlog.middlewares.request", request_id_="x"),
    line(10, "saved", None, logger="app", request_id_="x"),
]


@pytest.mark.parametrize("name", ["request_id", "correlation_id", "requestId"])
def test_lines_of_other_libraries_are_shown_flat_under_their_request(name):
    """By the id that django-structlog, django-guid or asgi-correlation-id gives them."""
    lines = [{name if key == "request_id_" else key: value for key, value in each.items()} for each in OTHERS]
    life = join(Unwrapper().read(as_bytes(lines).split(b"\n")))

    assert outline(life) == ["lines completed"]
    assert [each.event for each in life.roots[0].lines] == ["request_started", "saved"]
    assert not life.roots[0].running
    assert life.values("request.id") == ["x"]


def test_lines_without_scope_ids_are_shown_flat_under_their_request():
    """Those of older versions: each closing event has its bar, everything else is the request's."""
    life = life_of(
        line(5, "made"),
        task_line(6, "task_published"),
        line(10, "request_completed", duration_ms=10, **REQUEST),
        task_line(15, "task_started", task__retries=0),
        task_line(20, "task_retried", duration_ms=5, level="warning"),
        task_line(30, "task_completed", duration_ms=5),
    )

    assert outline(life) == ["request POST /picks/ 202", "  task announce retried", "  task announce completed"]
    assert [each.event for each in life.roots[0].lines] == ["made", "task_published", "request_completed", "task_started"]


IDS = st.sampled_from(["a", "b", "c"])
EVENTS = st.sampled_from([*CLOSINGS, "task_published", "task_started", "ws_connected", "db_queried", "seen"])
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
            "scope__id": st.one_of(IDS, VALUES),
            "scope__cause": st.one_of(IDS, VALUES),
            "task__id": IDS,
            "task__name": IDS,
            "ws__conn_id": IDS,
            "command__name": IDS,
            "operation__name": IDS,
            "task__retries": st.one_of(st.integers(0, 2), VALUES),
            "task__queue_ms": st.one_of(st.integers(0, 100), VALUES),
            "db__query_count": VALUES,
            "db__duration_ms": VALUES,
            "db__repeat_count": VALUES,
            "duration_ms": st.one_of(st.integers(0, 500), VALUES),
            "labels": VALUES,
            "user__id": VALUES,
            "level": st.sampled_from(["info", "warning", "error"]),
        },
    ),
)


@given(st.lists(LINES, max_size=25, unique_by=json.dumps))
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


def test_a_line_that_was_delivered_twice_is_in_the_life_once():
    """By a collector."""
    lines = as_bytes([*CLICK_LINES, *CLICK_LINES]).split(b"\n")

    assert len(join(Unwrapper().read(lines)).lines) == len(CLICK_LINES)
