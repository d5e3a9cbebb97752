"""Tasks as spans and metrics. Each fault of the plain instrumentation that ours mends is tested on both."""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from celery.app.task import Context
from celery.exceptions import Ignore, Reject
from celery.signals import before_task_publish, task_postrun, task_prerun, task_revoked, worker_process_shutdown
from celery.worker import state
from django.test import override_settings
from kombu import Connection, Exchange
from kombu.exceptions import OperationalError
from opentelemetry import baggage, context, trace
from opentelemetry.instrumentation.celery import CeleryInstrumentor

from tests.conftest import LogOutput
from tests.support.celery_app import make_app, messages, working
from tests.support.otlp import Span
from tests.support.tracing import Traced, opentelemetry_on
from tests.support.waiting import wait_until

#: The plain instrumentation has to fail: where it does no more, a mend of ours may go.
PLAIN_FAILS = pytest.mark.parametrize(
    "instrumentation",
    ["ours", pytest.param("plain", marks=pytest.mark.xfail(strict=True, reason="the plain instrumentation's fault"))],
    indirect=True,
)


class ExpectedError(Exception):
    """Declared in ``throws``."""


@pytest.fixture(scope="module")
def worker() -> Iterator[Celery]:
    """An app with a worker that runs for all tests of this module."""
    app = make_app()
    register(app)
    with working(app):
        yield app


@pytest.fixture
def app() -> Celery:
    """The same without a worker, and with a queue of the test's own."""
    app = make_app()
    register(app)
    return app


def register(app: Celery) -> None:

    @app.task(name="app.ok", shared=False)
    def ok() -> str:
        return trace.format_trace_id(trace.get_current_span().get_span_context().trace_id)

    @app.task(name="app.fail", shared=False)
    def fail() -> None:
        raise RuntimeError("no mana")

    @app.task(name="app.expected", shared=False, throws=(ExpectedError,))
    def expected() -> None:
        raise ExpectedError("not yours")

    @app.task(name="app.retry", shared=False, bind=True, max_retries=3, default_retry_delay=0)
    def retry(self: Any) -> None:
        if self.request.retries < 2:
            raise self.retry(exc=RuntimeError("again"))

    @app.task(name="app.ignore", shared=False)
    def ignore() -> None:
        raise Ignore

    @app.task(name="app.reject", shared=False, acks_late=True)
    def reject() -> None:
        raise Reject("no", requeue=False)

    @app.task(name="app.nested", shared=False)
    def nested() -> None:
        ok.delay()

    @app.task(name="app.exit", shared=False)
    def leave() -> None:
        raise SystemExit

    @app.task(name="app.baggage", shared=False)
    def carried() -> None:
        trace.get_current_span().set_attributes({key: str(value) for key, value in baggage.get_all().items()})


@pytest.fixture
def instrumentation(request: pytest.FixtureRequest, traced: Traced) -> Iterator[str]:
    """Trace tasks by our instrumentor, or by the plain one alone."""
    if request.param == "plain":
        CeleryInstrumentor().instrument()
    yield request.param
    if request.param == "plain":
        CeleryInstrumentor().uninstrument()


@contextmanager
def untraced() -> Iterator[None]:
    """Publish without a trace in the message."""

    def without_trace(headers: dict[str, Any], **_: Any) -> None:
        del headers["traceparent"]

    before_task_publish.connect(without_trace)
    yield
    before_task_publish.disconnect(without_trace)


def begin(name: str) -> trace.Span:
    return trace.get_tracer("application").start_span(name)


def run(worker: Celery, *names: str, executions: int | None = None, **options: Any) -> None:
    """Publish tasks and wait until they have been executed, and every receiver has been told.

    Args:
        worker: the app.
        names: the tasks.
        executions: how many there will be; ``None``: one each.
        options: of each publishing.
    """
    done: list[Any] = []

    def note(**_: Any) -> None:
        done.append(None)

    task_postrun.connect(note)  # the last receiver
    for name in names:
        worker.tasks[name].apply_async(**options)
    wait_until(lambda: len(done) >= (executions or len(names)))


def spans_of(traced: Traced, prefix: str) -> list[Span]:
    return [span for span in traced.flushed().spans if span.name.startswith(prefix)]


