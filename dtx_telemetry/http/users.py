"""Who a request's user is, found without a trace of our having looked.

Django looks a user up when ``request.user`` is first used, and that use shows: the session counts as accessed
(``Vary: Cookie``), an expired one is emptied (its cookie is deleted), one that does not verify is flushed. So we look through
a copy of the session that writes nothing. What was found is kept for the view's own use, which then costs no query. If
Django's look-up would have written something (the session has expired, does not verify, or was signed with an old secret)
nothing is kept: Django looks again if the view asks, and what it does then is Django's own doing.
"""

import copy
import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from django.contrib import auth
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils.functional import LazyObject, empty

__all__ = ["LookUp", "find"]

# Not imported: without Django's users installed it cannot be.
_AUTH_MIDDLEWARE = "django.contrib.auth.middleware"
#: Where Django keeps the user that it has looked up.
_CACHES = ("_cached_user", "_acached_user")
#: What Django's look-up reads in a session.
_KEYS = (auth.SESSION_KEY, auth.BACKEND_SESSION_KEY, auth.HASH_SESSION_KEY)
#: How many lazy objects of middlewares are looked through for Django's own.
_MAX_WRAPPERS = 4
_WRITERS = ("create", "cycle_key", "delete", "flush", "save")


def find(request: HttpRequest) -> "tuple[Any, LookUp | None]":
    """Return the user of *request* as far as it is known, and how to look it up if that has not been done yet.

    Both are ``None`` if there is no user, or none that can be found without a trace.
    """
    state = request.__dict__
    user = state.get("user")
    while issubclass(type(user), LazyObject):
        lazy: dict[str, Any] = object.__getattribute__(user, "__dict__")  # its own attributes are those of the user behind it
        if lazy.get("_wrapped") is empty:
            break
        user = lazy.get("_wrapped")  # a middleware's own lazy object may hold Django's
    else:
        return user, None
    for name in _CACHES:
        if name in state:
            return state[name], None
    session = state.get("session")
    if not isinstance(session, SessionBase) or session.session_key is None:
        return None, None
    djangos = _djangos(lazy, _MAX_WRAPPERS)
    if djangos is None:
        return None, None
    set_up = djangos.get("_setupfunc")
    if type(set_up) is _FoundUser:
        return set_up.user, None
    if hasattr(request, "scope") and _with_auser(state.get("auser"), _no_one) is None:
        return None, None  # an asynchronous view's own look-up would be another one
    return None, LookUp(request, session, djangos)


def _djangos(lazy: dict[str, Any], depth: int) -> dict[str, Any] | None:
    """Return the attributes of Django's own lazy user: *lazy*, or the one that a middleware has wrapped in it."""
    set_up = lazy.get("_setupfunc")
    if type(set_up) is _FoundUser or getattr(set_up, "__module__", None) == _AUTH_MIDDLEWARE:
        return lazy
    if depth:
        for value in _held_by(set_up):
            if (
                issubclass(type(value), LazyObject)
                and (found := _djangos(object.__getattribute__(value, "__dict__"), depth - 1)) is not None
            ):
                return found
    return None


def _held_by(function: Any) -> Iterator[Any]:
    """Return what *function* was made with: the arguments of a partial, the variables of a closure."""
    while isinstance(function, partial):
        yield from (*function.args, *function.keywords.values())
        function = function.func
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not bound yet
            continue


async def _no_one() -> None:
    """Stand for an ``auser`` that is only asked whether it could be put in place."""


def _with_auser(given: Any, auser: Callable[[], Any]) -> Any:
    """Return *given*, a request's ``auser``, with *auser* in the place of Django's own, or ``None`` if that is not in reach.

    It is Django's own itself, or a partial of a middleware's that was made with Django's own.
    """
    if not isinstance(given, partial):
        return None
    if getattr(given.func, "__module__", None) == _AUTH_MIDDLEWARE:
        return auser
    arguments = [_with_auser(value, auser) or value for value in given.args]
    named = {key: _with_auser(value, auser) or value for key, value in given.keywords.items()}
    is_same = all(map(operator.is_, arguments, given.args)) and all(named[key] is given.keywords[key] for key in named)
    return None if is_same else partial(given.func, *arguments, **named)


