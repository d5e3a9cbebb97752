"""Reads an ASGI scope, any part of which may be missing."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.core.exceptions import SynchronousOnlyOperation
from django.utils.functional import LazyObject, empty

from .. import context
from ..config import Settings
from ..guard import never_raises

__all__ = ["Handshake", "client_address", "fields_of", "is_unknown", "meta_of", "path_of", "tells_reasons", "user_id_of"]

# The versions of ASGI's HTTP and WebSocket specification before the client's close came with its reason; the first is the
# default. uvicorn states 2.4 and gives reasons; granian states 2.3 and gives none.
_WITHOUT_REASONS = frozenset({"2.0", "2.1", "2.2", "2.3"})


def fields_of(scope: Mapping[str, Any], settings: Settings) -> dict[str, Any]:
    """Return what a connection or a request binds besides its user: its id, accepted or new, and its labels."""
    given = _header(scope, settings.request_id_header.lower().encode())
    request_id = given if context.valid_request_id(given) else context.new_request_id()
    return {"request.id": request_id, **settings.scope_table.extract(_path_info(scope))}


def path_of(scope: Mapping[str, Any]) -> str:
    """Return the path, ``""`` if the scope has none."""
    path = scope.get("path")
    return path if isinstance(path, str) else ""


def is_unknown(user: Any) -> bool:
    """Return True for a lazy user that the application has not looked up yet.

    A look-up of ours would be a query that the application did not ask for, and in an event loop not even allowed.
    """
    return issubclass(type(user), LazyObject) and object.__getattribute__(user, "__dict__").get("_wrapped") is empty


@never_raises
def user_id_of(user: Any, settings: Settings) -> int | str | None:
    """Return the id of *user* if it is authenticated."""
    try:
        return None if settings.user_id_field is None else context.user_id(user, settings.user_id_field)
    except SynchronousOnlyOperation:  # an attribute that asks the database
        return None


@never_raises
def client_address(scope: Mapping[str, Any]) -> str | None:
    """Return the client's address without its port, ``None`` for a Unix socket."""
    client = scope.get("client")
    return str(client[0]) if client and client[0] else None


def tells_reasons(scope: Mapping[str, Any]) -> bool:
    """Return True if the server tells the reason of a client's close with its code, an empty one included."""
    return (scope.get("asgi") or {}).get("spec_version", "2.0") not in _WITHOUT_REASONS


class Handshake(NamedTuple):
    """The request that opens a connection, as tracing asks for it.

    Attributes:
        scope: ASGI's.
        consumer: the name of the consumer's class.
    """

    scope: Mapping[str, Any]
    consumer: str

    @property
    def meta(self) -> dict[str, Any]:
        """The headers and the server's address as Django's ``META`` names them."""
        return meta_of(self.scope)


def meta_of(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers and the server's address as Django's ``META`` names them."""
    meta: dict[str, Any] = {}
    for name, value in scope.get("headers") or ():
        key = "HTTP_" + name.decode("latin-1").upper().replace("-", "_")
        text = value.decode("latin-1")
        meta[key] = f"{meta[key]},{text}" if key in meta else text
    server = scope.get("server")
    if server:
        meta["SERVER_NAME"], meta["SERVER_PORT"] = server
    return meta


def _path_info(scope: Mapping[str, Any]) -> str:
    """Return the path below the one that the application is mounted at."""
    path, root = path_of(scope), scope.get("root_path")
    return path.removeprefix(root.rstrip("/")) if isinstance(root, str) else path


@never_raises
def _header(scope: Mapping[str, Any], name: bytes) -> str | None:
    """Return the value of a header that came exactly once."""
    values = [value for key, value in scope.get("headers") or () if key.lower() == name]
    return values[0].decode("latin-1") if len(values) == 1 else None