class TestATask:
    def test_is_a_producer_and_a_consumer_in_its_publishers_trace(self, traced: Traced, worker: Celery) -> None:
        """Under the span that published it, with the attributes of Celery's instrumentation."""
        with trace.use_span(begin("view"), end_on_exit=True) as view:
            run(worker, "app.ok")

        spans = {span.name: span for span in traced.flushed().spans}
        publish, execution = spans["apply_async/app.ok"], spans["run/app.ok"]
        assert (publish.kind, execution.kind) == ("PRODUCER", "CONSUMER")
        assert publish.parent_id == trace.format_span_id(view.get_span_context().span_id)
        assert execution.parent_id == publish.span_id
        assert publish.attributes["messaging.message.id"] == execution.attributes["messaging.message.id"]
        assert execution.attributes["celery.state"] == "SUCCESS"
        assert execution.attributes["celery.action"] == "run"
        assert execution.attributes["task.name"] == "app.ok"

    def test_has_its_lines_in_its_span(self, traced: Traced, worker: Celery, log_output: LogOutput) -> None:
        """From ``task_started`` to the closing event."""
        run(worker, "app.ok")

        (execution,) = spans_of(traced, "run/")
        lines = [line for line in log_output.lines if line["event"] in {"task_started", "task_completed"}]
        assert [line["span_id"] for line in lines] == [execution.span_id] * 2

    def test_is_measured(self, traced: Traced, worker: Celery) -> None:
        """How long it waited, how long it took, how it ended."""
        run(worker, "app.ok", "app.fail", "app.ignore", "app.expected")

        points = traced.flushed().points
        outcomes = {
            point.attributes["task.name"]: point.attributes["outcome"] for point in points if point.name == "dtx.task.duration"
        }
        assert outcomes == {"app.ok": "completed", "app.fail": "failed", "app.ignore": "ignored", "app.expected": "failed"}
        waited = [point for point in points if point.name == "dtx.task.queue.duration"]
        assert {point.unit for point in waited} == {"s"}
        assert {point.attributes["task.name"] for point in waited} == outcomes.keys()
        assert "flower.task.runtime.seconds" not in {point.name for point in points}  # it would say the same again

    def test_fails_with_its_exception(self, traced: Traced, worker: Celery) -> None:
        """Recorded once."""
        run(worker, "app.fail")

        (execution,) = spans_of(traced, "run/")
        assert (execution.status, execution.description) == ("ERROR", "RuntimeError: no mana")
        assert [event["exception.message"] for _, event in execution.events] == ["no mana"]
        assert execution.attributes["celery.state"] == "FAILURE"

    @pytest.mark.parametrize("name", ["app.ignore", "app.reject"])
    def test_that_gives_up_is_no_error(self, traced: Traced, worker: Celery, name: str) -> None:
        """``Ignore`` and ``Reject`` are the task's own way to end."""
        run(worker, name)

        (execution,) = spans_of(traced, "run/")
        assert (execution.status, execution.events) == ("UNSET", [])

    def test_that_is_retried_stays_in_its_trace(self, traced: Traced, worker: Celery) -> None:
        """Each attempt has a span, under the one that published it, with the reason."""
        run(worker, "app.retry", executions=3)

        executions = sorted(spans_of(traced, "run/"), key=lambda span: span.start)
        assert len(executions) == 3
        assert len({span.trace_id for span in traced.collector.spans}) == 1
        assert [span.status for span in executions] == ["UNSET"] * 3
        assert executions[0].attributes["celery.retry.reason"] == "RuntimeError: again"

    def test_publishes_in_its_own_span(self, traced: Traced, worker: Celery) -> None:
        """A task that publishes a task."""
        run(worker, "app.nested", executions=2)

        spans = {span.name: span for span in traced.flushed().spans}
        assert spans["apply_async/app.ok"].parent_id == spans["run/app.nested"].span_id
        assert spans["run/app.ok"].parent_id == spans["apply_async/app.ok"].span_id

    def test_that_is_eager_is_inside_its_callers_span(self, traced: Traced, app: Celery) -> None:
        """There is no message, so no producer."""
        with trace.use_span(begin("view"), end_on_exit=True):
            app.tasks["app.ok"].apply()

        spans = {span.name: span for span in traced.flushed().spans}
        assert spans.keys() == {"view", "run/app.ok"}
        assert spans["run/app.ok"].parent_id == spans["view"].span_id

    def test_in_a_trace_of_its_own(self, monkeypatch: pytest.MonkeyPatch, worker: Celery) -> None:
        """``TASK_SPANS`` as ``link``: a new root that points at its publisher, with the baggage of there."""
        with override_settings(DTX_TELEMETRY={"TASK_SPANS": "link"}), opentelemetry_on(monkeypatch) as traced:
            token = context.attach(baggage.set_baggage("tenant", "x"))
            run(worker, "app.baggage")
            context.detach(token)
            spans = {span.name: span for span in traced.flushed().spans}

        publish, execution = spans["apply_async/app.baggage"], spans["run/app.baggage"]
        assert execution.trace_id != publish.trace_id
        assert execution.links == [(publish.trace_id, publish.span_id)]
        assert execution.attributes["tenant"] == "x"

    def test_from_an_untraced_publisher_starts_a_trace(self, traced: Traced, worker: Celery) -> None:
        """Whatever else the message carries."""
        with untraced():
            run(worker, "app.ok")

        (execution,) = spans_of(traced, "run/")
        assert execution.parent_id == ""


