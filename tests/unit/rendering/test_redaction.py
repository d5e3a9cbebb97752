"""Secrets are not printed: under their keys, at any depth, and in URLs."""

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from django.http import QueryDict

from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import get_logger
from dtx_telemetry.rendering.secrets import REDACTED, Secrets
from tests.support.pipeline import Printed, only_ours, print_lines

log = get_logger()


@pytest.fixture
def printed(tmp_path: Path) -> Printed:
    return print_lines(tmp_path)


@pytest.mark.parametrize(
    "key",
    [
        *(
            "password",
            "Password",
            "PASSWORD",
            "passwords",
            "password1",
            "password2",
            "old_password",
            "userPassword",
            "user.password",
        ),
        *(
            "passwd",
            "pwd",
            "db_pwd",
            "secret",
            "client_secret",
            "clientSecret",
            "SECRET_KEY",
            "secrets",
            "token",
            "access_token",
        ),
        *("accessToken", "AccessTokens", "idToken2", "refresh-token", "token id", "jwt", "JWTs", "bearer", "authorization"),
        *("Authorization", "Proxy-Authorization", "HTTP_AUTHORIZATION", "credential", "aws_credentials", "api key", "api_key"),
        *("apiKey", "APIKey", "APIKEY", "X-Api-Key", "api_keys", "apikeys", "cookie", "Set-Cookie", "HTTP_COOKIE", "cookies"),
        *("session", "session.id", "sessionid", "session_key", "csrf", "csrftoken", "CSRF_COOKIE", "csrfmiddlewaretoken"),
        *(
            "private_key",
            "privateKey",
            "private_keys",
            "credit_card",
            "creditCard",
            "credit-cards",
            "user[password]",
            "a/password",
        ),
    ],
)
def test_secret_keys(key: str) -> None:
    """A key is secret if one of its words is, however the words are joined."""
    assert Secrets().names_secret(key)


@pytest.mark.parametrize(
    "key",
    [
        *(
            "event",
            "user.id",
            "request.id",
            "http.route",
            "labels",
            "hero",
            "key",
            "card",
            "credit",
            "private",
            "api",
            "keyboard",
        ),
        *("token_count", "tokens_total", "tokenType", "password_length", "secret_name", "session_expires", "cookie_consent"),
        *("passwordless", "tokenizer", "secretary", "sessions_count", "obsession", "", "_", "123", "api_version", "monkey"),
    ],
)
def test_other_keys(key: str) -> None:
    """A key that only looks like one, or whose last word is harmless, is not."""
    assert not Secrets().names_secret(key)


def test_words_added_and_taken_out() -> None:
    """REDACT_KEYS adds words, and takes out those with a minus."""
    secrets = Secrets(["national_id", "PIN", "-session", "-apiKey"])
    assert [secrets.names_secret(key) for key in ("nationalId", "national.ids", "pin", "user_pin")] == [True] * 4
    assert [secrets.names_secret(key) for key in ("session", "sessions", "api_key", "apikey", "national", "pinned")] == [
        False
    ] * 6
    assert secrets.names_secret("password")


def test_memory_is_bounded() -> None:
    """What was decided is remembered for some keys, not for endlessly many or long ones."""
    secrets = Secrets()
    for number in range(20_000):
        secrets.names_secret(f"key{'x' * (number % 300)}.{number}")
    assert len(secrets.safe) < 5000
    assert max(map(len, secrets.safe)) < 300


def test_key_of_endless_length() -> None:
    """A key is looked at as a whole; one that is too long for that counts as secret."""
    assert Secrets().names_secret("x_" * 1000 + "password")
    assert Secrets().names_secret("x" * 100_000)


@pytest.mark.parametrize(
    "value",
    [
        {"password": "hunter2"},
        {"a": [{"b": ({"password": "hunter2"},)}]},
        [("Authorization", "hunter2")],
        [[b"cookie", b"hunter2"]],
        QueryDict("password=hunter2&password=hunter2"),
        {b"password": "hunter2"},
        {"password": {"nested": ["hunter2"]}},
    ],
    ids=repr,
)
def test_at_any_depth(printed: Printed, value: Any) -> None:
    """Values under secret keys are replaced wherever they are: in fields, extra, arguments, events and the context."""
    only_ours()
    with bind_fields(bound=value):
        log.info("x", value=value)
    stdlib = logging.getLogger("lib")
    stdlib.info("x", extra={"value": value})
    stdlib.info("%s", value)
    stdlib.info("%s %s", 1, value)
    stdlib.info(value)
    log.info(value)
    log.info("%s", value)
    log.bind(value=value).info("x")
    assert len(printed.lines) == 8
    assert printed.text.count(REDACTED) >= 8
    assert "hunter2" not in printed.text


