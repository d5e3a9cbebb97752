"""Any value may be logged: it comes out as one valid line, and nothing is raised."""

import array
import datetime as dt
import decimal
import enum
import ipaddress
import json
import logging
import pathlib
import re
import threading
import types
import uuid
from collections import Counter, OrderedDict, UserDict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import attrs
import msgspec
import orjson
import pytest
from django.http import HttpRequest, QueryDict
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dtx_telemetry.context import OWN_KEYS, bind_fields
from dtx_telemetry.events import EVENTS
from dtx_telemetry.logging import get_logger
from tests.support.pipeline import Printed, only_ours, print_lines

log = get_logger()


class Pick(NamedTuple):
    hero: str
    order: int


@pytest.fixture
def printed(tmp_path: pathlib.Path) -> Printed:
    return print_lines(tmp_path, log_max_value_length=1000)


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    ONE = 1


@dataclass
class Point:
    x: int
    y: Any = None


@attrs.define
class Team:
    name: str


class Record(msgspec.Struct):
    name: str


class Shown:
    def __repr__(self) -> str:
        return "<Shown>"


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (2**64, str(2**64)),
        (-(2**63) - 1, str(-(2**63) - 1)),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        ([float("-inf")], ["-Infinity"]),
        ("\ud800x", "\\ud800x"),
        ({"\udfff": 1}, {"\\udfff": 1}),
        (b"caf\xc3\xa9 \xff", "café \\xff"),
        (bytearray(b"ab"), "ab"),
        (memoryview(b"ab"), "ab"),
        ((1, "a"), [1, "a"]),
        ({1}, [1]),
        (frozenset({"a"}), ["a"]),
        (deque([1, 2]), [1, 2]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": 1}.items(), [["a", 1]]),
        (Counter("aab"), {"a": 2, "b": 1}),
        (OrderedDict(a=1), {"a": 1}),
        (UserDict(a=1), {"a": 1}),
        (types.MappingProxyType({"a": (1,)}), {"a": [1]}),
        (QueryDict("a=1&a=2"), {"a": ["1", "2"]}),
        ({1: "a", None: "b", b"k": "c", (1, 2): "d"}, {"1": "a", "None": "b", "k": "c", "(1, 2)": "d"}),
        ({1: "a", "1": "b"}, {"1": "a", "1_": "b"}),
        (dt.datetime(2026, 1, 15, 10, 23, tzinfo=dt.UTC), "2026-01-15T10:23:00+00:00"),
        (dt.date(2026, 1, 15), "2026-01-15"),
        (dt.time(10, 23), "10:23:00"),
        (dt.timedelta(seconds=90), "0:01:30"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (ipaddress.ip_address("::1"), "::1"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (Colour.RED, "red"),
        (Number.ONE, 1),
        (Point(1, Point(2)), {"x": 1, "y": {"x": 2, "y": None}}),
        (Team("a"), {"name": "a"}),
        (Record("a"), {"name": "a"}),
        (Pick("Invoker", 1), {"hero": "Invoker", "order": 1}),
        (ValueError("bad"), "ValueError: bad"),
        (KeyError(), "KeyError"),
        (lazystr("later"), "later"),
        (mark_safe("<b>"), "<b>"),
        (Shown(), "<Shown>"),
        ([Shown()], ["<Shown>"]),
        (Shown, repr(Shown)),
        (array.array("i", [1]), "array('i', [1])"),
        (1j, "1j"),
    ],
    ids=lambda value: None if isinstance(value, memoryview) else repr(value),
)
def test_plain_form(printed: Printed, value: Any, plain: Any) -> None:
    """Every type has a form in JSON that says what was meant; the same inside of a list."""
    log.info("x", value=value)
    log.info("x", value=[value])
    assert printed.lines[0]["value"] == plain
    assert printed.lines[1]["value"] == [plain]


def test_request_without_its_query(printed: Printed) -> None:
    """A request is shown without its query string, which Django's own repr has."""
    request = HttpRequest()
    request.method, request.path, request.GET = "GET", "/x/", QueryDict("a=1")
    request.META["QUERY_STRING"] = "a=1"
    log.info("x", request=request, several=[request])
    assert printed.last["request"] == "<HttpRequest: GET '/x/'>"
    assert printed.last["several"] == ["<HttpRequest: GET '/x/'>"]


class Raising:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    def __str__(self) -> str:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return self is other


class RaisingMapping(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise RuntimeError("no")

    def __iter__(self) -> Iterator[str]:
        yield "a"
        raise RuntimeError("no")

    def __len__(self) -> int:
        return 2


class RaisingError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


class Recursive:
    def __repr__(self) -> str:
        return repr(self)


class NotText:
    def __repr__(self) -> Any:
        return 5


@pytest.mark.parametrize("value", [Raising(), RaisingMapping(), Recursive(), NotText()], ids=lambda value: type(value).__name__)
def test_value_that_cannot_be_asked(printed: Printed, value: Any) -> None:
    """A value whose methods raise stands as unprintable, and what is beside it is printed."""
    log.info("x", value=value, inside=[value, {"a": value}], after=[1])
    shown = f"<unprintable {type(value).__name__} object>"
    assert printed.last["value"] == shown
    assert printed.last["inside"] == [shown, {"a": shown}]
    assert printed.last["after"] == [1]


def test_raising_everywhere(printed: Printed) -> None:
    """Nor does it matter where such a value stands: as event, argument, key or exception."""
    only_ours()
    log.info(Raising())
    logging.getLogger("lib").info(Raising())
    logging.getLogger("lib").info("%s", Raising())
    log.info("x", value={Raising(): 1})
    log.error("x", exc_info=RaisingError())
    assert len(printed.lines) == 5
    assert printed.last["error"] == "RaisingError: <unprintable message>"


def test_cycle_and_depth(printed: Printed) -> None:
    """A container in itself and one that is nested very deeply are cut off; what comes twice is printed twice."""
    cycle: list[Any] = [1]
    cycle.append({"me": cycle})
    deep: Any = "bottom"
    for _ in range(5000):
        deep = [deep]
    shared = [1]
    log.info("x", cycle=cycle, deep=deep, shared=[shared, shared])
    assert printed.last["cycle"] == [1, {"me": "[cycle]"}]
    assert "[too deep]" in json.dumps(printed.last["deep"])
    assert printed.last["shared"] == [[1], [1]]


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000_000,
        b"x" * 10_000_000,
        ["x" * 100] * 100_000,
        list(range(1_000_000)),
        {str(number): number for number in range(100_000)},
        {"x" * 100_000: 1},
        [["x" * 600], ["y" * 600]],
        10**100_000,
    ],
    ids=["text", "bytes", "texts", "numbers", "dict", "key", "nested", "number"],
)
def test_cut_at_the_limit(printed: Printed, value: Any) -> None:
    """A value that is too long is cut to about the limit, wherever its length comes from, and says so."""
    log.info("x", value=value, after=1)
    assert "[cut: " in printed.text
    assert len(printed.text) < 3000
    assert printed.last["after"] == 1


