"""The server: on loopback, until somebody stops it."""

import asyncio
import signal
import socket
import sys
import webbrowser
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress

import uvicorn

from ..errors import UsageError
from .app import make_app
from .live import Live
from .sources import Source

__all__ = ["listen", "serve", "serving"]

_LOOPBACK = "127.0.0.1"


def serve(live: Live, sources: Sequence[Source], *, port: int = 0, show: bool = False) -> None:
    """Serve *live* until Ctrl-C.

    Args:
        live: what to show.
        sources: what that is filled from.
        port: where; 0 for one that is free.
        show: open the page in the browser.

    Raises:
        UsageError: the port cannot be had.
    """
    with listen(port) as (listener, address):
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        if show:
            webbrowser.open(address)
        asyncio.run(_serve(live, sources, listener))


@contextmanager
def listen(port: int) -> Iterator[tuple[socket.socket, str]]:
    """Listen for the block, and return the socket with the page's address.

    Raises:
        UsageError: the port cannot be had.
    """
    try:
        listener = socket.create_server((_LOOPBACK, port))
    except (OSError, OverflowError) as error:
        raise UsageError(f"port {port} cannot be had: {error}") from error
    with listener:
        yield listener, f"http://{_LOOPBACK}:{listener.getsockname()[1]}/"


async def _serve(live: Live, sources: Sequence[Source], listener: socket.socket) -> None:
    """Serve until a signal, or until nothing can be read any more."""
    reading = asyncio.ensure_future(live.read(sources))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, reading.cancel)
    async with serving(live, listener):
        with suppress(asyncio.CancelledError):
            await reading


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
