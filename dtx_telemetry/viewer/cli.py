"""The command line. What a command needs is imported once it is known which: ``--help`` is to answer at once."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import install_command
from .errors import UsageError

__all__ = ["main"]

_DESCRIPTION = "Shows the JSON lines of dtx_telemetry as the lives of requests, tasks and connections."
_WORDS = """\
FILE is a path, a pattern such as 'logs/*.gz', or - for standard input, which is also read where no FILE is given. Lines may be
in gzip, and as Docker, Kubernetes (also with the pod's name in front) and journald keep them. key=value keeps the lines that
have it, for example user.id=42 or labels=draft; several must all hold.
"""
_LEVELS = ("debug", "info", "warning", "error", "critical")
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* name, those of the process where ``None``, and return the exit code.

    That is 0, 1 where nothing was found, or 2 for wrong usage and what cannot be read.
    """
    # Where the shell has closed them.
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115, PTH123
    options = _parse(arguments)
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except UsageError as error:
        sys.stderr.write(f"dtx-telemetry: {error}\n")
        return 2
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # nobody reads any more
        _let_go()
        return 0
    except OSError as error:  # as a rule, there is no room for what is written
        sys.stderr.write(f"dtx-telemetry: {error.strerror or error}\n")
        _let_go()
        return 2
    return code


def _let_go() -> None:
    """Have what is still in the buffer of stdout not fail again at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    unknown = [word for word in rest if word.startswith("-") and word != "-"]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    options.words += rest  # what stands after an option, argparse does not count to the words before it
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dtx-telemetry", description=_DESCRIPTION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add(commands, "pretty", _pretty, "show lines in the development format, as they come")
    trace = _add(commands, "trace", _trace, "show one request's life as a waterfall")
    shown = trace.add_mutually_exclusive_group()
    shown.add_argument("--lines", action="store_true", help="show the lines of each scope too")
    shown.add_argument("--html", metavar="FILE", help="write a self-contained page")
    shown.add_argument("--json", action="store_true", help="print it for programs")
    for name, run, text in (
        ("slow", _slow, "show the slowest by route, task, consumer and operation"),
        ("errors", _errors, "show errors by type and place"),
    ):
        _add(commands, name, run, text).add_argument("--json", action="store_true", help="print it for programs")
    page = _add(commands, "page", _page, "show what comes in on a live page, on this machine alone")
    page.add_argument("--port", type=int, default=0, help="where to listen; by default a port that is free")
    page.add_argument("--open", action="store_true", help="open the page in the browser")
    _add_dashboards(commands)
    return parser


def _add(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        epilog=_WORDS,
        usage=f"%(prog)s [options]{' ID' if name == 'trace' else ''} [FILE | key=value ...]",
    )
    parser.set_defaults(run=run)
    if name == "trace":
        parser.add_argument("id", metavar="ID", help="a request id or trace id, or a beginning of one that is unambiguous")
    parser.add_argument("words", nargs="*", metavar="FILE | key=value", help=argparse.SUPPRESS)
    filters = parser.add_argument_group("filters")
    filters.add_argument("--level", choices=_LEVELS, help="this level and those above")
    filters.add_argument("--logger", action="append", default=[], metavar="NAME", help="this logger and those below")
    filters.add_argument("--event", action="append", default=[], metavar="NAME", help="this event; * stands for anything")
    filters.add_argument("--since", metavar="TIME", help="ISO 8601, or 10m, 2h, 1d ago")
    filters.add_argument("--until", metavar="TIME", help="likewise")
    return parser


def _add_dashboards(commands: Any) -> None:
    text = "write Grafana dashboards and Prometheus alert rules into a folder"
    parser: argparse.ArgumentParser = commands.add_parser("dashboards", help=text, description=f"{text.capitalize()}.")
    parser.set_defaults(run=_dashboards)
    parser.add_argument("folder", nargs="?", default="dtx-dashboards", metavar="FOLDER", help="where to; dtx-dashboards")
    parser.add_argument("words", nargs="*", help=argparse.SUPPRESS)
    parser.add_argument("--overwrite", action="store_true", help="replace files that were changed")


def _query(options: argparse.Namespace) -> Any:
    from .query import Query
    from .reading.filters import Filters, parse_moment, split_pairs

    files, pairs = split_pairs(options.words)
    since, until = (None if text is None else parse_moment(text) for text in (options.since, options.until))
    return Query(files, Filters(options.level, tuple(options.logger), tuple(options.event), since, until, tuple(pairs)))


def _pretty(options: argparse.Namespace) -> int:
    from .commands import pretty

    return pretty.run(_query(options))


def _trace(options: argparse.Namespace) -> int:
    _need_rich("trace")
    from .commands import trace

    return trace.run(_query(options), options.id, lines=options.lines, html=options.html, as_json=options.json)


def _slow(options: argparse.Namespace) -> int:
    _need_rich("slow")
    from .commands import slow

    return slow.run(_query(options), as_json=options.json)


def _errors(options: argparse.Namespace) -> int:
    _need_rich("errors")
    from .commands import errors

    return errors.run(_query(options), as_json=options.json)


def _page(options: argparse.Namespace) -> int:
    try:
        from .commands import page
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("starlette", "uvicorn"):
            raise
        raise UsageError(f"page needs {missing}: {install_command('viewer', 'starlette', 'uvicorn')}") from error
    return page.run(_query(options), port=options.port, show=options.open)


def _dashboards(options: argparse.Namespace) -> int:
    from pathlib import Path

    from .commands import dashboards

    if options.words:
        raise UsageError(f"dashboards writes into one folder: {options.words[0]!r} is one too many")
    return dashboards.run(Path(options.folder), overwrite=options.overwrite)


def _need_rich(command: str) -> None:
    try:
        import rich  # noqa: F401
    except ImportError as error:
        raise UsageError(f"{command} needs rich: {install_command('viewer', 'rich')}") from error
