"""Settings of the project. The environment picks the broker, the channel layer and the database, and overrides anything."""

import json
import os

SECRET_KEY = "tests only"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "tests.project.urls"
ASGI_APPLICATION = "tests.project.asgi.application"
WSGI_APPLICATION = "tests.project.wsgi.application"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"

INSTALLED_APPS = [
    "dtx_telemetry",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "rest_framework.authtoken",
    "channels",
]
MIDDLEWARE = [
    "dtx_telemetry.middleware.TelemetryMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DTX_TEST_DB", ":memory:"),
        "OPTIONS": {"timeout": 30},
    }
}
if "DTX_TEST_DATABASE" in os.environ:  # see tests.support.databases
    DATABASES["default"] = json.loads(os.environ["DTX_TEST_DATABASE"])
    if DATABASES["default"]["ENGINE"].endswith("mysql"):
        import pymysql

        pymysql.install_as_MySQLdb()
REST_FRAMEWORK = {"DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.TokenAuthentication"]}

_redis = os.environ.get("DTX_TEST_CHANNEL_LAYER")
_layer = (
    {"BACKEND": "channels_redis.core.RedisChannelLayer", "CONFIG": {"hosts": [{"address": _redis, "socket_timeout": 15}]}}
    if _redis
    else {"BACKEND": "channels.layers.InMemoryChannelLayer"}
)
CHANNEL_LAYERS = {"default": {"BACKEND": "dtx_telemetry.layers.TelemetryChannelLayer", "CONFIG": _layer}}

CELERY_BROKER_URL = os.environ.get("DTX_TEST_BROKER", "memory://")
CELERY_BROKER_TRANSPORT_OPTIONS = json.loads(os.environ.get("DTX_TEST_BROKER_OPTIONS", "{}"))
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_RESULT_BACKEND = os.environ.get("DTX_TEST_RESULTS", "cache+memory://")
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("DTX_TEST_QUEUE", "celery")
CELERY_EVENT_EXCHANGE = f"{CELERY_TASK_DEFAULT_QUEUE}ev"
CELERY_CONTROL_EXCHANGE = CELERY_TASK_DEFAULT_QUEUE

DTX_TELEMETRY: dict[str, object] = {}

# A test that needs another project says what is different: '{"DEBUG": true, "DTX_TELEMETRY": {"ENABLED": false}}'.
globals().update(json.loads(os.environ.get("DTX_TEST_SETTINGS", "{}")))
