"""The page, the login, and the click."""

from django.conf import settings
from django.contrib.auth import authenticate, login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.views.decorators.http import require_GET, require_POST

from dtx_telemetry import get_logger

from . import pages
from .tasks import announce_pick

log = get_logger(__name__)


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """A form to log in with, and after that a button that picks."""
    token = get_token(request)
    if not request.user.is_authenticated:
        return HttpResponse(pages.login(token))
    return HttpResponse(pages.draft(token, settings.SOCKET_PORT))


@require_POST
def log_in(request: HttpRequest) -> HttpResponse:
    user = authenticate(request, username=request.POST.get("username"), password=request.POST.get("password"))
    if user is None:
        return HttpResponse("unknown name or wrong password", status=401)
    login(request, user)
    return HttpResponseRedirect("/")


@require_GET
@login_required
def roster(request: HttpRequest, tournament_id: int) -> JsonResponse:
    """Who plays for which team, in two queries however many there are."""
    players = User.objects.filter(groups__isnull=False).prefetch_related("groups")
    return JsonResponse({player.username: player.groups.all()[0].name for player in players})


def _teams() -> set[str]:
    """Return the teams that wait, as `roster` could: this way asks once more for each player, and the closing event says so."""
    return {player.groups.get().name for player in User.objects.filter(groups__isnull=False)}


@require_POST
@login_required
def pick(request: HttpRequest, tournament_id: int, draft_id: int) -> JsonResponse:
    """Pick a hero. A task tells everybody."""
    hero = request.POST.get("hero", "Invoker")
    log.info("draft_pick_made", hero=hero, teams=len(_teams()))
    announce_pick.delay(tournament_id, draft_id, hero)
    return JsonResponse({"hero": hero}, status=202)
