"""gRPC where gevent has patched the standard library."""

from collections.abc import Callable
from typing import Any

from .processes import PerProcess, gevent_has_patched

__all__ = ["among_greenlets"]


def among_greenlets(make: Callable[[], Any]) -> Callable[[], Any]:
    """Return *make*, but what it makes lets other greenlets run while it waits for an answer.

    gRPC waits in C, where it would stop all greenlets of the process for as long as a collector does not answer.

    Args:
        make: makes an exporter that uses gRPC.
    """

    def made() -> Any:
        _support.get()
        return make()

    return made


def _switch_on_support() -> bool:
    """Switch gRPC's support for gevent on. It has to be before anything of gRPC's is made, so this is settled only once."""
    if gevent_has_patched():
        from grpc.experimental.gevent import init_gevent

        init_gevent()
    return True


_support = PerProcess(_switch_on_support)
