"""What people ask their logs, and that what was not read is never good news."""

import json
import os
import resource
from pathlib import Path

import pytest

from dtx_telemetry.viewer.cli import main
from dtx_telemetry.viewer.model.durations import Spread
from dtx_telemetry.viewer.model.failures import Failures
from dtx_telemetry.viewer.model.strip import Strip
from dtx_telemetry.viewer.reading.unwrap import Unwrapper
from tests.support.viewer import CLICK, as_bytes, line

BOUND = {"user__id": 42, "labels": ["draft"], "draft__id": 12}
REQUEST = {"http__method": "POST", "http__route": "/api/draft/12/"}
TRACEBACK = 'Traceback (most recent call last):\n  File "/app/views.py", line 7, in post\n    x\nValueError: no hero'


def own(milliseconds, event, scope="5c09e001", **fields):
    return line(milliseconds, event, scope__id=scope, **{**BOUND, **fields})


def task(milliseconds, event, scope, **fields):
    return own(milliseconds, event, scope, scope__cause="5c09e001", task__id="task-1", task__name="app.announce", **fields)


LINES = [
    own(20, "draft_pick_made", hero="Invoker", order__id=7),
    own(100, "request_completed", **REQUEST, http__status_code=202, duration_ms=100, db__query_count=31, db__duration_ms=84),
    task(120, "task_started", "5c09e002", task__retries=0, task__queue_ms=70),
    task(150, "task_started", "5c09e003", task__retries=0, task__queue_ms=100),
    task(180, "task_failed", "5c09e004", level="error", error="WorkerLostError: signal 9"),
    task(200, "task_completed", "5c09e003", duration_ms=50),
    own(250, "ws_connected", "5c09e005", request_id="socket-1", ws__conn_id="conn-1", ws__consumer="Draft", http__route="/ws/"),
    own(260, "shown", "5c09e006", scope__cause="5c09e003", ws__conn_id="conn-1"),
    own(
        300,
        "request_completed",
        "5c09e007",
        request_id="other",
        **{**REQUEST, "user__id": 7},
        http__status_code=404,
        duration_ms=5,
        level="warning",
    ),
]


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "lines.json"
    path.write_bytes(as_bytes(LINES))
    return str(path)


@pytest.fixture
def run(capfd):
    """Run a command; return its exit code, what it printed, and what it said on stderr."""

    def run_command(*arguments):
        code = main([str(argument) for argument in arguments])
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return run_command


def rows(printed):
    return [(row["kind"], row["name"], row["status"]) for row in json.loads(printed)]


def test_list(run, file):
    """One row for each, the latest first; a report about a task that was killed ends its execution."""
    code, printed, said = run("list", file, "--json")
    assert (code, said) == (0, "")
    assert rows(printed) == [
        ("request", "POST /api/draft/12/", "404"),
        ("connection", "/ws/ Draft", "running"),
        ("task", "app.announce", "failed"),
        ("task", "app.announce", "completed"),
        ("request", "POST /api/draft/12/", "202"),
    ]
    first, last = json.loads(printed)[0], json.loads(printed)[-1]
    assert last["start"] == "2026-01-15T10:23:45.000000Z"
    assert (last["duration_ms"], last["queries"], last["database_ms"]) == (100, 31, 84)
    assert (first["user.id"], first["request.id"]) == (7, "other")
    _, table, _ = run("list", file)
    assert [word for word in ("POST /api/draft/12/", "100.0 ms", "31", "other", "app.announce") if word not in table] == []


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--sort", "duration", "--limit", "2"], ["POST /api/draft/12/", "app.announce"]),
        (["--sort", "queue", "--limit", "1"], ["app.announce"]),
        (["--sort", "queries", "--limit", "1"], ["POST /api/draft/12/"]),
        (["user.id=7"], ["POST /api/draft/12/"]),
        (["order.id=7"], ["POST /api/draft/12/"]),
        (["order.id=7", "duration_ms>1s"], []),
        (["task.name~announce", "-error=WorkerLost*"], ["app.announce"]),
        (["event=ws_*"], ["/ws/ Draft"]),
        (["Invoker"], ["POST /api/draft/12/"]),
    ],
)
def test_rows_that_are_asked_for(run, file, words, names):
    """A row is wanted if its lines together meet the filters."""
    code, printed, _ = run("list", file, "--json", *words)
    assert [row["name"] for row in json.loads(printed)] == names
    assert code == (0 if names else 1)


