"""What travels: carried out of a process and in again, equal where JSON can hold it, bounded, and never in anybody's way."""

import json
import math
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
from amqp import serialization
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from kombu.utils import json as kombu_json

from dtx_telemetry import context
from dtx_telemetry.context import MAX_SIZE, Parcel, carry_in, carry_out, carrying

KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=15
)
ANYTHING = st.recursive(
    SCALARS
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals()
    | st.datetimes()
    | st.uuids()
    | st.complex_numbers()
    | st.builds(object),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers() | st.text())
        | st.dictionaries(st.text() | st.integers() | st.none(), inner)
    ),
    max_leaves=15,
)


class Unprintable:
    """Cannot say what it is."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


class Treacherous:
    """Raises wherever it is touched."""

    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise RuntimeError("no")

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class Colour(Enum):
    """A plain enumeration."""

    RED = "red"


class Level(IntEnum):
    """A number that is more than a number."""

    HIGH = 3


def size(fields: dict[str, Any]) -> int:
    return sum(len(json.dumps({key: value})) for key, value in fields.items())


def through_amqp(fields: dict[str, Any]) -> Any:
    return serialization.loads("F", serialization.dumps("F", [{"dtx.context": fields}]), 0)[0][0]["dtx.context"]


def through_json(fields: dict[str, Any]) -> Any:
    return kombu_json.loads(kombu_json.dumps({"dtx.context": fields}))["dtx.context"]


def arrived(fields: dict[str, Any]) -> Parcel:
    """Return what came in of *fields* that were carried out, having gone both ways that brokers know."""
    out = carry_out(fields)
    assert through_amqp(out.fields) == through_json(out.fields) == out.fields
    return carry_in(out.request_id, through_json(out.fields))


@pytest.fixture(autouse=True)
def _no_end_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process of this many tests still take new keys."""
    monkeypatch.setattr(carrying, "variables", lambda: 0)


@given(st.dictionaries(KEYS, JSON, max_size=8))
@settings(max_examples=100, deadline=None)
def test_json_values_arrive_equal(fields: dict[str, Any]) -> None:
    """JSON scalars, lists and dicts that are within the bounds arrive as they were sent, and nothing is said about it."""
    fields = {key: value for key, value in fields.items() if key != "request.id" and not key.startswith("task.")}
    assume(size(fields) <= MAX_SIZE and '"__type__"' not in json.dumps(fields))
    parcel = arrived(fields)
    assert parcel == Parcel(None, fields, {})
    assert json.dumps(parcel.fields) == json.dumps(fields)  # 1, 1.0 and True are equal, but not the same


@given(st.dictionaries(st.text() | st.integers() | st.none(), ANYTHING, max_size=12), ANYTHING)
@settings(max_examples=100, deadline=None)
def test_anything_can_be_carried_out(fields: dict[Any, Any], request_id: Any) -> None:
    """Whatever is bound, carrying it out raises nothing, and gives something small that JSON and AMQP can hold."""
    out = carry_out({**fields, "request.id": request_id})
    assert size(out.fields) <= MAX_SIZE
    assert through_amqp(out.fields) == through_json(out.fields) == out.fields
    assert carry_out(out.fields).fields == out.fields


@given(ANYTHING, ANYTHING | st.dictionaries(st.text() | st.integers(), ANYTHING))
@settings(max_examples=100, deadline=None)
def test_anything_can_be_carried_in(request_id: Any, fields: Any) -> None:
    """Whatever a message says, carrying it in raises nothing, and gives something small with a valid id or none."""
    parcel = carry_in(request_id, fields)
    assert parcel.request_id is None or context.valid_request_id(parcel.request_id)
    assert size(parcel.fields) <= MAX_SIZE
    assert not [key for key in parcel.fields if key == "request.id" or key.startswith("task.")]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 1, 15, 10, 23, tzinfo=UTC), "2026-01-15 10:23:00+00:00"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)
def test_what_text_says_in_full_becomes_text_quietly(value: Any, text: str) -> None:
    """A date, a decimal or a UUID arrives as its text, and no line is written about it."""
    assert arrived({"key": value}) == Parcel(None, {"key": text}, {})


@pytest.mark.parametrize(
    ("value", "carried"),
    [
        ({1}, [1]),
        ((1, "two"), [1, "two"]),
        (Level.HIGH, 3),
        (mark_safe("<b>"), "<b>"),
    ],
)
def test_relatives_of_json_types_become_those(value: Any, carried: Any) -> None:
    """A set, a tuple, a number or text of somebody's own class arrives as the plain list, number or text that it is."""
    parcel = arrived({"key": value})
    assert parcel.fields == {"key": carried}
    assert type(parcel.fields["key"]) is type(carried)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (lazystr("lazy"), "lazy"),
        (math.nan, "nan"),
        (math.inf, "inf"),
        (2**70, str(2**70)),
        (b"caf\xc3\xa9 \xff", "café \\xff"),
        ("lone \ud800", "lone \\ud800"),
        (Colour.RED, "Colour.RED"),
        (Unprintable(), "<Unprintable>"),
        ({1: "a", None: "b"}, {"1": "a", "None": "b"}),
        ({"__type__": "uuid", "__value__": 1}, "{'__type__': 'uuid', '__value__': 1}"),
    ],
)
def test_what_cannot_be_carried_becomes_text_and_is_noted(value: Any, text: Any) -> None:
    """Any other value goes along as text, and what was done to it is known."""
    out = carry_out({"key": value, "other": 1})
    assert out == Parcel(None, {"key": text, "other": 1}, {"key": "turned into text"})
    assert through_amqp(out.fields) == through_json(out.fields) == out.fields


