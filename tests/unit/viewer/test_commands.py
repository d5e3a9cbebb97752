"""The command line of the viewer: what it prints, and how it ends."""

import gzip
import html.parser
import json
import os
import time

import pytest

from dtx_telemetry.viewer.cli import main
from dtx_telemetry.viewer.show.bars import axis, bar
from dtx_telemetry.viewer.show.text import cut_middle, length_text
from tests.support.viewer import CLICK, as_bytes, line, task_line

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
OTHER = "95960000000000000000000000000000"
BOUND = {"user__id": 42, "labels": ["tournament", "draft"], "tournament__id": 5, "draft__id": 12}
TRACEBACK = """Traceback (most recent call last):
  File "/app/venv/lib/python3.13/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/app/tournament/tasks.py", line 7, in announce
    raise ValueError("no such hero")
ValueError: no such hero"""
REQUEST = {"http__method": "POST", "http__route": "/api/tournaments/5/draft/12/", "http__status_code": 202, "duration_ms": 100}
SCOPE = {**BOUND, "scope__id": "5c09e001"}
FIRST = {**BOUND, "scope__id": "5c09e002", "scope__cause": "5c09e001"}
SECOND = {**BOUND, "scope__id": "5c09e003", "scope__cause": "5c09e001"}
LINES = [
    line(20, "draft_pick_made", hero="Invoker", **SCOPE),
    task_line(50, "task_published", task__queue="celery", **SCOPE),
    line(100, "request_completed", **REQUEST, trace_id=TRACE, **SCOPE),
    task_line(70, "task_started", task__retries=0, task__queue_ms=15, **FIRST),
    task_line(80, "task_retried", task__retries=0, duration_ms=10, error="KeyError: 'x'", level="warning", **FIRST),
    task_line(150, "task_started", task__retries=1, task__queue_ms=70, **SECOND),
    line(160, "draft_pick_shown", ws__conn_id="c1", **BOUND, scope__id="5c09e004", scope__cause="5c09e003"),
    task_line(
        200, "task_failed", duration_ms=50, error="ValueError: no such hero", exception=TRACEBACK, level="error", **SECOND
    ),
    line(300, "request_completed", OTHER, **{**REQUEST, "http__route": "/api/tournaments/6/draft/7/", "duration_ms": 20}),
]
HOSTILE = [
    *("\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\r", "\x00", "\x7f", "\u202e", "\u2066", "\u2028", "\x85"),
    *("\n10:23:45.000 info     forged", "[bold red]", "[/]", ":smile:", "<script>alert(1)</script>", "\" onload='alert(1)'"),
]


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    """Eighty columns, no colour, and UTC."""
    for name in ("FORCE_COLOR", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


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


def strip(text):
    """Return *text* without the blanks at the ends of its lines."""
    return "\n".join(each.rstrip() for each in text.splitlines())


WATERFALL_80 = """\
9596ecf55c614a25b3a19596ecf55c61
2026-01-15 10:23:45.000 · 200.0 ms · user 42 · tournament 5 · draft 12
trace 4bf92f3577b34da6a3ce929d0e0e4736

                                      ╷0              ╷100 ms
POST /api/tournaments/5/draft/12/ 202 ━━━━━━━━━━━━━━━━                  100.0 ms
├ task announce retried                        ──━━                      10.0 ms
│   KeyError: 'x'
└ task announce #2 failed                          ───────────━━━━━━━━   50.0 ms
  │ ValueError: no such hero
  └ message draft_pick_shown                                   ╺
task announce: 15.0 ms in the queue
task announce #2: 70.0 ms in the queue
"""
WATERFALL_140 = """\
9596ecf55c614a25b3a19596ecf55c61
2026-01-15 10:23:45.000 · 200.0 ms · user 42 · tournament 5 · draft 12
trace 4bf92f3577b34da6a3ce929d0e0e4736

                                      ╷0              ╷50 ms          ╷100 ms         ╷150 ms
POST /api/tournaments/5/draft/12/ 202 ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━                                  100.0 ms
├ task announce retried                                ╶────╺━━╸                                         10.0 ms  15.0 ms in the queue
│   KeyError: 'x'
└ task announce #2 failed                                      ╶──────────────────────━━━━━━━━━━━━━━━━   50.0 ms  70.0 ms in the queue
  │ ValueError: no such hero
  └ message draft_pick_shown                                                             ╸
"""  # noqa: E501 - that is what it is about
LISTED = """
POST /api/tournaments/5/draft/12/
10:23:45.020 info     draft_pick_made          hero=Invoker [app]
10:23:45.050 info     task_published           task.id=t1 task.name=announce
                      task.queue=celery
10:23:45.100 info     request_completed        http.method=POST
                      http.route=/api/tournaments/5/draft/12/
                      http.status_code=202 duration_ms=100

task announce
10:23:45.070 info     task_started             task.retries=0 task.queue_ms=15
10:23:45.080 warning  task_retried             task.retries=0 duration_ms=10
                      error="KeyError: 'x'"

task announce #2
10:23:45.150 info     task_started             task.retries=1 task.queue_ms=70
10:23:45.200 error    task_failed              duration_ms=50
                      error='ValueError: no such hero'
    Traceback (most recent call last):
      File "/app/venv/lib/python3.13/site-packages/celery/app/trace.py", line 453, in trace_task
        R = retval = fun(*args, **kwargs)
      File "/app/tournament/tasks.py", line 7, in announce
        raise ValueError("no such hero")
    ValueError: no such hero

message draft_pick_shown
10:23:45.160 info     draft_pick_shown         [app]
"""


def test_trace_in_eighty_columns(run, file):
    """The request, the attempts of its task with the time that they waited, the message; errors below what they ended."""
    code, out, err = run("trace", CLICK, file)
    assert strip(out) == strip(WATERFALL_80)
    assert (code, err) == (0, "")


def test_trace_in_a_hundred_and_forty_columns(run, file, monkeypatch):
    """Names are whole, and notes have a column of their own."""
    monkeypatch.setenv("COLUMNS", "140")
    _, out, _ = run("trace", CLICK, file)
    assert strip(out) == strip(WATERFALL_140)


def test_names_are_cut_only_if_bars_would_have_too_little_room(run, tmp_path, monkeypatch):
    """If there are several files, the ends of each one's name stay beside the row's name, however narrow it is."""
    (tmp_path / "web-of-the-first-host.log").write_bytes(as_bytes(LINES[:3]))
    (tmp_path / "worker.log").write_bytes(as_bytes(LINES[3:]))
    shown = {}
    for columns in ("60", "80", "150"):
        monkeypatch.setenv("COLUMNS", columns)
        shown[columns] = run("trace", CLICK, f"{tmp_path}/*.log")[1]
    assert "└ message draft_pick_shown @worker.log" in shown["80"]
    assert "POST /api/tournaments/5/draft/12/ @web-of-the-first-host.log 202 " in shown["150"]
    assert "@w…st.log 202 " in shown["60"]


def test_no_line_is_longer_than_the_terminal(run, file, monkeypatch):
    """Whatever its width."""
    for columns in (50, 60, 80, 100, 110, 140, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        _, out, _ = run("trace", CLICK, file)
        assert max(map(len, out.partition("\n\n")[2].splitlines())) <= columns


def test_a_task_that_publishes_itself_again_and_again(run, tmp_path):
    """However deep it gets, each row says what it is; what it is under is cut."""
    chain = [line(0, "request_completed", scope__id="x-1", **REQUEST)]
    for number in range(100):
        at = 10 * number
        ids = {"scope__id": f"x{number}", "scope__cause": f"x{number - 1}"}
        chain += [
            task_line(at + 5, "task_started", f"t{number}", "poll", task__retries=0, **ids),
            task_line(at + 9, "task_failed", f"t{number}", "poll", duration_ms=4, error="E: x", level="error", **ids),
        ]
    path = tmp_path / "lines.json"
    path.write_bytes(as_bytes(chain))

    _, printed, _ = run("trace", CLICK, path)

    rows = [each for each in printed.splitlines() if "failed" in each]
    assert len(rows) == 100
    assert all("└ task poll failed " in row and len(row) <= 80 for row in rows)
    assert rows[-1].startswith("… ")
    assert printed.count("E: x") == 100


def test_trace_lists_lines(run, file):
    """By scope, without what all lines of the scope say; the other filters choose among them."""
    _, out, _ = run("trace", CLICK, file, "--lines")
    listed = out.partition("70.0 ms in the queue\n")[2]
    assert strip(listed) == strip(LISTED)
    _, out, _ = run("trace", CLICK, file, "--lines", "--level", "error")
    assert out.count("10:23:45.") == 2  # the heading's time, and the only error's


@pytest.mark.parametrize("beginning", [CLICK[:8], CLICK[:5], TRACE, TRACE[:6]])
def test_an_id_may_be_cut(run, file, beginning):
    """To what tells it apart; the trace's does as well."""
    assert strip(run("trace", beginning, file)[1]) == strip(WATERFALL_80)


def test_an_ambiguous_beginning_shows_what_there_is(run, file):
    """With the time and what it was; the exit code is that of nothing found."""
    code, out, err = run("trace", "9596", file)
    assert (code, out) == (1, "")
    assert "9596 is the beginning of 2 ids" in err
    assert f"{CLICK}  2026-01-15 10:23:45.020  POST /api/tournaments/5/draft/12/ 202" in err
    assert OTHER in err


def test_a_beginning_of_a_great_many_ids(run, tmp_path):
    """Not all are kept, and so they are not counted."""
    path = tmp_path / "lines.json"
    path.write_bytes(as_bytes([line(number, "seen", f"id-{number:03}") for number in range(150)]))

    code, printed, said = run("trace", "id-", path)

    assert (code, printed) == (1, "")
    assert "id- is the beginning of at least 100 ids" in said
    assert "and at least 80 more" in said


def test_a_trace_of_two_requests_is_shown_whole(run, tmp_path):
    """All lines of the requests that bear its id, those without it too."""
    path = tmp_path / "lines.json"
    second = {**REQUEST, "http__route": "/second/", "trace_id": TRACE}
    path.write_bytes(as_bytes([*LINES, line(500, "request_completed", "second", **second), line(450, "seen", "second")]))
    _, out, _ = run("trace", TRACE[:8], path, "--lines")
    assert "POST /second/" in out
    assert "draft_pick_made" in out
    assert "seen" in out


@pytest.mark.parametrize("identifier", [CLICK, TRACE])
def test_a_line_that_was_delivered_twice_counts_once(run, file, tmp_path, identifier):
    """By a collector, which keeps it in its own way, or in a copy of the file."""
    path = tmp_path / "docker.json"
    path.write_bytes(as_bytes([{"log": as_bytes([each]).decode(), "stream": "stdout"} for each in LINES]))
    _, once, _ = run("trace", identifier, file, "--json")

    _, twice, _ = run("trace", identifier, file, path, "--json")

    shown, expected = json.loads(twice), json.loads(once)
    assert [scope.pop("service") for scope in shown["scopes"]] == ["lines.json"] * 4
    assert [scope.pop("service") for scope in expected["scopes"]] == [None] * 4
    assert shown == expected


def test_what_is_not_there(run, file):
    """Exit code 1, and one line that says so."""
    code, out, err = run("trace", "nothing", file)
    assert (code, out) == (1, "")
    assert err == "dtx-telemetry: no line has an id of a request, trace, task or connection that begins with 'nothing'\n"


def test_trace_as_json(run, file):
    """For programs: scopes with their parents' places, times in milliseconds, and their lines."""
    _, out, _ = run("trace", CLICK, file, "--json")
    found = json.loads(out)
    assert (found["request.id"], found["trace_id"], found["start"]) == ([CLICK], [TRACE], "2026-01-15T10:23:45.000000Z")
    shown = [
        (scope["kind"], scope["status"], scope["parent"], scope["start_ms"], scope["queue_ms"], len(scope["lines"]))
        for scope in found["scopes"]
    ]
    assert shown == [
        ("request", "202", None, 0, 0, 3),
        ("task", "retried", 0, 70, 15, 2),
        ("task", "failed", 0, 150, 70, 2),
        ("message", "completed", 2, 160, 0, 1),
    ]
    assert found["scopes"][2]["lines"][1]["exception"] == TRACEBACK


class Page(html.parser.HTMLParser):
    """Every tag of a page with its attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_trace_as_a_page(run, file, tmp_path):
    """One file: no script, nothing from elsewhere, a policy that says so, all lines in it."""
    code, out, err = run("trace", CLICK, file, "--html", tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text())
    assert (code, out, err) == (0, "", "")
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "img", "link", "iframe", "a", "form"})
    assert not {
        name for _, attributes in page.tags for name in attributes if name in {"src", "href", "style"} or name[:2] == "on"
    }
    policy = next(attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert all(
        text in page.text for text in ("POST /api/tournaments/5/draft/12/", "draft_pick_made", "ValueError: no such hero")
    )


def test_a_page_that_cannot_be_written(run, file, tmp_path):
    """Exit code 2 and one line."""
    code, _, err = run("trace", CLICK, file, "--html", tmp_path / "missing" / "page.html")
    assert code == 2
    assert err.endswith("page.html: No such file or directory\n")


@pytest.mark.parametrize("hostile", HOSTILE, ids=ascii)
def test_hostile_lines(run, tmp_path, hostile):
    """Nothing in any field drives the terminal, is taken for markup, or gets out of the page's text."""
    path, page = tmp_path / "lines.json", tmp_path / "page.html"
    bound = {"user__id": hostile, "labels": [hostile, "draft"], "draft__id": hostile, f"key{hostile}": {hostile: [hostile]}}
    lines = [
        line(20, f"event{hostile}", f"id{hostile}", **bound),
        line(100, "request_completed", f"id{hostile}", trace_id=hostile, **{**REQUEST, "http__route": f"/{hostile}"}, **bound),
        line(50, "task_published", f"id{hostile}", task__id=hostile, task__name=f"name{hostile}"),
        line(
            70,
            "task_failed",
            f"id{hostile}",
            task__id=hostile,
            task__name=hostile,
            error=hostile,
            exception=hostile,
            level="error",
        ),
        line(80, hostile, f"id{hostile}", ws__conn_id=hostile, level="error", error=f"Type{hostile}: {hostile}"),
    ]
    path.write_bytes(as_bytes(lines))
    found = run("trace", "id", path, "--html", page)
    assert found == (0, "", "")
    for arguments in (("trace", "id", path, "--lines"), ("slow", path), ("errors", path), ("pretty", path)):
        code, out, _ = run(*arguments)
        assert code == 0
        assert out.replace("\n", "").isprintable()
        assert "\n10:23:45.000 info     forged" not in out
    plain = Page(page.read_text())
    assert {tag for tag, _ in plain.tags} <= {
        *("html", "meta", "title", "style", "header", "h1", "p", "main", "div", "span", "svg", "text", "rect"),
        *("details", "summary", "table", "tr", "td", "b", "pre"),
    }
    assert not {name for _, attributes in plain.tags for name in attributes if name[:2] == "on"}
    if hostile.isprintable():
        assert f"event{hostile}" in plain.text


def test_slow(run, tmp_path):
    """By route without its ids, task, message, command and operation, the slowest first; then connections."""
    path = tmp_path / "lines.json"
    many = [line(n, "request_completed", f"r{n}", **{**REQUEST, "duration_ms": n + 1}) for n in range(100)]
    failed = line(0, "request_failed", "f", level="error", **{**REQUEST, "http__status_code": 500, "duration_ms": 7})
    rest = [
        line(0, "ws_handled", "m", level="debug", ws__message_type="draft.pick", ws__conn_id="c", duration_ms=1.5),
        line(0, "ws_disconnected", "c", ws__conn_id="c", labels=["draft"], duration_ms=90_000),
        line(0, "command_completed", "x", command__name="import", duration_ms=2),
        line(0, "operation_completed", "o", operation__name="discord", duration_ms=3),
        line(0, "request_completed", "odd", http__route=["x"], duration_ms="long"),
        line(0, "measured", "app", duration_ms=1e6),
    ]
    path.write_bytes(as_bytes([*LINES[:-1], *many, failed, *rest]))
    code, out, err = run("slow", path, "--json")
    found = {f"{each['kind']} {each['name']}": each for each in json.loads(out)}
    assert (code, err) == (0, "")
    assert list(found) == [
        "request POST /api/tournaments/{id}/draft/{id}/",
        "task announce",
        "operation discord",
        "command import",
        "message draft.pick",
        "connection draft",
    ]
    request = found["request POST /api/tournaments/{id}/draft/{id}/"]
    assert (request["count"], request["errors"], request["p50_ms"], request["max_ms"]) == (102, 1, 50, 100)
    task = found["task announce"]
    assert (task["count"], task["errors"], task["p99_ms"], task["queue_p50_ms"], task["queue_p95_ms"]) == (2, 1, 50, 15, 70)
    _, table, _ = run("slow", path)
    assert table.index("POST /api/tournaments") < table.index("message draft.pick") < table.index("connection draft")
    assert max(map(len, table.splitlines())) <= 80


def test_errors(run, tmp_path):
    """By the exception's type and the application's last frame, else by what was running; the most frequent first."""
    path = tmp_path / "lines.json"
    again = [{**LINES[-2], "request.id": f"again-{n}", "timestamp": f"2026-01-15T11:00:0{n}.000000Z"} for n in range(3)]
    other = line(0, "request_completed", "r", level="error", **{**REQUEST, "http__status_code": 503})
    text = line(0, "it broke", "t", level="critical")
    path.write_bytes(as_bytes([*again, *LINES, other, text]))
    code, out, _ = run("errors", path, "--json")
    first, *rest = json.loads(out)
    assert code == 0
    assert first == {
        "type": "ValueError",
        "place": "app/tournament/tasks.py:7 in announce",
        "count": 4,
        "first": "2026-01-15T10:23:45.200000Z",
        "last": "2026-01-15T11:00:02.000000Z",
        "first_id": CLICK,
        "last_id": "again-2",
        "message": "ValueError: no such hero",
        "statement": None,
    }
    assert [(each["type"], each["place"]) for each in rest] == [
        ("HTTP 503", "POST /api/tournaments/{id}/draft/{id}/"),
        ("it broke", "app"),
    ]
    _, table, _ = run("errors", path)
    assert "ValueError" in table
    assert "app/tournament/tasks.py:7" in table
    assert "again-2" in table


@pytest.mark.parametrize("columns", [20, 40, 60])
@pytest.mark.parametrize(("command", "said"), [("slow", ["POST /api/tour", "task announce"]), ("errors", ["ValueError"])])
def test_a_narrow_terminal_does_without_some_columns(run, file, monkeypatch, columns, command, said):
    """What it is about is not among them."""
    monkeypatch.setenv("COLUMNS", str(columns))

    _, printed, _ = run(command, file)

    assert [word for word in said if word not in printed] == []


@pytest.mark.parametrize("columns", [50, 60, 80])
@pytest.mark.parametrize(("sort", "said"), [("queries", " 31 "), ("database", " 84.0 ms ")])
def test_the_column_that_rows_are_sorted_by_is_shown(run, tmp_path, monkeypatch, columns, sort, said):
    """However narrow the terminal is."""
    monkeypatch.setenv("COLUMNS", str(columns))
    path = tmp_path / "lines.json"
    asked = {**LINES[2], "db.query_count": 31, "db.duration_ms": 84.0}
    assert asked["event"] == "request_completed"
    path.write_bytes(as_bytes([asked]))
    _, printed, _ = run("list", path, "--sort", sort)
    assert sort in printed
    assert said in printed


@pytest.mark.parametrize("command", ["slow", "errors"])
def test_nothing_found(run, tmp_path, command):
    """Exit code 1; in JSON an empty list."""
    path = tmp_path / "lines.json"
    path.write_bytes(as_bytes(LINES[:1]) + b'text with duration_ms and "error"\n')
    code, out, err = run(command, path)
    assert (code, out) == (1, "")
    assert "1 of 2 lines passed over" in err
    assert run(command, path, "--json")[:2] == (1, "[]\n")


@pytest.mark.parametrize(("words", "count"), [((), 102), (("--since", "2026-01-15T10:23:46Z"), 0), (("user.id=42",), 1)])
def test_filters_hold_for_every_command(run, tmp_path, words, count):
    """Here for the number of requests that `slow` counts."""
    path = tmp_path / "lines.json"
    many = [line(n, "request_completed", f"r{n}", **REQUEST) for n in range(100)]
    path.write_bytes(as_bytes([*LINES, *many]))
    found = json.loads(run("slow", path, *words, "--json")[1])
    assert sum(each["count"] for each in found if each["kind"] == "request") == count


def test_pretty(run, tmp_path):
    """JSON lines as the development format has them, in local time; everything else as it is."""
    path = tmp_path / "lines.json"
    path.write_bytes(b"Booting\tworker \xff\n\n" + as_bytes(LINES[:1]) + b"[1, 2]\nlast without an end")
    code, out, _ = run("pretty", path)
    assert code == 0
    assert out == (
        "Booting\tworker \ufffd\n\n"
        "2026-01-15 10:23:45 [info ] draft_pick_made [app] hero=Invoker user.id=42 labels=['tournament', 'draft'] "
        f"tournament.id=5 draft.id=12 request.id={CLICK}\n"
        "[1, 2]\nlast without an end\n"
    )
    code, out, _ = run("pretty", path, "hero=Invoker")
    assert out.count("\n") == 1
    assert run("pretty", path, "hero=Axe")[:2] == (1, "")


def test_the_words_may_stand_anywhere(run, file, tmp_path):
    """Files and filters before, between and behind options; gzip among them."""
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(as_bytes([{**each, "copy": True} for each in LINES])))
    code, out, _ = run("pretty", "--event", "draft_*", file, "--level", "info", packed, "hero=Invoker")
    assert (code, out.count("\n")) == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("trace", "", "{file}"), "the ID is empty"),
        (("slow", "{file}.missing"), "No such file"),
        (("slow", "{file}", "--since", "soon"), "'soon' is no time"),
    ],
)
def test_wrong_usage_is_told_in_one_line(run, file, arguments, said):
    """Exit code 2."""
    code, out, err = run(*(argument.format(file=file) for argument in arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize("arguments", [(), ("trace",), ("slow", "--nothing"), ("pretty", "--level", "loud"), ("nothing",)])
def test_what_the_command_line_does_not_know(arguments, capfd):
    """Exit code 2, as of any command."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2
    assert "usage: dtx-telemetry" in capfd.readouterr().err


@pytest.mark.parametrize("timestamp", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-99-99Tx"])
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("options", [[], ["--lines"], ["--json"], ["--html", os.devnull]])
def test_times_that_no_calendar_has(run, tmp_path, monkeypatch, timestamp, zone, options):
    """Somebody else's line, or one that is broken; a task that has waited, and a request that took, for ages."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    path = tmp_path / "lines.json"
    ages = [
        line(1, "request_completed", **{**REQUEST, "duration_ms": 2**53 - 1}),
        task_line(2, "task_started", task__retries=0, task__queue_ms=2**53 - 1),
    ]
    path.write_bytes(as_bytes([*LINES, {**line(1, "seen"), "timestamp": timestamp}, *ages]))

    code, _, said = run("trace", CLICK, path, *options)

    assert (code, said) == (0, "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0.00 ms"), (0.0012, "1.20 ms"), (0.0125, "12.5 ms"), (0.99994, "999.9 ms"), (0.99996, "1.00 s")),
        *((59.99, "59.99 s"), (59.996, "1 m 00 s"), (125, "2 m 05 s"), (7260, "2 h 01 m"), (200_000, "2 d 07 h")),
    ],
)
def test_lengths_of_time(seconds, text):
    """With as many digits as mean something."""
    assert length_text(seconds) == text


