"""Secrets: which keys name one."""

import re
from collections.abc import Iterable

from .scrubbing import REDACTED, without_named, without_query_values, without_user_parts

__all__ = ["REDACTED", "Secrets"]

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


class Secrets:
    """Tells the keys that name secrets. What was decided once is remembered, for a bounded number of keys.

    Args:
        changes: words to add to the built-in ones; ``-word`` takes one out.
    """

    __slots__ = ("_phrases", "_unsafe", "safe")

    def __init__(self, changes: Iterable[str] = ()) -> None:
        phrases = {form for word in _SECRET_WORDS for form in _forms(word)}
        for change in changes:
            if change.startswith("-"):
                phrases -= _forms(change[1:])
            else:
                phrases |= _forms(change)
        self._phrases = frozenset(f" {phrase} " for phrase in phrases if phrase)
        #: Keys known to name no secret.
        self.safe: set[str] = set()
        self._unsafe: set[str] = set()

    def names_secret(self, key: str) -> bool:
        """Whether the value under *key* must not be printed."""
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
            text = without_user_parts(text)
        if "'" in text or '"' in text:
            text = without_named(text, self.names_secret)
        return without_query_values(text, self.names_secret) if "=" in text else text


def _forms(word: str) -> set[str]:
    """``api key`` is also found as ``apikey``."""
    words = _words(word)
    return {" ".join(words), "".join(words)}


def _words(key: str) -> list[str]:
    """Split at everything that is no letter or digit, and in camelCase; lower case, singular, without digits at the end."""
    return [_singular(word.lower()) for word in _WORD.findall(key) if not word.isdigit()]


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


_HARMLESS = frozenset(_singular(word) for word in _HARMLESS_WORDS)
