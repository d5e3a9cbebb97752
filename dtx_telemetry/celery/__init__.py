"""Celery, by signals alone: import this once, in the module that makes the Celery app.

The publisher's context goes along in the message's headers (``request.id``, ``dtx.context``,
``dtx.published_at``), and is bound again around the task. The worker's and beat's own lines come through the same log pipeline.

Importing it connects the signals, once in a process, however often it is imported. It reads no settings and touches no logging.
"""

from ..errors import needs_extra

with needs_extra("celery", "celery", what=__name__):
    from celery.signals import (
        after_task_publish,
        beat_init,
        before_task_publish,
        celeryd_after_setup,
        setup_logging,
        task_failure,
        task_postrun,
        task_prerun,
        task_received,
        task_rejected,
        task_retry,
        task_revoked,
        task_unknown,
        worker_process_shutdown,
        worker_shutdown,
        worker_shutting_down,
    )

from . import execution, process, publishing, reports
from .headers import context_restored
from .publishing import context_publishing

__all__ = ["context_publishing", "context_restored"]

_RECEIVERS = (
    (before_task_publish, publishing.add_context),
    (after_task_publish, publishing.log_published),
    (task_received, reports.remember),
    (task_prerun, execution.start),
    (task_failure, execution.fail),
    (task_retry, execution.retry),
    (task_postrun, execution.end),
    (task_postrun, execution.leave),
    (task_revoked, reports.revoked),
    (task_rejected, reports.rejected),
    (task_unknown, reports.unknown),
    (setup_logging, process.set_up_logging),
    (celeryd_after_setup, process.prepare_worker),
    (beat_init, process.prepare_beat),
    (worker_process_shutdown, process.end_child),
    (worker_shutting_down, reports.interrupted),
    (worker_shutdown, reports.interrupted),
)

for _signal, _receiver in _RECEIVERS:
    _signal.connect(_receiver, weak=False, dispatch_uid=f"dtx_telemetry.{_receiver.__name__}")
