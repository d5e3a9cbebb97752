"""The Celery app."""

import os

from celery import Celery

import dtx_telemetry.celery  # noqa: F401 - for its effect

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtx_telemetry.demo.tournament.settings")

app = Celery("tournament")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(["dtx_telemetry.demo.tournament"])