@pytest.mark.parametrize(
    ("places", "drawn"),
    [
        ((0, 0, 1), "━━━━━━━━━━"),
        ((0, 0.5, 1), "─────━━━━━"),
        ((0.05, 0.25, 0.55), "╶─╺━━╸"),
        ((0.5, 0.5, 0.5), "     ╸"),
        ((1, 1, 1), "         ╺"),
        ((0.3, 0.3, 0.300001), "   ╸"),
        ((-1, 2, 3), "─────────╺"),
    ],
)
def test_bars(places, drawn):
    """To half a column; whatever ran is seen."""
    assert "".join(bar(*places, columns=10)) == drawn


@pytest.mark.parametrize(
    ("length", "drawn"),
    [
        (0, "╷0"),
        (0.1, "╷0          ╷20 ms      ╷40 ms      ╷60 ms      ╷80 ms"),
        (0.00075, "╷0              ╷0.2 ms         ╷0.4 ms         ╷0.6 ms"),
        (2.5, "╷0          ╷0.5 s      ╷1.0 s      ╷1.5 s      ╷2.0 s"),
        (125, "╷0            ╷30.00 s       ╷1 m 00 s     ╷1 m 30 s"),
        (90_000, "╷0            ╷6 h 00 m      ╷12 h 00 m    ╷18 h 00 m"),
    ],
)
def test_axes(length, drawn):
    """Round times where they are."""
    assert axis(length, 60) == drawn


def test_long_names_keep_both_ends():
    """Of a path and of a dotted name the middle says the least."""
    assert cut_middle("task tests.project.tasks.retry", 20) == "task te….tasks.retry"
    assert cut_middle("short", 20) == "short"
    assert all(len(cut_middle("a long name", width)) <= width for width in range(1, 12))
