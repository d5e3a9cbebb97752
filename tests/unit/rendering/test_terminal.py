"""The format pretty on a terminal: laid out for eyes."""

import re
import traceback

import pytest

from dtx_telemetry.rendering import PrettyRenderer, Sanitizer, Secrets, local_time
from dtx_telemetry.rendering.terminal import colour_of, width

LINE = {
    "timestamp": "2026-01-15 10:23:45.123",
    "level": "info",
    "logger": "app.views",
    "event": "draft_pick_made",
    "hero": "Sand King",
    "request.id": "9596ecf55c614a25b3a1",
    "user.id": 42,
    "labels": ["tournament", "draft"],
    "tournament.id": 5,
    "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
}
SGR = re.compile(r"\x1b\[[\d;]*m")


def shown(line, columns=200, coloured=False):
    """Return *line* as a terminal of so many columns shows it."""
    renderer = PrettyRenderer(Sanitizer(Secrets(), 16384), lambda: coloured, lambda: columns)
    return renderer.render(line).decode()


def test_a_line_is_laid_out():
    """Time to the millisecond, level in eight columns, event padded, own fields, then what is bound, ids cut, labels joined."""
    assert shown(LINE) == (
        "10:23:45.123 info     draft_pick_made          hero='Sand King' request.id=9596ecf5 user.id=42 "
        "labels=tournament,draft tournament.id=5 trace_id=4bf92f35 [app.views]\n"
    )


def test_where_the_output_is_no_terminal_the_line_is_whole():
    """Ids are not cut and nothing is wrapped; the time has no milliseconds."""
    line = shown(LINE, None)
    assert line.startswith(
        "2026-01-15 10:23:45 [info ] draft_pick_made [app.views] hero='Sand King' request.id=9596ecf55c614a25b3a1 "
    )
    assert line.count("\n") == 1


@pytest.mark.parametrize("columns", [None, 200])
def test_what_joins_lines_for_programs_is_not_shown(columns):
    """``scope.id`` and ``scope.cause`` only take room from people."""
    assert shown({**LINE, "scope.id": "0a1b2c3d", "scope.cause": "4e5f6071"}, columns) == shown(LINE, columns)


@pytest.mark.parametrize("columns", [40, 80, 100, 140])
def test_it_wraps_between_fields(columns):
    """No line goes beyond the terminal unless a single field does; what goes on is under the event."""
    lines = shown(LINE, columns).splitlines()
    assert all(len(line) <= max(columns, 46) for line in lines)
    assert all(line.startswith(" " * 22) and line[22] != " " for line in lines[1:])
    assert " ".join(" ".join(lines).split()) == " ".join(shown(LINE).split())


def test_wide_characters_count_twice():
    """Chinese, Japanese and emoji take two columns, combining marks none."""
    assert width("日本") == 4
    assert width("e\u0301") == 1
    assert len(shown({**LINE, "hero": "日" * 40}, 80).splitlines()[0]) <= 80


def test_what_is_bound_is_dimmed_and_a_click_has_one_colour():
    """Own fields are bright; the request's id has a colour made from it, the same wherever it is shown."""
    text = shown(LINE, coloured=True)
    assert "\x1b[36mhero\x1b[0m='Sand King'" in text
    assert "\x1b[2muser.id=42\x1b[0m" in text
    assert f"{colour_of(LINE['request.id'])}9596ecf5\x1b[0m" in text
    assert SGR.sub("", text) == shown(LINE)
    assert len({colour_of(f"click-{number}") for number in range(100)}) > 15


def test_what_is_bound_comes_last_wherever_it_stood():
    """A collector may sort the keys of a line."""
    text = shown(dict(sorted(LINE.items())), coloured=True)
    assert text.index("hero") < text.index("request.id") < text.index("user.id=42")
    assert "\x1b[2mlabels=tournament,draft\x1b[0m" in text


def test_a_traceback_ends_in_red_and_installed_frames_are_dim():
    """The application's own frames stand out, and the exception itself most."""
    exception = (
        "Traceback (most recent call last):\n"
        '  File "/app/venv/lib/python3.13/site-packages/django/core/handlers/base.py", line 197, in _get_response\n'
        "    response = wrapped_callback(request)\n"
        '  File "/app/views.py", line 3, in pick\n'
        "    1 / 0\n"
        "    ~~^~~\n"
        "ZeroDivisionError: division by zero\n"
        "a second line of it"
    )
    lines = shown({**LINE, "exception": exception}, coloured=True).splitlines()[1:]
    assert lines[1].startswith("    \x1b[2m  File")
    assert lines[2].startswith("    \x1b[2m    response")
    assert lines[3] == '      File "/app/views.py", line 3, in pick'
    assert lines[6] == "    \x1b[31mZeroDivisionError: division by zero\x1b[0m"
    assert lines[7] == "    \x1b[31ma second line of it\x1b[0m"
    assert SGR.sub("", "\n".join(lines)) == "\n".join(f"    {part}" for part in exception.split("\n"))


def test_a_real_traceback_keeps_its_text():
    """Chained exceptions, notes and markers are all there, in order."""
    try:
        try:
            raise KeyError("first")
        except KeyError as error:
            raise ValueError("second") from error
    except ValueError:
        text = traceback.format_exc()
    lines = SGR.sub("", shown({**LINE, "exception": text}, coloured=True)).splitlines()[1:]
    assert "\n".join(line[4:] for line in lines) == text.rstrip()


@pytest.mark.parametrize(
    "hostile", ["\x1b[2J", "\x1b]0;t\x07", "\x9b31m", "\r", "\n10:23:45.123 info forged", "\u202e", "\u200b"], ids=ascii
)
def test_nothing_reaches_the_terminal(hostile):
    """Whatever a line holds, what is printed is printable, and no line of it can be taken for another event."""
    line = {
        "timestamp": LINE["timestamp"],
        "level": hostile,
        "logger": hostile,
        "event": hostile,
        f"key{hostile}": hostile,
        "request.id": hostile,
        "labels": [hostile],
        "exception": f"Traceback:\n  File {hostile}\n{hostile}",
    }
    text = SGR.sub("", shown(line, 80, coloured=True))
    assert text.replace("\n", "").isprintable()
    assert all(part.startswith("    ") for part in text.splitlines()[1:])


def test_the_time_is_local_with_milliseconds():
    """The renderers are given the process's own zone."""
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.123", local_time(1768472625.1239))
