"""The project's Celery app."""

import os

from celery import Celery

import dtx_telemetry.celery  # noqa: F401 - for its effect
from tests.support import filesystem  # noqa: F401 - for its effect

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")

app = Celery("tests.project")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["tests.project"])
