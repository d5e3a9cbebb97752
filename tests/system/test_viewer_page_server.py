"""The live page's server: whom it answers, what it sends, and how it begins and ends."""

import gzip
import re
import signal
import socket

import httpx
import psutil
import pytest

from dtx_telemetry.viewer.page.app import make_app
from dtx_telemetry.viewer.page.live import Live
from dtx_telemetry.viewer.reading.unwrap import Unwrapper
from tests.support.page_lines import LogFile, click, line, request
from tests.support.processes import run_python
from tests.support.waiting import wait_until

PORT = 8123
HOST = f"127.0.0.1:{PORT}"


@pytest.fixture
def live():
    found = Live()
    found.take(list(Unwrapper().read(click("a-click"))))
    return found


@pytest.fixture
async def client(live):
    transport = httpx.ASGITransport(make_app(live, PORT))
    async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as client:
        yield client


@pytest.fixture
def log(tmp_path):
    file = LogFile(tmp_path / "app.log")
    yield file
    file.close()


async def test_the_page_needs_nothing_from_elsewhere(client):
    """Every file that it names is its own, and of the right type."""
    page = await client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "http:" not in page.text
    assert "//" not in page.text
    for name, kind in (("page.js", "text/javascript"), ("page.css", "text/css"), ("icon.svg", "image/svg+xml")):
        asset = await client.get(f"/static/{name}")
        assert asset.status_code == 200
        assert asset.headers["content-type"].startswith(kind)


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/life?id=a-click", "/nowhere"])
async def test_everything_comes_with_a_strict_policy(client, path):
    """No inline script, no other origin, no frame, no markup from text; nothing is stored."""
    headers = (await client.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/static/page.js", "/life?id=a-click", "/rows"])
@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1:1", "127.0.0.1", f"127.0.0.1.evil:{PORT}", ""]
)
async def test_other_hosts_are_refused(client, host, path):
    """A name that somebody had lead to loopback opens nothing."""
    assert (await client.get(path, headers={"Host": host})).status_code == 421