def test_how_many_rows_there_are(run, file):
    """Those that are not shown are counted."""
    assert "2 of 5 rows; --limit shows more" in run("list", file, "--limit", "2")[1]


@pytest.mark.parametrize(
    ("identifier", "shown", "unseen"),
    [
        ("task-1", ["POST /api/draft/12/ 202", "task app.announce failed", "delivery 2"], ["connection"]),
        ("conn-1", ["connection /ws/ Draft", "message shown"], ["task app"]),
        ("socket-1", ["connection /ws/ Draft"], ["message"]),
        ("5c09", [], ["connection"]),
    ],
)
def test_a_life_by_any_id(run, file, identifier, shown, unseen):
    """Of a task, of a connection; why it ran twice is seen."""
    code, printed, _ = run("trace", identifier, file)
    assert [word for word in shown if word not in printed] == []
    assert [word for word in unseen if word in printed] == []
    assert code == (0 if shown else 1)


def test_where_the_time_went(run, tmp_path):
    """Queue, database, each query that a line tells of, and a statement that was asked again and again."""
    path = tmp_path / "lines.json"
    asked = {"db__query_count": 31, "db__duration_ms": 84, "db__repeat_count": 28, "db__repeated_query": "SELECT x"}
    path.write_bytes(
        as_bytes(
            [
                own(60, "db_queried", duration_ms=20, level="debug", db__query__text="SELECT x"),
                own(100, "request_completed", **REQUEST, http__status_code=200, duration_ms=100, **asked),
            ]
        )
    )
    _, printed, _ = run("trace", CLICK, path)
    assert "31 queries · 84.0 ms" in printed
    assert "the same statement 28 times: SELECT x" in printed
    assert "┿" in printed
    _, table, _ = run("slow", path)
    assert "queries" in table
    assert "84.0 ms" in table


def test_a_long_statement_is_cut_in_its_middle(run, tmp_path):
    """Its table and its condition are seen. The columns between them say little."""
    statement = f"SELECT {', '.join(f'''picks.column{number}''' for number in range(40))} FROM picks WHERE picks.draft_id = %s"
    asked = {"db__query_count": 31, "db__repeat_count": 28, "db__repeated_query": statement}
    path = tmp_path / "lines.json"
    path.write_bytes(as_bytes([own(100, "request_completed", **REQUEST, http__status_code=200, duration_ms=100, **asked)]))
    _, printed, _ = run("trace", CLICK, path)
    (line,) = [line for line in printed.splitlines() if "the same statement" in line]
    assert "28 times: SELECT picks.col" in line
    assert line.endswith("WHERE picks.draft_id = %s")


def failures(*lines):
    found = Failures()
    for each in Unwrapper().read(as_bytes(lines).split(b"\n")):
        found.take(each)
    return [(group.type, group.place, group.count, group.statement) for group in found.groups("first")]


