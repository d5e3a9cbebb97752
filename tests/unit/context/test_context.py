"""Scopes: what is bound in one, what is bound after it, and what travels."""

import asyncio
import gc
import random
import re
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context, ContextVar, copy_context
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, get_contextvars, unbind_contextvars

from dtx_telemetry import bind_fields, carry_context, context, events, get_request_id
from dtx_telemetry.context.participants import PARTICIPANTS
from tests.support.scopes import without_ids

KEYS = ["request.id", "user.id", "labels", "task.id", "service", "tenant", "draft.id"]
binds = st.lists(
    st.one_of(
        st.tuples(st.just("bind"), st.sampled_from(KEYS), st.one_of(st.none(), st.integers(), st.text(max_size=5))),
        st.tuples(st.just("unbind"), st.sampled_from(KEYS), st.none()),
        st.tuples(st.just("clear"), st.none(), st.none()),
    ),
    max_size=8,
)


def bound():
    """What is bound, without the ids of scopes."""
    return without_ids(context.bound())


def apply(operations):
    """Do to what is bound what an application might."""
    for what, key, value in operations:
        if what == "bind":
            bind_contextvars(**{key: value})
        elif what == "unbind":
            unbind_contextvars(key)
        else:
            clear_contextvars()


@pytest.mark.leaves_bound
def test_a_scope_binds_its_fields_and_takes_them_away():
    """Inside, the fields are bound, beside what was; after it, exactly what was bound before is."""
    bind_contextvars(service="dtx")

    scope = context.enter(events.OPERATION, {"request.id": "r1", "user.id": 7})
    assert bound() == without_ids(get_contextvars()) == {"service": "dtx", "request.id": "r1", "user.id": 7}
    assert context.current_scope() is scope
    scope.leave()

    assert bound() == get_contextvars() == {"service": "dtx"}
    assert context.current_scope() is None


@pytest.mark.leaves_bound
def test_what_the_application_binds_inside_is_gone_after():
    """What was bound, changed and unbound inside by structlog's own functions is as it was, each value the same object."""
    tags = ["a"]
    bind_contextvars(service="dtx", tags=tags)

    scope = context.enter(events.OPERATION, {"request.id": "r1"})
    bind_contextvars(draft_step=3, service="other")
    unbind_contextvars("tags")
    assert bound() == {"service": "other", "draft_step": 3, "request.id": "r1"}
    scope.leave()

    assert bound() == {"service": "dtx", "tags": ["a"]}
    assert context.bound()["tags"] is tags


any_scopes = given(
    outside=binds,
    inside=binds,
    fields=st.dictionaries(st.sampled_from(KEYS), st.integers()),
    root=st.booleans(),
    depth=st.integers(1, 3),
)


def check_that_the_outside_stays_equal(outside, inside, fields, root, depth):
    """Enter scopes within scopes, bind in each, leave them all, and look."""
    apply(outside)
    found, scopes = bound(), []
    for _ in range(depth):
        scopes.append((context.enter_root if root else context.enter)(events.OPERATION, fields))
        assert fields.items() <= context.bound().items()
        apply(inside)
    for scope in reversed(scopes):
        scope.leave()
    assert bound() == get_contextvars() == found
    assert context.current_scope() is None


@any_scopes
def test_whatever_is_bound_inside_the_outside_stays_equal(**given_):
    """Any sequence of binds, unbinds and clears in scopes within scopes leaves what is bound outside as it was."""
    copy_context().run(check_that_the_outside_stays_equal, **given_)


@pytest.mark.timeout(900)
@pytest.mark.slow
@any_scopes
@settings(max_examples=4_000)
def test_whatever_is_bound_inside_the_outside_stays_equal_at_length(**given_):
    """The same, with 4,000 examples."""
    copy_context().run(check_that_the_outside_stays_equal, **given_)


def test_scopes_nest():
    """Leaving the inner scope gives back what the outer one bound, and the outer is the current one again."""
    outer = context.enter(events.OPERATION, {"request.id": "r1", "user.id": 7})
    inner = context.enter(events.OPERATION, {"task.id": "t1", "user.id": 8})
    assert inner.outer is outer
    assert bound() == {"request.id": "r1", "user.id": 8, "task.id": "t1"}

    inner.leave()
    assert bound() == {"request.id": "r1", "user.id": 7}
    assert context.current_scope() is outer

    outer.leave()
    assert bound() == {}