@pytest.mark.parametrize("host", [HOST, f"localhost:{PORT}", f"LOCALHOST:{PORT}", f"[::1]:{PORT}"])
async def test_loopback_by_all_its_names_is_let_in(client, host):
    """Whatever one calls this machine from itself."""
    assert (await client.get("/life?id=a-click", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://{HOST}"},
        {"Origin": "http://127.0.0.1:9"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/life?id=a-click", "/rows"])
async def test_what_other_origins_ask_for_is_refused(client, headers, path):
    """A page elsewhere reads nothing and embeds nothing."""
    answer = await client.get(path, headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


async def test_a_link_leads_to_the_page_alone(client):
    """The page holds nothing by itself; what it would ask for then is its own."""
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await client.get("/", headers=link)).status_code == 200
    assert (await client.get("/life?id=a-click", headers=link)).status_code == 403


async def test_a_life_is_found_by_its_id_and_by_a_beginning_of_that(client, live):
    """None such is 404, several are 409."""
    live.take(list(Unwrapper().read(click("a-second"))))
    shown = (await client.get("/life", params={"id": "a-cl"})).json()
    assert shown["id"] == "a-click"
    assert [row["label"] for row in shown["rows"]] == [
        "POST /api/tournaments/5/draft/12/",
        "task tournament.tasks.announce_pick",
        "message draft_pick_shown",
    ]
    assert [row["depth"] for row in shown["rows"]] == [0, 1, 2]
    assert len(shown["lines"]) == 7
    assert (await client.get("/life", params={"id": "a-"})).status_code == 409
    assert (await client.get("/life", params={"id": "b"})).status_code == 404
    assert (await client.get("/life")).status_code == 404


async def test_a_life_is_found_by_its_trace(client, live):
    """The lines' ``trace_id`` leads to it as well."""
    traced = line("seen", "traced", trace_id="0af7651916cd43dd8448eb211c80319c")
    live.take(list(Unwrapper().read([traced])))
    shown = (await client.get("/life", params={"id": "0af76519"})).json()
    assert shown["id"] == "traced"
    assert shown["traces"] == ["0af7651916cd43dd8448eb211c80319c"]


async def test_a_life_is_found_by_its_task_and_by_its_connection(client):
    """As `trace` does."""
    for identifier in ("task-of-a-click", "socket-of-a-click"):
        assert (await client.get("/life", params={"id": identifier})).json()["id"] == "a-click"


async def test_a_filter_that_is_not_understood_is_explained(client):
    """Wherever it is asked for, with 400 and a sentence."""
    for path in ("/rows", "/loose", "/errors", "/slow"):
        answer = await client.get(path, params={"filter": "duration_ms>long"})
        assert answer.status_code == 400
        assert "'long' is no number" in answer.text
    assert (await client.get("/life", params={"id": "a-click", "find": "=x"})).status_code == 400


async def test_lines_without_a_request_have_a_place(client, live):
    """The newest first, chosen by the same filters."""
    raws = [
        b'{"timestamp":"2026-01-15T10:23:4%d.000000Z","level":"info","logger":"app","event":"beat","turn":%d}'
        % (second, second)
        for second in range(5)
    ]
    live.take(list(Unwrapper().read(raws)))
    shown = (await client.get("/loose", params={"filter": "turn>2"})).json()
    assert [found["fields"] for found in shown["lines"]] == [[["turn", "4"]], [["turn", "3"]]]
    assert (shown["matches"], shown["kept"], shown["dropped"]) == (2, 5, 0)
    assert (await client.get("/rows")).json()["loose"] == 5


def shown(browser, text=""):
    """Return the ids of the rows that a browser gets."""
    return {row[0] for row in browser.get("/rows", params={"filter": text}).json()["rows"]}


def test_it_listens_on_loopback_only_on_a_port_that_it_prints(processes, log):
    """Ctrl-C ends it with exit code 0, also while a browser is listening."""
    log.write(request("one"))
    page = processes.python("-m", "dtx_telemetry", "page", str(log.path))
    page.wait_for_text("http://127.0.0.1:")
    address = page.other[0]
    (listening,) = [found for found in psutil.Process(page.pid).net_connections("tcp") if found.status == psutil.CONN_LISTEN]
    assert listening.laddr.ip == "127.0.0.1"
    assert address == f"http://127.0.0.1:{listening.laddr.port}/"
    with httpx.Client(base_url=address, trust_env=False, timeout=180) as browser:
        wait_until(lambda: shown(browser) == {"one"}, what="what is there")
        log.write(request("two"))
        wait_until(lambda: shown(browser) == {"one", "two"}, what="what comes")
        assert page.stop(signal.SIGINT) == 0
    assert page.errors == []


def test_the_port_may_be_chosen(processes, log):
    """One that is taken is told in a line, with exit code 2."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        page = processes.python("-m", "dtx_telemetry", "page", "--port", port, str(log.path))
        assert page.wait() == 2
    assert len(page.errors) == 1
    page = processes.python("-m", "dtx_telemetry", "page", "--port", port, str(log.path))
    page.wait_for_text(f"http://127.0.0.1:{port}/")


def test_filters_choose_what_counts(processes, log, tmp_path):
    """Of files and an archive, lines that ``key=value`` holds for."""
    log.write(request("one", user_id=1), request("two", user_id=2))
    packed = tmp_path / "old.gz"
    packed.write_bytes(gzip.compress(request("three", user_id=2)))
    page = processes.python("-m", "dtx_telemetry", "page", str(log.path), str(packed), "user.id=2")
    page.wait_for_text("http://")
    with httpx.Client(base_url=page.other[0], trust_env=False, timeout=180) as browser:
        wait_until(lambda: len(shown(browser)) == 2, what="both")
        assert shown(browser) == {"two", "three"}


def test_a_file_that_is_not_there_is_told(processes):
    """In one line, with exit code 2."""
    page = processes.python("-m", "dtx_telemetry", "page", "/nowhere/app.log")
    assert page.wait() == 2
    assert page.errors == ["dtx-telemetry: /nowhere/app.log: No such file or directory"]


def test_without_the_extra_it_says_what_to_install():
    """One line that names the command."""
    code = """
        import sys
        sys.modules["starlette"] = None
        from dtx_telemetry.viewer.cli import main
        sys.stderr = sys.stdout
        print(main(["page"]))
    """
    said = run_python(code)
    assert re.search(r"page needs starlette: pip install 'rich\S+' 'starlette\S+' 'uvicorn\S+'\n", said)
    assert said.endswith("\n2\n")