def revoke_first(worker: Celery) -> None:
    state.revoked.add("revoked-1")
    worker.tasks["app.ok"].apply_async(task_id="revoked-1")


def expire(worker: Celery) -> None:
    worker.tasks["app.ok"].apply_async(headers={"expires": "2020-01-01T00:00:00+00:00"})


def send_unknown(worker: Celery) -> None:
    worker.send_task("somewhere.else")


def send_invalid(worker: Celery) -> None:
    worker.tasks["app.ok"].apply_async(eta="not a time")


def durations_of(traced: Traced) -> list[Any]:
    """Return the measurements of tasks so far, in the order in which they came; each tells all that there was before."""
    return [point for point in traced.flushed().points if point.name == "dtx.task.duration"]


class TestATaskThatNeverRuns:
    @pytest.mark.parametrize(
        ("send", "event", "measured"),
        [
            (revoke_first, "task_revoked", ("app.ok", "revoked")),
            (expire, "task_revoked", ("app.ok", "expired")),
            (send_unknown, "task_unknown", ("_OTHER", "unknown")),
            (send_invalid, "task_rejected", ("app.ok", "rejected")),
        ],
    )
    def test_is_told_of_in_its_publishers_trace(
        self,
        traced: Traced,
        worker: Celery,
        log_output: LogOutput,
        send: Callable[[Celery], None],
        event: str,
        measured: tuple[str, str],
    ) -> None:
        """By its line, and counted; a CONSUMER span would say that it was processed, and how long that took.

        The semantic conventions' ``process`` is for a message that is processed. The name of a task that the worker does not
        have may be anything, and is no attribute of a metric.
        """
        with trace.use_span(begin("view"), end_on_exit=True):
            send(worker)
        wait_until(lambda: log_output.events(event))
        wait_until(lambda: durations_of(traced), what="the measurement, which comes after the line")

        collector = traced.flushed()
        (publish,) = spans_of(traced, "apply_async/")
        assert {span.name for span in collector.spans} == {"view", publish.name}
        (record,) = collector.wait_for_records(body=event)
        (line,) = log_output.events(event)
        assert (record.trace_id, record.span_id) == (publish.trace_id, publish.span_id)
        assert (line["trace_id"], line["span_id"]) == (publish.trace_id, publish.span_id)
        point = durations_of(traced)[-1]
        assert (point.attributes, point.count, point.value) == ({"task.name": measured[0], "outcome": measured[1]}, 1, 0)

    def test_from_an_untraced_publisher_is_in_no_trace(self, traced: Traced, worker: Celery, log_output: LogOutput) -> None:
        """Nor is it in that of whatever happens to be current in the worker."""
        with untraced():
            send_unknown(worker)
        wait_until(lambda: log_output.events("task_unknown"))
        wait_until(lambda: durations_of(traced), what="the measurement, which comes after the line")

        assert "trace_id" not in log_output.one("task_unknown")

    def test_or_is_ended_is_counted_by_the_worker(self, traced: Traced, worker: Celery, log_output: LogOutput) -> None:
        """The process that ran it may have died at once. For how long it ran, the worker does not know."""
        task_revoked.send(sender=worker.tasks["app.ok"], request=None, terminated=True, signum=15, expired=False)

        assert log_output.one("task_revoked")["task.name"] == "app.ok"
        (point,) = durations_of(traced)
        assert (point.count, point.attributes["outcome"]) == (1, "revoked")