def test_a_scope_can_drop_keys_of_the_one_around():
    """A message of a connection does not have the connection's own user; after it, the connection has."""
    outer = context.enter(events.OPERATION, {"ws.conn_id": "c1", "user.id": 7})

    inner = context.enter(events.OPERATION, {"request.id": "r2"}, drop={"user.id", "never.bound"})
    assert bound() == {"ws.conn_id": "c1", "request.id": "r2"}
    inner.leave()

    assert bound() == {"ws.conn_id": "c1", "user.id": 7}
    outer.leave()


@pytest.mark.leaves_bound
def test_a_root_scope_knows_nothing_of_leaked_keys():
    """A request that starts with stale keys bound has none of them, but what the process bound itself."""
    leaked = {"request.id": "stale", "user.id": 1, "labels": ["team"], "task.id": "t0", "task.name": "x", "ws.conn_id": "c0"}
    bind_contextvars(service="dtx", **leaked, **{"command.name": "migrate"})

    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})
    assert bound() == {"service": "dtx", "request.id": "r1"}
    scope.leave()

    assert bound() == {"service": "dtx", "command.name": "migrate", **leaked}


@pytest.mark.leaves_bound
def test_a_root_scope_inside_a_scope_starts_from_the_process():
    """What the surrounding scope bound does not hold inside, what the process had bound before it does."""
    bind_contextvars(service="dtx")
    outer = context.enter_root(events.OPERATION, {"request.id": "r1"})
    bind_contextvars(tenant="north")

    inner = context.enter_root(events.OPERATION, {"request.id": "r2"})
    assert bound() == {"service": "dtx", "request.id": "r2"}
    inner.leave()

    assert bound() == {"service": "dtx", "request.id": "r1", "tenant": "north"}
    outer.leave()


@pytest.mark.leaves_bound
def test_the_keys_that_no_process_owns_can_be_named():
    """The ids of the configured resources are among them."""
    bind_contextvars(**{"draft.id": 3, "service": "dtx"})

    scope = context.enter_root(events.OPERATION, {}, own=context.OWN_KEYS | {"draft.id"})
    assert bound() == {"service": "dtx"}
    scope.leave()


def test_a_scope_is_left_when_its_work_raises():
    """The exception goes on, and nothing of the scope stays."""

    @bind_fields(hero="Invoker")
    def fail():
        raise RuntimeError(context.bound()["hero"])

    with pytest.raises(RuntimeError, match="Invoker"):
        fail()

    assert bound() == {}
    assert context.current_scope() is None


def test_fields_can_be_bound_for_a_function():
    """As a decorator it binds anew at each call."""

    @bind_fields(hero="Invoker")
    def pick():
        bind_contextvars(step=1)
        return get_contextvars()

    assert pick() == pick() == {"hero": "Invoker", "step": 1}
    assert bound() == {}


@pytest.mark.leaves_bound
def test_a_body_is_made_in_its_scope_again():
    """In the context that was kept, each piece of a body is inside the scope again: what one binds, the next one has."""
    bind_contextvars(service="dtx")
    scope = context.enter(events.OPERATION, {"request.id": "r1"})
    bind_contextvars(tenant="north")
    kept = copy_context()
    scope.leave()

    assert kept.run(bound) == {"service": "dtx", "request.id": "r1", "tenant": "north"}
    assert kept.run(context.current_scope) is scope
    kept.run(bind_contextvars, chunk=1)
    assert bound() == {"service": "dtx"}
    assert context.current_scope() is None
    assert kept.run(bound)["chunk"] == 1


async def test_a_coroutine_runs_in_another_context():
    """Each of its steps does, what it waits for its task waits for, and its task's own context stays as it is."""
    scope = context.enter(events.OPERATION, {"request.id": "r1"})
    kept = copy_context()
    scope.leave()

    async def body():
        seen = [bound()]
        await asyncio.sleep(0)
        bind_contextvars(step=2)
        await asyncio.sleep(0)
        return [*seen, bound()]

    assert await context.run_in(kept, body()) == [{"request.id": "r1"}, {"request.id": "r1", "step": 2}]
    assert (bound(), kept.run(bound)["step"]) == ({}, 2)


