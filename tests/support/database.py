"""A database of the project with one user in it: ``python -m tests.support.database`` makes it."""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from .processes import ROOT, clean_environ

__all__ = ["Database", "copy_database", "make_database"]


@dataclass(frozen=True)
class Database:
    """A database file, and how its one user proves to be it."""

    path: str
    user_id: int
    session_key: str
    token: str

    @property
    def environ(self) -> dict[str, str]:
        return {"DTX_TEST_DB": self.path}

    @property
    def headers(self) -> dict[str, str]:
        """The header of a browser that is logged in."""
        return {"Cookie": f"sessionid={self.session_key}"}


def make_database(path: Path) -> Database:
    """Make the tables and the user in a new file, in a process of its own."""
    environ = clean_environ(DTX_TEST_DB=str(path), TELEMETRY_ENABLED="false")
    command = [sys.executable, "-m", "tests.support.database", str(path)]
    done = subprocess.run(command, env=environ, cwd=ROOT, check=True, capture_output=True, text=True)
    return Database(**json.loads(done.stdout))


def copy_database(database: Database, path: Path) -> Database:
    """Return the same database in another file, for one test to write to."""
    shutil.copyfile(database.path, path)
    return Database(**{**asdict(database), "path": str(path)})


def _main(path: str) -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore
    from django.core.management import call_command
    from rest_framework.authtoken.models import Token

    call_command("migrate", verbosity=0)
    user = get_user_model().objects.create_user("invoker", password="quas wex exort")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    token = Token.objects.create(user=user).key
    print(json.dumps({"path": path, "user_id": user.pk, "session_key": session.session_key, "token": token}))


if __name__ == "__main__":
    _main(sys.argv[1])
