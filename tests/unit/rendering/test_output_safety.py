"""Whatever a string holds, and wherever it comes from: no line is forged, no terminal driven, and nothing is lost."""

import json
import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dtx_telemetry.config import Settings
from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import configure, get_logger
from dtx_telemetry.rendering.secrets import REDACTED, Secrets
from tests.support.pipeline import only_ours, print_lines

#: C0, DEL, C1, and the controls of the writing direction.
OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")
NAMES = ["\x1b[2J", "\x9b31m", "\u202eabc", "a\u2028b", "\x7f", "\x85", "\ufeff", 'a"b', "a\\", "a\\\u202e", "\ud800", ""]
TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(NAMES),
    st.text(
        "\x00\x1b\x7f\x85\x9b\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\u206f\\\"'={}[]:,@?&#;% \nabé日🙂",
        max_size=20,
    ),
)
REPEATED = settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])


def check_lines(data: bytes, log_format: str) -> list[str]:
    """Return the lines, none of which holds anything that is obeyed."""
    text = data.decode()
    assert text.endswith("\n")
    lines = text.removesuffix("\n").split("\n")
    assert not [line for line in lines if OBEYED.search(line)]
    starts = {"json": "{", "logfmt": "timestamp=", "pretty": "20"}[log_format]
    ours = [line for line in lines if not (log_format == "pretty" and line.startswith("    "))]
    assert all(line.startswith(starts) for line in ours)
    return ours


@pytest.mark.parametrize("queue", [False, True])
@pytest.mark.parametrize("log_format", ["json", "pretty", "logfmt"])
def test_any_string_anywhere(tmp_path: Path, log_format: str, queue: bool) -> None:
    """As a key, value, message, argument, exception, logger's name, or bound: each event is one safe line."""
    printed = print_lines(tmp_path, log_format=log_format, log_queue=queue)
    handler = logging.getLogger().handlers
    only_ours()
    ours = logging.getLogger().handlers[0]
    path = tmp_path / "lines"

    @REPEATED
    @given(key=TEXTS, value=TEXTS, name=TEXTS)
    @example(key="k", value="\u202e", name="n")
    def check(key: str, value: str, name: str) -> None:
        printed.clear()
        with bind_fields(bound=value):
            get_logger(f"x{name}").info(value, **{f"x{key}": value, "inside": {key: [value]}})
            logging.getLogger(f"x{name}").error(value, exc_info=ValueError(value))
            logging.getLogger("lib").info("%s", value)
            get_logger("plain").info("plain", value=value)
        ours.flush()
        assert len(check_lines(path.read_bytes(), log_format)) == 4

    try:
        check()
    finally:
        logging.getLogger().handlers = handler


HARMLESS = TEXTS.filter(lambda text: not set("=@'\"{}") & set(text))


def test_json_reads_back_equal(tmp_path: Path) -> None:
    """What was escaped is the same string again for whoever parses the line; lone surrogates, which UTF-8 has not, aside."""
    printed = print_lines(tmp_path)
    only_ours()

    @REPEATED
    @given(value=HARMLESS, key=HARMLESS)
    def check(value: str, key: str) -> None:
        printed.clear()
        get_logger("x").info(value, **{f"x{key}": value, "inside": [value]})
        line = json.loads((tmp_path / "lines").read_bytes())
        same = value.encode("utf-8", "backslashreplace").decode()
        assert (line["event"], line["inside"]) == (same, [same])
        if not Secrets().names_secret(f"x{key}"):
            assert line["x" + key.encode("utf-8", "backslashreplace").decode()] == same

    check()


PASSWORDS = st.text("abXY019/#?@ :;,%&=.+-_!$é", min_size=1, max_size=25).map(lambda text: f"zq{text}qz")


