"""HTTP and WebSockets."""

import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtx_telemetry.demo.tournament.settings")
http = get_asgi_application()

from .consumers import DraftConsumer  # noqa: E402 - what it imports needs Django to be set up

watch: Any = DraftConsumer.as_asgi()
routes: Any = [path("ws/draft/<int:tournament_id>/", watch)]
sockets = AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(routes)))
application = ProtocolTypeRouter({"http": http, "websocket": sockets})