def test_cut_says_how_long_it_was(printed: Printed) -> None:
    """A cut text keeps exactly the limit, and tells its length; one of just the limit is whole."""
    log.info("x" * 1000, value="y" * 1001)
    assert printed.last["event"] == "x" * 1000
    assert printed.last["value"] == "y" * 1000 + "... [cut: 1001 characters]"


def test_values_that_log_while_they_are_logged(printed: Printed) -> None:
    """A repr that logs, even about itself, ends."""

    class Chatty:
        def __repr__(self) -> str:
            log.info("asked", me=self)
            logging.getLogger("lib").info("asked %s", self)
            return "<Chatty>"

    only_ours()
    log.info("x", value=Chatty())
    logging.getLogger("lib").info("x %s", Chatty())
    assert printed.lines[-1]["event"] == "x <Chatty>"
    assert 2 < len(printed.lines) < 50


def test_value_that_waits_for_another_thread(printed: Printed) -> None:
    """No lock is held while a value is asked: another thread can log meanwhile."""

    class Waiting:
        def __repr__(self) -> str:
            thread = threading.Thread(target=log.info, args=("from the thread",))
            thread.start()
            thread.join(20)
            return f"<alive: {thread.is_alive()}>"

    log.info("x", value=Waiting())
    assert printed.last["value"] == "<alive: False>"


def test_container_that_changes_meanwhile(printed: Printed) -> None:
    """A value that changes the container it is in while it is printed does no harm."""
    container: dict[str, Any] = {}

    class Adding:
        def __repr__(self) -> str:
            container[str(len(container))] = 1
            return "<Adding>"

    container["a"] = Adding()
    log.info("x", value=container)
    assert printed.last["value"]["a"] == "<Adding>"


def test_context_values_too(printed: Printed) -> None:
    """What is bound is treated as what is given."""
    with bind_fields(value={1, 2}, bad=Raising()):
        log.info("x")
    assert sorted(printed.last["value"]) == [1, 2]
    assert "unprintable" in printed.last["bad"]


