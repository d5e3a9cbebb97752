"""The live page in a real browser."""

import json
import re
from urllib.parse import quote, urlsplit

import pytest

from tests.support.axe import axe, faults_of
from tests.support.browser import chromium, requests_of
from tests.support.page_lines import LogFile, click, deep, line, queries, request
from tests.support.waiting import wait_until

#: Texts that would do something, would they become markup, a script, an address or a style somewhere.
HOSTILE = (
    "<script>window.hacked = 1</script>",
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<svg onload=window.hacked=1>",
    '"><img src=x onerror=window.hacked=1>',
    "'><iframe srcdoc='<script>parent.hacked=1</script>'>",
    '" onmouseover="window.hacked=1" style="position:fixed;inset:0" x="',
    "' autofocus onfocus='window.hacked=1",
    "javascript:window.hacked=1",
    "<a href=javascript:window.hacked=1>x</a>",
    "<style>*{background:url(http://192.0.2.1/css)}</style>",
    "<link rel=stylesheet href=http://192.0.2.1/a.css>",
    "<base href=http://192.0.2.1/>",
    "<meta http-equiv=refresh content='0;url=http://192.0.2.1/'>",
    "<form action=http://192.0.2.1/><button autofocus>",
    "${window.hacked=1}{{constructor.constructor('window.hacked=1')()}}",
    'data: {}\n\nevent: message\ndata: {"rows": 1}\n\n',
    "__proto__",
    "\u202egnp.exe\u0000\u001b[31m\u2028window.hacked=1\u2066",
    "&lt;script&gt;window.hacked=1&lt;/script&gt;&#60;img src=x onerror=window.hacked=1&#62;",
)
#: Elements that the page itself has.
TAGS = (
    "html head meta title link script body header nav a h1 span div input kbd button p main section dialog h2 h3 dl dt dd code "
    "noscript b i ol li pre svg path"
)


@pytest.fixture(scope="module")
def driver():
    """One browser for the module, since starting it takes a second or two."""
    with chromium() as found:
        yield found


@pytest.fixture
def log(tmp_path):
    file = LogFile(tmp_path / "app.log")
    yield file
    file.close()


@pytest.fixture
def page(driver, processes, log):
    """The page that follows *log*, open in the browser."""
    process = processes.python("-m", "dtx_telemetry", "page", str(log.path))
    process.wait_for_text("http://")
    page = Page(driver, process.other[0])
    yield page
    driver.get("about:blank")
    page.look(1280, 800)


class Page:
    """The page, as somebody sees it who looks at it."""

    def __init__(self, driver, address):
        self.driver = driver
        self.address = address
        driver.get_log("browser")
        requests_of(driver)
        driver.get(address)
        self.wait_for("return document.body.dataset.connected === 'true'")

    def run(self, script, *args):
        return self.driver.execute_script(script, *args)

    def wait_for(self, script, *args):
        return wait_until(lambda: self.run(script, *args), deadline=180, what=script)

    def rows(self):
        """Return the texts of the rows that are drawn, from the top."""
        return self.run(
            "return [...document.querySelectorAll('.row')].filter(row => !row.hidden)"
            ".sort((one, other) => one.ariaPosInSet - other.ariaPosInSet)"
            ".map(row => [...row.firstElementChild.children].map(cell => cell.textContent).join('|'))"
        )

    def wait_for_row(self, *texts):
        """Wait for a row that has all of *texts* in it."""
        return wait_until(
            lambda: next((row for row in self.rows() if all(text in row for text in texts)), None),
            deadline=180,
            what=f"a row with {texts}",
        )

    def open(self, text):
        """Click on the row that has *text*, and wait for the waterfall."""
        self.wait_for_row(text)
        self.run("[...document.querySelectorAll('.row a')].find(row => row.textContent.includes(arguments[0])).click()", text)
        self.wait_for("return document.querySelectorAll('#detail .bar').length > 0")

    def type(self, text, selector="#filter"):
        """Write *text* into a box, in place of what is there."""
        self.run(
            "const box = document.querySelector(arguments[1]); box.value = arguments[0]; box.dispatchEvent(new Event('input'))",
            text,
            selector,
        )

    def ids(self):
        """Return the beginnings of the ids that are listed."""
        return {row.split("|")[-1] for row in self.rows()}

    def wait_for_ids(self, *ids):
        wait_until(lambda: self.ids() == set(ids), deadline=180, what=f"{ids} in the list")

    def wait_for_text(self, selector, text):
        wait_until(lambda: self.texts(selector) == [text], deadline=180, what=f"{text!r} in {selector}")

    def drag(self, selector, begin, end):
        """Drag across an element, from one part of its width to another."""
        from selenium.webdriver import ActionChains

        element = self.driver.find_element("css selector", selector)
        width = element.size["width"]
        mouse = ActionChains(self.driver, duration=50)
        mouse.move_to_element_with_offset(element, round(width * (begin - 0.5)), 0).click_and_hold()
        mouse.move_by_offset(round(width * (end - begin)), 0).release().perform()

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map(found => found.textContent)", selector)

    def press(self, *keys):
        """Press keys one after the other, where the focus is."""
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def look(self, width, height, scheme="light"):
        """Look at it in a window of that size, in light or dark."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def complaints(self):
        """Return what the browser's console says: errors and whatever the policy refused."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "INFO"]