async def test_a_coroutine_in_another_context_is_cancelled_and_raises_as_any_other():
    """The exception arrives inside, and what it raises comes out."""
    kept, arrived = copy_context(), []

    async def wait():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            arrived.append(error)
            raise KeyError("on its way") from None

    async def waiting():
        await context.run_in(kept, wait())

    task = asyncio.create_task(waiting())
    while not arrived:
        await asyncio.sleep(0)
        task.cancel()
    with pytest.raises(KeyError, match="on its way"):
        await task


def test_what_a_body_left_open_is_open_again_at_the_next_piece():
    """A block around a ``yield`` is entered again with the next piece, and undone when the body leaves it."""
    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})

    def body():
        with bind_fields(part=1):
            yield bound()
            yield bound()
        yield bound()

    pieces, kept = body(), copy_context()
    scope.leave()
    seen = []
    for _ in range(3):
        seen.append(kept.run(next, pieces))
        assert get_contextvars() == {}
        assert context.current_scope() is None
    assert seen == [{"request.id": "r1", "part": 1}, {"request.id": "r1", "part": 1}, {"request.id": "r1"}]


@pytest.mark.leaves_bound
def test_a_generator_left_half_way_ends_with_the_scope():
    """What it had bound is on no line after the scope's end, nor bound when it is closed at last."""
    bind_contextvars(service="dtx")
    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})

    def half_way():
        with bind_fields(part=1):
            yield

    generator = half_way()
    next(generator)
    assert context.bound()["part"] == 1
    assert scope.end(events.OPERATION_COMPLETED)
    assert bound() == {"service": "dtx", "request.id": "r1"}
    scope.leave()
    generator.close()
    assert get_contextvars() == {"service": "dtx"}


class Endings(context.Participant):
    """Notes how scopes end, and what is bound then."""

    def __init__(self):
        self.seen = []

    def ended(self, scope, end):
        self.seen.append((end.event.name, end.level, end.outcome, dict(end.fields), bound()))


@pytest.fixture
def endings():
    taking_part, endings = PARTICIPANTS.by_name.copy(), Endings()
    for name in taking_part:
        context.take_part(name, None)
    context.take_part("logging", endings)
    yield endings
    for name, participant in taking_part.items():
        context.take_part(name, participant)


def test_a_scope_ends_once(endings):
    """Only the first event counts; the duration is added."""
    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})
    assert not scope.ended
    assert [scope.end(events.OPERATION_COMPLETED, {"mine": 1}), scope.end(events.OPERATION_FAILED)] == [True, False]
    assert scope.ended
    scope.leave()
    ((name, level, outcome, fields, inside),) = endings.seen
    assert (name, level, outcome) == ("operation_completed", 20, "completed")
    assert (fields.keys(), inside) == ({"mine", "duration_ms"}, {"request.id": "r1"})


def test_an_end_has_the_error_and_what_the_edge_says_otherwise(endings):
    """The text of the exception, another level, another outcome."""
    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})
    scope.end(events.OPERATION_FAILED, error=KeyError("hero"), level=30, outcome="cancelled")
    scope.leave()
    ((name, level, outcome, fields, _),) = endings.seen
    assert (name, level, outcome, fields["error"]) == ("operation_failed", 30, "cancelled", "KeyError: 'hero'")


def test_a_scope_that_ends_elsewhere_ends_inside_itself(endings):
    """In another context, and inside another scope: with its own fields, and the other's stay as they are."""
    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})
    bind_contextvars(room="a")
    scope.leave()
    other = context.enter_root(events.OPERATION, {"request.id": "r2"})
    scope.end(events.OPERATION_COMPLETED)
    assert (bound(), context.current_scope()) == ({"request.id": "r2"}, other)
    other.leave()
    assert endings.seen[0][-1] == {"request.id": "r1", "room": "a"}


@pytest.mark.telemetry_fails
def test_a_participant_that_fails_keeps_no_other_from_the_end(endings, monkeypatch):
    """It is said, and nothing is raised."""
    broken = Endings()
    broken.seen = None
    context.take_part("database", broken)
    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})
    assert scope.end(events.OPERATION_COMPLETED)
    scope.leave()
    context.take_part("database", None)
    assert len(endings.seen) == 1


