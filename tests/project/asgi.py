"""HTTP and WebSockets."""

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")
http = get_asgi_application()

from . import routing  # noqa: E402 - models are there only now

application = ProtocolTypeRouter({"http": http, "websocket": AuthMiddlewareStack(URLRouter(routing.urlpatterns))})
