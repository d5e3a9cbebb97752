"""One log line as JSON: ours, structlog's documented set-up on stdlib logging, python-json-logger, loguru.

Each line bears the four fields of a request and three of its own.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import structlog

from dtx_telemetry.config import Settings
from dtx_telemetry.logging import configure, get_logger

from .harness import Comparison, Subject, compare, times

CONTEXT = {
    "request.id": "0af7651916cd43dd8448eb211c80319c",
    "user.id": 42,
    "labels": ["tournament", "draft"],
    "tournament.id": 5,
}
FIELDS: dict[str, Any] = {"hero": "Invoker", "pick": 12, "duration_ms": 12.34}
SECRETS = {
    "none": {"hero": "Invoker"},
    "a key": {"token": "Invoker"},
    "a dict": {"data": {"token": "Invoker"}},
    "a URL": {"url": "https://host/path?token=Invoker"},
}
#: A statement as the ORM writes it, 326 characters.
STATEMENT = (
    'SELECT "shop_order"."id", "shop_order"."created_at", "shop_order"."customer_id", "shop_order"."status", '
    '"shop_order"."total", "shop_customer"."name" FROM "shop_order" INNER JOIN "shop_customer" '
    'ON ("shop_order"."customer_id" = "shop_customer"."id") '
    'WHERE ("shop_order"."id" = %s AND "shop_order"."status" IN (%s, %s)) LIMIT 21'
)
TEXTS = {
    "none": {"hero": "Invoker"},
    "a statement": {"text": STATEMENT},
    "words": {"text": "a plain text of many words " * 12},
    "JSON": {"text": '{"name": "x", "more": {"x": ["y"]}} ' * 9},
    "logfmt": {"text": "key=value other=thing " * 15},
}
Work = Callable[[], object]


def comparisons(rounds: int) -> Iterator[Comparison]:
    """Yield the tables of this module."""
    for title, kind in (
        ("log line as JSON, 4 fields bound, 3 of its own", "own"),
        ("stdlib line of a third party as JSON, 4 fields bound", "foreign"),
        ("log line below the level", "disabled"),
    ):
        names = {
            "dtx_telemetry": "ours",
            "structlog": "peer_structlog",
            "python-json-logger": "peer_json_logger",
            "loguru": "peer_loguru",
        }
        if kind == "foreign":
            del names["loguru"]  # it prints no line of stdlib's by itself
        yield compare(title, [Subject(name, f"{__name__}:{maker}", (kind,)) for name, maker in names.items()], rounds=rounds)
    yield _growth("log line: growth with bound fields", "among_fields", ("0", "10", "100"), rounds)
    yield _growth("log line: growth with context variables of others", "among_variables", ("0", "100", "10000"), rounds)
    yield compare(
        "log line: a text of 320 characters in it",
        [Subject(name, f"{__name__}:with_text", (name,)) for name in TEXTS],
        {},
        rounds=rounds,
    )
    yield compare(
        "log line: secrets in it", [Subject(name, f"{__name__}:with_secret", (name,)) for name in SECRETS], {}, rounds=rounds
    )


def _growth(title: str, function: str, sizes: tuple[str, ...], rounds: int) -> Comparison:
    subjects = [Subject(size, f"{__name__}:{function}", (size,)) for size in sizes]
    return compare(title, subjects, {f"{sizes[-1]} to {sizes[0]}": times(sizes[-1], sizes[0])}, rounds=rounds)


def ours(kind: str) -> Work:
    """Our pipeline."""
    configure(Settings(log_format="json"))
    structlog.contextvars.bind_contextvars(**CONTEXT)
    return _work(kind, get_logger("app"))


def peer_structlog(kind: str) -> Work:
    """structlog's documentation, "Rendering using structlog-based formatters within logging": JSON, with the context."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared[:3], structlog.stdlib.ExtraAdder(), *shared[4:]],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.JSONRenderer()],
    )
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    _log_with(formatter)
    structlog.contextvars.bind_contextvars(**CONTEXT)
    return _work(kind, structlog.get_logger("app"))


def peer_json_logger(kind: str) -> Work:
    """python-json-logger, which is handed the context with each line."""
    from pythonjsonlogger.json import JsonFormatter

    _log_with(JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logger = logging.getLogger("app")
    return {
        "own": lambda: logger.info("picked", extra={**CONTEXT, **FIELDS}),
        "foreign": lambda: logger.info("connected to %s", "db", extra=CONTEXT),
        "disabled": lambda: logger.debug("picked", extra={**CONTEXT, **FIELDS}),
    }[kind]


def peer_loguru(kind: str) -> Work:
    """Loguru with serialize=True."""
    from loguru import logger

    logger.remove()
    logger.add(sys.stdout, serialize=True, level="INFO")
    return _work(kind, logger.bind(**CONTEXT))


def among_fields(count: str) -> Work:
    """Our line where so many fields more are bound."""
    structlog.contextvars.bind_contextvars(**{f"field{number}": number for number in range(int(count))})
    return ours("own")


def among_variables(count: str) -> Work:
    """Our line where other libraries hold so many context variables."""
    for number in range(int(count)):
        ContextVar(f"other{number}").set(number)
    return ours("own")


def with_secret(kind: str) -> Work:
    """Our line with a secret that has to be found and replaced."""
    ours("own")
    logger, fields = get_logger("app"), SECRETS[kind]
    return lambda: logger.info("picked", **fields)


def with_text(kind: str) -> Work:
    """Our line with a long text that has no secret in it."""
    ours("own")
    logger, fields = get_logger("app"), TEXTS[kind]
    return lambda: logger.info("picked", **fields)


def _work(kind: str, logger: Any) -> Work:
    foreign = logging.getLogger("lib")
    return {
        "own": lambda: logger.info("picked", **FIELDS),
        "foreign": lambda: foreign.info("connected to %s", "db"),
        "disabled": lambda: logger.debug("picked", **FIELDS),
    }[kind]


def _log_with(formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=logging.INFO)