def test_each_scope_has_an_id_and_knows_what_caused_it():
    """Nested, the one around did; a root has a cause only if its edge says so."""
    outer = context.enter_root(events.OPERATION, {"request.id": "r1"})
    own = context.bound()["scope.id"]
    assert re.fullmatch("[0-9a-f]{8}", own)
    assert "scope.cause" not in context.bound()
    with bind_fields(part=1):  # a part of its scope
        assert context.bound()["scope.id"] == own
        inner = context.enter(events.TASK, {"task.id": "t1"})
        assert context.bound()["scope.cause"] == own != context.bound()["scope.id"]
        root = context.enter_root(events.OPERATION, {"request.id": "r2"})
        assert "scope.cause" not in context.bound()
        root.leave()
        inner.leave()
    told = context.enter(events.MESSAGE, {"scope.cause": "00c0ffee"})
    assert context.bound()["scope.cause"] == "00c0ffee"
    told.leave()
    outer.leave()


def test_the_id_of_a_scope_travels_and_its_cause_does_not():
    """On the other side it is the cause."""
    scope = context.enter(events.OPERATION, {"request.id": "r1", "scope.cause": "00c0ffee"})
    own = context.bound()["scope.id"]
    parcel = context.carry_out(context.outgoing_fields(["tenant"]))
    scope.leave()
    assert parcel.fields == {"scope.id": own}
    assert context.carry_in("r1", parcel.fields).fields == {"scope.cause": own}


@pytest.mark.parametrize("bad", ["", "C0FFEE00", "c0ffee0", "c0ffee000", "c0ffee0\n", 12345678, ["c0ffee00"]])
def test_a_bad_cause_is_left_out(bad):
    """What comes from outside is not trusted."""
    parcel = context.carry_in("r1", {"scope.id": bad, "user.id": 7})
    assert (parcel.fields, parcel.problems) == ({"user.id": 7}, {"scope.id": "left out"})


@pytest.mark.parametrize("clear", [clear_contextvars, lambda: unbind_contextvars("request.id", "user.id", "tenant")])
def test_a_scope_is_known_by_its_fields_whatever_the_application_clears(clear):
    """structlog's guide tells people to clear the context; what they bound goes, and what the scope is stays."""
    scope = context.enter_root(events.OPERATION, {"request.id": "r1", "user.id": 7})
    bind_contextvars(tenant="north")
    clear()
    assert bound() == without_ids(context.outgoing_fields()) == without_ids(scope.inside) == {"request.id": "r1", "user.id": 7}
    assert get_request_id() == "r1"
    inner = context.enter(events.OPERATION, {"task.id": "t1"})
    clear()
    assert bound() == {"request.id": "r1", "user.id": 7, "task.id": "t1"}
    assert without_ids(context.outgoing_fields()) == {"request.id": "r1", "user.id": 7}
    inner.leave()
    scope.leave()
    assert get_contextvars() == {}


def test_clearing_the_context_takes_away_a_blocks_fields():
    """Those are the application's; the scope's own are there again."""
    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})
    with bind_fields(part=1):
        clear_contextvars()
        assert bound() == {"request.id": "r1"}
    scope.leave()


def test_a_scopes_field_changes_whichever_block_is_open():
    """A user who logs in is on the lines of the block and on those after it; one who logs out is on none."""
    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})
    with bind_fields(part=1):
        scope.set_field("user.id", 7)
        assert bound() == {"request.id": "r1", "part": 1, "user.id": 7}
    assert bound() == {"request.id": "r1", "user.id": 7}
    with bind_fields(part=2):
        scope.set_field("user.id", None)
        assert bound() == {"request.id": "r1", "part": 2}
    assert bound() == {"request.id": "r1"}
    scope.leave()
    scope.set_field("user.id", 8)
    assert (without_ids(scope.inside), get_contextvars()) == ({"request.id": "r1", "user.id": 8}, {})


def test_a_scopes_field_leaves_an_inner_scopes_own_alone():
    """A message of another user's is handled as theirs while the connection's own user changes."""
    scope = context.enter_root(events.OPERATION, {"request.id": "r1", "user.id": 7})
    inner = context.enter(events.OPERATION, {"request.id": "r2", "user.id": 9})
    scope.set_field("user.id", 8)
    assert bound() == {"request.id": "r2", "user.id": 9}
    assert without_ids(scope.inside) == {"request.id": "r1", "user.id": 8}
    inner.leave()
    assert bound() == {"request.id": "r1", "user.id": 8}
    scope.leave()


