"""What a start makes Python import: the guard of the benchmark of the start, and of what is optional."""

import json

from tests.benchmarks.startup import PROJECT
from tests.support.processes import run_python
from tests.unit.test_floors import FLOORS, FRAMEWORKS

TELL = """
import json
print(json.dumps(sorted(set(sys.modules) - before)))
"""
#: What we need of packages that the project has, and the one of ours.
EXPECTED = {"asgiref", "billiard", "celery", "channels", "django", "kombu", "orjson"}


def imported(*apps: str) -> set[str]:
    """The modules that ``django.setup()`` imports in the benchmark's project with *apps*."""
    code = f"import sys; sys.argv[1:] = {apps!r}{PROJECT}{TELL}"
    return set(json.loads(run_python(code, LOG_FORMAT="json")))


def test_the_start_imports_little() -> None:
    """The app adds modules of its own and a few of packages that the project imports anyway; nothing of OpenTelemetry."""
    added = imported("dtx_telemetry") - imported()
    ours = {name for name in added if name.split(".")[0] == "dtx_telemetry"}
    assert 20 < len(ours) <= 100
    assert {name.split(".")[0] for name in added - ours} <= EXPECTED
    assert len(added - ours) <= 20
    assert not {"dtx_telemetry.viewer", "dtx_telemetry.websocket.decorator", "dtx_telemetry.tracing.sdk.providers"} & ours


def test_nothing_of_opentelemetry_is_imported_while_it_is_off() -> None:
    """Not by setting up, nor by a request, a line, or a task."""
    loaded = run_python(
        """
        import sys
        import django
        from django.conf import settings
        settings.configure(
            DEBUG=False, SECRET_KEY="x", ROOT_URLCONF="urls", ALLOWED_HOSTS=["*"],
            INSTALLED_APPS=["dtx_telemetry"], MIDDLEWARE=["dtx_telemetry.middleware.TelemetryMiddleware"],
        )
        import types
        from django.http import HttpResponse
        from django.urls import path
        urls = types.ModuleType("urls")
        urls.urlpatterns = [path("", lambda request: HttpResponse("ok"))]
        sys.modules["urls"] = urls
        django.setup()
        from django.test import Client
        assert Client().get("/").status_code == 200
        print("LOADED", *(name for name in sys.modules if name.split(".")[0] == "opentelemetry" and "redis" not in sys.modules))
        """
    )
    assert loaded.splitlines()[-1] == "LOADED"


def test_the_ground_loads_nothing_else():
    """A module of the ground floor leaves every framework unloaded; the package alone loads nothing of ours at all."""
    for part in ("", "errors", "guard", "context", "events"):
        unwanted = sorted(FRAMEWORKS) if part else ["structlog", *sorted(FRAMEWORKS)]
        loaded = run_python(
            f"""
            import sys
            import dtx_telemetry{part and "." + part}
            frameworks = [name for name in sys.modules if name.split(".")[0] in {unwanted}]
            print(*frameworks, *{{name.split(".")[1] for name in sys.modules if name.startswith("dtx_telemetry.")}})
            """
        )
        assert set(loaded.split()) <= ({part, *FLOORS[part][0]} if part else set())
