"""The command line. What a command needs is imported once it is known which: ``--help`` is to answer at once."""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any

from ..errors import install_command
from .errors import UsageError

__all__ = ["main", "split_words"]

_DESCRIPTION = "Shows the JSON lines of dtx_telemetry as the lives of requests, tasks and connections."
_EXAMPLES = """\
For example:
  dtx-telemetry list user.id=42 *.log      what user 42 did, with ids for trace
  dtx-telemetry trace ID *.log             what happened, and where the time went
  dtx-telemetry slow --since 14:03 *.log   what takes long, and how often it is
  dtx-telemetry errors --sort first *.log  what failed first, and where
  dtx-telemetry page --open *.log          all of that in the browser, live
  dtx-telemetry run --open -- python manage.py runserver

dtx-telemetry COMMAND --help has the options, and how to choose lines.
"""
_WORDS = """\
FILE is a path, a pattern such as 'logs/*.gz', or - for standard input, which is also read if no FILE is given. It may be
packed (gzip, bz2, xz, zstd), and its lines may stand in whatever Docker, Kubernetes, journald and cloud platforms put around
them.

FILTER is a word that has to be found in a line, or asks for a field: key=value (* stands for anything), key!=value (another
value), key>1, key>=500ms, key<2s, key<=1, key~regex; a - before one means not. All of them have to hold. For example:
user.id=42, order.id=7, task.name~charge, 'duration_ms>1s', 'level>=warning', -event=ws_*, 'timestamp>=10m', Invoker. A row of
`list` is wanted if its lines together meet them.
"""
_RUNNING = """\
For example: dtx-telemetry run --open -- python manage.py runserver -- celery -A site worker

Each COMMAND gets LOG_FORMAT=json and, at a terminal, a terminal of its own; what is typed goes to the first one. Ctrl-C ends
all of them, other signals are passed on. The exit code is that of the first that fails. A command with a -- in it: sh -c '...'.
FILTER chooses the lines that count on the page; all are shown here.
"""
_LEVELS = ("debug", "info", "warning", "error", "critical")
_SORTS = ("start", "duration", "queue", "queries", "database")
_FILTERS = ("level", "logger", "event", "since", "until")
#: Packages of the extra `viewer` that commands need.
_RICH, _SERVER = ("rich",), ("starlette", "uvicorn")
_INTERRUPTED = 130
#: A filter that begins with a minus would be taken for an option.
_NEGATED = re.compile(r"-[A-Za-z_@][\w.@-]*(=|!=|>|<|~).*", re.DOTALL)
#: A word that can only be meant as a file.
_FILE_LIKE = re.compile(r".*[/*?\[].*|.*\.(log|jsonl?|ndjson|txt|out|err|gz|bz2|xz|zst|zip)(\.\d+)?", re.IGNORECASE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that *arguments* name, those of the process if ``None``, and return the exit code.

    That is 0, 1 if nothing was found, or 2 for wrong usage and what cannot be read.
    """
    # If the shell has closed them.
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115, PTH123
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    try:
        code = _run(**vars(options))
        sys.stdout.flush()
    except UsageError as error:
        from ..rendering.terminal import printable

        sys.stderr.write(f"dtx-telemetry: {printable(str(error))}\n")
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


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    words = list(arguments)
    end = words.index("--") if words[:1] == ["run"] and "--" in words else len(words)  # what comes then is for others to parse
    negated = [word for word in words[:end] if _NEGATED.fullmatch(word)]
    parser = _parser()
    options, rest = parser.parse_known_args([word for word in words[:end] if word not in negated])
    unknown = [word for word in rest if word.startswith("-") and word not in ("-", "--")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    # What stands after an option, argparse does not count to the words before it.
    options.words += [word for word in rest if word != "--"] + negated
    options.commands = words[end:]
    return options


class _Help(argparse.HelpFormatter):
    """Fills each paragraph of a text by itself, and leaves one alone that has a list in it."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        parts = text.rstrip().split("\n\n")
        return "\n\n".join(part if "\n  " in part else fill(part, width, indent) for part in parts) + "\n"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dtx-telemetry", description=_DESCRIPTION, epilog=_EXAMPLES, formatter_class=_Help)
    parser.add_argument("--version", action=_Version, nargs=0, default=argparse.SUPPRESS, help="print the version")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    _add(commands, "pretty", "show lines in the development format, of several files in the order of their times")
    listing = _add(commands, "list", "show one row for each request, task, connection, operation and command", _RICH)
    listing.add_argument("--sort", choices=_SORTS, default="start", help="the latest, or the largest, first")
    listing.add_argument("--limit", type=_number_of_rows, default=50, metavar="N", help="how many rows at most; 50 by default")
    trace = _add(commands, "trace", "show one request's life as a waterfall", _RICH)
    slow = _add(commands, "slow", "show the slowest by route, task, consumer and operation", _RICH)
    slow.add_argument("--by", default="", metavar="FIELD", help="group by this as well, for example service")
    errors = _add(commands, "errors", "show errors by type and place, each failure once", _RICH)
    orders, about = ("count", "first", "last"), "the most frequent, the earliest or the latest first"
    errors.add_argument("--sort", choices=orders, default="count", help=about)
    shown = trace.add_mutually_exclusive_group()
    shown.add_argument("--lines", action="store_true", help="show the lines of each scope too")
    shown.add_argument("--html", metavar="FILE", help="write a self-contained page")
    for command in (listing, shown, slow, errors):
        command.add_argument("--json", action="store_true", dest="as_json", help="print it for programs")
    page = _add(commands, "page", "show what comes in on a live page, on this machine alone", _SERVER)
    running = _add(commands, "run", "run commands, show their lines as `pretty` does, and serve the live page of them", _SERVER)
    for command in (page, running):
        command.add_argument("--port", type=int, default=0, help="where the page listens; by default a port that is free")
        command.add_argument("--open", action="store_true", dest="show", help="open the page in the browser")
    running.usage = "%(prog)s [options] [FILTER ...] -- COMMAND... [-- COMMAND...]"
    running.epilog = _RUNNING
    running.add_argument("--stay", action="store_true", help="keep the page when the commands have ended, until Ctrl-C")
    dashboards = _add_plain(commands, "dashboards", "write Grafana dashboards and Prometheus alert rules into a folder")
    dashboards.add_argument("folder", nargs="?", default="dtx-dashboards", metavar="FOLDER", help="where to; dtx-dashboards")
    dashboards.add_argument("--overwrite", action="store_true", help="replace files that were changed")
    docs = _add_plain(commands, "docs", "list the pages of the documentation, or print one")
    docs.add_argument("name", nargs="?", metavar="PAGE", help="its name")
    return parser


def _number_of_rows(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rows")
    return int(text)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"dtx-telemetry {version('dtx_telemetry')}\n")
        parser.exit()


def _add_plain(commands: Any, name: str, text: str, needs: Sequence[str] = ()) -> argparse.ArgumentParser:
    description = f"{text[0].upper()}{text[1:]}."
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=description, formatter_class=_Help)
    parser.set_defaults(needs=needs, words=[])
    return parser


