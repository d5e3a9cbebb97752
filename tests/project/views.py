"""Views, each as small as it can be: they answer with what is bound."""

import json
import logging
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from rest_framework.decorators import api_view
from rest_framework.permissions import IsAuthenticated
from rest_framework.response import Response
from rest_framework.views import APIView
from structlog.contextvars import get_contextvars

from dtx_telemetry import get_logger

from . import tasks

log = get_logger(__name__)


def tournament(request: HttpRequest, tournament_id: int) -> JsonResponse:
    log.info("tournament_seen")
    return JsonResponse({"bound": get_contextvars()})


async def draft(request: HttpRequest, tournament_id: int, draft_id: int) -> JsonResponse:
    log.info("draft_seen")
    logging.getLogger("third.party").info("a line of stdlib logging")
    return JsonResponse({"bound": get_contextvars()})


def publish(request: HttpRequest, tournament_id: int) -> JsonResponse:
    """Publish the task that the body names: ``{"task": "work", "args": [3]}``; the default is ``echo``."""
    given: dict[str, Any] = json.loads(request.body or "{}")
    result = getattr(tasks, given.get("task", "echo")).apply_async(given.get("args", ()), given.get("kwargs", {}))
    return JsonResponse({"bound": get_contextvars(), "task_id": result.id}, status=202)


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("no mana")


class Me(APIView):
    """Who the token's owner is."""

    permission_classes = (IsAuthenticated,)

    def get(self, request: Any) -> Response:
        return Response({"user": request.user.pk, "bound": get_contextvars()})


@api_view()
def ping(request: Any) -> Response:
    return Response("pong")
