"""What the app makes Django import as it starts: the guard of the benchmark of the start."""

import json

from tests.benchmarks.startup import PROJECT
from tests.support.processes import run_python

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