TEXT = st.text(st.characters(exclude_categories=()), max_size=30)
ATOM = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**80), 2**80),
    st.floats(),
    TEXT,
    st.binary(max_size=20),
    st.decimals(),
    st.datetimes(),
    st.uuids(),
    # Made when they are drawn: hypothesis looks at the values of its strategies.
    st.sampled_from([Raising, Recursive, RaisingMapping, Shown, object, NotText, RaisingError]).map(lambda kind: kind()),
)
VALUE = st.recursive(
    ATOM,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(TEXT, st.integers(), st.none(), st.binary(max_size=5)), inner, max_size=4),
        st.builds(Point, st.integers(), inner),
        st.builds(UserDict, st.dictionaries(TEXT, inner, max_size=3)),
    ),
    max_leaves=12,
)
RESERVED = [
    "event",
    "level",
    "timestamp",
    "logger",
    "exc_info",
    "stack_info",
    "name",
    "args",
    "msg",
    "message",
    "exception",
    "error",
]
FIELDS = st.dictionaries(st.one_of(TEXT, st.sampled_from(RESERVED)), VALUE, max_size=5)
EXCEPTION = st.one_of(st.none(), st.builds(ValueError, TEXT), st.builds(RaisingError), st.builds(OSError, ATOM, ATOM))
ARGS = st.lists(VALUE, max_size=3).map(tuple)
SECRET = "hunter2-ZmFsc2U"
SECRET_KEYS = ["password", "apiKey", "X-Auth-Token", "HTTP_COOKIE", "session.id", "card.credit_card2", "csrfmiddlewaretoken"]
FUZZ = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def hide(value: Any, key: str, way: int) -> Any:
    """Put the secret somewhere into a value."""
    secret = [SECRET, {"v": SECRET}, [SECRET], SECRET.encode()][way % 4]
    url = f"https://user:{SECRET}@host/?a=1&{key}={SECRET}#x"
    return [
        {key: secret, "other": value},
        [value, {key: secret}],
        {"a": {"b": [(key, secret), value]}},
        QueryDict(f"{key}={SECRET}"),
        Point(1, {key: secret}),
        url,
        [url.encode(), value],
    ][way % 7]


FORMS = pytest.mark.parametrize("form", ["json", "pretty", "logfmt"])
WAYS = pytest.mark.parametrize("way", ["ours", "stdlib", "bound"])


@FORMS
@WAYS
@settings(FUZZ, max_examples=25)
@given(data=st.data())
def test_fuzz(tmp_path: pathlib.Path, form: str, way: str, data: st.DataObject) -> None:
    """Whatever is logged in whatever way: nothing is raised, each line is valid, no secret is in it, nothing unprintable."""
    fuzz(print_lines(tmp_path, log_format=form, log_max_value_length=data.draw(st.sampled_from([16384, 40]))), form, way, data)


@pytest.mark.timeout(900)
@pytest.mark.slow
@FORMS
@WAYS
@settings(FUZZ, max_examples=500)
@given(data=st.data())
def test_fuzz_for_long(tmp_path: pathlib.Path, form: str, way: str, data: st.DataObject) -> None:
    """The same, with more than 20,000 examples in all."""
    fuzz(print_lines(tmp_path, log_format=form, log_max_value_length=data.draw(st.sampled_from([16384, 40]))), form, way, data)


def fuzz(printed: Printed, form: str, way: str, data: st.DataObject) -> None:
    printed.clear()
    only_ours()
    event, args, fields = data.draw(st.one_of(TEXT, VALUE)), data.draw(ARGS), data.draw(FIELDS)
    fields["hidden"] = hide(data.draw(VALUE), data.draw(st.sampled_from(SECRET_KEYS)), data.draw(st.integers(0, 27)))
    fields[data.draw(st.sampled_from(SECRET_KEYS))] = SECRET
    error = data.draw(EXCEPTION)
    if way == "ours":
        log.info(event, *args, **{"exc_info": error, **fields})
    elif way == "bound":
        with bind_fields(**fields):
            logging.getLogger("lib").error(event, *args, exc_info=error)
    else:
        record = logging.LogRecord("lib", 20, "", 0, event, (*args, fields), (type(error), error, None) if error else None)
        record.__dict__.update({key: value for key, value in fields.items() if key not in record.__dict__})
        logging.getLogger("lib").handle(record)
    assert SECRET not in printed.text
    check_form(form, printed)


def check_form(form: str, printed: Printed) -> None:
    text = printed.text
    assert text.endswith("\n")
    if form == "json":
        assert text.count("\n") == 1
        assert {"timestamp", "level", "logger", "event"} <= printed.last.keys()
        assert isinstance(orjson.loads(text), dict)
        assert isinstance(msgspec.json.decode(text), dict)
        assert printed.last["event"] != "telemetry_failed"
        return
    assert text.replace("\n", "").isprintable()
    rest = text.removesuffix("\n").split("\n")[1:]
    assert all(line.startswith("    ") for line in rest)
    assert form == "pretty" or not rest


@pytest.mark.parametrize("log_format", ["json", "logfmt"])
def test_what_is_ours_is_never_cut(tmp_path: pathlib.Path, log_format: str) -> None:
    """Keys, times and ids are whole under the least limit that the setting takes; the application's own values are cut."""
    names = {name for event in EVENTS.values() for name in event.fields} | OWN_KEYS
    printed = print_lines(tmp_path, log_format=log_format, log_max_value_length=256)
    ids = {name: "a" * 128 for name in sorted(names) if name.endswith(".id")}
    with bind_fields(**ids):
        log.info("x", **dict.fromkeys(names - ids.keys(), 1), long="y" * 300)
    for name in names:
        assert f'"{name}":' in printed.text or f"{name}=" in printed.text
    assert printed.text.count("a" * 128) == len(ids)
    assert printed.text.count("[cut: ") == 1
    assert re.search(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", printed.text)
