"""Any value as plain data: strings, numbers, lists and dicts that every format can print.

Nothing here raises anything but what interrupts it, and nothing is endless.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from ..errors import is_interruption
from .secrets import REDACTED, Secrets
from .values import key_text, reader, unprintable

__all__ = ["ATOMS", "Masked", "Sanitizer"]

#: Types whose values hold no others.
ATOMS = frozenset({str, int, float, bool, type(None)})

_MAX_DEPTH = 20
# Tracebacks tell the most at their end: of these the middle is cut out.
_BLOCKS = frozenset({"exception", "stack"})
# Characters beyond a cut that are looked at too: a URL's user part is known by what stands after it.
_MARGIN = 2048
_Item = TypeVar("_Item")


class Masked(str):
    """A text whose values were taken out of it. It is not searched for secrets, which takes longer than all else of a line.

    A copy is a plain string: a record may be sent to a program that has no such class.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


class Sanitizer:
    """Makes any value plain data that every format can print: safe, without secrets, cut to size.

    Args:
        secrets: what must not be printed.
        limit: characters that one value may have in all.
    """

    __slots__ = ("limit", "secrets")

    def __init__(self, secrets: Secrets, limit: int) -> None:
        self.secrets = secrets
        self.limit = limit

    def value(self, value: object) -> Any:
        """Return *value* as plain data."""
        return _Walk(self.secrets, self.limit).value(value)

    def text(self, value: object) -> str:
        """Return *value* as one string."""
        if type(value) is str and self.is_plain(value):
            return value
        plain = self.value(value)
        return plain if isinstance(plain, str) else str(plain)

    def is_plain(self, text: str) -> bool:
        """Return True if *text* is certain to stay as it is: it fits, has no lone surrogate, and no secret can be in it."""
        return len(text) <= self.limit and text.isascii() and not _may_hold_secret(text)

    def line(self, line: dict[Any, Any]) -> dict[str, Any]:
        """Return *line* fit to be printed: keys that are strings, plain values."""
        plain: dict[str, Any] = {}
        for key, value in line.items():
            name = key if type(key) is str and key.isascii() and len(key) <= self.limit else self.text(key)
            while name in plain:
                name += "_"
            if type(value) is not str:
                plain[name] = self._masked(value) if type(value) is Masked else self.value(value)
            elif name in _BLOCKS:
                plain[name] = self._block(value)
            else:
                plain[name] = value if self.is_plain(value) else self.value(value)
        return plain

    def without_secrets(self, value: object) -> Any:
        """Return *value* itself if it holds no secret, else a plain copy without."""
        if type(value) in ATOMS:
            return value
        walk = _Walk(self.secrets, self.limit)
        plain = walk.value(value)
        return plain if walk.redacted else value

    def _masked(self, text: Masked) -> Any:
        return str(text) if len(text) <= self.limit and text.isascii() else self.value(text)

    def _block(self, text: str) -> str:
        if len(text) <= self.limit:
            return self.text(text)
        half, scrub = self.limit // 2, self.secrets.scrub
        head, tail = scrub(text[: half + _MARGIN])[:half], scrub(text[half - self.limit - _MARGIN :])[half - self.limit :]
        return _without_surrogates(f"{head}\n{_cut_note(len(text))}\n{tail}")


class _Walk:
    """One value's way into plain data: how much room is left, what it is inside of, whether a secret was met."""

    __slots__ = ("_inside", "_secrets", "redacted", "room")

    def __init__(self, secrets: Secrets, limit: int) -> None:
        self._secrets = secrets
        self.room = limit
        self._inside: list[int] = []
        self.redacted = False

    def value(self, value: object) -> Any:
        if type(value) is str:
            return self.text(value)
        kind: type = type(value)
        depth = len(self._inside)
        try:
            return reader(kind)(self, value)
        except Exception as error:
            if is_interruption(error):
                raise
            del self._inside[depth:]
            return unprintable(kind)

    def text(self, text: str) -> str:
        length, room = len(text), max(self.room, 0)
        if length > room:
            text = self._scrub(text[: room + _MARGIN])[:room] + _cut_note(length)
        elif _may_hold_secret(text):
            text = self._scrub(text)
        self.room = room - min(length, room)
        return text if text.isascii() else _without_surrogates(text)

    def mapping(self, value: object, items: Iterable[tuple[object, object]], count: int) -> Any:
        """Return a dict of *items*, or of the first of them if they do not fit."""
        plain: dict[str, Any] = {}
        with_room = self._enter(value, items)
        if isinstance(with_room, str):
            return with_room
        for key, item in with_room:
            name = key if type(key) is str else self.text(key_text(key))
            secret = self._secrets.names_secret(name)
            name = self.text(name)
            while name in plain:
                name += "_"
            plain[name] = self.redact() if secret else self.value(item)
        self._inside.pop()
        if count > len(plain):
            plain["..."] = f"[cut: {count} items]"
        return plain

    def sequence(self, value: object, items: Iterable[object], count: int) -> Any:
        """Return a list of *items*, or of the first of them if they do not fit."""
        with_room = self._enter(value, items)
        if isinstance(with_room, str):
            return with_room
        plain = [self._pair(item) if _is_pair(item) else self.value(item) for item in with_room]
        self._inside.pop()
        if count > len(plain):
            plain.append(f"[cut: {count} items]")
        return plain

    def _enter(self, value: object, items: Iterable[_Item]) -> Iterator[_Item] | str:
        if id(value) in self._inside:
            return "[cycle]"
        if len(self._inside) >= _MAX_DEPTH:
            return "[too deep]"
        self._inside.append(id(value))
        return self._while_room(items)

    def _while_room(self, items: Iterable[_Item]) -> Iterator[_Item]:
        # Taken in one go, so that another thread that changes the container cannot disturb.
        for item in list(islice(items, self.room // 2 + 1)):
            if self.room <= 0:
                return
            self.room -= 2
            yield item

    def _pair(self, pair: Any) -> list[Any]:
        """Return a pair as a list, redacted if its first names a secret: headers and forms come so."""
        name, value = pair
        secret = self._secrets.names_secret(name if type(name) is str else key_text(name))
        return [self.value(name), self.redact() if secret else self.value(value)]

    def redact(self) -> str:
        """Return what stands for a secret."""
        self.redacted = True
        return REDACTED

    def finds_secret(self, read: Callable[["_Walk"], object]) -> bool:
        """Return True if *read* comes across a secret."""
        probe = _Walk(self._secrets, max(self.room, 0))
        probe._inside = self._inside.copy()
        read(probe)
        return probe.redacted

    def _scrub(self, text: str) -> str:
        scrubbed = self._secrets.scrub(text)
        if scrubbed is not text and scrubbed != text:
            self.redacted = True
        return scrubbed


def _may_hold_secret(text: str) -> bool:
    """Return True if *text* has what a secret in a text comes with: an assignment, a URL's user part, a quoted name."""
    return "=" in text or "@" in text or "'" in text or '"' in text


def _is_pair(item: object) -> bool:
    return type(item) in (tuple, list) and len(item) == 2 and type(item[0]) in (str, bytes)  # type: ignore[arg-type, index]


def _cut_note(length: int) -> str:
    return f"... [cut: {length} characters]"


def _without_surrogates(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
