"""The formats pretty and logfmt: as the examples have them, and safe to look at."""

import logging
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import get_logger
from tests.support.pipeline import print_lines
from tests.support.processes import ROOT, clean_environ

log = get_logger()
REQUEST = {"http.method": "GET", "http.route": "/api/tournaments/5/", "http.status_code": 200, "duration_ms": 12.34}
CONTEXT = {"request.id": "abc-123", "user.id": 42, "labels": ["tournament"], "tournament.id": 5}


def test_pretty_line(tmp_path: Path) -> None:
    """A line reads as in the document that this library implements."""
    printed = print_lines(tmp_path, log_format="pretty")
    logger = get_logger("telemetry.middleware")
    logger.info("request_completed", **REQUEST, **CONTEXT)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d \[info \] request_completed \[telemetry\.middleware\] http\.method=GET "
        r"http\.route=/api/tournaments/5/ http\.status_code=200 duration_ms=12\.34 request\.id=abc-123 user\.id=42 "
        r"labels=\['tournament'\] tournament\.id=5\n",
        printed.text,
    )


def test_logfmt_line(tmp_path: Path) -> None:
    """A line is key=value pairs; what has blanks, quotes or nothing in it is quoted."""
    printed = print_lines(tmp_path, log_format="logfmt")
    get_logger("app").info("picked", hero="Sand King", quote='"', empty="", none=None, yes=True, part="a=b", n=1.5, l=[1, "a"])
    assert printed.text.partition(" ")[2] == (
        r'level=info logger=app event=picked hero="Sand King" quote="\"" empty="" none=null yes=true part="a=b" n=1.5 '
        r'l="[1,\"a\"]"' + "\n"
    )


def test_logfmt_keys(tmp_path: Path) -> None:
    """A key with a blank, a quote or an equals sign cannot break the pairs."""
    printed = print_lines(tmp_path, log_format="logfmt")
    log.info("x", **{'a b="c': 1, "": 2, "new\nline": 3})
    assert printed.text.endswith(" event=x a_b__c=1 _=2 new_nline=3\n")


HOSTILE = [
    *(
        "\x1b[2J",
        "\x1b]0;title\x07",
        "\x9b31m",
        "\r",
        "\x00",
        "\x7f",
        "\x08",
        "\u202e",
        "\u2066",
        "\u200b",
        "\u2028",
        "\x85",
        "\ufeff",
    ),
    *(
        "\n2024-01-15 10:23:45 [info ] forged [app]",
        "\ntimestamp=2026-01-15T10:23:45.123456Z level=info event=forged",
        "\udc9b",
    ),
]


@pytest.mark.parametrize("form", ["pretty", "logfmt"])
@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_nothing_reaches_the_terminal(tmp_path: Path, form: str, hostile: str) -> None:
    """No control character, escape sequence, bidi override or line break gets out, from wherever it comes."""
    printed = print_lines(tmp_path, log_format=form)
    with bind_fields(**{"bound" + hostile: hostile}):
        log.info("event" + hostile, **{"key" + hostile: "value" + hostile, "inside": [hostile, {hostile: hostile}]})
        logging.getLogger("lib" + hostile.replace(".", "")).info("%s", hostile)
        logging.getLogger("lib").handle(
            logging.makeLogRecord({"levelno": 21, "levelname": hostile, "msg": hostile, "name": "lib"})
        )
    assert printed.text.count("\n") == 3
    assert printed.text.replace("\n", "").isprintable()


@pytest.mark.parametrize("form", ["pretty", "logfmt"])
def test_text_of_all_languages_stays(tmp_path: Path, form: str) -> None:
    """Letters of any script and emoji are printed as they are."""
    printed = print_lines(tmp_path, log_format=form)
    log.info("größe", value="日本語 Ελληνικά العربية 🎉")
    assert "größe" in printed.text
    assert "日本語 Ελληνικά العربية 🎉" in printed.text


SCRIPT = """
import sys
from dtx_telemetry.config import Settings
from dtx_telemetry.logging import configure, get_logger
configure(Settings(log_format="pretty"))
get_logger("app").warning("x", a=1)
"""


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)]
)
def test_colour_without_a_terminal(environ: dict[str, str], coloured: bool) -> None:
    """A stream that is no terminal is not coloured unless FORCE_COLOR says so; NO_COLOR wins."""
    assert ("\x1b[" in run(environ)) is coloured


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)])
def test_colour_on_a_terminal(environ: dict[str, str], coloured: bool) -> None:
    """On a terminal it is coloured, unless NO_COLOR is set or it has no colours, as Emacs' shell."""
    import os
    import pty

    master, slave = pty.openpty()
    subprocess.run([sys.executable, "-c", SCRIPT], env=clean_environ(**environ), stdout=slave, check=True, cwd=ROOT)
    text = os.read(master, 10_000).decode()
    os.close(slave)
    os.close(master)
    assert ("\x1b[" in text) is coloured
    assert "\x1b[33mwarning \x1b[0m" in text or not coloured


def run(environ: dict[str, Any]) -> str:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=clean_environ(**environ), capture_output=True, check=True, cwd=ROOT, text=True
    ).stdout
