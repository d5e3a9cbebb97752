"""``python tests/project/manage.py``: Django's commands for the project."""

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    here = Path(__file__).resolve().parent
    # The folder of a script comes first on the path, and there "celery" would be the project's own module.
    sys.path[:] = [str(here.parents[1]), *(entry for entry in sys.path if entry and Path(entry).resolve() != here)]
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.project.settings")
    execute_from_command_line(sys.argv)
