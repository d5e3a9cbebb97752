"""The check of users: they have the attribute that ``USER_ID_FIELD`` names."""

from collections.abc import Iterator

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core import checks

from ..config import get_settings

__all__ = ["check_user_id_field"]


def check_user_id_field() -> Iterator[checks.CheckMessage]:
    """Yield W009 if the user model does not have the attribute."""
    found = get_settings()
    field = found.user_id_field
    if not found.enabled or field is None or not apps.is_installed("django.contrib.auth"):
        return
    if not hasattr(get_user_model(), field):
        yield checks.Warning(
            f"USER_ID_FIELD is {field!r}, which {settings.AUTH_USER_MODEL} does not have: no line has a user.id.",
            hint="Name an attribute of the user in DTX_TELEMETRY['USER_ID_FIELD'], or leave it out for the primary key.",
            id="dtx_telemetry.W009",
        )
