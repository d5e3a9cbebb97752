"""Statements as text: no literal of theirs, and the same text for the same statement."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtx_telemetry.database.statements import MAX_TEXT, is_of_transaction, readable, text_of
from dtx_telemetry.rendering import Masked

VENDORS = pytest.mark.parametrize("vendor", ["sqlite", "postgresql", "mysql"])


@VENDORS
@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 1", "SELECT ?"),
        ("SELECT a FROM t WHERE b = 'it''s' AND c = 5", "SELECT a FROM t WHERE b = ? AND c = ?"),
        ("SELECT * FROM t1 WHERE t1.c2 = -4.5e-3 LIMIT 21", "SELECT * FROM t1 WHERE t1.c2 = -? LIMIT ?"),
        ("SELECT %s, %(name)s, ?, :name", "SELECT %s, %(name)s, ?, :name"),
        ("SELECT a FROM t WHERE b IN (%s, %s,%s)", "SELECT a FROM t WHERE b IN (...)"),
        ("SELECT a FROM t WHERE b IN (1, 2)", "SELECT a FROM t WHERE b IN (...)"),
        ("INSERT INTO t (a, b) VALUES (%s, %s), (%s, %s), (%s, %s)", "INSERT INTO t (a, b) VALUES (...), ..."),
        ("SELECT a /* it's 5 */ FROM t -- 'x", "SELECT a FROM t"),
        ("SELECT  a\n  FROM t", "SELECT a FROM t"),
        ("SELECT 'unclosed FROM t", "SELECT ?"),
        (r"SELECT 'C:\' AND b='secret'", "SELECT ?"),
        (r"SELECT E'it\'s secret', b", "SELECT E?"),
        ("SELECT 0xDEADbeef, x'cafe'", "SELECT ?, x?"),
        ("SELECT 1_500_000, 0b1011, 0o17, 0xFF_FF, 1_0.5_0e1", "SELECT ?, ?, ?, ?, ?"),
        ("SELECT a1, t_2.b3, c$4, e_5 FROM t6", "SELECT a1, t_2.b3, c$4, e_5 FROM t6"),
        ("SET PASSWORD FOR me = secret", "SET PASSWORD ?"),
        ("ALTER USER me IDENTIFIED BY secret", "ALTER USER me IDENTIFIED ?"),
        ("", ""),
    ],
)
def test_a_statement_is_shown_without_its_literals(statement: str, expected: str, vendor: str) -> None:
    """And lists and rows as one, whatever their lengths."""
    assert readable(statement, vendor) == expected


def test_double_quotes_are_strings_in_mysql_alone() -> None:
    """Elsewhere they are names."""
    statement = 'SELECT "a" FROM "t" WHERE x = "secret" # more "secret"\n AND 1'
    assert readable(statement, "mysql") == "SELECT ? FROM ? WHERE x = ? AND ?"
    assert readable('SELECT "t"."a" FROM "t"', "postgresql") == 'SELECT "t"."a" FROM "t"'
    assert readable('SELECT "unclosed', "mysql") == "SELECT ?"


@pytest.mark.parametrize(("vendor", "is_certain"), [("sqlite", False), ("postgresql", True), ("mysql", True)])
def test_a_statement_without_literals_is_not_searched_for_secrets(vendor: str, is_certain: bool) -> None:
    """It takes longer than all else of its line. In SQLite a string may be left, in the quotes of a name."""
    assert isinstance(readable("UPDATE t SET password = %s", vendor), Masked) is is_certain


def test_dollar_quotes_are_strings() -> None:
    """With a tag, without, and without an end."""
    assert readable("SELECT $$it's$$, $t$ $$ secret $t$, 1", "postgresql") == "SELECT ?, ?, ?"
    assert readable("SELECT $t$ secret $$", "postgresql") == "SELECT ?"


@VENDORS
@given(secret=st.from_regex(r"[b-z]{12,20}", fullmatch=True), before=st.text("'\"\\a-/*#$ \n,;", max_size=12))
def test_what_stands_in_a_string_is_never_shown(vendor: str, secret: str, before: str) -> None:
    """Whatever stands in front of it, as long as the string itself is well-formed and no comment hides it."""
    quoted = "'" + f"{before}{secret}".replace("'", "''") + "'"
    assert secret not in readable(f"SELECT a FROM t WHERE b = {quoted} AND c = 1", vendor)


@VENDORS
@given(st.text("'\"`\\$#-/*[]()?%s:ae01 \n,;.", max_size=60))
def test_any_text_is_read_without_an_error(vendor: str, text: str) -> None:
    """Quickly, too: no part of the expression looks at a text again and again."""
    assert isinstance(readable(text, vendor), str)


def test_a_long_text_is_cut_first() -> None:
    """A string that was cut open shows nothing."""
    text = text_of("SELECT '" + "secret" * 1000)
    assert len(text) == MAX_TEXT
    assert readable(text, "sqlite") == "SELECT ?"


@pytest.mark.parametrize("one", ["%s", "%(id)s", "?", "7", "'it''s'"])
@pytest.mark.parametrize("cut", range(40))
def test_a_list_and_rows_that_are_cut_anywhere_are_shown_as_whole_ones(one: str, cut: int) -> None:
    """So that two that differ in length alone stay the same statement."""
    indent = " " * cut
    for statement, shown in [
        (f"SELECT 1 WHERE id IN ({', '.join([one] * 900)})", "SELECT ? WHERE id IN (...)"),
        (f"INSERT INTO t (a) VALUES {', '.join([f'({one}, {one})'] * 900)}", "INSERT INTO t (a) VALUES (...), ..."),
        (f"INSERT INTO t (a) VALUES {', '.join(['(DEFAULT, %s)'] * 900)}", "INSERT INTO t (a) VALUES (DEFAULT, %s), ..."),
    ]:
        assert readable(text_of(indent + statement), "sqlite") == shown


class Composed:
    """As psycopg's."""

    def as_string(self, context: object) -> str:
        return "SELECT 'x'"


@pytest.mark.parametrize(
    ("sql", "expected"), [(b"SELECT 1", "SELECT 1"), (b"\xff", "�"), (Composed(), "SELECT 'x'"), (object(), "<object>")]
)
def test_other_kinds_of_statements_have_a_text(sql: object, expected: str) -> None:
    """Bytes, composed ones, and what is neither."""
    assert text_of(sql) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("BEGIN", True),
        ("BEGIN IMMEDIATE", True),
        ('SAVEPOINT "s139_x1"', True),
        ("RELEASE SAVEPOINT `s139_x1`", True),
        ('ROLLBACK TO SAVEPOINT "s139_x1"', True),
        ("BEGIN NOT ATOMIC UPDATE picks SET hero = 1; END", False),
        ("SELECT 1", False),
        ("", False),
    ],
)
def test_what_django_sends_for_transactions_is_told_apart(text: str, expected: bool) -> None:
    """From blocks of statements too, which begin alike."""
    assert is_of_transaction(text) is expected


def test_a_place_without_an_end_where_the_text_is_cut_takes_no_time() -> None:
    """Each of its letters could be read in two ways, and all ways were tried."""
    text = f"INSERT INTO t VALUES (?), (?), ({'%(name' * 60}("
    assert readable(text_of(text.ljust(MAX_TEXT + 1)), "postgresql").startswith("INSERT INTO t VALUES (?), ...")
