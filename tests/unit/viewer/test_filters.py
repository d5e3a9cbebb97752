"""The filter language of all commands and of the page."""

import time

import pytest

from dtx_telemetry.viewer.cli import split_words
from dtx_telemetry.viewer.errors import UsageError
from dtx_telemetry.viewer.reading import filters as language
from dtx_telemetry.viewer.reading.filters import parse_filters, parse_moment
from dtx_telemetry.viewer.reading.unwrap import Unwrapper
from tests.support.viewer import BEGIN, CLICK, as_bytes, line

NOW = BEGIN.timestamp() + 60
LINES = [
    line(0, "a", level="debug", logger="django.db"),
    line(1000, "b", level="warning", logger="django", user__id=42, labels=["tournament", "draft"], duration_ms=1500),
    line(2000, "ab", level="error", logger="djangoish", user__id=7, ok=True, empty=None, share=0.5, note='Größe "x"'),
    line(3000, "c", level="notice", logger="app", http__response__status_code=404, duration_ms=20.5, size="12"),
]


def read(*lines):
    return list(Unwrapper().read(as_bytes(lines).split(b"\n")))


def matching(*words):
    """Return the events that *words* choose."""
    return [found.event for found in filter(parse_filters(words, NOW).match, read(*LINES))]


@pytest.mark.parametrize(
    ("words", "events"),
    [
        ([], ["a", "b", "ab", "c"]),
        (["level>=warning"], ["b", "ab", "c"]),
        (["level<warning"], ["a"]),
        (["level=debug"], ["a"]),
        (["-level=debug"], ["b", "ab", "c"]),
        (["logger=django"], ["a", "b"]),
        (["logger=django.db,app"], ["a", "c"]),
        (["-logger=django"], ["ab", "c"]),
        (["event=a*"], ["a", "ab"]),
        (["event=b,c"], ["b", "c"]),
        (["event!=b"], ["a", "ab", "c"]),
        (["event~^a"], ["a", "ab"]),
        (["timestamp>=2026-01-15T10:23:46Z"], ["b", "ab", "c"]),
        (["timestamp<=2026-01-15T10:23:46Z"], ["a", "b"]),
        (["timestamp>58s"], ["c"]),
        (["user.id=42"], ["b"]),
        (["user.id!=42"], ["ab"]),
        (["-user.id=42"], ["a", "ab", "c"]),
        (["user.id="], ["a", "c"]),
        (["user.id>7"], ["b"]),
        (["user.id>=7", "user.id<40"], ["ab"]),
        (["user.id=4"], []),
        (["user.id=4*"], ["b"]),
        (["labels=draft"], ["b"]),
        (["labels=tournament,draft"], ["b"]),
        (["labels~^dr"], ["b"]),
        (["ok=true", "user.id=7"], ["ab"]),
        (["empty=null"], ["ab"]),
        (["share=0.5"], ["ab"]),
        (["share<1"], ["ab"]),
        (["duration_ms>1s"], ["b"]),
        (["duration_ms<=20.5"], ["c"]),
        (["duration_ms=1500.0"], ["b"]),
        (["size>11"], ["c"]),
        (["http.status_code!=200"], ["c"]),
        (["http.status_code>=400"], ["c"]),
        ([f"request.id={CLICK[:8]}"], ["a", "b", "ab", "c"]),
        ([f"request.id={CLICK[:4]}"], []),
        (["größe"], ["ab"]),
        (['"x"'], ["ab"]),
        (["-TOURNAMENT"], ["a", "ab", "c"]),
        (["draft", "user.id=42"], ["b"]),
        (["level>=warning", "event=a*"], ["ab"]),
        (["nothing~.", "user.id=42"], []),
    ],
)
def test_what_is_asked_for(words, events):
    """All must hold; a level of its own name is always shown; ids may be cut to eight characters."""
    assert matching(*words) == events


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("=5", "key=value"),
        ("", "key=value"),
        ("-", "key=value"),
        ("user.id==5", "one ="),
        ("level>=loud", "debug, info"),
        ("db.query_count>many", "no number"),
        ("event~(", "regular expression"),
        ("timestamp>soon", "10m"),
    ],
)
def test_what_is_not_understood(word, said):
    """The error says what is."""
    with pytest.raises(UsageError, match=said):
        parse_filters([word])


def test_a_row_is_wanted_by_any_of_its_lines():
    """Each condition may be met by another line; what is not wanted, no line may have."""

    def holds(*words):
        found = parse_filters(words)
        mask = 0
        for each in read(*LINES):
            mask |= found.mask(each)
        return found.holds(mask)

    assert holds("user.id=42", "user.id=7", "level=debug")
    assert not holds("user.id=42", "user.id=8")
    assert not holds("user.id=42", "-user.id=7")
    assert holds("-user.id=8")


def test_what_a_platform_says_can_be_asked_for():
    """Beside the line's own fields."""
    (found,) = read({"log": as_bytes(LINES[:1]).decode(), "kubernetes": {"pod_name": "web-1", "container_name": "app"}})
    assert [parse_filters([word]).match(found) for word in ("pod=web-1", "container=app", "service=app", "pod=x")] == [
        True,
        True,
        True,
        False,
    ]


def test_words_that_are_typed():
    """Blanks may stand in quotes."""
    assert language.typed_words('a  user.id=42 note="x y" -"b c" "') == ["a", "user.id=42", "note=x y", "-b c", ""]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 910),
        ("10m", 400),
        ("0.5h", -800),
        ("1d", 1000 - 86400),
        ("1970-01-01T00:20:00Z", 1200),
        ("1970-01-01T01:00:00+00:50", 600),
        ("00:10", 600),
        ("0:10:05", 605),
        ("23:50", -600),
    ],
)
def test_times(text, seconds, monkeypatch):
    """ISO 8601, a time of day, the latest that has been, or how long ago."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        assert parse_moment(text, 1000) == seconds
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("text", ["", "soon", "10", "10 m", "-5m", "2026-13-01", "25:00"])
def test_what_is_no_time(text):
    """The error says what is accepted."""
    with pytest.raises(UsageError, match="10m"):
        parse_moment(text)


def test_files_and_filters_are_told_apart(tmp_path, monkeypatch):
    """A word is a file if there is one of that name, or if it looks like one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a=b").write_text("")
    (tmp_path / "day=1").mkdir()
    (tmp_path / "day=1" / "web.log").touch()
    (tmp_path / "lines").touch()
    files = ["a=b", "-", "day=1/*.log", "logs/day=2/web.log", "x.log", "x.json.1", "lines", "*.nothing"]
    words = ["user.id=42", "url=a=b", "day=2", "event=task_*", "error=/x/y", "long=" + "x" * 5000, "Invoker", "draft.pick"]

    assert split_words([*files, *words]) == (files, words)
