"""The report of ``manage.py telemetry``: how findings are told, and how a worker's answer is compared."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dtx_telemetry.config import Settings
from dtx_telemetry.management.report import Finding, Part, Report, noted, works, wrong
from dtx_telemetry.management.work import _compared

PLAIN: dict[Any, Any] = dict.fromkeys(("works", "noted", "wrong"), str)


def failing() -> Iterator[Finding]:
    yield works("the first")
    raise OSError("no mana")


def test_a_part_that_fails_is_a_finding() -> None:
    """What it found before is kept, and the other parts are looked at."""
    report = Report({}, [Part("A", failing), Part("B", lambda: [noted("the last")])])
    assert [(name, [each.text for each in found]) for name, found in report.parts] == [
        ("A", ["the first", "this could not be looked at: OSError: no mana"]),
        ("B", ["the last"]),
    ]
    assert report.mistakes == 1


def test_the_report_for_people() -> None:
    """A mark before each finding, its hint below it, and how many there are to mend."""
    report = Report({"Python": "3.13"}, [Part("A", lambda: [works("good"), wrong("bad", "mend it"), noted("so")])])
    assert report.as_text(PLAIN).splitlines() == [
        "Python 3.13",
        "",
        "A",
        "  ok  good",
        "  !!  bad",
        "      mend it",
        "  --  so",
        "",
        "1 to be mended",
    ]
    assert Report({}, [Part("A", lambda: [works("good")])]).as_text(PLAIN).endswith("nothing is wrong")


def test_the_report_for_programs() -> None:
    """The facts of each finding stand beside its text."""
    report = Report({"Python": "3.13"}, [Part("A", lambda: [wrong("bad", "mend it", worker="w@1")])])
    assert json.loads(report.as_json()) == {
        "Python": "3.13",
        "mistakes": 1,
        "parts": {"A": [{"state": "wrong", "text": "bad", "hint": "mend it", "worker": "w@1"}]},
    }


def answer(**other: Any) -> dict[str, Any]:
    """What a worker says of itself, with the settings of this process."""
    from dtx_telemetry.config import get_settings

    settings = get_settings().as_data() | other.pop("settings", {})
    return {"version": "1", "python": "3.13", "pid": 5, "is_set_up": True, "settings": settings, **other}


@pytest.mark.parametrize(
    ("said", "states", "text"),
    [
        (answer, ["works"], "has the same version and settings"),
        (lambda: answer(version="2"), ["wrong"], "runs dtx_telemetry 2, this process 1"),
        (lambda: answer(settings={"LOG_LEVEL": "DEBUG"}), ["noted", "works"], "LOG_LEVEL is 'DEBUG' in the worker"),
        (lambda: answer(settings={"PROPAGATE": ["tenant"]}), ["wrong"], "PROPAGATE is ['tenant'] in the worker w@1, None here"),
        (lambda: answer(settings={"NEW": 1}), ["wrong"], "NEW is 1 in the worker w@1, None here"),
        (lambda: answer(is_set_up=False), ["wrong", "works"], "worker_hijack_root_logger is off"),
        (lambda: {"error": "KeyError('dtx_telemetry')"}, ["wrong"], "does not know dtx_telemetry"),
        (lambda: None, ["wrong"], "does not know dtx_telemetry"),
    ],
)
def test_a_workers_answer_is_compared(said: Any, states: list[str], text: str) -> None:
    """Versions, settings, and whether it knows the library at all; what may differ is only noted."""
    found = list(_compared("w@1", said(), "1"))
    assert [each.state for each in found] == states
    assert text in found[0].text
    assert all(each.hint for each in found if each.state == "wrong")


def test_settings_as_data_are_json() -> None:
    """Every type that a setting has comes through."""
    import re

    settings = Settings(
        exclude_paths=(re.compile("/health/"),), propagate=frozenset({"b", "a"}), log_levels={"django.db": 10}, log_level=30
    )
    data = json.loads(json.dumps(settings.as_data()))
    assert data["EXCLUDE_PATHS"] == ["/health/"]
    assert data["PROPAGATE"] == ["a", "b"]
    assert data["LOG_LEVELS"] == {"django.db": "DEBUG"}
    assert data["LOG_LEVEL"] == "WARNING"
    assert data["RESOURCES"]["drafts"] == "draft"
