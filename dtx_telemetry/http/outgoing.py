"""Headers for requests to other services."""

from ..config import get_settings
from ..context import get_request_id, inject

__all__ = ["outgoing_headers"]


def outgoing_headers() -> dict[str, str]:
    """Return the headers that carry the current request id to another service, empty if none is bound.

    With OpenTelemetry on, the current span goes along (``traceparent``).

    .. versionadded:: 0.1.0
    """
    request_id = get_request_id()
    headers = {get_settings().request_id_header: request_id} if isinstance(request_id, str) else {}
    inject(headers)
    return headers
