"""A worker's answer to ``manage.py telemetry``: that it has the library, in which version, with which settings.

It is a remote-control command of Celery's, so ``celery -A app inspect dtx_telemetry`` shows it as well.
"""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from celery.worker.control import inspect_command

from ..config import get_settings
from ..logging import is_configured

__all__ = ["answer"]


@inspect_command(name="dtx_telemetry")
def answer(state: object, **_: object) -> dict[str, Any]:
    """Tell the version and the settings of dtx_telemetry."""
    try:
        installed = version("dtx_telemetry")
    except PackageNotFoundError:  # a copy of the sources
        installed = ""
    return {
        "version": installed,
        "python": platform.python_version(),
        "pid": os.getpid(),
        "is_set_up": is_configured(),
        "settings": get_settings().as_data(),
    }