class LookUp:
    """Django's look-up of a request's user, made before the view asks.

    Args:
        request: the request.
        session: its session.
        lazy: the attributes of Django's lazy user.
    """

    __slots__ = ("_copy", "_lazy", "_request", "_session")

    def __init__(self, request: HttpRequest, session: SessionBase, lazy: dict[str, Any]) -> None:
        self._request = request
        self._session = session
        self._lazy = lazy
        self._copy = _copy_for_reading(session)

    def user(self) -> Any:
        """Return the user."""
        return self._keep(auth.get_user(self._copy))  # type: ignore[arg-type]

    async def auser(self) -> Any:
        """As `user`, through Django's asynchronous look-up."""
        return self._keep(await auth.aget_user(self._copy))  # type: ignore[arg-type]

    def _keep(self, user: Any) -> Any:
        """Return *user*, and let the view find it too, unless its own look-up would have written something."""
        copied, session = self._copy.session, self._session
        if self._copy.writes or copied.session_key != session.session_key or copied.modified != session.modified:
            return user
        seen = [copied.get(key) for key in _KEYS]
        if "_session_cache" not in session.__dict__:
            loaded = _Loaded(session, copied.__dict__["_session_cache"])
            session.__dict__.update(load=loaded.load, aload=loaded.aload)
        found = _FoundUser(self._request, user, seen)
        self._lazy["_setupfunc"] = found  # the lazy object stays the one that others may hold already
        state = self._request.__dict__
        if (auser := _with_auser(state.get("auser"), found.auser)) is not None:
            state["auser"] = auser
        return user


class _Copy(NamedTuple):
    """Stands in for a request: Django's look-up asks it for its session alone."""

    session: SessionBase
    #: Has an entry for each attempt to write.
    writes: list[str]


def _copy_for_reading(session: SessionBase) -> _Copy:
    """Return a copy that notes what would be written, and writes nothing.

    ``clear_expired()`` of Django's file sessions keeps ``load()`` from writing in the same way.
    """
    writes: list[str] = []

    def note(*args: Any, **kwargs: Any) -> None:
        writes.append("")

    async def anote(*args: Any, **kwargs: Any) -> None:
        writes.append("")

    copied = copy.copy(session)
    state = copied.__dict__
    if "_session_cache" in state:
        state["_session_cache"] = dict(state["_session_cache"])
    for name in _WRITERS:
        state[name] = note
        state[f"a{name}"] = anote
    return _Copy(copied, writes)


class _Loaded:
    """What a session's store gave, for the first who lets the session load it."""

    __slots__ = ("_data", "_session")

    def __init__(self, session: SessionBase, data: dict[str, Any]) -> None:
        self._session = session
        self._data = data

    def load(self) -> dict[str, Any]:
        state = self._session.__dict__
        state.pop("load", None)
        state.pop("aload", None)
        return self._data

    async def aload(self) -> dict[str, Any]:
        return self.load()


class _FoundUser:
    """Django's look-up as the view sees it: the session is used, and the user is the one found before."""

    __slots__ = ("_request", "_seen", "user")

    def __init__(self, request: Any, user: Any, seen: list[Any]) -> None:
        self._request = request
        self._seen = seen
        self.user = user

    def __call__(self) -> Any:
        """Return the user, looked up anew if the view has changed the session since."""
        request = self._request
        if not hasattr(request, "_cached_user"):
            holds = [request.session.get(key) for key in _KEYS] == self._seen
            request._cached_user = self.user if holds else auth.get_user(request)
        return request._cached_user

    async def auser(self) -> Any:
        """As Django's ``request.auser``."""
        request = self._request
        if not hasattr(request, "_acached_user"):
            holds = [await request.session.aget(key) for key in _KEYS] == self._seen
            request._acached_user = self.user if holds else await auth.aget_user(request)
        return request._acached_user
