"""Who a request's user is, without a trace of our having looked.

Django's ``request.user`` is looked up when it is first used, and that use shows: the session counts as accessed
(``Vary: Cookie``), an expired one is emptied (its cookie is deleted), one that does not verify is flushed. So the look-up is
made through a copy of the session, once; what it found and what it would have done are kept, and played to the real session
if the view asks.
"""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import auth
from django.contrib.sessions.backends.base import SessionBase
from django.utils.functional import SimpleLazyObject, empty

__all__ = ["Glance", "found"]

_DJANGOS_OWN = "django.contrib.auth.middleware"
#: Where Django keeps the user that it has looked up.
_CACHES = ("_cached_user", "_acached_user")
#: What Django's look-up reads in a session.
_KEYS = (auth.SESSION_KEY, auth.BACKEND_SESSION_KEY, auth.HASH_SESSION_KEY)


def found(request: Any) -> Any:
    """Return the user of *request* as far as it is known, ``None`` where there is none or finding out would show.

    Where it is Django's own look-up that was not made yet, and a session cookie came, return a `Glance` to look with.
    """
    state = request.__dict__
    user = state.get("user")
    if not isinstance(user, SimpleLazyObject):
        return user
    lazy: dict[str, Any] = object.__getattribute__(user, "__dict__")  # past what it has for asking the one behind it
    if lazy.get("_wrapped") is not empty:
        return user
    for name in _CACHES:
        if name in state:
            return state[name]
    how = lazy.get("_setupfunc")
    if type(how) is _Replay:
        return how.user
    session = state.get("session")
    if (
        isinstance(session, SessionBase)
        and session.session_key is not None
        and getattr(how, "__module__", None) == _DJANGOS_OWN
    ):
        return Glance(request, session, lazy)
    return None


class Glance:
    """A request as ``auth.get_user`` sees it: its session is a copy whose effects are only noted.

    Args:
        request: the request.
        session: its session.
        lazy: what its lazy user holds.
    """

    def __init__(self, request: Any, session: SessionBase, lazy: dict[str, Any]) -> None:
        self._request = request
        self._lazy = lazy
        self.session = _Session(session)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._request, name)

    def look(self) -> Any:
        """Return the user."""
        return self._keep(auth.get_user(self))  # type: ignore[arg-type]

    async def alook(self) -> Any:
        """As `look`, through Django's asynchronous look-up."""
        return self._keep(await auth.aget_user(self))  # type: ignore[arg-type]

    def _keep(self, user: Any) -> Any:
        """Make the view's own look-up, if there will be one, find what was found here; return *user*."""
        self.session.keep()
        replay = _Replay(self._request, self.session, user)
        # The lazy object stays the one that others may hold already.
        self._lazy["_setupfunc"] = replay
        self._request.auser = partial(_areplay, replay)
        return user


class _Session:
    """A copy of a session for reading: what would change the session is noted as (method, arguments)."""

    def __init__(self, session: SessionBase) -> None:
        self._real = session
        self._copy = copy.copy(session)
        self._before = dict(self._copy.__dict__)
        self.effects: list[tuple[str, tuple[Any, ...]]] = []
        self.seen: list[Any] = []

    def __getitem__(self, key: str) -> Any:
        return self._copy[key]

    def get(self, key: str, default: Any = None) -> Any:
        return self._copy.get(key, default)

    async def aget(self, key: str, default: Any = None) -> Any:
        return await self._copy.aget(key, default)

    def __setitem__(self, key: str, value: Any) -> None:
        self.effects.append(("set", (key, value)))

    async def aset(self, key: str, value: Any) -> None:
        self[key] = value

    def flush(self) -> None:
        self.effects.append(("flush", ()))

    async def aflush(self) -> None:
        self.flush()

    def cycle_key(self) -> None:
        self.effects.append(("cycle_key", ()))

    async def acycle_key(self) -> None:
        self.cycle_key()

    def keep(self) -> None:
        """Let the real session have what the copy has loaded, instead of asking its store again."""
        self.seen = [self._copy.get(key) for key in _KEYS]
        state, real = self._copy.__dict__, self._real.__dict__
        if "_session_cache" in state and "_session_cache" not in real:
            data = state.pop("_session_cache")
            changed = {name: value for name, value in state.items() if self._before.get(name, self) is not value}
            loaded = _Loaded(self._real, data, changed)
            real.update(load=loaded.load, aload=loaded.aload)


class _Loaded:
    """What a session's store gave and what giving it did to the session, for when that is first used."""

    def __init__(self, session: SessionBase, data: dict[str, Any], changed: dict[str, Any]) -> None:
        self._session = session
        self._data = data
        self._changed = changed

    def load(self) -> dict[str, Any]:
        state = self._session.__dict__
        state.pop("load", None)
        state.pop("aload", None)
        state.update(self._changed)
        return self._data

    async def aload(self) -> dict[str, Any]:
        return self.load()


class _Replay:
    """Django's own look-up as the view sees it: the session is used, its effects happen, the user is the one found before."""

    def __init__(self, request: Any, session: _Session, user: Any) -> None:
        self._request = request
        self._effects = session.effects
        self._seen = session.seen
        self.user = user

    def __call__(self) -> Any:
        request = self._request
        if not hasattr(request, "_cached_user"):
            if self.holds([request.session.get(key) for key in _KEYS]):
                for name, arguments in self.effects():
                    method: Callable[..., Any] = getattr(request.session, "__setitem__" if name == "set" else name)
                    method(*arguments)
                request._cached_user = self.user
            else:
                request._cached_user = auth.get_user(request)
        return request._cached_user

    def holds(self, values: list[Any]) -> bool:
        """Whether what was found still follows from the session: the view may have emptied or filled it since."""
        return values == self._seen

    def effects(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Return the effects that are still to happen; they happen once, whichever way the view asks."""
        effects, self._effects = self._effects, []
        return effects


async def _areplay(replay: _Replay) -> Any:
    request = replay._request
    if not hasattr(request, "_acached_user"):
        if replay.holds([await request.session.aget(key) for key in _KEYS]):
            for name, arguments in replay.effects():
                await getattr(request.session, f"a{name}")(*arguments)
            request._acached_user = replay.user
        else:
            request._acached_user = await auth.aget_user(request)
    return request._acached_user
