"""Statements as text that may be printed: literals masked, lists of any length alike, of bounded length.

Literals are always masked. What cannot be read for certain, a string with a backslash in it or one without an end, is masked
to the end of the statement.
"""

import re
from functools import lru_cache
from typing import Any

from ..rendering import Masked

__all__ = ["MAX_TEXT", "is_of_transaction", "readable", "text_of"]

#: Characters of a statement that are looked at. A bulk insert may have 70,000.
MAX_TEXT = 2000

_MASK = "?"
# One alternation, so that a quote inside a comment and a comment inside a string are read as what they are.
_TOKENS = r"""
      (?P<comment> /\*.*?(?:\*/|\Z) | --[^\n]* )
    | (?P<dollar>  \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z) )
    | (?P<string>  '(?:[^'\\]|'')*' | '.*\Z )
    | (?P<quoted>  "(?:[^"]|"")*" | `[^`]*` | \[\w+\] )
    | (?P<number>  (?<![\w$.]) (?:0[xXbBoO][0-9a-fA-F_]+ | \d[\d_]*(?:\.[\d_]*)?(?:[eE][+-]?\d+)? | \.\d[\d_]*) (?!\w) )
"""
_STANDARD = re.compile(_TOKENS, re.DOTALL | re.VERBOSE)
# MySQL and MariaDB have strings in double quotes, and comments that begin with a hash.
_MYSQLS = re.compile(
    _TOKENS.replace("--[^\\n]*", "--[^\\n]* | \\#[^\\n]*")
    .replace('"(?:[^"]|"")*" | ', "")
    .replace("'.*\\Z", '\'.*\\Z | "(?:[^"\\\\]|"")*" | ".*\\Z'),
    re.DOTALL | re.VERBOSE,
)
_PLACE = r"(?:%s|%\(\w+\)s|\?|:\w+)"
_LIST = re.compile(rf"\({_PLACE}(?:\s*,\s*{_PLACE})+\)")
_ROWS = re.compile(r"(\((?:\.\.\.|[^()]*)\))(?:\s*,\s*\1)+")
# A run of rows, or a list, that goes on where the statement was cut, in the midst of a place too.
_CUT_ROWS = re.compile(r"(, \.\.\.)(?:,\s*(?:\((?:[^()]|%\(\w*+\)?)*)?)?\Z")
_CUT_LIST = re.compile(rf"\((?:{_PLACE}\s*,\s*)*(?:{_PLACE}|\?\?|%?(?:\(\w*\)?)?|:)\s*\Z")
_SPACES = re.compile(r"\s+")
# What stands behind these words is a secret, quoted or not.
_SECRET = re.compile(r"(\b(?:PASSWORD|IDENTIFIED)\b).*", re.IGNORECASE | re.DOTALL)
_CHANGES_USERS = re.compile(r"\s*(?:SET|ALTER|CREATE|GRANT|PRAGMA)\b", re.IGNORECASE)
# As Django writes them. SQLite's transactions have a mode if its options say so.
_BEGINS = frozenset({"BEGIN", "BEGIN DEFERRED", "BEGIN EXCLUSIVE", "BEGIN IMMEDIATE"})
_BEGINNINGS = ("BEGIN", "SAVEPOINT ", "RELEASE SAVEPOINT ", "ROLLBACK TO SAVEPOINT ")


def text_of(sql: Any) -> str:
    """Return the text of *sql*, which may be bytes or an object of psycopg's, cut to `MAX_TEXT` characters. Never raises."""
    try:
        if not isinstance(sql, str):
            sql = sql.decode("utf-8", "replace") if isinstance(sql, bytes) else sql.as_string(None)
    except Exception:
        return f"<{type(sql).__name__}>"
    return str(sql if len(sql) <= MAX_TEXT else sql[:MAX_TEXT])


def is_of_transaction(text: str) -> bool:
    """Return True for what Django itself sends to begin a transaction, or around a savepoint.

    Which of them are seen depends on the driver, and on whether a test has a transaction around: they are no queries.
    """
    # Its beginning first: a set has to go through all of a long text, for its hash.
    return text.startswith(_BEGINNINGS) and (text in _BEGINS or not text.startswith("BEGIN"))


@lru_cache(maxsize=512)
def readable(text: str, vendor: str) -> str:
    """Return *text*, which `text_of` has cut, without literals and comments, each list and each run of rows as one.

    Two statements that differ in literals and in the lengths of their lists alone are the same text.

    Args:
        text: the statement, with or without placeholders.
        vendor: Django's name of the kind of database.
    """
    is_cut = len(text) >= MAX_TEXT
    if _CHANGES_USERS.match(text):
        text = _SECRET.sub(rf"\1 {_MASK}", text)
    tokens = _MYSQLS if vendor == "mysql" else _STANDARD
    text = _SPACES.sub(" ", tokens.sub(_masked, text)).strip()
    text = _ROWS.sub(r"\1, ...", _LIST.sub("(...)", text))
    if is_cut:
        text = _ROWS.sub(r"\1, ...", _CUT_LIST.sub("(...)", _CUT_ROWS.sub(r"\1", text)))
    # SQLite takes a word in double quotes that is no name for a string: there a secret may be left.
    return text if vendor == "sqlite" else Masked(text)


def _masked(token: re.Match[str]) -> str:
    if token["quoted"] is not None:
        return token[0]
    return " " if token["comment"] is not None else _MASK
