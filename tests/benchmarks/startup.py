"""What starting Django takes with the app and without, in a project that imports Celery, Channels and structlog anyway.

Each start is a process of its own; the two take turns.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator

from .harness import ROOT, Comparison

__all__ = ["PROJECT", "comparisons"]

OURS, BARE = "with dtx_telemetry", "without"
#: A project as it imports and configures things; what is measured is the processor's time of ``django.setup()``.
PROJECT = """
import sys, time
import channels, structlog
from celery import Celery, shared_task
from django.conf import settings

celery_app = Celery("project")
settings.configure(
    INSTALLED_APPS=[
        *sys.argv[1:],
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "channels",
    ],
    CHANNEL_LAYERS={"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
)
import django

before = set(sys.modules)
start = time.process_time()
django.setup()
spent = time.process_time() - start
"""
_TELL = "print(spent * 1e6)"


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Yield the table of this module."""
    subjects = {BARE: (), OURS: ("dtx_telemetry",)}
    turns: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(rounds + 1):
        for name in list(subjects) if turn % 2 else reversed(subjects):
            spent = _start(*subjects[name])
            if turn:  # the first start may have to compile
                turns[name].append(spent)
    costs = {name: statistics.median(spent) for name, spent in turns.items()}
    added = [ours - bare for ours, bare in zip(turns[OURS], turns[BARE], strict=True)]
    yield Comparison("starting Django", costs, {"milliseconds that the app adds": statistics.median(added) / 1000})


def _start(*apps: str) -> float:
    left_out = {"DJANGO_SETTINGS_MODULE", "PYTHONDONTWRITEBYTECODE"}  # with the latter each start would compile anew
    environ = {name: value for name, value in os.environ.items() if name not in left_out}
    command = [sys.executable, "-c", PROJECT + _TELL, *apps]
    done = subprocess.run(command, cwd=ROOT, env=environ, check=True, capture_output=True, text=True)
    return float(done.stdout)