def test_names_are_whole_beside_their_services_and_ticks_apart(page, log):
    """In a window that has the room; in a narrow one names are cut in their middle, and that is seen."""
    lines = [json.loads(each) for each in click("click-1")]
    for each, pod in zip(lines, ["web-7f9c5"] * 3 + ["worker-5d8b7"] * 4, strict=True):
        log.write(json.dumps({"log": json.dumps(each) + "\n", "kubernetes": {"pod_name": pod}}).encode() + b"\n")
    page.look(1400, 800)
    page.open("/api/tournaments/5/draft/12/")
    page.wait_for("return document.querySelectorAll('#detail .bar .service:not(:empty)').length === 3")
    names = "return [...document.querySelectorAll('#detail .bar .first')]"
    assert page.run(f"{names}.every(part => part.scrollWidth <= part.clientWidth)")
    page.look(1000, 800)
    assert page.run(
        "const ticks = [...document.querySelectorAll('.axis span')].map(tick => tick.getBoundingClientRect());"
        "return ticks.slice(1).every((tick, place) => tick.left >= ticks[place].right)"
    )
    page.look(400, 800)
    assert page.run(f"{names}.every(part => part.clientWidth > 15)")


def test_what_is_logged_appears_and_opens_as_a_waterfall(page, log):
    """A click shows up while one looks; a click on it shows request, task and message on one axis, and the lines."""
    page.wait_for("return document.querySelector('#empty').textContent.startsWith('Nothing yet')")
    log.write(*click("click-one"))
    row = page.wait_for_row("POST /api/tournaments/5/draft/12/", "202", "30.0 ms", "42", "tournament, draft", "click-on")
    assert "1 task" in row
    page.open("/draft/12/")
    assert page.texts("#detail .bar .label .text") == [
        "POST /api/tournaments/5/draft/12/",
        "task tournament.tasks.announce_pick",
        "message draft_pick_shown",
    ]
    lefts = page.run("return [...document.querySelectorAll('.bar .run')].map(run => parseFloat(run.style.left))")
    assert lefts == sorted(lefts)
    assert lefts[0] < lefts[1]
    assert page.run("return parseFloat(document.querySelectorAll('.bar .wait')[1].style.width)") > 0
    events = page.texts("#detail .lines b")
    assert events[0] == "draft_pick_made"
    assert events[-1] == "task_completed"
    assert len(events) == 7
    page.run("document.querySelectorAll('.bar')[1].click()")
    wait_until(
        lambda: page.texts(".scope:nth-child(2) > .lines b") == ["task_started", "draft_pick_announced", "task_completed"],
        what="the lines of the task below its bar",
    )
    assert page.texts(".scope:nth-child(1) > .lines b") == []
    assert len(page.texts("#detail .lines.all b")) == 7
    assert page.complaints() == []


def test_what_runs_grows_until_it_ends(page, log):
    """A connection's duration goes up in the list and in the waterfall; its end is shown as it comes."""
    ours = {"logger": "dtx_telemetry.websocket", "ws_conn_id": "socket", "labels": ["draft"], "scope.id": "0000000a"}
    log.write(line("ws_connected", "socket", **ours))
    page.open("connection")
    took = "return document.querySelector('#detail .bar .took').textContent"
    before = page.run(took)
    wait_until(lambda: page.run(took) != before, what="growth")
    assert page.run("return document.querySelector('#detail .scope').classList.contains('running')")
    page.wait_for_row("connection", "running")
    log.write(line("ws_disconnected", "socket", duration_ms=61000, **ours))
    page.wait_for_row("connection", "completed", "1 m 01 s")
    page.wait_for("return !document.querySelector('#detail .scope').classList.contains('running')")
    assert page.run(took) == "1 m 01 s"