def _add(commands: Any, name: str, text: str, needs: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Add a command that reads lines, and needs the packages *needs*."""
    parser = _add_plain(commands, name, text, needs)
    parser.epilog = _WORDS
    parser.usage = f"%(prog)s [options]{' ID' if name == 'trace' else ''} [FILE | FILTER ...]"
    if name == "trace":
        about = "the id of a request, trace, task or connection (ws.conn_id), or a beginning of one that is unambiguous"
        parser.add_argument("identifier", metavar="ID", help=about)
    parser.add_argument("words", nargs="*", metavar="FILE | FILTER", help=argparse.SUPPRESS)
    filters = parser.add_argument_group("filters")
    filters.add_argument("--level", choices=_LEVELS, help="this level and those above")
    filters.add_argument("--logger", action="append", default=[], metavar="NAME", help="this logger and those below")
    filters.add_argument("--event", action="append", default=[], metavar="NAME", help="this event; * stands for anything")
    filters.add_argument("--since", metavar="TIME", help="ISO 8601, a time of day such as 14:03, or 10m, 2h, 1d ago")
    filters.add_argument("--until", metavar="TIME", help="likewise")
    return parser


def _run(command: str, needs: Sequence[str], **options: Any) -> int:
    """Run a command, whose ``run`` takes what the options that are its own say."""
    words, commands = options.pop("words"), options.pop("commands")
    try:
        for package in needs:
            import_module(package)
        module = import_module(f".commands.{command}", __package__)
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in needs:
            raise
        raise UsageError(f"{command} needs {missing}: {install_command('viewer', *needs)}") from error
    if command in ("dashboards", "docs"):
        if words:
            raise UsageError(f"{command}: {words[0]!r} is one too many")
        return int(module.run(**options))
    query = _query(words, **{name: options.pop(name) for name in _FILTERS})
    if command == "run":
        if query.files:
            raise UsageError(f"{query.files[0]!r}: write -- before the command")
        options["commands"] = module.split_commands(commands)
    return int(module.run(query, **options))


def _query(
    words: Sequence[str],
    *,
    level: str | None,
    logger: Sequence[str],
    event: Sequence[str],
    since: str | None,
    until: str | None,
) -> Any:
    from .query import Query
    from .reading.filters import parse_filters

    files, filters = split_words(words)
    # One option given twice asks for either; so does a pattern.
    either = {"logger=": ",".join(logger) or None, "event=": ",".join(event) or None}
    asked = {"level>=": level, **either, "timestamp>=": since, "timestamp<=": until}
    return Query(files, parse_filters([*filters, *(f"{key}{value}" for key, value in asked.items() if value is not None)]))


def split_words(words: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return which of *words* are files, and which are filters.

    A word is a file if there is one of that name, or if it looks like one.
    """
    from .reading.filters import is_condition
    from .reading.inputs import expand

    files: list[str] = []
    filters: list[str] = []
    for word in words:
        is_there = word == "-" or any(map(os.path.exists, expand(word)))
        is_file = is_there or (not is_condition(word) and _FILE_LIKE.fullmatch(word) is not None)
        (files if is_file else filters).append(word)
    return files, filters
