"""What a line costs, counted in calls and not by a clock: the guard of the benchmark's ratios."""

import gc
import io
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from pathlib import Path
from typing import Any

import pytest
import structlog

from dtx_telemetry.config import Settings
from dtx_telemetry.context import bind_fields
from dtx_telemetry.logging import configure, get_logger
from dtx_telemetry.rendering import sanitizer
from tests.support.pipeline import only_ours

CONTEXT = {"request.id": "0af7651916cd43dd8448eb211c80319c", "user.id": 42, "labels": ["tournament"], "tournament.id": 5}
FIELDS: dict[str, Any] = {"hero": "Invoker", "pick": 12, "duration_ms": 12.34}
log = get_logger("app")


def calls(work: Callable[[], object]) -> int:
    """Return how many Python functions one call of *work* calls, once everything is warm."""
    for _ in range(3):
        work()
    gc.disable()  # what it calls as it clears up after other tests is not the work's
    count = 0

    def profile(frame: Any, event: str, arg: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


@contextmanager
def pipeline(folder: Path) -> Iterator[Path]:
    """Print to a file by ``sys.stdout``, with a request's fields bound and no handler beside ours."""
    path = folder / "out"
    with path.open("w") as stream, bind_fields(**CONTEXT):
        found, sys.stdout = sys.stdout, stream
        try:
            configure(Settings(log_format="json"))
            only_ours()
            yield path
        finally:
            sys.stdout = found


def documented() -> Any:
    """A logger of structlog's documented set-up on stdlib logging."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
        )
    )
    logger = logging.getLogger("documented")
    logger.handlers, logger.propagate = [handler], False
    return structlog.wrap_logger(
        logger,
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    ).bind()


def test_own_line(tmp_path: Path) -> None:
    """A line of ours takes about a quarter of the calls of structlog's documented set-up."""
    peer = documented()
    with pipeline(tmp_path):
        assert calls(lambda: log.info("picked", **FIELDS)) < 0.4 * calls(lambda: peer.info("picked", **FIELDS))


def test_foreign_line(tmp_path: Path) -> None:
    """A line of a third party takes well under the calls of structlog's documented set-up, stdlib's own included."""
    documented()
    foreign, theirs = logging.getLogger("lib"), logging.getLogger("documented.lib")
    with pipeline(tmp_path):
        assert calls(lambda: foreign.info("to %s", "db")) < 0.7 * calls(lambda: theirs.info("to %s", "db"))


def test_disabled_line(tmp_path: Path) -> None:
    """Below the level it takes the question alone."""
    with pipeline(tmp_path):
        assert calls(lambda: log.debug("picked", **FIELDS)) <= 3


def test_context_variables_of_others(tmp_path: Path) -> None:
    """A thousand context variables of other libraries cost nothing for each."""

    def line() -> None:
        log.info("picked", **FIELDS)

    with pipeline(tmp_path):
        empty, full = copy_context(), copy_context()
        full.run(lambda: [ContextVar(f"other{number}").set(number) for number in range(1000)])
        # One more where a process knows so many keys that, in the empty context, walking that is the shorter way.
        assert calls(lambda: full.run(line)) <= calls(lambda: empty.run(line)) + 1


def test_more_fields(tmp_path: Path) -> None:
    """Plain fields cost no call each: their keys and values are looked at together."""
    many = {f"field{number}": number for number in range(50)}
    with pipeline(tmp_path):
        assert calls(lambda: log.info("picked", **many)) == calls(lambda: log.info("picked", **FIELDS))


def test_clean_line_is_not_walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A usual line, its list of labels included, is printed without a walk through its values."""
    monkeypatch.setattr(sanitizer, "_Walk", None)
    with pipeline(tmp_path) as path:
        log.info("picked", **FIELDS, done=True, nothing="")
    assert "telemetry_failed" not in path.read_text()
    assert "picked" in path.read_text()
