"""Views and what they call."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, assert_type

from django.http import HttpRequest, HttpResponse

from dtx_telemetry import bind_fields, carry_context, extract_labels, get_logger, get_request_id, outgoing_headers
from dtx_telemetry.middleware import TelemetryMiddleware

log = get_logger(__name__, area="draft")
pool = ThreadPoolExecutor()


def count(hero: str, times: int = 1) -> int:
    """Count in a thread."""
    return len(hero) * times


@bind_fields(tenant="dota")
def pick(request: HttpRequest, hero: str) -> HttpResponse:
    """Log, bind, and carry the context on."""
    assert_type(get_request_id(), str | None)
    assert_type(extract_labels(request.path), dict[str, Any])
    assert_type(outgoing_headers(), dict[str, str])
    with bind_fields(hero=hero, **{"draft.id": 5}):
        log.info("picked", hero=hero, seconds=1.5)
        log.bind(step=1).warning("picked %s late", hero)
    counted: Future[int] = pool.submit(carry_context(count), hero, times=2)
    try:
        return HttpResponse(str(counted.result()))
    except ValueError:
        log.exception("not_counted")
        log.log("error", "not_counted")
        raise


def wrap(handler: TelemetryMiddleware, request: HttpRequest) -> object:
    """Call the middleware, as a test of one's own might."""
    return handler(request)
