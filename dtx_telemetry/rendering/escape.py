"""Text that is safe to look at: nothing in it moves the cursor, colours the terminal or turns the writing direction."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """Return *text* with everything that is not printable (control characters, bidi overrides, newlines) as its escape.

    Printable is what ``str.isprintable`` says; the escapes are Python's.
    """
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else _escape(char) for char in text])


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "backslashreplace").decode("ascii")
