"""What a request and a task cost, counted in functions of ours that are called: the guard of the benchmarks' ratios.

The benchmarks measure time, beside peers; here only what grows unnoticed is caught, on any machine.
"""

import pytest

from .support.processes import run_python

COUNTING = """
import importlib, os, sys
from dtx_telemetry import __path__ as ours

module, maker, name = {subject!r}
work = getattr(importlib.import_module("tests.benchmarks." + module), maker)(name)
stdout = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for _ in range(20):
    work()
count = 0

def profile(frame, event, arg):
    global count
    count += event == "call" and frame.f_code.co_filename.startswith(ours[0])

sys.setprofile(profile)
work()
sys.setprofile(None)
os.write(stdout, str(count).encode())
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
    """With its lines, which are half of it; each takes a little less than is allowed here."""
    count = int(run_python(COUNTING.format(subject=subject)).splitlines()[-1])
    assert 10 < count <= limit
