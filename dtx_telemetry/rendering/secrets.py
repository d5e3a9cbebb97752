"""What is secret: which keys name a secret, and secrets inside of texts.

In a text that is the user part of a URL, and the value behind a secret name in a query, in JSON and in reprs. Each search goes
through a text once. What cannot be told apart from a secret is taken for one.
"""

import re
from collections.abc import Callable, Iterable
from urllib.parse import unquote_plus

__all__ = ["REDACTED", "Secrets"]

REDACTED = "[redacted]"

_SECRET_WORDS = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "jwt",
    "bearer",
    "authorization",
    "credential",
    "api key",
    "cookie",
    "session",
    "sessionid",
    "csrf",
    "csrftoken",
    "csrfmiddlewaretoken",
    "xsrf",
    "private key",
    "secret key",
    "access key",
    "credit card",
)
#: A key that ends in one of these tells about a secret and does not hold it.
_HARMLESS_WORDS = (
    *("age", "algorithm", "at", "consent", "count", "enabled", "expired", "expires", "expiry", "format", "in", "kind"),
    *("length", "limit", "max", "min", "name", "policy", "required", "size", "status", "total", "ttl", "type", "valid"),
    "version",
)
_WORD = re.compile(r"[A-Z]+s?(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z]+|[0-9]+")
_MAX_KNOWN = 4096
_MAX_REMEMBERED_LENGTH = 256
_MAX_KEY_LENGTH = 65536

