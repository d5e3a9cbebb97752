"""Headers of requests and responses as attributes, as OpenTelemetry's own variables ask for them."""

from collections.abc import Mapping
from typing import Any

from opentelemetry.util.http import (
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS,
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST,
    OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE,
    SanitizeValue,
    get_custom_headers,
    normalise_request_header_name,
    normalise_response_header_name,
)

__all__ = ["Headers"]


class Headers:
    """Reads the variables once. Without them no header is looked at."""

    def __init__(self) -> None:
        self._request = get_custom_headers(OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST)
        self._response = get_custom_headers(OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE)
        self._sanitize = SanitizeValue(get_custom_headers(OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS))

    def of_request(self, meta: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes of a request's headers."""
        if not self._request:
            return {}
        # Two of Django's keys are headers too and have no prefix (RFC 3875, sections 4.1.2 and 4.1.3).
        names = {key[5:]: value for key, value in meta.items() if key.startswith("HTTP_")}
        names |= {key: meta[key] for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if meta.get(key)}
        headers = {key.replace("_", "-").title(): str(value) for key, value in names.items()}
        return dict(self._sanitize.sanitize_header_values(headers, self._request, normalise_request_header_name))

    def of_response(self, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return the attributes of a response's headers."""
        if not self._response:
            return {}
        given = {str(key): str(value) for key, value in headers.items()}
        return dict(self._sanitize.sanitize_header_values(given, self._response, normalise_response_header_name))
