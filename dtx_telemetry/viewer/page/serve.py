"""The server: on loopback, until somebody stops it."""

import asyncio
import socket
import webbrowser
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import TextIO

import uvicorn

from ..errors import UsageError
from .app import make_app
from .live import Live

__all__ = ["listen", "serving"]

_LOOPBACK = "127.0.0.1"


@contextmanager
def listen(port: int, stream: TextIO, before: str = "", *, show: bool) -> Iterator[socket.socket]:
    """Listen for the block, and tell where.

    Args:
        port: where. 0 for one that is free.
        stream: where the page's address is written.
        before: what is written before that.
        show: open the page in the browser.

    Raises:
        UsageError: the port cannot be had.
    """
    try:
        listener = socket.create_server((_LOOPBACK, port))
    except (OSError, OverflowError) as error:
        raise UsageError(f"port {port} cannot be had: {error}") from error
    with listener:
        address = f"http://{_LOOPBACK}:{listener.getsockname()[1]}/"
        stream.write(f"{before}{address}\n")
        stream.flush()
        if show:
            webbrowser.open(address)
        yield listener


@asynccontextmanager
async def serving(live: Live, listener: socket.socket) -> AsyncIterator[None]:
    """Serve *live* for the block, and leave signals to the caller."""
    server = _Guest(
        uvicorn.Config(
            make_app(live, listener.getsockname()[1]),
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await running


class _Guest(uvicorn.Server):
    """A server in a process that deals with signals itself."""

    def capture_signals(self) -> nullcontext[None]:  # type: ignore[override]
        return nullcontext()