def test_it_survives_rotation_and_truncation(page, log):
    """Nothing is lost and nothing shown twice."""
    log.write(request("first", "/api/first/"))
    page.wait_for_row("/api/first/")
    new = log.rotate()
    log.write(request("late", "/api/late/"))
    new.write(request("second", "/api/second/"))
    page.wait_for_row("/api/late/")
    page.wait_for_row("/api/second/")
    new.truncate()
    new.write(request("third", "/api/third/"))
    page.wait_for_row("/api/third/")
    assert len(page.rows()) == 4
    page.wait_for("return document.querySelector('#state').textContent.startsWith('4 lines')")
    new.close()


def hostile_lines(number, text):
    """Return a life in which every field, and every name of a field, is *text*."""
    identifier = f"{text} {number}"
    everything = {
        "user.id": text,
        "labels": [text, "draft"],
        "draft.id": text,
        text: text,
        "deep": {text: [text]},
        "trace_id": text,
    }
    error = {"error": text, "exception": f"Traceback\n{text}"}
    task = {"task.id": text, "task.name": text, "task.queue": text, **everything}
    ours = f"dtx_telemetry{text}"
    return [
        line(text, identifier, ago=50, logger=text, level=text, **everything),
        line("task_published", identifier, ago=40, logger=ours, level=text, **task),
        line("request_failed", identifier, ago=30, logger=ours, level="error", duration_ms=20, **everything, **error,
             **{"http.method": text, "http.route": f"/{number}/{text}", "http.status_code": 500}),
        line("task_failed", identifier, ago=20, logger=ours, level="error", duration_ms=9, **task, **error),
        line("ws_handled", identifier, ago=10, logger=ours, **{"ws.conn_id": text, "ws.message_type": text}, **everything),
        line("operation_completed", f"{text} operation", logger=ours, level=text, **{"operation.name": text}, **everything),
    ]  # fmt: skip


def test_hostile_text_does_nothing_anywhere(page, log):
    """It is shown as text, in the list, in the waterfall and in the lines: no element, script, request or title comes of it."""
    page.look(1280, 2000)
    for number, text in enumerate(HOSTILE):
        log.write(*hostile_lines(number, text))
    for number, text in enumerate(HOSTILE):
        page.wait_for_row(f"/{number}/")
        page.open(f"/{number}/")
        identifier = page.wait_for("return document.querySelector('#detail .an-id code')?.textContent")
        assert identifier == f"{text} {number}"
        wanted = text if text.isprintable() else "window.hacked=1" if "hacked" in text else "event: message"
        page.wait_for(
            "return [...document.querySelectorAll('#detail .lines b')].some(b => b.textContent.includes(arguments[0]))", wanted
        )
        assert page.run("return location.hash") == f"#{quote(identifier, safe=chr(33) + chr(39) + '()*-._~')}"
        page.press("m")
        assert page.run("return window.hacked") is None
    found = page.run("return [...new Set([...document.querySelectorAll('*')].map(one => one.localName))]")
    assert set(found) <= set(TAGS.split())
    attributes = page.run("return [...document.querySelectorAll('*')].flatMap(one => one.getAttributeNames())")
    assert not [name for name in attributes if name.startswith("on") or name in ("srcdoc", "action")]
    assert page.run("return document.title") == "dtx-telemetry"
    assert page.run("return document.scripts.length") == 1
    assert {urlsplit(url).netloc for url in requests_of(page.driver)} == {urlsplit(page.address).netloc}
    assert page.complaints() == []


def test_the_policy_holds_should_the_page_ever_slip(page):
    """Markup from text, inline handlers and scripts, and requests elsewhere are refused by the browser itself."""
    script = "try { CODE } catch (error) { return error.name }"
    for code in (
        "document.body.innerHTML = '<b>'",
        "document.querySelector('h1').setAttribute('onclick', 'window.hacked = 1')",
        "document.body.append(Object.assign(document.createElement('script'), {text: 'window.hacked = 1'}))",
    ):
        assert page.run(script.replace("CODE", code)) == "TypeError", code
    outcome = page.driver.execute_async_script(
        "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(() => done('sent'), error => done(error.name))"
    )
    assert outcome == "TypeError"
    assert page.run("return window.hacked") is None
    assert any("Content Security Policy" in text for text in page.complaints())


