"""Secrets inside of texts: the user parts of URLs, and the values of secret names in queries, JSON and reprs.

Each function goes through a text once; what nobody can tell apart from a secret is taken for one.
"""

import re
from collections.abc import Callable
from urllib.parse import unquote_plus

__all__ = ["REDACTED", "without_named", "without_query_values", "without_user_parts"]

REDACTED = "[redacted]"

NamesSecret = Callable[[str], bool]

# A name in a query, a fragment, a form body, a Cookie header, a libpq connection string: at the start or after a separator.
_QUERY_NAME = re.compile(r"(?:\A|[?&;#\s]\s?)([^=&;#?\s]{1,128})=")
_QUERY_END = re.compile(r"[&#\s]")
_REDACTED_ALREADY = re.compile(re.escape(REDACTED) + r"(?=[,;)\]}&#\s]|\Z)")
# 'name': or "name": as in JSON and the repr of a dict, or name= as in other reprs; in JSON inside JSON the quotes are escaped.
_NAME = re.compile(
    r"""(?P<quote>\\?['"])(?P<quoted>[^'"\\\n]{1,128})(?P=quote)\s{0,2}:\s{0,2}"""
    r"""|(?<![\w.-])(?P<bare>[^\W\d][\w.-]{0,127})=(?=b?['"])"""
)
# One whose end was cut off goes up to the end of the text.
_NAMED_VALUE = re.compile(
    r"""b?'(?:[^'\\]|\\.)*+(?:'|\Z)|b?"(?:[^"\\]|\\.)*+(?:"|\Z)|\\"(?:[^"\\]|\\[^"])*+(?:\\"|\Z)|\\'(?:[^'\\]|\\[^'])*+(?:\\'|\Z)"""
    r"""|\[[^\[\]]*+(?:\]|\Z)|\{[^{}]*+(?:\}|\Z)|\([^()]*+(?:\)|\Z)|[^\s,'"\[\](){}]+""",
    re.DOTALL,
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_HEAD = re.compile(r"[^/?#\s]*")
#: Here what follows a colon and is a number is a port, and whatever comes after it a path.
_WEB = frozenset({"http", "https", "ws", "wss"})


def without_query_values(text: str, names_secret: NamesSecret) -> str:
    """Return *text* without the values of secret names in queries and their like."""
    parts: list[str] = []
    done = position = 0
    while (match := _QUERY_NAME.search(text, position)) is not None:
        position = match.end()
        if names_secret(unquote_plus(match[1])) and _REDACTED_ALREADY.match(text, position) is None:
            end = _QUERY_END.search(text, position)
            parts += text[done:position], REDACTED
            done = position = end.start() if end is not None else len(text)
    return "".join([*parts, text[done:]]) if parts else text


def without_named(text: str, names_secret: NamesSecret) -> str:
    """Return *text* without the values that stand behind secret names, as in JSON and in reprs."""
    parts: list[str] = []
    done = position = 0
    while (match := _NAME.search(text, position)) is not None:
        position = match.end()
        if names_secret(match["quoted"] or match["bare"]) and (value := _NAMED_VALUE.match(text, position)) is not None:
            parts += text[done:position], REDACTED
            done = position = value.end()
    return "".join([*parts, text[done:]]) if parts else text


def without_user_parts(text: str) -> str:
    """Return *text* without the user parts of its URLs, those with an unescaped ``/ # ? @`` or blank in a password too."""
    parts: list[str] = []
    done = 0
    colon = text.find("://")
    while colon >= 0:
        start = colon + 3
        following = text.find("://", start)
        end = _user_part_end(text, colon, start, following if following >= 0 else len(text))
        if end > start:
            parts += text[done:start], REDACTED
            done = end
        colon = following
    return "".join([*parts, text[done:]]) if parts else text


def _user_part_end(text: str, colon: int, start: int, stop: int) -> int:
    """Return where the ``@`` after a user part stands, ``-1`` where there is none. No user part goes over a line's end."""
    newline = text.find("\n", start, stop)
    last = text.rfind("@", start, newline if newline >= 0 else stop)
    if last < 0:
        return -1
    # RFC 3986, section 3.2: the authority ends at the first / ? or #, unless somebody did not escape a password.
    match = _HEAD.match(text, start, last)
    head = match[0] if match is not None else ""
    after = text[start + len(head)]
    user, at, _ = head.partition("@")
    if start + len(head) == last or (at and ":" in user):
        return last
    if at:
        return start + head.rindex("@")
    return last if ":" in head and not _is_port(text, colon, head, after) else -1


def _is_port(text: str, colon: int, head: str, after: str) -> bool:
    """Whether *head* is a host with a port, and not a user with the beginning of a password."""
    scheme = _SCHEME.search(text, max(colon - 32, 0), colon)
    if scheme is None or scheme[0].lower() not in _WEB:
        return False
    _, _, port = head.rpartition(":")
    return head.startswith("[") or (head.count(":") == 1 and (port.isdecimal() or (not port and after.isspace())))
