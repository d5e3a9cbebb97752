"""The usual mistakes in the addresses of collectors, and what their answers mean, in words."""

import os
import re
from urllib.parse import urlsplit

__all__ = ["meaning_of", "mistake_in"]

_GRPC_PORT, _HTTP_PORT = 4317, 4318
# A status of HTTP, or its name in gRPC, in what an exporter says.
_WANTS_CREDENTIALS = re.compile(r"\b(401|403|UNAUTHENTICATED|PERMISSION_DENIED)\b")
_TAKES_NO_SUCH = re.compile(r"\b(404|405|UNIMPLEMENTED)\b")
_SIGNAL_PATH = re.compile(r"/v1/(traces|metrics|logs)/?$")


def mistake_in(address: str, signal: str, *, is_grpc: bool) -> str | None:
    """Return what is probably wrong with *address* and how to mend it, None if nothing looks wrong.

    Args:
        address: the address that an exporter sends to, a URL, or a host and a port.
        signal: ``traces``, ``metrics`` or ``logs``.
        is_grpc: True if it sends by gRPC, which knows no paths.
    """
    own, common = f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"
    variable = own if os.environ.get(own, "").strip() else common
    url = urlsplit(address if "//" in address else f"//{address}")
    port = _port(url.netloc)
    if is_grpc:
        return f"{variable}: {_HTTP_PORT} is the port for HTTP. gRPC's is {_GRPC_PORT}." if port == _HTTP_PORT else None
    if url.scheme not in {"http", "https"}:
        return f"{variable}: write it with http:// or https:// before it."
    if port == _GRPC_PORT:
        return f"{variable}: {_GRPC_PORT} is the port for gRPC. Use {_HTTP_PORT}, or set OTEL_EXPORTER_OTLP_PROTOCOL=grpc."
    if variable == common:
        base = url.path.removesuffix(f"/v1/{signal}")
        if named := _SIGNAL_PATH.search(base):
            return f"{common} is the base for all signals: write it without {named[0].rstrip('/')}."
    elif url.path in {"", "/"}:
        return f"{own} is used as it stands: write it with its path, /v1/{signal}."
    elif (named := _SIGNAL_PATH.search(url.path)) and named[1] != signal:
        return f"{own} has the path of another signal: it should be /v1/{signal}."
    return None


def meaning_of(said: str, signal: str) -> str:
    """Return what to do about an exporter's complaint.

    Args:
        said: the complaint.
        signal: ``traces``, ``metrics`` or ``logs``.
    """
    if _WANTS_CREDENTIALS.search(said):
        return "The collector wants credentials: set OTEL_EXPORTER_OTLP_HEADERS."
    if _TAKES_NO_SUCH.search(said):
        return f"The collector may take no {signal}: if so, set OTEL_{signal.upper()}_EXPORTER=none."
    return "Is the collector up?"


def _port(netloc: str) -> int | None:
    port = netloc.rpartition(":")[2]
    return int(port) if port.isdecimal() else None
