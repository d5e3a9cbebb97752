"""Texts are searched for secrets fast, and what is found is what the plain way finds."""

import re
from urllib.parse import unquote_plus

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dtx_telemetry.rendering.secrets import _NAMED_VALUE, _QUERY_END, _REDACTED_ALREADY, REDACTED, Secrets

# The plain way: one expression, tried at each character.
QUERY_NAME = re.compile(r"(?:\A|[?&;#\s]\s?)([^=&;#?\s]{1,128})=")
NAME = re.compile(
    r"""(?P<quote>\\?['"])(?P<quoted>[^'"\\\n]{1,128})(?P=quote)\s{0,2}:\s{0,2}"""
    r"""|(?<![\w.-])(?P<bare>[^\W\d][\w.-]{0,127})=(?=b?['"])"""
)
PIECES = st.one_of(
    st.sampled_from(
        [
            *(
                "password",
                "token",
                "apiKey",
                "session_id",
                "a",
                "key",
                "x-y.z",
                "tökén",
                "\u017fecret",
                "%70assword",
                "api+key",
                "pwd%",
            ),
            *(
                "=",
                "=",
                "'",
                '"',
                "\\'",
                '\\"',
                ": ",
                ":",
                "b'",
                "\\",
                " ",
                "  ",
                "\n",
                "&",
                ";",
                "?",
                "#",
                ",",
                "[",
                "]",
                "{",
                "}",
            ),
            *("(", ")", REDACTED, "5", "-", "n" * 127, "n" * 129, "token" + "n" * 123, "token" + "n" * 124, "\u2028", "é"),
        ]
    ),
    st.text(max_size=3),
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)
SQL = 'SELECT "shop_order"."id" FROM "shop_order" WHERE "shop_order"."id" = %s AND "shop_order"."kind" IN (%s)'


def plainly(text: str, secrets: Secrets) -> str:
    """Return *text* without its secrets, as the plain way finds them."""
    for pattern in (NAME, QUERY_NAME):
        parts: list[str] = []
        done = position = 0
        while (match := pattern.search(text, position)) is not None:
            position = match.end()
            if pattern is NAME:
                value = _NAMED_VALUE.match(text, position)
                secret, end = secrets.names_secret(match["quoted"] or match["bare"]), value.end() if value else None
            else:
                separator = _QUERY_END.search(text, position)
                secret, end = secrets.names_secret(unquote_plus(match[1])), separator.start() if separator else len(text)
                secret = secret and _REDACTED_ALREADY.match(text, position) is None
            if secret and end is not None:
                parts += text[done:position], REDACTED
                done = position = end
        text = "".join([*parts, text[done:]])
    return text


@settings(max_examples=600, deadline=None)
@given(TEXTS)
@example("\"token=\": 'x'")
@example("x='y': token='z'")
@example("'a': 'b', \"pass\\\"word\": 1")
@example("%74oken=1")
@example("TOKEN\u0130=1 ΠΑΣ=2")
def test_what_is_found_is_what_the_plain_way_finds(text: str) -> None:
    """Names in quotes, escaped ones, bare ones, names of queries; at each other's ends, cut off, and one in another."""
    for changes in ((), ("-token", "hash"), ("x", "ΠΑΣ", "\u017f")):
        secrets = Secrets(changes)
        assert secrets.scrub(text) == plainly(text, secrets)


@given(st.lists(PIECES, max_size=6).map("".join))
def test_a_secret_name_is_never_passed_over(name: str) -> None:
    """A text of which it is said that it names no secret names none, whatever stands around the name."""
    secrets = Secrets(("hash",))
    if secrets.names_secret(name):
        assert secrets._may_name_secret(f"{name}=1")
        assert secrets._may_name_secret(f"'{name}': 1")


@pytest.mark.parametrize("text", [SQL, SQL * 20, "plain words " * 90, "key=value other=thing " * 40, '{"a": {"b": [1]}} ' * 40])
def test_a_text_that_names_no_secret_is_not_searched(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The long texts that lines really have, statements of the ORM above all, are not gone through name by name."""
    monkeypatch.setattr("dtx_telemetry.rendering.secrets._without_named", None)
    monkeypatch.setattr("dtx_telemetry.rendering.secrets._without_query_values", None)

    assert Secrets().scrub(text) == text
