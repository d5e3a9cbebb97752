"""Calling an ASGI application as a server does, with the test at the client's end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any

__all__ = ["Call", "calling", "connected", "scope_of", "until"]

_DEADLINE = 30


class Call:
    """One call of an application: what the test gives it, what it sends.

    Attributes:
        task: the call itself.
        sent: every message that the application has sent.
    """

    def __init__(self, application: Any, scope: dict[str, Any]) -> None:
        self.scope = scope
        self.sent: list[dict[str, Any]] = []
        self._to_application: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_application: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.task = asyncio.create_task(application(scope, self._to_application.get, self._take), context=Context())

    async def give(self, kind: str, **message: Any) -> None:
        await self._to_application.put({"type": kind, **message})

    async def say(self, text: str) -> None:
        """Send text as the browser does."""
        await self.give("websocket.receive", text=text)

    async def next(self, kind: str | None = None) -> dict[str, Any]:
        """Return the next message that the application sends; raises what it raised where it ends before."""
        waiting = asyncio.create_task(self._from_application.get())
        await asyncio.wait({waiting, self.task}, timeout=_DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            waiting.cancel()
            await self.end()
            raise AssertionError("the application ended without sending anything more")
        message = waiting.result()
        assert kind is None or message["type"] == kind, message
        return message

    async def text(self) -> str:
        """Return the next text that the application sends to the browser."""
        return (await self.next("websocket.send"))["text"]  # type: ignore[no-any-return]

    async def end(self) -> None:
        """Wait until the application returns, or raise what it raises."""
        await asyncio.wait_for(self.task, _DEADLINE)

    async def leave(self, code: int = 1000) -> None:
        """Close the socket as the browser does, and wait until the application returns."""
        await self.give("websocket.disconnect", code=code, reason="")
        await self.end()

    async def _take(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        await self._from_application.put(message)


def scope_of(
    path: str = "/ws/draft/5/", *, kind: str = "websocket", headers: Iterable[tuple[str, str]] = (), **more: Any
) -> Any:
    """Return a scope as uvicorn makes it."""
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
        "client": ("203.0.113.7", 54321),
        **more,
    }


@asynccontextmanager
async def calling(application: Any, scope: dict[str, Any] | None = None) -> AsyncIterator[Call]:
    """Call *application* for the block; after it the call is cancelled if it runs still."""
    call = Call(application, scope_of() if scope is None else scope)
    try:
        yield call
    finally:
        call.task.cancel()
        with suppress(BaseException):
            await call.task


@asynccontextmanager
async def connected(application: Any, scope: dict[str, Any] | None = None) -> AsyncIterator[Call]:
    """Open a WebSocket for the block, accepted; see `calling`."""
    async with calling(application, scope) as call:
        await call.give("websocket.connect")
        await call.next("websocket.accept")
        yield call


async def until(condition: Callable[[], object]) -> None:
    """Let the event loop run until *condition* holds."""
    async with asyncio.timeout(_DEADLINE):
        while not condition():
            await asyncio.sleep(0.001)
