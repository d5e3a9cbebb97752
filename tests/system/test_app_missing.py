"""The middleware in a project whose ``INSTALLED_APPS`` lacks the app."""

import json

from tests.support.lines import Line, parse_lines, with_event
from tests.support.processes import run_python

PROJECT = """
    from django.conf import settings
    settings.configure(
        INSTALLED_APPS={apps!r}, MIDDLEWARE=["dtx_telemetry.middleware.TelemetryMiddleware"], ROOT_URLCONF=__name__,
        ALLOWED_HOSTS=["*"], LOGGING_CONFIG=None,
    )
    import django
    from django.http import HttpResponse
    from django.test import Client
    from django.urls import path
    urlpatterns = [path("", lambda request: HttpResponse("ok"))]
    django.setup()
    {before}
    for _ in range(2):
        print(json.dumps({{"event": "answer", "id": Client().get("/").headers.get("X-Request-ID")}}), flush=True)
"""


def lines_of(apps: list[str], before: str = "", **environ: str) -> list[Line]:
    """Run two requests, each through a middleware of its own, and return what was printed."""
    code = "    import json\n" + PROJECT.format(apps=apps, before=before).lstrip("\n")
    return parse_lines(run_python(code, **environ))


def test_the_middleware_sets_telemetry_up_and_says_so_once() -> None:
    """Requests have their events, and the developer learns what to write."""
    lines = lines_of([], LOG_FORMAT="json")
    (line,) = with_event(lines, "app_not_installed")
    assert (line["level"], "INSTALLED_APPS" in line["hint"]) == ("warning", True)
    completed = with_event(lines, "request_completed")
    assert [line["request.id"] for line in completed] == [line["id"] for line in with_event(lines, "answer")]


def test_with_the_app_nothing_is_said() -> None:
    """It has done so already."""
    lines = lines_of(["dtx_telemetry"], LOG_FORMAT="json")
    assert with_event(lines, "app_not_installed") == []
    assert len(with_event(lines, "request_completed")) == 2


def test_whoever_sets_telemetry_up_by_hand_is_not_told() -> None:
    """That is a way to do it, too."""
    lines = lines_of([], before="import dtx_telemetry; dtx_telemetry.init_telemetry()", LOG_FORMAT="json")
    assert with_event(lines, "app_not_installed") == []
    assert len(with_event(lines, "request_completed")) == 2


def test_switched_off_nothing_is_set_up() -> None:
    """And nothing is said."""
    assert lines_of([], TELEMETRY_ENABLED="false") == [{"event": "answer", "id": None}] * 2


def test_a_wrong_setting_stops_the_start_without_the_app_too() -> None:
    """As it does with it."""
    code = """
        import json
        from django.conf import settings
        settings.configure(DTX_TELEMETRY={"LOG_FORMAT": "xml"})
        import django
        django.setup()
        from dtx_telemetry.middleware import TelemetryMiddleware
        try:
            TelemetryMiddleware(lambda request: None)
        except Exception as error:
            print(json.dumps(str(error)))
    """
    assert "json, pretty, logfmt" in json.loads(run_python(code))