def test_positional_dict_by_name(printed: Printed) -> None:
    """A dict whose values are named in the message loses its secrets too; one without secrets is printed as it is."""
    logging.getLogger("lib").info("%(user)s %(password)s", {"user": "bob", "password": "hunter2"})
    logging.getLogger("lib").info("%s", {"a": 1.50, 2: ("x",)})
    assert [line["event"] for line in printed.lines] == ["bob [redacted]", "{'a': 1.5, 2: ('x',)}"]


def test_top_level(printed: Printed) -> None:
    """Secret fields of an event are replaced, whatever their value; their names stay."""
    log.info("x", password=None, token=5, session={"a": 1}, token_count=5)
    assert [printed.last[key] for key in ("password", "token", "session", "token_count")] == [REDACTED] * 3 + [5]


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("https://bob:hunter2@host/x", "https://[redacted]@host/x"),
        ("redis://:hunter2@host:6379/0", "redis://[redacted]@host:6379/0"),
        ("https://ghp_hunter2@github.com/a", "https://[redacted]@github.com/a"),
        ("amqp://a:b@c@host//", "amqp://[redacted]@host//"),
        ("see https://a:hunter2@h1, http://b:hunter2@h2 now", "see https://[redacted]@h1, http://[redacted]@h2 now"),
        ("https://h/?token=hunter2&a=1", "https://h/?token=[redacted]&a=1"),
        ("/x?a=1&access_token=hunter2", "/x?a=1&access_token=[redacted]"),
        ("/x?a=1;token=hunter2;x", "/x?a=1;token=[redacted]"),
        ("https://h/#access_token=hunter2&state=1", "https://h/#access_token=[redacted]&state=1"),
        ("/x?next=/y?token=hunter2", "/x?next=/y?token=[redacted]"),
        ("/x?api%5Fkey=hunter2", "/x?api%5Fkey=[redacted]"),
        ("password=hunter2&user=bob", "password=[redacted]&user=bob"),
        ("a=1; sessionid=hunter2", "a=1; sessionid=[redacted]"),
        ('"GET /x?token=hunter2 HTTP/1.1" 200', '"GET /x?token=[redacted] HTTP/1.1" 200'),
        ("https://host/path@x?a=1&b=2", "https://host/path@x?a=1&b=2"),
        ("mail bob@host about https://host", "mail bob@host about https://host"),
        ("x?token_count=5", "x?token_count=5"),
        ("1 = 1, a == b", "1 = 1, a == b"),
        ("?=&=?&token", "?=&=?&token"),
    ],
)
@pytest.mark.parametrize("form", ["json", "pretty", "logfmt"])
def test_urls(tmp_path: Path, form: str, text: str, clean: str) -> None:
    """User parts and secret parameters of URLs are replaced, in values, messages and exceptions, and the rest is kept."""
    assert Secrets().scrub(text) == clean
    printed = print_lines(tmp_path, log_format=form)
    log.info("x", value=text, inside=[text])
    logging.getLogger("lib").info(text)
    if not text.startswith("password="):  # a bare query is known as such where the text begins with it
        logging.getLogger("lib").info("got %s", text)
        log.error("x", exc_info=ValueError(text))
    assert "hunter2" not in printed.text


def test_url_across_the_cut(tmp_path: Path) -> None:
    """A secret is not half shown because the text was cut in its middle."""
    printed = print_lines(tmp_path, log_max_value_length=40)
    url = "https://bob:" + "hunter2" * 50 + "@host/"
    log.info("x", value="x" * 10 + url, more=[url], raw=url.encode())
    log.error("x", exc_info=ValueError("y" * 100 + url + "z" * 500))
    for padding in range(60):
        log.error("x", exc_info=ValueError(url + "z" * padding))
    assert "hunter2" not in printed.text


HOSTILE = ["?a" * 500_000, "=" * 1_000_000, "?a=" * 300_000, "://" * 300_000 + "@", ";a=1" * 200_000]


@pytest.mark.parametrize("text", [*HOSTILE, "://" + "a" * 1_000_000, "a" * 1_000_000 + "=@"])
def test_cost_of_hostile_texts(text: str) -> None:
    """A megabyte that looks like a URL throughout is gone through in about linear time."""
    small, large = text[: len(text) // 10], text
    secrets = Secrets()
    spent = []
    for part in (small, large):
        start = time.thread_time()
        secrets.scrub(part)
        spent.append(time.thread_time() - start)
    assert spent[1] < 60 * spent[0] + 0.5
