"""The server: on loopback, until somebody stops it."""

import asyncio
import socket
import sys
import webbrowser
from contextlib import suppress

import uvicorn

from ..errors import UsageError
from .app import make_app
from .live import Live

__all__ = ["serve"]

_LOOPBACK = "127.0.0.1"


def serve(live: Live, *, port: int = 0, show: bool = False) -> None:
    """Serve *live* until Ctrl-C.

    Args:
        live: what to show.
        port: where; 0 for one that is free.
        show: open the page in the browser.

    Raises:
        UsageError: the port cannot be had.
    """
    with _listen(port) as listener:
        port = listener.getsockname()[1]
        address = f"http://{_LOOPBACK}:{port}/"
        sys.stdout.write(f"{address}\n")
        sys.stdout.flush()
        if show:
            webbrowser.open(address)
        with suppress(KeyboardInterrupt):
            asyncio.run(_serve(live, listener, port))


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((_LOOPBACK, port))
    except (OSError, OverflowError) as error:
        raise UsageError(f"port {port} cannot be had: {error}") from error


async def _serve(live: Live, listener: socket.socket, port: int) -> None:
    config = uvicorn.Config(
        make_app(live, port),
        lifespan="off",
        ws="none",
        log_config=None,
        log_level="critical",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, live)
    reading = asyncio.create_task(live.read())
    # Where nothing can be read any more nothing is to be shown either.
    reading.add_done_callback(lambda _: server.stop())
    await server.serve(sockets=[listener])
    reading.cancel()
    with suppress(asyncio.CancelledError):
        await reading


class _Server(uvicorn.Server):
    """Ends the streams that browsers have open before it waits for them."""

    def __init__(self, config: uvicorn.Config, live: Live) -> None:
        super().__init__(config)
        self._live = live

    def stop(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._live.end()
        await super().shutdown(sockets)
