"""Exceptions as text: the traceback once in a process, without locals, and the short form on every other line.

A record has its traceback however often it is formatted: ``RotatingFileHandler`` formats each one twice, to see whether it
fits, and two handlers may share one formatter.

What was printed is remembered for the exceptions that are still alive, and nothing is written on them. Most of Python's own
exceptions take no weak reference, and an address alone proves nothing: the next exception of a loop often gets the same one.
So each is known by its address and by something that no other exception can have: a weak reference if it takes one, else its
``__dict__``, which is not changed and holds neither the exception nor its traceback. One object has one traceback in a process,
whatever logs it, in whatever thread or task, so the registry is the process's own. It is bounded.
"""

import os
import sys
import traceback
import weakref
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Any

from ..errors import error_text

__all__ = ["CONSOLE", "format_traceback", "give_back_traceback", "note_closing", "reported_ids", "take_traceback"]

#: Who prints to the console; files under our `LineFormatter` are others.
CONSOLE = "console"
_MAX_KNOWN = 64
_dict_of = BaseException.__dict__["__dict__"].__get__

Proof = weakref.ref[BaseException] | dict[str, Any]


class _Known:
    """What was printed about one exception.

    Attributes:
        ids: the own fields of the scope whose closing event told of it, ``None`` if none did.
        printed: who has printed its traceback on a line, the console or one of the application's files, and of which record.
        proof: which exception it is.
    """

    __slots__ = ("ids", "printed", "proof")

    def __init__(self, proof: Proof) -> None:
        self.proof = proof
        self.printed: dict[str, weakref.ref[object] | None] = {}
        self.ids: Mapping[str, Any] | None = None

    def is_about(self, exc: BaseException) -> bool:
        proof = self.proof
        return proof is _dict_of(exc) if isinstance(proof, dict) else proof() is exc

    def is_dead(self) -> bool:
        """Return True if the exception is gone: then nothing else has its ``__dict__``. A weak reference tells by itself."""
        return isinstance(self.proof, dict) and sys.getrefcount(self.proof) <= 2


_known: dict[int, _Known] = {}
os.register_at_fork(after_in_child=_known.clear)


def take_traceback(exc: BaseException, taker: str = CONSOLE, record: object = None) -> bool:
    """Return True if a line of *taker* about *exc* is to print its traceback. It then counts as printed there.

    Args:
        exc: the exception.
        taker: who prints the line.
        record: what the line is made of: another line of the same record prints the traceback too.
    """
    printed = _know(exc).printed
    if taker in printed:
        reference = printed[taker]
        return reference is not None and record is not None and reference() is record
    printed[taker] = _reference_to(record)
    return True


def give_back_traceback(exc: BaseException, taker: str = CONSOLE) -> None:
    """Let the next line of *taker* about *exc* print the traceback: the line that took it was not printed."""
    known = _find(exc)
    if known is not None:
        known.printed.pop(taker, None)


def note_closing(exc: BaseException, ids: Mapping[str, Any]) -> None:
    """Note that the closing event of a scope whose own fields are *ids* told of *exc*."""
    _know(exc).ids = dict(ids)


def reported_ids(exc: BaseException) -> Mapping[str, Any] | None:
    """Return the own fields of the scope whose closing event told of *exc*, ``None`` if none did."""
    known = _find(exc)
    return None if known is None else known.ids


def _find(exc: BaseException) -> _Known | None:
    known = _known.get(id(exc))
    return known if known is not None and known.is_about(exc) else None


def _know(exc: BaseException) -> _Known:
    known = _find(exc)
    if known is None:
        for key, other in list(_known.items()):
            if other.is_dead() or len(_known) >= _MAX_KNOWN:
                _known.pop(key, None)
        known = _known[id(exc)] = _Known(_proof_of(exc))
    return known


def _reference_to(record: object) -> weakref.ref[object] | None:
    try:
        return None if record is None else weakref.ref(record)
    except TypeError:  # somebody's own kind of record
        return None


def _proof_of(exc: BaseException) -> Proof:
    try:
        return weakref.ref(exc, partial(_forget, id(exc)))
    except TypeError:
        proof: dict[str, Any] = _dict_of(exc)
        return proof


def _forget(key: int, reference: weakref.ref[BaseException]) -> None:
    known = _known.get(key)
    if known is not None and known.proof is reference:
        _known.pop(key, None)


def format_traceback(kind: type[BaseException] | None, exc: BaseException, tb: TracebackType | None) -> str:
    """Return the traceback as Python prints it, with its chain, group and notes, and never with local variables."""
    try:
        return "".join(traceback.TracebackException(kind or type(exc), exc, tb, capture_locals=False).format()).rstrip("\n")
    except Exception as error:
        return f"{error_text(exc)}\n[the traceback could not be printed: {type(error).__name__}]"
