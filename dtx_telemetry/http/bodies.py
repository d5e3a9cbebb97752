"""Bodies made piece by piece: each piece is made inside the request's scope, and the end of the last ends the request."""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from ..context import Scope
from ..guard import never_raises
from .events import note_failure

__all__ = ["watch"]


@never_raises
def watch(response: Any, scope: Scope, end: Callable[[int | None], None], *, wanted: bool) -> bool:
    """Make the streaming *response* call *end* once, inside *scope*, as its body ends: with its status, ``None`` if it was cut.

    Its class and its attributes stay as they are, the iterator apart. Returns whether it could be done.

    Args:
        response: the response.
        scope: the request's scope, which will have been left by then.
        end: logs the closing event, if there was none.
        wanted: whether there will be a body at all; ``HEAD`` has none.
    """
    iterator = getattr(response, "_iterator", None)
    closers = getattr(response, "_resource_closers", None)
    if iterator is None or not isinstance(closers, list):
        return False
    # A file may be handed to the server (wsgi.file_wrapper) and then never be asked for here.
    unread_is_whole = not wanted or getattr(response, "file_to_stream", None) is not None
    watcher = _Watcher(response.status_code, scope, end, unread_is_whole=unread_is_whole)
    body = _AsyncBody(watcher, iterator) if response.is_async else _Body(watcher, iterator)
    response._iterator = body
    # What a generator logs as it is closed belongs to the request too.
    closers.insert(0, watcher.open_again)
    closers.append(body.close)
    return True


class _Watcher:
    """What the two kinds of body share: being inside the scope for a piece, and knowing whether the end was reached."""

    __slots__ = ("_end", "_outside", "_scope", "_started", "_status", "_unread_is_whole")

    def __init__(self, status: int, scope: Scope, end: Callable[[int | None], None], *, unread_is_whole: bool) -> None:
        self._status = status
        self._scope = scope
        self._end = end
        self._unread_is_whole = unread_is_whole
        self._outside: Any = None
        self._started = False

    def open_again(self) -> None:
        """Be inside the scope while the response is closed, up to `close_again`."""
        self._outside = self._scope.resume()

    def close_again(self) -> None:
        """End the request, if it has not ended, and be outside again."""
        try:
            self._end(self._status if self._unread_is_whole and not self._started else None)
        finally:
            self._scope.pause(self._outside)

    def enter(self) -> Any:
        """Be inside the scope for a piece, up to `leave`, which takes what this returns."""
        self._started = True
        return self._scope.resume()

    def leave(self, outside: Any) -> None:
        self._scope.pause(outside)

    def finish(self) -> None:
        """End the request with its last piece."""
        self._end(self._status)

    def fail(self, error: BaseException) -> None:
        """End the request with the exception that its body raised."""
        self._end(self._status if note_failure(self._scope, error) else None)

    def abandon(self) -> None:
        """End a request whose body nobody will ask for again."""
        if self._scope.closed:
            return
        try:
            outside = self._scope.resume()
            try:
                self._end(None)
            finally:
                self._scope.pause(outside)
        except Exception:  # noqa: S110 - collected while the interpreter ends: what is needed may be gone
            pass


class _Body:
    """A synchronous body."""

    __slots__ = ("_iterator", "_watcher")

    def __init__(self, watcher: _Watcher, iterator: Iterator[Any]) -> None:
        self._watcher = watcher
        self._iterator = iterator

    def __iter__(self) -> "_Body":
        return self

    def __next__(self) -> Any:
        outside = self._watcher.enter()
        try:
            return next(self._iterator)
        except StopIteration:
            self._watcher.finish()
            raise
        except BaseException as error:
            self._watcher.fail(error)
            raise
        finally:
            self._watcher.leave(outside)

    def close(self) -> None:
        """End the request; the response's last closer."""
        self._watcher.close_again()

    def __del__(self) -> None:
        # A middleware outside of ours may put another response in this one's place, and then nobody closes this one.
        self._watcher.abandon()


class _AsyncBody:
    """An asynchronous body."""

    __slots__ = ("_iterator", "_watcher")

    def __init__(self, watcher: _Watcher, iterator: AsyncIterator[Any]) -> None:
        self._watcher = watcher
        self._iterator: AsyncIterator[Any] | None = iterator

    def __aiter__(self) -> "_AsyncBody":
        return self

    async def __anext__(self) -> Any:
        if self._iterator is None:
            raise StopAsyncIteration
        outside = self._watcher.enter()
        try:
            return await anext(self._iterator)
        except StopAsyncIteration:
            self._watcher.finish()
            raise
        except BaseException as error:
            self._watcher.fail(error)
            raise
        finally:
            self._watcher.leave(outside)

    def close(self) -> None:
        """End the request; the response's last closer."""
        if inspect.isasyncgen(self._iterator):
            # Django closes no asynchronous generator: its event loop does, in the context in which the last reference goes.
            self._iterator = None
        self._watcher.close_again()

    def __del__(self) -> None:
        self._watcher.abandon()