def test_threads_do_not_see_each_other():
    """Scopes of threads that are inside at the same time hold their own fields, and a pool's thread keeps none."""
    inside = threading.Barrier(4)

    def work(number):
        scope = context.enter_root(events.OPERATION, {"request.id": f"r{number}"})
        inside.wait(10)
        bind_contextvars(step=number)
        inside.wait(10)
        seen = bound()
        scope.leave()
        return seen, bound()

    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            results = list(pool.map(work, range(4)))
            assert results == [({"request.id": f"r{number}", "step": number}, {}) for number in range(4)]


async def test_tasks_of_an_event_loop_do_not_see_each_other():
    """Scopes in interleaved coroutines hold their own fields, and the one that started them keeps its own."""
    scope = context.enter(events.OPERATION, {"request.id": "outer"})

    async def work(number):
        inner = context.enter_root(events.OPERATION, {"request.id": f"r{number}"})
        for _ in range(3):
            await asyncio.sleep(0)
            bind_contextvars(step=number)
        seen = bound()
        inner.leave()
        return seen, bound()

    results = await asyncio.gather(*map(work, range(10)))

    assert results == [({"request.id": f"r{number}", "step": number}, {"request.id": "outer"}) for number in range(10)]
    assert bound() == {"request.id": "outer"}
    scope.leave()


def test_a_function_carries_the_context_into_a_thread():
    """It runs with what was bound when it was wrapped, in a copy of its own, as often and as concurrently as one likes."""
    meet = threading.Barrier(2)
    scope = context.enter(events.OPERATION, {"request.id": "r1"})

    @carry_context
    def work(number, *, hero):
        bind_contextvars(step=number)
        meet.wait(10)
        return hero, bound(), context.current_scope()

    bind_contextvars(late=True)
    scope.leave()
    with ThreadPoolExecutor(2) as pool:
        results = [future.result() for future in [pool.submit(work, number, hero="Lina") for number in range(2)]]
        left_behind = list(pool.map(lambda _: bound(), range(2)))

    assert results == [("Lina", {"request.id": "r1", "step": number}, scope) for number in range(2)]
    assert left_behind == [{}, {}]
    assert work.__name__ == "work"


def test_the_request_id_can_be_read():
    """`get_request_id` gives the bound id, the application's included, and ``None`` where there is none."""
    assert get_request_id() is None
    with bound_contextvars(**{"request.id": "mine"}):
        assert get_request_id() == "mine"
    assert get_request_id() is None


def test_new_ids_are_random_uuids():
    """Each is 32 lower-case hexadecimal digits of a version 4 UUID, and acceptable as an incoming id."""
    ids = {context.new_request_id() for _ in range(1000)}

    assert len(ids) == 1000
    for text in ids:
        assert re.fullmatch("[0-9a-f]{32}", text)
        assert UUID(text).version == 4
        assert UUID(text).variant == "specified in RFC 4122"
        assert context.valid_request_id(text)


def test_new_ids_do_not_follow_the_applications_seed():
    """An application that seeds Python's random numbers does not have the same ids again."""
    random.seed(1)
    first = context.new_request_id()
    random.seed(1)
    assert context.new_request_id() != first


@given(st.floats(0, 1e6))
def test_milliseconds_are_told_to_a_hundredth(seconds: float):
    """They are near, and have two digits behind the point at most."""
    told = context.milliseconds(seconds)
    assert abs(told - seconds * 1000) <= 0.005 + seconds * 1e-9
    assert "e" in repr(told) or len(repr(told).partition(".")[2]) <= 2


@pytest.mark.parametrize(
    "value",
    [
        "a",
        "a" * 128,
        "0f8fad5bd9cb469fa16570867728950e",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "Root=1-67891233-abcdef012345678912345678",
        "AZaz09._-:/+=~@",
    ],
)
def test_good_ids_are_accepted(value):
    """Hexadecimal, UUID, ULID, load balancers' ids: 1 to 128 of the allowed characters."""
    assert context.valid_request_id(value)