# A name in a query, a fragment, a form body, a Cookie header, a libpq connection string: at the start or after a separator.
_QUERY_NAME = re.compile(r"(?<![^?&;#\s])([^=&;#?\s]{1,128}+)=")
_QUERY_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_QUERY_END = re.compile(r"[&#\s]")
_REDACTED_ALREADY = re.compile(re.escape(REDACTED) + r"(?=[,;)\]}&#\s]|\Z)")
# 'name': or "name": as in JSON and the repr of a dict, or name= as in other reprs; in JSON inside JSON the quotes are escaped.
# Each alternative begins with a character of its own, so that a text is searched for these four at the speed of C.
_QUOTED = r"([^'\"\\\n]{1,128}+)"
_NAME = re.compile(
    "|".join([rf"{quote}{_QUOTED}{quote}\s{{0,2}}+:\s{{0,2}}+" for quote in ("'", '"', r"\\'", r"\\\"")]) + r"""|=(?=b?['"])"""
)
_BARE_NAME = re.compile(r"[^\W\d][\w.-]{0,127}")
_BACKWARDS = re.compile(r"[\w.-]{1,129}+")
# One whose end was cut off goes up to the end of the text.
_NAMED_VALUE = re.compile(
    r"""b?'(?:[^'\\]|\\.)*+(?:'|\Z)|b?"(?:[^"\\]|\\.)*+(?:"|\Z)|\\"(?:[^"\\]|\\[^"])*+(?:\\"|\Z)|\\'(?:[^'\\]|\\[^'])*+(?:\\'|\Z)"""
    r"""|\[[^\[\]]*+(?:\]|\Z)|\{[^{}]*+(?:\}|\Z)|\([^()]*+(?:\)|\Z)|[^\s,'"\[\](){}]+""",
    re.DOTALL,
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_HEAD = re.compile(r"[^/?#\s]*")
#: In these a number after a colon is a port, and whatever comes after it a path.
_WEB = frozenset({"http", "https", "ws", "wss"})

_NamesSecret = Callable[[str], bool]


class Secrets:
    """Tells the keys that name secrets. What was decided once is remembered, for a bounded number of keys.

    Args:
        changes: words to add to the built-in ones. ``-word`` takes one out.
    """

    __slots__ = ("_beginnings", "_phrases", "_unsafe", "safe")

    def __init__(self, changes: Iterable[str] = ()) -> None:
        phrases = {form for word in _SECRET_WORDS for form in _forms(word)}
        for change in changes:
            if change.startswith("-"):
                phrases -= _forms(change[1:])
            else:
                phrases |= _forms(change)
        self._phrases = frozenset(f" {phrase} " for phrase in phrases if phrase)
        first = {phrase.split()[0] for phrase in self._phrases}
        #: What the name of any secret has in it, in lower case.
        self._beginnings = [word for word in first if not any(other in word for other in first - {word})]
        #: Keys known to name no secret.
        self.safe: set[str] = set()
        self._unsafe: set[str] = set()

    def names_secret(self, key: str) -> bool:
        """Return True if the value under *key* must not be printed."""
        if key in self.safe:
            return False
        if key in self._unsafe:
            return True
        secret = self._decide(key)
        known = self._unsafe if secret else self.safe
        if len(known) >= _MAX_KNOWN:
            known.clear()
        if len(key) <= _MAX_REMEMBERED_LENGTH:
            known.add(key)
        return secret

    def _decide(self, key: str) -> bool:
        if len(key) > _MAX_KEY_LENGTH:
            return True
        words = _words(key)
        if not words or words[-1] in _HARMLESS:
            return False
        text = f" {' '.join(words)} "
        return any(phrase in text for phrase in self._phrases)

    def scrub(self, text: str) -> str:
        """Return *text* without the secrets that can be found in it: in URLs and queries, and behind the names of keys."""
        if "@" in text and "://" in text:
            text = _without_user_parts(text)
        quoted, assigned = "'" in text or '"' in text, "=" in text
        if not (quoted or assigned) or not self._may_name_secret(text):
            return text
        if quoted:
            text = _without_named(text, self.names_secret)
        return _without_query_values(text, self.names_secret) if "=" in text else text

    def _may_name_secret(self, text: str) -> bool:
        """Return False for the many texts that hold no word of a secret's name: going through their names takes far longer."""
        if not text.isascii():  # the lower case of a letter may depend on the next
            return True
        lower = text.lower()
        for word in self._beginnings:
            if word in lower:
                return True
        return "%" in text and "=" in text and _QUERY_ESCAPE.search(text) is not None


def _forms(word: str) -> set[str]:
    """Return how *word* may be written: ``api key`` is also found as ``apikey``."""
    words = _words(word)
    return {" ".join(words), "".join(words)}


def _words(key: str) -> list[str]:
    """Return the words of *key*, in lower case and singular: split at all but letters and digits, and in camelCase."""
    return [_singular(word.lower()) for word in _WORD.findall(key) if not word.isdigit()]


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


_HARMLESS = frozenset(_singular(word) for word in _HARMLESS_WORDS)


def _without_query_values(text: str, names_secret: _NamesSecret) -> str:
    """Return *text* without the values of secret names in queries and their like."""
    parts: list[str] = []
    done = position = 0
    while (match := _QUERY_NAME.search(text, position)) is not None:
        name, position = match[1], match.end()
        name = unquote_plus(name) if "%" in name or "+" in name else name
        if names_secret(name) and _REDACTED_ALREADY.match(text, position) is None:
            end = _QUERY_END.search(text, position)
            parts += text[done:position], REDACTED
            done = position = end.start() if end is not None else len(text)
    return "".join([*parts, text[done:]]) if parts else text


def _without_named(text: str, names_secret: _NamesSecret) -> str:
    """Return *text* without the values that stand behind secret names, as in JSON and in reprs."""
    parts: list[str] = []
    done = position = 0
    while (match := _NAME.search(text, position)) is not None:
        name = match[match.lastindex] if match.lastindex else _name_before(text, position, match.start())
        position = match.end()
        if name and names_secret(name) and (value := _NAMED_VALUE.match(text, position)) is not None:
            parts += text[done:position], REDACTED
            done = position = value.end()
    return "".join([*parts, text[done:]]) if parts else text


def _name_before(text: str, start: int, end: int) -> str:
    """Return the name that ends at *end* and does not begin before *start*, or an empty text."""
    found = _BACKWARDS.match(text[max(end - 129, 0) : end][::-1])
    name = text[end - len(found[0]) : end] if found is not None else ""
    return name if len(name) <= end - start and _BARE_NAME.fullmatch(name) else ""


def _without_user_parts(text: str) -> str:
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
    """Return the index of the ``@`` after a user part, ``-1`` without one. No user part goes over a line's end."""
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
    """Return True if *head* is a host with a port, and not a user with the beginning of a password."""
    scheme = _SCHEME.search(text, max(colon - 32, 0), colon)
    if scheme is None or scheme[0].lower() not in _WEB:
        return False
    _, _, port = head.rpartition(":")
    return head.startswith("[") or (head.count(":") == 1 and (port.isdecimal() or (not port and after.isspace())))