def test_another_origin_reads_nothing(page, processes, tmp_path, log):
    """A page on another port of this machine gets neither lives nor rows."""
    log.write(*click("secret"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text("<!doctype html><title>other</title>")
    other = processes.python("-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path / "other"))
    page.driver.get(f"http://127.0.0.1:{other.wait_for_port()}/")
    script = """
        const [address, done] = arguments, got = [];
        const read = fetch(address + "life?id=secret").then(answer => answer.text(), error => error.name);
        const blind = fetch(address + "life?id=secret", {mode: "no-cors"}).then(answer => answer.text(), error => error.name);
        const rows = fetch(address + "rows", {mode: "no-cors"}).then(answer => answer.text(), error => error.name);
        Promise.all([read, blind, rows]).then(done);
    """
    read, blind, rows = page.driver.execute_async_script(script, page.address)
    assert read == "TypeError"
    assert "secret" not in blind
    assert "secret" not in rows


def test_the_filter_and_the_kinds_choose(page, log):
    """Any field of any line, words, and a minus in front; how many fit is said, and what is wrong with a filter."""
    log.write(*click("click-one"), request("fine", "/api/teams/1/", user_id=7), request("bad", "/api/teams/2/", status=503))
    page.wait_for_text("#matches", "3 kept")
    for text, ids in (
        ("teams", {"fine", "bad"}),
        ("teams -user.id=7", {"bad"}),
        ("http.status_code>=500", {"bad"}),
        ("hero=Invoker", {"click-on"}),
        ("task.name~announce", {"click-on"}),
        ("labels=draft duration_ms>20", {"click-on"}),
        ("nothing like it", set()),
    ):
        page.type(text)
        page.wait_for_ids(*ids)
        page.wait_for_text("#matches", f"{len(ids)} of 3 kept")
    page.wait_for_text("#empty", "Nothing fits the filter.")
    page.type("duration_ms>long")
    page.wait_for(
        "return document.querySelector('#wrong').textContent.includes('no number') && !document.querySelector('#wrong').hidden"
    )
    page.type("")
    page.wait_for_ids("click-on", "fine", "bad")
    assert page.run("return document.querySelector('#wrong').hidden")
    page.run("document.querySelector('[data-kind=task]').click()")
    page.wait_for_ids("click-on")
    page.wait_for_text("#matches", "1 of 3 kept")


def test_the_address_says_what_is_shown(page, log):
    """The filter stays on reload, and goes back with the browser; rows are links that a new tab can follow."""
    log.write(*click("click-one"), request("fine", "/api/teams/1/"))
    page.wait_for_ids("click-on", "fine")
    page.type("teams")
    page.wait_for_ids("fine")
    assert urlsplit(page.driver.current_url).query == "q=teams"
    page.driver.refresh()
    page.wait_for_ids("fine")
    assert page.run("return document.querySelector('#filter').value") == "teams"
    page.open("/api/teams/1/")
    assert urlsplit(page.driver.current_url).fragment == "fine"
    page.driver.back()
    page.wait_for("return document.querySelector('#detail').hidden")
    page.driver.back()
    page.wait_for_ids("click-on", "fine")
    assert page.run("return document.querySelector('#filter').value") == ""
    page.run("document.querySelector('[data-kind=task]').click()")
    page.wait_for_ids("click-on")
    link = page.run("return document.querySelector('.row:not([hidden]) a').href")
    page.driver.get("about:blank")
    page.driver.get(link)
    page.wait_for("return document.querySelector('#detail .an-id code')?.textContent === 'click-one'")
    page.wait_for_ids("click-on")


def test_start_day_queries_and_service_are_columns(page, log, tmp_path):
    """The start is the end without the duration, with its day if that is not today; services where there are several."""
    log.write(request("old", ago=40 * 24 * 3600 * 1000, **{"db.query_count": 31}))
    started, _what, _status, _took, queries, *_ = page.wait_for_row("old").split("|")
    assert re.fullmatch(r"(\d{4}-)?\d\d-\d\d \d\d:\d\d(:\d\d)?", started)
    assert queries == "31"
    assert page.run("return getComputedStyle(document.querySelector('.columns .service')).display") == "none"
    log.write(
        b"web-1  | " + request("web", ago=5), b"worker-1  | " + line("task_completed", "web", logger="dtx_telemetry.celery")
    )
    row = page.wait_for_row("web-1, worker-1").split("|")
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", row[0])
    assert page.run("return getComputedStyle(document.querySelector('.columns .service')).display") == "block"


def test_lines_without_a_request_errors_and_slow_ones_have_pages(page, log):
    """Each is an address; ids in them lead to lives."""
    beat = {"timestamp": "2026-01-15T10:23:45Z", "level": "info", "logger": "app", "event": "beat_without_id"}
    log.write(json.dumps(beat).encode() + b"\n")
    page.wait_for("return document.querySelector('#empty').textContent === '1 line, and none of a request: see Other lines.'")
    failed = {"error": "ValueError: no", "level": "error", "http.route": "/api/teams/9/", "http.method": "GET"}
    log.write(*click("click-one"), line("request_failed", "failing", duration_ms=900, **failed))
    page.wait_for_ids("click-on", "failing")
    page.run("document.querySelector('[data-view=loose]').click()")
    page.wait_for_text("#report .lines b", "beat_without_id")
    page.run("document.querySelector('[data-view=errors]').click()")
    page.wait_for("return document.querySelector('#report tbody b')?.textContent === 'ValueError'")
    page.run("document.querySelector('#report tbody a').click()")
    page.wait_for("return document.querySelector('#detail .an-id code')?.textContent === 'failing'")
    assert urlsplit(page.driver.current_url).query == "view=errors"
    page.driver.get(f"{page.address}?view=slow")
    page.wait_for("return document.querySelectorAll('#report tbody tr').length === 3")
    assert page.texts("#report tbody b")[0] == "GET /api/teams/{id}/"
    page.type("announce_pick")
    page.wait_for_text("#report tbody b", "tournament.tasks.announce_pick")


def test_the_strip_shows_the_rate_and_chooses_a_time(page, log):
    """Failures are red; dragging makes a filter of the time."""
    log.write(*(request(f"{number:02}-early", ago=600_000 - number, status=500) for number in range(5)))
    log.write(*(request(f"{number:02}-late", ago=500 - number) for number in range(9)))
    page.wait_for_text("#matches", "14 kept")
    page.wait_for("return document.querySelector('.plot .bad').getAttribute('d').length > 0")
    assert page.texts("#strip .peak")[0].startswith("peak 9 in ")
    page.drag(".plot", 0.5, 0.999)
    page.wait_for_text("#matches", "9 of 14 kept")
    assert page.run("return document.querySelector('#filter').value").startswith("timestamp>=")
    page.driver.back()
    page.wait_for_text("#matches", "14 kept")


def test_a_trace_500_deep_shows_the_lines_of_the_500th(page, log):
    """Below the bar that was clicked; what is below it folds away, and how deep it is can be read."""
    log.write(*deep("chain", 501))
    page.open("/api/teams/5/")
    page.wait_for("return document.querySelectorAll('.bar').length === 501")
    page.run("document.querySelectorAll('.bar')[499].click()")
    wait_until(lambda: "task_completed" in page.texts(".scope:nth-child(500) > .lines b"), what="its lines")
    gap = page.run(
        "const scope = document.querySelectorAll('.scope')[499], bar = scope.querySelector('.bar').getBoundingClientRect();"
        "return scope.querySelector('.lines').getBoundingClientRect().top - bar.bottom"
    )
    assert 0 <= gap < 60
    assert page.texts(".scope:nth-child(500) .depth") == ["499"]
    inset = "return parseFloat(document.querySelectorAll('.scope')[arguments[0]].style.getPropertyValue('--in'))"
    insets = [page.run(inset, place) for place in (1, 8, 9, 250, 499)]
    assert insets == sorted(set(insets))
    page.run("document.querySelectorAll('.fold')[250].click()")
    shown = "return [...document.querySelectorAll('.scope')].filter(one => !one.hidden).length"
    page.wait_for(f"{shown} === 251")
    page.run("document.querySelector('.fold-all').click()")
    page.wait_for(f"{shown} === 501")
    page.run("document.querySelector('.fold-all').click()")
    page.wait_for(f"{shown} === 1")


def test_a_trace_is_searched(page, log):
    """What is found stands out, is counted, and is gone to with Enter."""
    from selenium.webdriver.common.keys import Keys

    log.write(*click("click-one"))
    page.open("/draft/12/")
    page.type("role=mid", ".tools input")
    page.wait_for_text(".found", "1 of 3")
    assert page.run("return [...document.querySelectorAll('.scope')].map(one => one.classList.contains('hit'))") == [
        False, True, False,
    ]  # fmt: skip
    assert page.texts("#detail .lines.all b") == ["draft_pick_announced"]
    page.run("document.querySelector('.tools input').focus()")
    page.press(Keys.ENTER)
    assert page.run("return document.querySelector('.scope.hit > .bar').classList.contains('here')")
    page.type("duration_ms>x", ".tools input")
    page.wait_for("return document.querySelector('.found').textContent.includes('no number')")


def test_an_open_trace_grows_though_the_filter_hides_its_row(page, log):
    """What is open is followed by its own id; one whose id is too short says so."""
    log.write(*click("click-one"), *click("click-two"))
    page.open("/draft/12/")
    page.driver.get(f"{page.address}?q=nowhere#click-one")
    page.wait_for("return document.querySelectorAll('#detail .lines.all li').length === 7")
    assert page.texts("#detail h2 .name") == ["POST /api/tournaments/5/draft/12/"]
    log.write(line("later", "click-one", **{"scope.id": "aaaaaaaa"}))
    page.wait_for("return document.querySelectorAll('#detail .lines.all li').length === 8")
    page.driver.get(f"{page.address}?q=nowhere#click-")
    page.wait_for_text("#detail .note", "Several begin so: the id has to be longer.")


def test_dragging_across_the_bars_zooms(page, log):
    """No bar opens by that; a button, and two clicks, show the whole time again."""
    log.write(*click("click-one"))
    page.open("/draft/12/")
    page.wait_for("return document.querySelector('.axis').children.length > 1")
    width = "return parseFloat(document.querySelectorAll('.run')[1].style.width)"
    before = page.run(width)
    page.drag(".scope:nth-child(2) .lane", 0.3, 0.8)
    wait_until(lambda: page.run(width) == pytest.approx(2 * before, rel=0.05), what="a bar twice as long")
    assert page.run("return document.querySelectorAll('.bar[aria-expanded=true]').length") == 0
    page.run("document.querySelector('.whole').click()")
    wait_until(lambda: page.run(width) == pytest.approx(before, rel=0.05), what="the whole time")
    page.run("document.querySelectorAll('.bar')[1].focus()")
    page.press("z")
    wait_until(lambda: page.run(width) > 2 * before - before * 0.9, what="the bar's own time")
    page.press("Z")
    wait_until(lambda: page.run(width) == pytest.approx(before, rel=0.05), what="the whole time")


def test_bars_can_be_coloured_by_service(page, log):
    """Where lines come from several."""
    lines = click("click-one")
    log.write(b"web-1  | " + lines[2], b"worker-1  | " + lines[-1])
    page.open("/draft/12/")
    page.wait_for("return document.querySelectorAll('.bar').length === 2")
    assert page.texts(".bar .service") == ["web-1", "worker-1"]
    colours = "return [...document.querySelectorAll('.run')].map(run => getComputedStyle(run).backgroundColor)"
    before = page.run(colours)
    page.run("document.querySelector('.colour').click()")
    after = page.run(colours)
    assert len(set(after)) == 2
    assert after != before


def test_queries_are_marks_and_a_click_lists_the_statements(page, log):
    """How many and how long, how often the same in red; by text with the slowest first, and in their order."""
    log.write(*queries("asking"))
    page.open("/api/teams/5/")
    page.wait_for_text(".scope button.queries", "12 queries · 84.0 ms")
    page.wait_for_text(".scope .repeat", "the same statement 10 times")
    red = page.run("return getComputedStyle(document.querySelector('.repeat')).color")
    assert channels(red)[0] > 2 * channels(red)[1]
    assert page.run("return document.querySelectorAll('.marks i').length") == 12
    places = page.run("return [...document.querySelectorAll('.marks i')].map(mark => parseFloat(mark.style.left))")
    assert places == sorted(places)
    page.run("document.querySelector('.scope button.queries').click()")
    page.wait_for("return document.querySelectorAll('.statements .each li').length === 12")
    assert page.texts(".statements .groups code") == ["SELECT team", "SELECT hero WHERE id = ?"]
    assert page.texts(".statements .each code")[:2] == ["SELECT team", "SELECT hero WHERE id = ?"]
    page.run("document.querySelector('.scope button.queries').click()")
    page.wait_for("return document.querySelector('.statements') === null")


def test_nine_tabs_are_all_alive(page, log):
    """A browser has six connections for an address; each tab that is looked at shows what comes."""
    before, handles = page.driver.current_window_handle, []
    try:
        for number in range(8):
            page.driver.switch_to.new_window("tab")
            handles.append(page.driver.current_window_handle)
            page.driver.get(page.address)
            page.wait_for("return document.body.dataset.connected === 'true'")
            log.write(request(f"{number}", f"/api/tab/{number}/"))
            page.wait_for_row(f"/api/tab/{number}/")
        page.driver.switch_to.window(before)
        page.wait_for_row("/api/tab/7/")
    finally:
        for handle in handles:
            page.driver.switch_to.window(handle)
            page.driver.close()
        page.driver.switch_to.window(before)


def test_announcements_are_few(page, log):
    """What streams by is not read aloud; how many fit a filter is, once."""
    page.run(
        "window.said = []; new MutationObserver(() => said.push(document.querySelector('#said').textContent))"
        ".observe(document.querySelector('#said'), {childList: true, characterData: true, subtree: true})"
    )
    live = "[role=status], [role=alert], [role=log], [aria-live]"
    named = "return [...document.querySelectorAll(arguments[0])].map(one => one.id || one.className)"
    assert page.run(named, live) == ["said", "found"]
    for number in range(10):
        log.write(request(f"{number}-one", f"/api/number/{number}/"))
        page.wait_for_row(f"/api/number/{number}/")
    assert page.run("return said") == []
    page.type("number/7")
    page.wait_for("return said.length > 0")
    assert page.run("return said") == ["1 of 10 kept"]


def test_pretty_lines_are_said_to_be_unreadable(page, log):
    """With what to do."""
    log.write(b"2026-01-15 10:23:45 [info ] request_completed [telemetry] http.status_code=200\n" * 3)
    page.wait_for_text(
        "#empty", "3 lines were read, and nothing could be made of them: these lines are `pretty`: set LOG_FORMAT=json."
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_axe_finds_nothing(page, log, scheme, width):
    """On the list, an open trace with its queries and lines, the other pages, and the help."""
    script = axe()
    page.look(width, 900, scheme)
    assert faults_of(page.driver, script) == []
    failed = {"error": "ValueError: no", "exception": "Traceback\nValueError: no", "level": "error"}
    log.write(*click("click-one"), *queries("asking"), request("gone", status=404), line("request_failed", "failing", **failed))
    log.write(b'{"timestamp":"2026-01-15T10:23:45Z","level":"warning","logger":"app","event":"beat_without_id"}\n')
    page.wait_for_row("click-on")
    page.wait_for_row("failing")
    assert faults_of(page.driver, script) == []
    for identifier, button in (("asking", ".scope button.queries"), ("click-one", ".bar"), ("failing", ".bar")):
        page.driver.get(f"{page.address}#{identifier}")
        page.wait_for(f"return document.querySelector('#detail .an-id code')?.textContent === '{identifier}'")
        page.run(f"document.querySelector('{button}').click()")
        page.wait_for("return document.querySelector('.statements, .scope > .lines li') !== null")
        assert faults_of(page.driver, script) == []
    for view in ("errors", "slow", "loose"):
        page.driver.get(f"{page.address}?view={view}")
        page.wait_for("return document.querySelector('#report tbody tr, #report .lines li') !== null")
        assert faults_of(page.driver, script) == []
    page.press("?")
    assert faults_of(page.driver, script) == []


def test_the_keyboard_is_enough(page, log):
    """/ filters, arrows select, Enter opens, Esc closes, p holds the list still, ? says so."""
    from selenium.webdriver.common.keys import Keys

    for number in range(3):
        log.write(request(f"number-{number}", f"/api/number/{number}/", ago=100 * (3 - number)))
    page.wait_for_row("/api/number/2/")
    page.wait_for_row("/api/number/0/")
    page.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    page.wait_for("return document.querySelector('#detail h2').textContent.includes('/api/number/1/')")
    page.press("j")
    page.wait_for("return document.querySelector('#detail h2').textContent.includes('/api/number/0/')")
    page.press(Keys.ESCAPE)
    assert page.run("return document.querySelector('#detail').hidden")
    page.press("/", "n", "u", "m", "b", "e", "r", "/", "2")
    page.wait_for_ids("number-2")
    page.press(Keys.ENTER)
    page.wait_for("return document.querySelector('#detail h2').textContent.includes('/api/number/2/')")
    page.press(Keys.ESCAPE, "/", Keys.ESCAPE)
    page.wait_for_ids("number-0", "number-1", "number-2")
    page.press(Keys.ESCAPE, "p")
    log.write(request("new", "/api/new/"))
    page.wait_for("return document.querySelector('#news').textContent === '↑ 1 new' && !document.querySelector('#news').hidden")
    assert len(page.rows()) == 3
    page.press("p")
    page.wait_for_row("/api/new/")
    page.press("?")
    assert page.run("return document.querySelector('dialog').open")
    page.press(Keys.ESCAPE)
    assert not page.run("return document.querySelector('dialog').open")


def test_ten_thousand_rows_are_a_few_elements(page, log):
    """Only what is visible is drawn; further down the list stands still while more comes."""
    log.write(*(request(f"number-{number}", f"/api/number/{number}/") for number in range(12_000)))
    page.wait_for_text("#matches", "10,000 kept, 2,000 older let go")
    page.wait_for("return document.querySelector('#state').textContent.startsWith('12,000 lines')")
    page.wait_for("return document.querySelector('#canvas').clientHeight === 340000")
    assert page.run("return document.querySelectorAll('.row').length") < 60
    page.type("api/number/7/")
    page.wait_for(
        "return document.querySelector('#empty').textContent.startsWith('Nothing that is kept fits. 2,000 older requests')"
    )
    page.type("")
    page.wait_for("return document.querySelector('#canvas').clientHeight === 340000")
    page.run("document.querySelector('#scroller').scrollTop = 170000")
    wait_until(lambda: (rows := page.rows()) and "/11999/" not in rows[0], what="the rows in the middle")
    before = page.rows()
    log.write(request("new", "/api/new/"))
    page.wait_for("return !document.querySelector('#news').hidden")
    assert page.rows() == before
    page.run("document.querySelector('#news').click()")
    page.wait_for_row("/api/new/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("opened", [False, True], ids=["list", "waterfall"])
def test_at_400_pixels_nothing_sticks_out(page, log, scheme, opened):
    """Long paths, names and ids wrap or are cut; every text is readable against what is behind it."""
    page.look(400, 800, scheme)
    long = "x" * 300
    log.write(*click("click-one"))
    log.write(*click(f"click-{'y' * 100}"), request("long", f"/api/{long}/", labels=[long], user_id=long, status=404))
    page.wait_for_row("/api/xxx")
    if opened:
        page.open("/api/xxx")
    assert page.run("return document.documentElement.scrollWidth") == 400
    out = page.run(
        "return [...document.querySelectorAll('#detail *, .row')].filter(one => one.getBoundingClientRect().right > 401)"
        ".filter(one => !one.closest('.first, .name, .text, .label')).map(one => one.outerHTML.slice(0, 200))"
    )
    assert out == []
    assert page.run("return getComputedStyle(document.querySelector('#list')).display") == ("none" if opened else "flex")
    back, text = (page.run(f"return getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    assert (brightness(back) < 40, brightness(text) > 200) == ((scheme == "dark"),) * 2
    dim = page.run("return getComputedStyle(document.querySelector('#state')).color")
    assert contrast(dim, back) >= 4.5
    assert contrast(text, back) >= 12


def channels(colour):
    return [int(channel) for channel in re.findall(r"\d+", colour)[:3]]


def brightness(colour):
    return sum(channels(colour)) / 3


def contrast(one, other):
    """Return the contrast of two colours, as WCAG 2 reckons it."""
    lights = sorted(luminance(channels(colour)) for colour in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def luminance(colour):
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in (c / 255 for c in colour)]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_an_address_leads_to_a_life(page, log):
    """The id is behind the #; going back closes it; a beginning typed into the filter opens it too."""
    from selenium.webdriver.common.keys import Keys

    log.write(*click("click/one"), *click("click/two"))
    page.wait_for_row("/draft/12/")
    page.driver.get(f"{page.address}#click%2Fone")
    page.wait_for("return document.querySelector('#detail .an-id code')?.textContent === 'click/one'")
    page.driver.back()
    page.wait_for("return document.querySelector('#detail').hidden")
    page.press("/", *"click/tw", Keys.ENTER)
    page.wait_for("return document.querySelector('#detail .an-id code')?.textContent === 'click/two'")


def test_it_comes_back_when_the_server_does(driver, processes, log):
    """While the server is away the page says so; then it shows what the new one has."""
    log.write(request("first", "/api/first/"))
    process = processes.python("-m", "dtx_telemetry", "page", str(log.path))
    process.wait_for_text("http://")
    page = Page(driver, process.other[0])
    page.wait_for_row("/api/first/")
    process.stop()
    page.wait_for("return document.querySelector('#state').textContent.startsWith('Not connected')")
    log.truncate()
    log.write(request("second", "/api/second/"))
    port = str(urlsplit(page.address).port)
    again = processes.python("-m", "dtx_telemetry", "page", "--port", port, str(log.path))
    again.wait_for_text("http://")
    page.wait_for_row("/api/second/")
    assert len(page.rows()) == 1
    assert page.run("return document.body.dataset.connected") == "true"
