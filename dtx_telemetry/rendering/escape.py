"""Text that is safe to look at: nothing in it moves the cursor, colours the terminal or turns the writing direction."""

import re

__all__ = ["escape_in_json", "printable"]

# What JSON lets through and a terminal or a reader of lines obeys: DEL and C1 (ECMA-48), the controls of the writing direction
# (Unicode Standard Annex 9), and the line and paragraph separators. C0 is escaped by JSON itself.
_OBEYED = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f]")


def printable(text: str) -> str:
    """Return *text* with everything that is not printable (control characters, bidi overrides, newlines) as its escape.

    Printable is what ``str.isprintable`` says; the escapes are Python's.
    """
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _escape(char) for char in text])


def escape_in_json(text: str) -> str:
    """Return the JSON *text* with control characters and bidi overrides as escapes: they stand in its strings alone."""
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")