def test_a_value_that_cannot_be_touched_is_left_out() -> None:
    """An object that raises on everything costs its own key alone."""
    assert carry_out({"bad": Treacherous(), "good": 1}) == Parcel(None, {"good": 1}, {"bad": "left out"})


def test_a_dict_that_contains_itself_ends_there() -> None:
    """A value inside itself is named in its place, siblings that are the same object are not."""
    shared = [1]
    loop: dict[str, Any] = {"one": shared, "two": shared}
    loop["self"] = loop
    assert carry_out({"key": loop}).fields == {"key": {"one": [1], "two": [1], "self": "<dict>"}}


def test_deep_nesting_is_cut() -> None:
    """Of 200 levels the first go along."""
    deep: Any = "bottom"
    for _ in range(200):
        deep = [deep]
    text = json.dumps(carry_out({"key": deep}).fields["key"])
    assert text == "[" * 32 + '"<list>"' + "]" * 32


@pytest.mark.parametrize("big", ["x" * 2**20, list(range(2**20)), [[]] * 2**20, {str(n): n for n in range(10_000)}, "ä" * 1000])
def test_over_the_limit_the_biggest_value_is_left_out(big: Any) -> None:
    """A value that does not fit is left out and named; the rest and the id go along."""
    parcel = carry_out({"request.id": "abc", "small": [1, 2], "big": big, "text": "x" * 100})
    assert parcel == Parcel("abc", {"small": [1, 2], "text": "x" * 100}, {"big": "left out"})


def test_of_many_values_the_biggest_are_left_out_first() -> None:
    """No more is left out than has to be."""
    parcel = carry_out({f"key{n}": "x" * n * 100 for n in range(1, 12)})
    assert size(parcel.fields) <= MAX_SIZE
    assert set(parcel.problems) == {"key9", "key10", "key11"}


def test_a_long_or_unencodable_key_is_left_out() -> None:
    """AMQP has no name for it: 255 bytes of UTF-8 are the most."""
    parcel = carry_out({"x" * 255: 1, "y" * 256: 2, "ä" * 128: 3, "\ud800": 4, "nested": {"z" * 256: 5, "z": 6}})
    assert parcel.fields == {"x" * 255: 1, "nested": {"z": 6}}
    assert len(parcel.problems) == 4


def test_a_long_key_alone_is_left_out() -> None:
    """Also where there is nothing else that would need a closer look."""
    assert carry_out({"x" * 256: 1}) == Parcel(None, {}, {"x" * 64: "left out"})


def test_a_context_that_kombu_would_take_for_an_object_is_left_out() -> None:
    """kombu refuses a message that holds a dict of just these two keys."""
    assert carry_out({"request.id": "abc", "__type__": "a", "__value__": 1}).fields == {}
    assert carry_out({"__type__": "a", "__value__": 1, "other": 2}).fields == {"__type__": "a", "__value__": 1, "other": 2}


def test_each_part_of_what_came_is_judged_by_itself() -> None:
    """A bad id does not spoil the fields, bad fields not the id, a bad key not its neighbours."""
    assert carry_in("bad id\n", {"user.id": 7}) == Parcel(None, {"user.id": 7}, {"request.id": "replaced"})
    assert carry_in("abc", ["user.id"]) == Parcel("abc", {}, {"dtx.context": "left out"})
    assert carry_in("abc", {1: 2, "a": 3}) == Parcel("abc", {"a": 3}, {"1": "left out"})
    assert carry_in(None, None) == Parcel(None, {}, {})


def test_a_message_may_not_say_what_task_runs_or_sneak_in_an_id() -> None:
    """``task.*`` and a second ``request.id`` in the fields are left out."""
    parcel = carry_in("abc", {"task.id": "x", "task.anything": 1, "request.id": "y", "user.id": 7})
    assert (parcel.request_id, parcel.fields) == ("abc", {"user.id": 7})


def test_a_process_takes_no_end_of_new_keys_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each distinct key costs memory for good, so after many of them only known ones come in."""
    monkeypatch.setattr(carrying, "variables", lambda: 10_000)
    parcel = carry_in("abc", {"never.seen.before": 1, "user.id": 7})
    assert (parcel.fields, parcel.problems) == ({"user.id": 7}, {"never.seen.before": "left out"})


def test_what_is_said_about_problems_is_bounded() -> None:
    """Ten thousand bad keys of 10,000 characters do not make a log line of that size."""
    problems = carry_in("abc", {f"task.{n}" + "x" * 10_000: n for n in range(10_000)}).problems
    assert len(json.dumps(problems)) < 4096
