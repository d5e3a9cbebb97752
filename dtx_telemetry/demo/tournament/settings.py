"""The settings of the app. What differs from run to run comes from the environment."""

import os
from pathlib import Path

from ..queues import own_queue

SECRET_KEY = os.environ["DTX_DEMO_SECRET"]
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
ROOT_URLCONF = "dtx_telemetry.demo.tournament.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LOGIN_URL = "/"

INSTALLED_APPS = [
    "dtx_telemetry",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "channels",
]
MIDDLEWARE = [
    "dtx_telemetry.middleware.TelemetryMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(os.environ["DTX_DEMO_FOLDER"]) / "db.sqlite3"}}

_RUN = os.environ["DTX_DEMO_RUN"]
# channels_redis waits five seconds for a message, and redis-py 8 gives up on a socket after as many.
_LAYER = {"address": os.environ["DTX_DEMO_LAYER"], "socket_timeout": 15}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "dtx_telemetry.layers.TelemetryChannelLayer",
        "CONFIG": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [_LAYER], "prefix": _RUN, "group_expiry": 3600},
        },
    }
}

# Names of this run's own, since the broker may be one that others use too.
CELERY_BROKER_URL = os.environ["DTX_DEMO_BROKER"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_DEFAULT_QUEUE = _RUN
CELERY_TASK_QUEUES = [own_queue(_RUN)]
CELERY_TASK_IGNORE_RESULT = True
CELERY_CONTROL_EXCHANGE = _RUN
CELERY_EVENT_EXCHANGE = f"{_RUN}ev"

#: Where the page finds the WebSockets: they have a server process of their own.
SOCKET_PORT = int(os.environ["DTX_DEMO_SOCKET_PORT"])
