"""``python -m dtx_telemetry.demo.tournament.database``: make the tables and the one user."""

import os

import django
from django.core.management import call_command

from ..story import USER_ID, USERNAME

__all__ = ["main"]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtx_telemetry.demo.tournament.settings")
    django.setup()
    from django.contrib.auth.models import User

    call_command("migrate", verbosity=0)
    User.objects.create_user(USERNAME, password=os.environ["DTX_DEMO_PASSWORD"], pk=USER_ID)


if __name__ == "__main__":
    main()
