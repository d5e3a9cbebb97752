"""Sentry beside us: its events have ``request.id`` as a tag, by its own ``before_send``; the real SDK, sending nothing."""

from typing import Any

from tests.support.lines import Line, parse_lines, with_event
from tests.support.processes import run_python

#: What a project writes, as the README has it.
SNIPPET = """
import sentry_sdk
from dtx_telemetry import get_request_id

def add_request_id(event, hint):
    request_id = get_request_id()
    if request_id is not None:
        event.setdefault("tags", {})["request.id"] = request_id
    return event

sentry_sdk.init(dsn="https://key@sentry.invalid/1", before_send=add_request_id, transport=Kept)
"""
PROJECT = """
import json
import logging
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from sentry_sdk.transport import Transport

class Kept(Transport):
    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event is not None:
            kept = {"tags": event.get("tags", {}), "message": event.get("logentry", {}).get("message")}
            kept["crumbs"] = [crumb["message"] for crumb in event.get("breadcrumbs", {}).get("values", ())]
            kept["error"] = [value["type"] for value in event.get("exception", {}).get("values", ())]
            print(json.dumps({"event": "sent", **kept}), flush=True)
"""
REST = """
settings.configure(
    INSTALLED_APPS=["dtx_telemetry"], MIDDLEWARE=["dtx_telemetry.middleware.TelemetryMiddleware"], ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"], SECRET_KEY="generated",
)
import django
from celery import Celery, shared_task
from django.http import HttpResponse
from django.test import Client
from django.urls import path

from dtx_telemetry import carry_context, get_logger, operation

django.setup()
app = Celery("dota", broker="memory://", set_as_current=True)
app.conf.task_always_eager = True

@shared_task
def announce():
    raise RuntimeError("no mana")

def fail(request):
    raise ValueError("no view")

def log(request):
    get_logger("dota").error("draft_failed", hero="Invoker")
    logging.getLogger("theirs").error("theirs")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(carry_context(logging.getLogger("thread").error), "threads").result()
    return HttpResponse("ok")

def refuse(request):
    return HttpResponse("later", status=503)

urlpatterns = [path("fail/", fail), path("log/", log), path("refuse/", refuse)]
client = Client(raise_request_exception=False)
"""


def sent(code: str) -> list[Line]:
    """Run *code* in the project, and return what Sentry would send."""
    output = run_python(PROJECT + SNIPPET + REST + code, LOG_FORMAT="json")
    return with_event(parse_lines(output), "sent")


def test_the_event_of_a_views_exception_has_the_id() -> None:
    """One event, though our own closing event has the exception too: Sentry sends one exception once."""
    events = sent('client.get("/fail/", headers={"X-Request-ID": "r1"})')
    assert [(event["error"], event["tags"]["request.id"]) for event in events] == [(["ValueError"], "r1")]


def test_the_events_of_log_lines_have_the_id() -> None:
    """Ours, stdlib's, and a thread's that the context was carried into."""
    events = sent('client.get("/log/", headers={"X-Request-ID": "r1"})')
    assert [event["message"] for event in events] == ["draft_failed", "theirs", "threads"]
    assert {event["tags"]["request.id"] for event in events} == {"r1"}


def test_the_event_of_a_tasks_exception_has_the_id() -> None:
    """The publisher's; once."""
    events = sent("""
with operation("turn", "r1"):
    announce.delay()
""")
    assert [(event["error"], event["tags"]["request.id"]) for event in events] == [(["RuntimeError"], "r1")]


def test_an_event_of_no_scope_has_no_such_tag() -> None:
    """There is nothing to tell."""
    events: list[dict[str, Any]] = sent('logging.getLogger("theirs").error("alone")')
    assert [event["tags"] for event in events] == [{}]


def test_an_error_that_a_view_returns_is_no_issue() -> None:
    """As without us. It is a breadcrumb of what comes later."""
    events = sent("""
client.get("/refuse/")
client.get("/refuse/")
logging.getLogger("theirs").error("later")
""")
    assert [event["message"] for event in events] == ["later"]
    assert events[0]["crumbs"].count("request_completed") == 2


def test_a_command_that_fails_is_one_issue() -> None:
    """The exception's own; ours has no traceback and says no more."""
    events = sent("""
import sentry_sdk
from django.core.management import call_command
try:
    call_command("check", "nowhere")
except LookupError as error:
    sentry_sdk.capture_exception(error)
""")
    assert [event["error"] for event in events] == [["KeyError", "LookupError"]]