LOGGED = own(10, "broke", level="error", logger="app", error="ValueError: no hero")
FAILED = own(20, "request_failed", level="error", error="ValueError: no hero", exception=TRACEBACK, **REQUEST)
EAGER = own(5, "task_failed", "5c09e00a", level="error", error="ValueError: no hero", exception=TRACEBACK, task__id="t")
STATUS = own(30, "request_completed", level="error", http__status_code=500, **REQUEST)
DENIED = own(25, "payment_denied", level="error", logger="app")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([LOGGED, FAILED], [("ValueError", "/app/views.py:7 in post", 1, None)]),
        ([FAILED, LOGGED], [("ValueError", "/app/views.py:7 in post", 1, None)]),
        ([EAGER, {**FAILED, "exception": None}], [("ValueError", "/app/views.py:7 in post", 1, None)]),
        ([DENIED, STATUS], [("payment_denied", "app", 1, None)]),
        ([STATUS, DENIED], [("payment_denied", "app", 1, None)]),
        ([DENIED, {**DENIED, "timestamp": "2026-01-15T10:23:46.000000Z"}, STATUS], [("payment_denied", "app", 2, None)]),
        ([STATUS], [("HTTP 500", "POST /api/draft/{id}/", 1, None)]),
        ([EAGER, {**EAGER, "scope.id": "5c09e00b"}], [("ValueError", "/app/views.py:7 in post", 2, None)]),
        (
            [own(1, "db_queried", level="debug", error="IntegrityError", db__query__text="INSERT x"), FAILED],
            [("ValueError", "/app/views.py:7 in post", 1, "INSERT x")],
        ),
    ],
)
def test_one_failure_is_told_once(lines, expected):
    """Whichever events tell of it, in whichever order; tasks that fail alike are several. A statement that failed is named."""
    assert failures(*lines) == expected


def test_what_failed_first(run, tmp_path):
    """And what is new since a time."""
    path = tmp_path / "lines.json"
    kinds = [(5000, "Late"), (10, "Early"), (6000, "Late")]
    path.write_bytes(as_bytes([line(at, "x", f"r-{at}", level="error", error=f"{kind}: x") for at, kind in kinds]))
    assert [group["type"] for group in json.loads(run("errors", path, "--json")[1])] == ["Late", "Early"]
    first = json.loads(run("errors", path, "--json", "--sort", "first")[1])
    assert [(group["type"], group["first_id"], group["last_id"]) for group in first] == [
        ("Early", "r-10", "r-10"),
        ("Late", "r-5000", "r-6000"),
    ]
    since = json.loads(run("errors", path, "--json", "--since", "2026-01-15T10:23:50Z")[1])
    assert [group["type"] for group in since] == ["Late"]
    assert "first failure at" in run("errors", path)[1]


def test_when_it_began():
    """Counts over time, the coarser the longer the time is."""
    strip = Strip()
    for second in range(120):
        strip.take(f"2026-01-15T10:{second // 60:02}:{second % 60:02}.000000Z", failed=second >= 90)
    strip.take("2026-01-15T12:01:59+02:00", failed=False)
    bins = strip.bins(4)
    assert (bins.width, bins.counts) == (30, [(30, 0), (30, 0), (30, 0), (31, 30)])
    for hour in range(30_000):
        strip.take(
            f"{2026 + hour // 8000}-{hour // 700 % 12 + 1:02}-{hour // 24 % 28 + 1:02}T{hour % 24:02}:{hour % 60:02}:00Z",
            failed=True,
        )
    assert sum(total for total, _ in strip.bins(50).counts) == 30_121
    assert Strip().bins(5) is None


def test_percentiles_in_bounded_memory():
    """They are exact for as many different durations as a service has as a rule, and within a hundredth for any number."""
    few, many = Spread(), Spread()
    for number in range(1, 1001):
        few.take(number / 10)
    assert few.percentiles((0.5, 0.95, 0.99, 1.0)) == [50.0, 95.0, 99.0, 100.0]
    assert (few.total(), Spread().percentiles((0.5,))) == (1000, [None])
    for number in range(200_000):
        many.take(number / 7)
    assert many.total() == 200_000
    assert many.percentiles((0.1, 0.5, 1.0)) == pytest.approx([20_000 / 7, 100_000 / 7, 200_000 / 7], rel=0.01)
    assert len(many._counts) <= 10_000


