"""All of tracing while OpenTelemetry is on. Nothing may import this module while it is off."""

from collections.abc import Callable, MutableMapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from opentelemetry import propagate

from ..config import Settings
from ..events import COMMAND, CONNECTION, CONSUMER_REQUEST, DJANGO_TASK, MESSAGE, OPERATION, REQUEST, TASK, TASK_REPORT
from ..guard import never_raises
from ..rendering import Sanitizer, Secrets
from .django_tasks import DjangoTaskSpans
from .failures import Failures
from .logs import RecordExport
from .metrics import Measures
from .requests import RequestSpans
from .scopes import SpansOfScopes
from .sdk.environment import read_blueprint
from .sdk.processes import CHILD_SECONDS, close_all
from .sdk.providers import Providers
from .sockets import SocketSpans
from .spans import ScopeFields, ScopeSpans

if TYPE_CHECKING:
    from .tasks import TaskSpans

__all__ = ["Tracing"]


class Tracing:
    """What the edges and the log pipeline call.

    Args:
        settings: all settings.

    Raises:
        ImproperlyConfigured: a variable of OpenTelemetry's names something that is not there.

    Attributes:
        settings: the settings that it was made by.
        providers: take spans, measurements and records.
        requests: spans of HTTP requests.
        sockets: spans of WebSocket connections and channel layer messages.
        work: spans of commands and operations.
        measures: the metrics.
        scopes: spans of scopes of whatever kind.
        records: exports log lines, None if ``OTEL_LOGS_EXPORTER`` is ``none``.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        sanitizer = Sanitizer(Secrets(settings.redact_keys), settings.log_max_value_length)
        failures = Failures(sanitizer)
        providers = Providers(read_blueprint(), ScopeFields())
        measures = Measures(providers)
        self._parts = (providers, failures, measures)
        self._links = settings.task_spans == "link"
        self.providers = providers
        self.measures = measures
        self.requests = RequestSpans(
            providers, failures, measures, trusts=settings.trust_traceparent, excludes=settings.excludes
        )
        self.sockets = SocketSpans(providers, failures, measures, self.requests, settings.message_spans)
        self.work = ScopeSpans(providers, failures)
        self._django_tasks = DjangoTaskSpans(*self._parts, links=self._links)
        self.scopes = SpansOfScopes(
            {
                REQUEST: self.requests.begin,
                CONSUMER_REQUEST: self.requests.begin,
                CONNECTION: self.sockets.connect,
                MESSAGE: self.sockets.process,
                OPERATION: self.work.begin_operation,
                COMMAND: self.work.begin_command,
                TASK: lambda *known: self._tasks.begin(*known),  # noqa: PLW0108 - made when Celery asks for it
                TASK_REPORT: lambda *known: self._tasks.begin_report(*known),  # noqa: PLW0108 - likewise
                DJANGO_TASK: self._django_tasks.begin,
            }
        )
        self.records = RecordExport(providers, failures, sanitizer) if providers.exports_logs else None

    @cached_property
    def _tasks(self) -> "TaskSpans":
        """Spans of Celery's tasks, which are asked for if Celery is there."""
        from .tasks import TaskSpans

        return TaskSpans(*self._parts, links=self._links)

    def moments(self) -> dict[str, Callable[..., Any]]:
        """Return what the edges tell of by `dtx_telemetry.context.tell`, with what hears it."""
        return {
            "response_ready": self.requests.answer,
            "task_publishing": lambda *facts: self._tasks.publishing(*facts),  # noqa: PLW0108 - made when Celery asks for it
            "task_published": lambda headers: self._tasks.published(headers),  # noqa: PLW0108 - likewise
            "django_task_enqueued": self._django_tasks.enqueued,
            "child_ending": self.end_child,
            **self.sockets.moments(),
        }

    @never_raises
    def inject(self, carrier: MutableMapping[str, Any]) -> None:
        """Let *carrier* carry the current span (``traceparent``) and what else the propagators know."""
        propagate.inject(carrier)

    def end_child(self) -> None:
        """Export what is left before a pool's child ends, for which neither ``atexit`` nor a finalizer is called."""
        close_all(CHILD_SECONDS)
