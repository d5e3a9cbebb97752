"""Masked texts: not searched for secrets, else cut and escaped like all others."""

import copy
import pickle
from pathlib import Path

import pytest

from dtx_telemetry.logging import get_logger
from dtx_telemetry.rendering import Masked
from tests.support.pipeline import only_ours, print_lines

log = get_logger()
STATEMENT = "UPDATE users SET password=%s, token=%s WHERE id=%s"


@pytest.mark.parametrize("is_alone", [True, False])
@pytest.mark.parametrize("form", ["json", "pretty", "logfmt"])
def test_a_masked_text_is_printed_whole(tmp_path: Path, form: str, is_alone: bool) -> None:
    """Whatever secret's name is in it, since no secret is; also if there are other handlers."""
    printed = print_lines(tmp_path, log_format=form)
    if is_alone:
        only_ours()
    log.info("asked", text=Masked(STATEMENT))
    assert STATEMENT in printed.text
    log.info("asked", text=STATEMENT)
    assert "password=[redacted]" in printed.text


def test_a_masked_text_is_cut_and_escaped(tmp_path: Path) -> None:
    """It may be long, of any language, and hold what drives a terminal."""
    printed = print_lines(tmp_path, log_max_value_length=40)
    log.info("asked", text=Masked("x" * 41), other=Masked("SELECT 'größe' \x1b[2J \ud800"))
    assert printed.last["text"] == "x" * 40 + "... [cut: 41 characters]"
    assert printed.last["other"].startswith("SELECT 'größe' ")
    assert "\x1b" not in printed.text


def test_a_copy_is_a_plain_string() -> None:
    """A record may go to a process that has no such class."""
    masked = Masked(STATEMENT)
    for copied in (copy.copy(masked), copy.deepcopy(masked), pickle.loads(pickle.dumps(masked))):
        assert type(copied) is str
        assert copied == masked