def test_these_two_hosts(run, tmp_path):
    """``slow --by service``: what a platform names, or any other field."""
    path = tmp_path / "lines.json"
    wrapped = [
        {
            "log": as_bytes([own(n, "request_completed", f"s{n}", **REQUEST, duration_ms=n + 1)]).decode(),
            "kubernetes": {"pod_name": f"web-{n % 2}"},
        }
        for n in range(10)
    ]
    path.write_bytes(as_bytes(wrapped))
    for by in ("service", "pod"):
        found = {row["by"]: row["max_ms"] for row in json.loads(run("slow", path, "--by", by, "--json")[1])}
        assert found == {"web-0": 9, "web-1": 10}


def test_files_are_merged_by_time_and_named(run, tmp_path):
    """``pretty`` shows which file a line is of, foreign text at its place; one file has no name before its lines."""
    (tmp_path / "web.log").write_bytes(as_bytes(LINES[:2] + LINES[-1:]))
    (tmp_path / "worker.log").write_bytes(b"Booting\n" + as_bytes(LINES[2:4]))
    _, printed, _ = run("pretty", tmp_path / "web.log", tmp_path / "worker.log")
    shown = [(each.split(" | ")[0], each.split("] ")[1].split(" ")[0]) for each in printed.splitlines() if "|" in each]
    assert shown == [
        ("web.log", "draft_pick_made"),
        ("web.log", "request_completed"),
        ("worker.log", "task_started"),
        ("worker.log", "task_started"),
        ("web.log", "request_completed"),
    ]
    assert printed.startswith("Booting\n")
    assert "|" not in run("pretty", tmp_path / "web.log")[1]
    assert "@worker.log" in run("trace", CLICK, tmp_path / "web.log", tmp_path / "worker.log")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["trace", CLICK, "--since", "2026-01-15T11:00:00Z"], "lines have an id that begins with"),
        (["pretty", "http.status_code>500"], "no line fits http.status_code>500"),
        (["errors", "user.id=7"], "none of 9 lines is of level error or critical, apart from 1 that user.id=7 left out"),
        (["slow", "--until", "2020-01-01"], "that timestamp<=2020-01-01 left out"),
        (["list", "user.id=99"], "that fits user.id=99"),
    ],
)
def test_what_filters_left_out_is_said(run, file, arguments, said):
    """Exit code 1."""
    code, printed, err = run(*arguments, file)
    assert (code, printed) == (1, "")
    assert said in err


def test_foreign_lines_that_a_filter_leaves_out_are_counted(run, tmp_path):
    """They have no fields, so nobody knows whether they are what is asked for."""
    (tmp_path / "web.log").write_bytes(as_bytes(LINES))
    (tmp_path / "worker.log").write_bytes(run("pretty", tmp_path / "web.log")[1].encode())
    foreign = "9 lines left out, which have no fields: these lines are `pretty`: set LOG_FORMAT=json"
    assert foreign in run("pretty", "user.id=42", f"{tmp_path}/*.log")[2]
    assert run("pretty", "user.id=99", f"{tmp_path}/w*.log")[2] == f"dtx-telemetry: no line fits user.id=99; {foreign}\n"


@pytest.mark.parametrize(
    "around", ["{}", "web-1  | {}", "2026-01-15T10:23:45.1Z stdout F {}", '{{"log":"{}","stream":"stdout"}}']
)
def test_pretty_lines_are_known_whatever_is_around_them(run, file, tmp_path, around):
    """A name before each, as of several files or containers."""
    path = tmp_path / "pretty.log"
    path.write_text("".join(f"{around.format(each)}\n" for each in run("pretty", file)[1].splitlines()))
    code, _, said = run("errors", path)
    assert (code, "these lines are `pretty`: set LOG_FORMAT=json" in said) == (2, True)