def test_a_failure_without_an_exception_is_one(traced: Traced, app: Celery) -> None:
    """celery-batches sends the two signals of an execution alone, and no exception with them."""
    task = app.tasks["app.ok"]
    task.request_stack.push(Context())
    task_prerun.send(sender=task, task_id="b-1", task=task, args=([],), kwargs={})
    task_postrun.send(sender=task, task_id="b-1", task=task, args=([],), kwargs={}, retval=None, state="FAILURE")
    task.request_stack.pop()
    (span,) = spans_of(traced, "run/")
    assert (span.status, span.description) == ("ERROR", "no exception was given")


class TestFaultsOfThePlainOne:
    @PLAIN_FAILS
    def test_a_task_that_this_process_does_not_know(self, traced: Traced, instrumentation: str, app: Celery) -> None:
        """Its span lasts until the broker has the message, and the message carries it."""
        sent_at: list[float] = []

        def sending(**_: Any) -> None:
            gc.collect()
            sent_at.append(time.time())

        # Ours is a receiver too, and comes first.
        before_task_publish.connect(sending)
        app.send_task("somewhere.else")

        (publish,) = spans_of(traced, "apply_async/")
        (headers,) = messages(app)
        assert headers["traceparent"].split("-")[2] == publish.span_id
        assert publish.end >= sent_at[0]

    @PLAIN_FAILS
    def test_a_publish_that_raises(self, traced: Traced, instrumentation: str, app: Celery) -> None:
        """Leaves nothing current, and its span ends as an error with what comes next."""
        found = trace.get_current_span()
        with pytest.raises(OperationalError):
            app.tasks["app.ok"].apply_async(
                connection=Connection("redis://127.0.0.1:1", transport_options={"max_retries": 0}), retry=False
            )
        assert trace.get_current_span() is found
        app.tasks["app.ok"].delay()

        first, second = sorted(spans_of(traced, "apply_async/"), key=lambda span: span.start)
        assert (first.status, second.status) == ("ERROR", "UNSET")
        assert second.parent_id != first.span_id

    @PLAIN_FAILS
    def test_an_exception_that_the_task_declares(self, traced: Traced, instrumentation: str, worker: Celery) -> None:
        """``throws`` is what it is there for: no error."""
        run(worker, "app.expected")

        (execution,) = spans_of(traced, "run/")
        assert (execution.status, execution.events) == ("UNSET", [])

    @PLAIN_FAILS
    def test_an_eager_task_whose_exception_propagates(self, traced: Traced, instrumentation: str, app: Celery) -> None:
        """Is an error with its exception, as in a worker."""
        with pytest.raises(RuntimeError):
            app.tasks["app.fail"].apply(throw=True)

        (execution,) = spans_of(traced, "run/")
        assert execution.status == "ERROR"
        assert [event["exception.message"] for _, event in execution.events] == ["no mana"]

    @PLAIN_FAILS
    def test_queues_and_exchanges_as_options(
        self, traced: Traced, instrumentation: str, app: Celery, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Are attributes by their names, without a warning."""
        app.tasks["app.ok"].apply_async(exchange=Exchange("dire", type="topic"), routing_key="radiant")

        assert "Invalid type" not in caplog.text
        (publish,) = spans_of(traced, "apply_async/")
        assert publish.attributes["celery.exchange"] == "dire"

    @PLAIN_FAILS
    def test_a_task_that_its_worker_ends(self, traced: Traced, instrumentation: str, app: Celery) -> None:
        """By a hard limit, which is a SystemExit in the task: an error."""
        with pytest.raises(SystemExit):
            app.tasks["app.exit"].apply()

        (execution,) = spans_of(traced, "run/")
        assert execution.status == "ERROR"


def test_what_a_child_has_not_sent_is_sent_when_it_ends(traced: Traced, worker: Celery) -> None:
    """By ``worker_process_shutdown``, the only hook that runs there."""
    run(worker, "app.ok")
    assert not traced.collector.spans
    worker_process_shutdown.send(sender=None)

    assert {span.name for span in traced.collector.spans} == {"apply_async/app.ok", "run/app.ok"}


def test_somebody_elses_instrumentation_is_left_alone(traced: Traced, worker: Celery) -> None:
    """Where Celery's instrumentation is on already, no task has two spans."""
    CeleryInstrumentor().instrument()
    try:
        run(worker, "app.ok")
    finally:
        CeleryInstrumentor().uninstrument()

    spans = traced.flushed().spans
    assert sorted(span.name for span in spans) == ["apply_async/app.ok", "run/app.ok"]
    assert "request.id" in spans[-1].attributes
    assert [point.name for point in traced.collector.points if point.name.startswith("dtx.task.duration")]