@pytest.mark.parametrize(
    "value",
    ["", "a" * 129, "a b", "a\n", "\na", "a\x1b[31m", "ü", "٣", "a,b", 'a"b', "a%0a", "<a>", None, 5, b"a", ["a"], True],
)
def test_bad_ids_are_refused(value):
    """Control characters, blanks, what is not ASCII, what is too long and what is no string."""
    assert not context.valid_request_id(value)


@pytest.mark.leaves_bound
def test_what_scopes_bound_travels():
    """By us or by the application, in this scope or the one around; not what the process had bound, and no ``task.*``."""
    bind_contextvars(service="dtx", region="eu")
    outer = context.enter_root(events.OPERATION, {"request.id": "r1", "user.id": 7})
    inner = context.enter(events.OPERATION, {"task.id": "t1", "task.name": "x", "draft.id": 3})
    bind_contextvars(tenant="north", region="us")

    assert without_ids(context.outgoing_fields()) == {
        "request.id": "r1",
        "user.id": 7,
        "draft.id": 3,
        "tenant": "north",
        "region": "us",
    }

    inner.leave()
    outer.leave()


@pytest.mark.leaves_bound
def test_outside_any_scope_everything_travels():
    """A shell that binds by hand sends it along, but for ``task.*``."""
    bind_contextvars(**{"request.id": "r1", "service": "dtx", "task.id": "t1"})

    assert without_ids(context.outgoing_fields()) == {"request.id": "r1", "service": "dtx"}


def test_a_list_of_keys_limits_what_travels():
    """Only they go along, and ``request.id`` always."""
    scope = context.enter(events.OPERATION, {"request.id": "r1", "user.id": 7, "tenant": "north"})

    assert without_ids(context.outgoing_fields(["tenant", "task.id", "unknown"])) == {"request.id": "r1", "tenant": "north"}
    assert without_ids(context.outgoing_fields([])) == {"request.id": "r1"}
    scope.leave()


def test_a_scope_knows_how_long_it_takes():
    """Milliseconds since it was entered, growing, with two decimals at most."""
    scope = context.enter(events.OPERATION, {})
    first, second = scope.duration_ms, scope.duration_ms
    scope.leave()

    assert 0 <= first <= second <= scope.duration_ms < 60_000
    assert first == round(first, 2)


def test_a_left_scope_lets_go_of_what_was_around_it() -> None:
    """Requests that each start in the context of the one before do not keep each other alive."""
    alive: weakref.WeakSet[Tracked] = weakref.WeakSet()
    around = copy_context()
    for _ in range(10):
        around = around.run(_enter_then_copy, alive)
    gc.collect()
    assert len(alive) <= 2


class Tracked:
    """A bound value whose life can be watched."""


def _enter_then_copy(alive: "weakref.WeakSet[Tracked]") -> Context:
    value = Tracked()
    alive.add(value)
    scope = context.enter_root(events.OPERATION, {"request.id": "a", "tracked": value})
    inside = copy_context()
    scope.leave()
    return inside


def test_keys_that_an_application_makes_up_do_not_make_each_line_dearer() -> None:
    """What is bound is found, and nothing else, however many keys have ever been bound in the process."""

    def bind_many() -> None:
        bind_contextvars(**{f"made_up_{number}": number for number in range(500)})

    copy_context().run(bind_many)
    scope = context.enter_root(events.OPERATION, {"request.id": "a"})
    assert bound() == {"request.id": "a"}
    scope.leave()
    assert bound() == {}


def test_a_variable_that_lost_its_place_is_not_what_is_bound() -> None:
    """Of two threads that bind a new key at once one loses; what it set must not show, since nothing could take it away."""

    def lose() -> dict[str, object]:
        ContextVar("structlog_made_up_0").set("lost")
        return bound()

    Context().run(bind_contextvars, **{f"made_up_{number}": number for number in range(500)})
    assert Context().run(lose) == {}


