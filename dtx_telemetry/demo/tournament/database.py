"""``python -m dtx_telemetry.demo.tournament.database``: make the tables, the user who logs in, and ten players."""

import os

import django
from django.core.management import call_command

from ..story import USER_ID, USERNAME

__all__ = ["main"]


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dtx_telemetry.demo.tournament.settings")
    django.setup()
    from django.contrib.auth.models import Group, User

    call_command("migrate", verbosity=0)
    User.objects.create_user(USERNAME, password=os.environ["DTX_DEMO_PASSWORD"], pk=USER_ID)
    teams = [Group.objects.create(name=name) for name in ("Radiant", "Dire")]
    for number in range(10):
        player = User.objects.create(username=f"player{number}")
        player.groups.add(teams[number % 2])


if __name__ == "__main__":
    main()
