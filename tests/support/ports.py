"""A port for a server that has to be told one."""

import socket

__all__ = ["reserved_port"]

_reserved: list[socket.socket] = []


def reserved_port() -> int:
    """Return a port of 127.0.0.1 that nobody else is given while this process lives.

    It stays bound here without listening: a server that sets ``SO_REUSEADDR``, as servers do, may still bind it, while
    the kernel hands it to nobody who asks for just any port.
    """
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    _reserved.append(holder)
    port: int = holder.getsockname()[1]
    return port
