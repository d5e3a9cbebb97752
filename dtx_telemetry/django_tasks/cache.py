"""What goes along with a task: its messages have no headers, so the cache that ``TASKS_CACHE`` names has it, under its id."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from django.core.cache import caches
from django.core.cache.backends.db import BaseDatabaseCache
from django.db import connections, router, transaction
from django.utils import timezone

from .. import context
from ..config import Settings
from ..events import CONTEXT_NOT_CARRIED_WHOLE
from ..guard import never_raises
from ..logging import get_logger

if TYPE_CHECKING:
    from django.tasks.base import TaskResult

    Result = TaskResult[Any, Any]

__all__ = ["PARENT_ID", "REQUEST_ID", "TRACE", "own_id", "receive_context", "restore", "send_context"]

REQUEST_ID = "request.id"
PARENT_ID = "task.parent_id"
TRACE = "trace"
#: How long it is kept, in seconds, counted from when the task may start.
_LIFETIME = 24 * 60 * 60
_log = get_logger(__package__)


@never_raises
def send_context(settings: Settings, result: "Result", trace: dict[str, str] | None) -> None:
    """Put what is bound here, and *trace*, into the cache for *result*, if the settings name one."""
    if settings.tasks_cache is None:
        return
    cache = caches[settings.tasks_cache]
    parcel = context.carry_out(context.outgoing_fields(settings.propagate))
    carried: dict[str, Any] = {
        REQUEST_ID: parcel.request_id or own_id(result),
        context.CONTEXT_KEY: parcel.fields,
        PARENT_ID: context.bound().get("task.id"),
    }
    if trace:
        carried[TRACE] = trace
    with _apart_from_transaction(cache, router.db_for_write):
        cache.set(_key(result), carried, _seconds_to_keep(result))
    if parcel.problems:
        _log.warning(CONTEXT_NOT_CARRIED_WHOLE.name, **{"task.name": result.task.module_path, "fields": parcel.problems})


@never_raises
def receive_context(settings: Settings, result: "Result") -> dict[str, Any] | None:
    """Return what the publisher of *result* put into the cache, or ``None`` if that is nothing, or nonsense."""
    if settings.tasks_cache is None:
        return None
    cache = caches[settings.tasks_cache]
    with _apart_from_transaction(cache, router.db_for_read):
        carried = cache.get(_key(result))
    return carried if isinstance(carried, dict) else None


def _apart_from_transaction(cache: Any, database_of: Callable[[Any], str]) -> AbstractContextManager[Any]:
    """Return a savepoint if *cache* is a table and a transaction is open: PostgreSQL ends one in which a statement fails."""
    if not isinstance(cache, BaseDatabaseCache):
        return nullcontext()
    alias = database_of(cache.cache_model_class)
    return transaction.atomic(using=alias) if connections[alias].in_atomic_block else nullcontext()


def restore(carried: dict[str, Any], result: "Result") -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a task binds of what went along, always with a ``request.id``, and what was wrong with the rest."""
    parcel = context.carry_in(carried.get(REQUEST_ID), carried.get(context.CONTEXT_KEY))
    return {**parcel.fields, REQUEST_ID: parcel.request_id or own_id(result)}, parcel.problems


def own_id(result: "Result") -> str:
    """Return the ``request.id`` of a task that came with none."""
    return result.id if context.valid_request_id(result.id) else context.new_request_id()


def _key(result: "Result") -> str:
    return f"dtx_telemetry.task.{result.backend}.{result.id}"


def _seconds_to_keep(result: "Result") -> float:
    run_after = result.task.run_after
    if run_after is None:
        return _LIFETIME
    now = timezone.now() if timezone.is_aware(run_after) else timezone.make_naive(timezone.now())
    return _LIFETIME + max((run_after - now).total_seconds(), 0)