def test_a_word_is_taken_for_what_it_is(run, file, monkeypatch):
    """A file's name where an ID should be, and a filter that was meant to be a file."""
    assert f"{file} is a file: write an ID before it" in run("trace", file)[2]
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert "no lines; taken for a filter, since there is no such file: weblog" in run("errors", "weblog")[2]


def test_lines_of_other_libraries_before_one_moves_over(run, tmp_path):
    """No command that shows scopes says that there is nothing, and ``trace`` shows the lines: there is no more."""
    path = tmp_path / "lines.json"
    others = {"logger": "django_structlog.middlewares.request", "level": "info", "request_id": "r-1", "user_id": 42}
    stamps = ("2026-01-15T10:23:45.1Z", "2026-01-15T10:23:45.2Z")
    path.write_bytes(as_bytes([{"event": "request_finished", "timestamp": stamp, **others} for stamp in stamps]))
    for command in ("list", "slow"):
        assert "lines of other libraries are shown by pretty, errors and trace" in run(command, path)[2]
    assert run("trace", "r-1", path)[1].count("request_finished") == 2


def test_foreign_lines_are_counted(run, tmp_path):
    """Also if the ones that are asked for are found."""
    path = tmp_path / "lines.json"
    path.write_bytes(as_bytes(LINES[:5]) + b"Traceback\n  x\nKeyError\n" + as_bytes(LINES[5:]))
    for command in ("errors", "slow", "list"):
        code, _, said = run(command, path)
        assert code == 0
        assert "3 of 12 lines passed over" in said


def test_errors_of_other_libraries_among_ours(run, tmp_path):
    """Theirs are called otherwise, and are found all the same."""
    path = tmp_path / "lines.json"
    other = {"time": "2026-01-15T10:23:45.123Z", "severity": "ERROR", "msg": "disk full", "name": "nginx"}
    path.write_bytes(as_bytes([*LINES, other, *LINES[-1:]]))
    assert "disk full" in run("errors", path)[1]
    path.write_bytes(as_bytes([*LINES[:2], {"timestamp": other["time"], "level": "ERROR", "message": "disk full"}, *LINES[:1]]))
    assert "disk full" in run("errors", path)[1]


def test_a_number_of_files_that_is_over_the_limit(run, tmp_path):
    """Three hundred, of which two hundred and fifty-six may be open at once."""
    for number in range(300):
        lines = [own(number, "request_completed", f"s{number}", **REQUEST, duration_ms=1)]
        (tmp_path / f"{number}.json").write_bytes(as_bytes(lines))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        code, printed, said = run("slow", "--json", f"{tmp_path}/*.json")
        merged = run("pretty", f"{tmp_path}/*.json")[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert (code, said, [row["count"] for row in json.loads(printed)]) == (0, "", [300])
    assert merged.count("\n") == 300


def test_copies_and_rotated_files_count_once(run, tmp_path):
    """A copy that ``copytruncate`` made, and a packed one beside it."""
    (tmp_path / "app.log").write_bytes(as_bytes(LINES))
    (tmp_path / "app.log.1").write_bytes(as_bytes(LINES[:6]))
    os.link(tmp_path / "app.log", tmp_path / "app.log.2")
    code, printed, _ = run("slow", f"{tmp_path}/app.log*", "--json")
    assert (code, sum(row["count"] for row in json.loads(printed))) == (0, 3)


def test_negated_filters_are_no_options(run, file):
    """Wherever they stand; what is none is told."""
    assert run("pretty", "-http.route=*", "-event=task_*", file)[1].count("\n") == 2
    with pytest.raises(SystemExit):
        main(["pretty", "-x", file])


def test_version(capfd):
    """As every command tells it."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capfd.readouterr().out.startswith("dtx-telemetry 0.")


def test_help_tells_the_language(capfd):
    """In each command."""
    for command in ("pretty", "list", "trace", "slow", "errors", "page"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "key~regex" in capfd.readouterr().out
