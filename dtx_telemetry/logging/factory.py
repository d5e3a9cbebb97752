"""Log records made in less than half of the time that stdlib takes: the same class, the same attributes, the same values.

``LogRecord`` takes its file's path apart anew for each record, and learns by an exception that there is no event loop. Here the
one is remembered and the other asked for. The place for it is stdlib's own hook, ``logging.setLogRecordFactory``.
"""

import logging
import os
import sys
import threading
import time
from asyncio import _get_running_loop, current_task
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

__all__ = ["is_usable", "make_record"]

_SAMPLE = logging.LogRecord("", 0, "", 0, "", (), None)
_KNOWN = frozenset(
    {"args", "created", "exc_info", "exc_text", "filename", "funcName", "levelname", "levelno", "lineno", "module", "msecs"}
    | {"msg", "name", "pathname", "process", "processName", "relativeCreated", "stack_info", "taskName", "thread"}
    | {"threadName"}
)
_HAS_TASK = "taskName" in vars(_SAMPLE)
#: When stdlib's logging was loaded, in seconds since the epoch.
_START = _SAMPLE.created - _SAMPLE.relativeCreated / 1000
_new = object.__new__


def make_record(
    name: str,
    level: int,
    pathname: str,
    lineno: int,
    msg: Any,
    args: Any,
    exc_info: Any,
    func: str | None = None,
    sinfo: str | None = None,
    **_: Any,
) -> logging.LogRecord:
    """Return ``logging.LogRecord`` of the same arguments, as its constructor would have made it."""
    record: logging.LogRecord = _new(logging.LogRecord)
    record.name = name
    record.msg = msg
    if args and len(args) == 1 and isinstance(args[0], Mapping) and args[0]:
        args = args[0]
    record.args = args
    record.levelname = logging.getLevelName(level)
    record.levelno = level
    record.pathname = pathname
    record.filename, record.module = _file_names(pathname)
    record.exc_info = exc_info
    record.exc_text = None
    record.stack_info = sinfo
    record.lineno = lineno
    record.funcName = func  # type: ignore[assignment]
    record.created = created = time.time()
    record.msecs = int((created - int(created)) * 1000) + 0.0
    record.relativeCreated = (created - _START) * 1000
    record.thread = threading.get_ident()
    record.threadName = threading.current_thread().name
    record.processName = _process_name()
    record.process = os.getpid()
    if _HAS_TASK:
        record.taskName = _task_name()
    return record


def is_usable() -> bool:
    """Whether `make_record` stands for stdlib's constructor here: that makes no more attributes, and none is switched off."""
    switched_on = logging.logThreads and logging.logMultiprocessing and logging.logProcesses
    return switched_on and getattr(logging, "logAsyncioTasks", True) and vars(_SAMPLE).keys() <= _KNOWN


@lru_cache(maxsize=1024)
def _file_names(pathname: str) -> tuple[str, str]:
    try:
        filename = os.path.basename(pathname)  # noqa: PTH119 - as stdlib does, which gets odd ones
        return filename, os.path.splitext(filename)[0]  # noqa: PTH122
    except (TypeError, ValueError, AttributeError):
        return pathname, "Unknown module"


def _process_name() -> str:
    multiprocessing = sys.modules.get("multiprocessing")
    try:
        return "MainProcess" if multiprocessing is None else str(multiprocessing.current_process().name)
    except Exception:  # it is still being loaded
        return "MainProcess"


def _task_name() -> str | None:
    try:
        task = current_task(loop) if (loop := _get_running_loop()) is not None else None
        return None if task is None else task.get_name()
    except Exception:
        return None