@pytest.mark.parametrize("log_format", ["json", "pretty", "logfmt"])
def test_any_password_in_any_url(tmp_path: Path, log_format: str) -> None:
    """Escaped or not, in a value, a container, a message, an argument, bytes, an exception."""
    printed = print_lines(tmp_path, log_format=log_format)
    only_ours()

    @REPEATED
    @given(
        password=PASSWORDS,
        scheme=st.sampled_from(["postgres", "redis", "amqp", "https", "mongodb+srv"]),
        user=st.sampled_from(["", "user", "u.n"]),
    )
    @example(password="p@ss/w#rd", scheme="postgres", user="user")
    @example(password="a b?c", scheme="https", user="bob")
    def check(password: str, scheme: str, user: str) -> None:
        printed.clear()
        url = f"{scheme}://{user}:{password}@host:5432/db"
        get_logger("x").info("connecting", url=url, inside=[{"dsn": url}], raw=url.encode())
        logging.getLogger("lib").info("to %s now", url)
        logging.getLogger("lib").error("failed", exc_info=ValueError(f"no {url}"))
        text = printed.text
        assert "zq" not in text
        assert "qz" not in text
        assert "host:5432/db" in text

    check()


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("postgres://user:p@ss/w#rd@host/db", "postgres://[redacted]@host/db"),
        ("postgres://user:p ss@host/db", "postgres://[redacted]@host/db"),
        ("redis://:pa?ss@host", "redis://[redacted]@host"),
        ("postgres://user:12/34@host/db", "postgres://[redacted]@host/db"),
        ("https://host:8080/path@x", "https://host:8080/path@x"),
        ("https://host: refused, tell ops@host", "https://host: refused, tell ops@host"),
        ("https://token@host/a@b", "https://[redacted]@host/a@b"),
        ("a://u:p/w@h\nmail bob@host", "a://[redacted]@h\nmail bob@host"),
        ("host=x password=hunter2 dbname=y", "host=x password=[redacted] dbname=y"),
        ("{'password': 'hunter2', 'a': 1}", "{'password': [redacted], 'a': 1}"),
        ('{"token": "hun\\"ter2", "a": 1}', '{"token": [redacted], "a": 1}'),
        ("{'tokens': ['a', 'b'], 'a': 1}", "{'tokens': [redacted], 'a': 1}"),
        ("Config(password='hunter2', a=1)", "Config(password=[redacted], a=1)"),
        ("{'user': {'api_key': 5}}", "{'user': {'api_key': [redacted]}}"),
        ('"{\\"password\\": \\"hunter2\\"}"', '"{\\"password\\": [redacted]}"'),
        ("it's 'quoted': \"x\"", "it's 'quoted': \"x\""),
    ],
)
def test_secrets_in_texts(text: str, clean: str) -> None:
    """What stands behind the name of a secret, or where a URL has its user, is replaced."""
    assert Secrets().scrub(text) == clean


@pytest.mark.parametrize("text", ["'a':" * 250_000, "a='" * 300_000, "'" * 1_000_000, "'a':[" * 200_000, 'a="\\' * 200_000])
def test_names_in_hostile_texts_cost_little(text: str) -> None:
    """A megabyte of what looks like names is gone through in about linear time."""
    spent = []
    for part in (text[: len(text) // 10], text):
        start = time.thread_time()
        Secrets(["a"]).scrub(part)
        spent.append(time.thread_time() - start)
    assert spent[1] < 60 * spent[0] + 0.5


@pytest.mark.parametrize("configured", [True, False])
def test_switched_off_secrets_are_kept_too(caplog: Any, configured: bool) -> None:
    """With telemetry off events are plain text for stdlib's handlers: without secrets, those of REDACT_KEYS among them."""
    if configured:
        configure(Settings(enabled=False, redact_keys=("pin",)))
    log = get_logger("app")
    caplog.set_level(logging.INFO)
    log.info("x", user={"password": "hunter2", **({"pin": "hunter2"} if configured else {})})
    log.info("got %s", {"password": "hunter2"})
    log.info("to %s", "redis://:hunter2@host")
    log.info("redis://:hunter2@host")
    assert len(caplog.messages) == 4
    assert all(REDACTED in message for message in caplog.messages)
    assert "hunter2" not in caplog.text
