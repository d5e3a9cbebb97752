"""The processes of Celery: the worker's and beat's own lines come through our pipeline, what a task prints included."""

import logging
import os
from typing import Any

import click
from celery import VERSION, current_app
from celery.signals import after_setup_logger, after_setup_task_logger, setup_logging
from celery.utils.log import get_logger, get_multiprocessing_logger
from kombu.utils.functional import maybe_list

from .. import context
from ..config import Settings, get_settings
from ..errors import error_text
from ..guard import signal_receiver
from ..logging import configure, is_configured, restore, spare_unheard_lines
from ..tracing import configure as configure_tracing

__all__ = ["end_child", "prepare_beat", "prepare_worker", "set_up_logging"]

_OURSELVES = "dtx_telemetry.celery"
#: From this version on Celery raises what a receiver of ``setup_logging`` raised.
_STOPS_BY_ITSELF = (5, 7)
_UID = "dtx_telemetry.set_up_logging"
#: For a pool's child that is a fresh interpreter and has no command line: the level that the worker's had.
_LEVEL_OF_WORKER = "DTX_TELEMETRY_WORKER_LEVEL"


def set_up_logging(loglevel: Any = None, logfile: Any = None, **options: Any) -> None:
    """Take the place of Celery's own logging, as a receiver of ``setup_logging``. If there is one, Celery sets up nothing.

    A ``--loglevel`` that was given wins over ``LOG_LEVEL``. Celery's own default does not. With ``--logfile`` the lines go
    there. With ``worker_hijack_root_logger = False`` it is left to Celery, unless `init_telemetry` was called before.

    Raises:
        ImproperlyConfigured: a setting is wrong. Celery then stops its start.
        OSError: the file cannot be opened. Celery then stops its start.
        SystemExit: in place of these two, with their message, under a Celery that passes over exceptions of receivers.
    """
    try:
        settings = get_settings()
        if settings.enabled and (current_app.conf.worker_hijack_root_logger or is_configured()):
            _take_over(settings, loglevel, logfile)
            _tell_application(loglevel, logfile, **options)
        else:
            _leave_it_to_celery(loglevel, logfile, **options)
    except Exception as error:
        if VERSION >= _STOPS_BY_ITSELF:
            raise
        raise SystemExit(error_text(error)) from error


def _take_over(settings: Settings, loglevel: Any, logfile: Any) -> None:
    configure(settings, level=_given_level(loglevel), path=logfile if isinstance(logfile, str) else None)
    configure_tracing(settings)
    spare_unheard_lines()
    # billiard's logger keeps its lines to itself, and without a handler would print them past everything.
    pool_logger: Any = get_multiprocessing_logger()
    pool_logger.setLevel(logging.ERROR)
    pool_logger.propagate = True
    if _is_fresh_child() and os.environ.get("CELERY_LOG_REDIRECT"):
        level: Any = os.environ.get("CELERY_LOG_REDIRECT_LEVEL")
        current_app.log.redirect_stdouts(level)


def _tell_application(loglevel: Any, logfile: Any, format: Any = None, colorize: Any = None, **_: Any) -> None:
    """Send the signals by which applications add handlers, as Celery does if nothing listens to ``setup_logging``."""
    if len(setup_logging.receivers) > 1:
        return
    told = {"loglevel": loglevel, "logfile": logfile, "colorize": colorize}
    after_setup_logger.send(sender=None, logger=logging.getLogger(), format=format, **told)
    log: Any = current_app.log
    after_setup_task_logger.send(sender=None, logger=get_logger("celery.task"), format=log.task_format, **told)
    restore(anyway=True)  # a console handler among them gives its place to ours


@signal_receiver
def prepare_worker(instance: Any) -> None:
    """Make log lines of what tasks print, as Celery does if it sets up logging. A receiver of ``celeryd_after_setup``."""
    from . import inspection  # noqa: F401 - it loads much of Celery's worker, which no other process needs

    conf = instance.app.conf
    imports = maybe_list(conf.imports) or ()  # Celery takes a single name too
    if _OURSELVES not in imports:
        # A pool's child that is a fresh interpreter imports what is listed here, and not the module that makes the app.
        conf.imports = (*imports, _OURSELVES)
    if getattr(instance, "redirect_stdouts", False) and _is_ours_to_redirect():
        instance.app.log.redirect_stdouts(instance.redirect_stdouts_level)


@signal_receiver
def prepare_beat(sender: Any) -> None:
    """Do the same for beat, as a receiver of ``beat_init``."""
    conf = sender.app.conf
    if conf.worker_redirect_stdouts and _is_ours_to_redirect():
        sender.app.log.redirect_stdouts(conf.worker_redirect_stdouts_level)


@signal_receiver
def end_child() -> None:
    """Send what is left before a child of the pool ends, as a receiver of ``worker_process_shutdown``."""
    context.tell("child_ending")


def _is_ours_to_redirect() -> bool:
    """Return True if Celery sets up nothing because of our receiver of ``setup_logging``, not because of another's."""
    return is_configured() or len(setup_logging.receivers) == 1


def _leave_it_to_celery(loglevel: Any, logfile: Any, format: Any = None, colorize: Any = None, **_: Any) -> None:
    """Let Celery set up its logging as if this receiver were not there: it asks again, and finds none."""
    if len(setup_logging.receivers) > 1:
        return
    setup_logging.disconnect(dispatch_uid=_UID)
    try:
        log: Any = current_app.log
        log.already_setup = False
        log.setup_logging_subsystem(loglevel, logfile, format=format, colorize=colorize)
    finally:
        setup_logging.connect(set_up_logging, weak=False, dispatch_uid=_UID)


def _given_level(loglevel: Any) -> int | None:
    """Return the level of a command line's ``--loglevel``, ``None`` if there is no command line or it has none."""
    if _is_fresh_child():
        level = os.environ.get(_LEVEL_OF_WORKER, "")
        return int(level) if level.isdecimal() else None
    given = _was_given()
    number = loglevel if isinstance(loglevel, int) else logging.getLevelNamesMapping().get(str(loglevel).upper())
    os.environ[_LEVEL_OF_WORKER] = str(number) if given else ""
    return number if given else None


def _was_given() -> bool:
    command = click.get_current_context(silent=True)
    while command is not None:
        source = command.get_parameter_source("loglevel")
        if source in {click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.ENVIRONMENT}:
            return True
        command = command.parent
    return False


def _is_fresh_child() -> bool:
    """Return True if this is a pool's child that was not forked. See ``celery.concurrency.prefork.process_initializer``."""
    return "FORKED_BY_MULTIPROCESSING" in os.environ and click.get_current_context(silent=True) is None
