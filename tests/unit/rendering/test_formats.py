"""The formats pretty and logfmt: as the examples have them, and safe to look at."""

import logging
import re
from pathlib import Path

import pytest

from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import get_logger
from tests.support.pipeline import print_lines

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
