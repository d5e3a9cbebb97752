"""What a request and a task cost, counted in functions of ours that are called: the guard of the benchmarks' ratios.

The benchmarks measure time, beside peers; here only what grows unnoticed is caught, on any machine.
"""

import pytest

from tests.support.processes import run_python

COUNTING = """
import importlib, os, sys
from dtx_telemetry import __path__ as ours

module, maker, *args = {subject!r}
work = getattr(importlib.import_module("tests.benchmarks." + module), maker)(*args)
stdout = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for _ in range(20):
    work()
called = []

def profile(frame, event, arg):
    if event == "call" and frame.f_code.co_filename.startswith(ours[0]):
        called.append(frame.f_code.co_filename[len(ours[0]) + 1:])

sys.setprofile(profile)
work()
sys.setprofile(None)
tracing = sum(name.startswith("tracing" + os.sep) for name in called)
os.write(stdout, f"{{len(called)}} {{tracing}} {{'opentelemetry' in sys.modules}}".encode())
"""


@pytest.mark.parametrize(
    ("subject", "limit"),
    [
        (("http", "wsgi", "dtx_telemetry"), 55),
        (("http", "asgi", "dtx_telemetry"), 55),
        (("celery", "publisher", "dtx_telemetry"), 35),
        (("celery", "executor", "dtx_telemetry"), 72),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, tuple) else None,
)
def test_functions_called(subject: tuple[str, str, str], limit: int) -> None:
    """With its lines, which are half of it; each takes a little less than is allowed here.

    Nothing of tracing is called while OpenTelemetry is off, and nothing of OpenTelemetry is imported, installed as it is.
    """
    count, tracing, imported = _count(subject)
    assert 10 < count <= limit
    assert (tracing, imported) == (0, "False")


@pytest.mark.parametrize(("kind", "limit"), [("wsgi", 42), ("asgi", 42), ("publisher", 20), ("executor", 52)])
@pytest.mark.parametrize("sampled", ["sampled", "unsampled"])
def test_functions_of_tracing_called(kind: str, sampled: str, limit: int) -> None:
    """With OpenTelemetry on; each takes about two thirds of what is allowed here."""
    _, tracing, _ = _count(("otel", kind, "dtx_telemetry", sampled))
    assert 5 < tracing <= limit


def _count(subject: tuple[str, ...]) -> tuple[int, int, str]:
    """Return how many functions of ours one call runs, how many of them of tracing, and whether OpenTelemetry was imported."""
    count, tracing, imported = run_python(COUNTING.format(subject=subject)).splitlines()[-1].split()
    return int(count), int(tracing), imported