@pytest.mark.leaves_bound
def test_work_can_be_started_outside_any_scope() -> None:
    """What outlives the scope does not hold it; it has what the process bound alone."""
    bind_contextvars(service="dtx", **{"task.id": "leaked"})
    assert context.outside_context().run(bound) == {"service": "dtx"}
    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})
    bind_contextvars(hero="Invoker")
    inner = context.enter(events.TASK, {"task.id": "t"})

    for _ in range(2):
        outside = context.outside_context()
        assert outside.run(context.current_scope) is None
        assert outside.run(lambda: context.bound().get("request.id")) is None
        assert outside.run(bound) == {"service": "dtx"}
        outside.run(bind_contextvars, mine=1)
    assert "mine" not in context.outside_context().run(bound)

    inner.leave()
    assert bound() == {"service": "dtx", "request.id": "r1", "hero": "Invoker"}
    scope.leave()


@pytest.mark.leaves_bound
def test_work_can_be_started_in_no_scope() -> None:
    """What outlives the scope does not hold it, while its fields stay bound."""
    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})
    before = context.bound()

    with context.no_scope():
        assert context.current_scope() is None
        assert context.bound() == before

    assert context.current_scope() is scope
    scope.leave()


def test_a_block_in_no_scope_that_the_garbage_collector_ends_changes_nothing() -> None:
    """It ends in another context, where nothing of it is to be put back."""
    block = context.no_scope()
    Context().run(block.__enter__)
    scope = context.enter(events.OPERATION, {"request.id": "another"})

    block.__exit__(None, None, None)

    assert context.current_scope() is scope
    scope.leave()


def test_a_function_runs_in_a_scope_whichever_is_current() -> None:
    """In the scope itself, not in one nested in it; here nothing changes."""
    outer = context.enter_root(events.OPERATION, {"request.id": "r1"})
    bind_contextvars(hero="Invoker")
    inside = context.bound()
    inner = context.enter(events.OPERATION, {"request.id": "r2"})
    before = context.bound()

    assert outer.run(lambda: (context.current_scope(), context.bound())) == (outer, inside)
    assert (context.current_scope(), context.bound()) == (inner, before)
    inner.leave()
    outer.leave()
    assert outer.run(lambda: (context.current_scope(), context.bound())) == (outer, inside)
    assert (context.current_scope(), context.bound()) == (None, {})


def test_a_message_can_be_handled_inside_anothers() -> None:
    """It starts from its receiver: nothing of the message around holds inside, and that one's fields are back after it."""
    receiver = context.enter_root(
        events.OPERATION, {"request.id": "r", "user.id": 1, "labels": ["draft"], "draft.id": 5, "ws.conn_id": "c"}
    )
    bind_contextvars(hero="Invoker")
    first = context.Parcel("s1", {"user.id": 7, "labels": ["team"], "team.id": 3, "tenant": "x"})
    around = context.enter_message(first, receiver=receiver)
    bind_contextvars(handler="bound")
    before = bound()

    inner = context.enter_message(context.Parcel("s2", {"labels": ["match"], "match.id": 9}), receiver=receiver)
    assert bound() == {
        "request.id": "s2",
        "labels": ["match", "draft"],
        "match.id": 9,
        "draft.id": 5,
        "ws.conn_id": "c",
        "hero": "Invoker",
    }
    inner.leave()

    assert bound() == before
    around.leave()
    receiver.leave()


def test_a_scope_is_freed_with_its_last_reference() -> None:
    """Without the garbage collector."""
    scope = context.enter_root(events.OPERATION, {"request.id": "r1"})
    context.enter(events.OPERATION, {"task.id": "t"}).leave()
    scope.leave()
    gone = weakref.ref(scope)

    gc.disable()
    try:
        del scope
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [RecursionError(), KeyboardInterrupt(), MemoryError()], ids=repr)
@pytest.mark.parametrize("enter", [context.enter, context.enter_root], ids=["nested", "root"])
def test_a_scope_that_cannot_be_entered_leaves_nothing(enter, error):
    """Nobody knows of it who could leave it: a participant found no stack, or a signal came."""

    class Failing(context.Participant):
        def entered(self, scope, about):
            raise error

    participant = PARTICIPANTS.by_name.get("database")
    with bind_fields(service="x"):
        around = context.current_scope()
        context.take_part("database", Failing())
        try:
            with pytest.raises(type(error)):
                enter(events.OPERATION, {"request.id": "a", "service": "y"})
        finally:
            context.take_part("database", participant)
        assert (context.bound(), context.current_scope()) == ({"service": "x"}, around)
