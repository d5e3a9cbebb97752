"""WebSocket paths."""

from django.urls import path

from . import consumers

urlpatterns = [
    path("ws/draft/<int:draft_id>/", consumers.AsyncEcho.as_asgi()),
    path("ws/sync/<int:draft_id>/", consumers.SyncEcho.as_asgi()),
]
