"""The live page in a real browser."""

import re
from urllib.parse import quote, urlsplit

import pytest

from tests.support.browser import chromium, requests_of
from tests.support.page_lines import LogFile, click, line, request
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
    "html head meta title link script body header h1 span div input kbd button p main section dialog h2 dl dt dd code noscript "
    "b ol li pre"
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
        return wait_until(lambda: self.run(script, *args), deadline=30, what=script)

    def rows(self):
        """Return the texts of the rows that are drawn, from the top."""
        return self.run(
            "return [...document.querySelectorAll('.row')].filter(row => !row.hidden)"
            ".sort((one, other) => one.ariaPosInSet - other.ariaPosInSet)"
            ".map(row => [...row.children].map(cell => cell.textContent).join('|'))"
        )

    def wait_for_row(self, *texts):
        """Wait for a row that has all of *texts* in it."""
        return wait_until(
            lambda: next((row for row in self.rows() if all(text in row for text in texts)), None),
            deadline=30,
            what=f"a row with {texts}",
        )

    def open(self, text):
        """Click on the row that has *text*, and wait for the waterfall."""
        self.wait_for_row(text)
        self.run("[...document.querySelectorAll('.row')].find(row => row.textContent.includes(arguments[0])).click()", text)
        self.wait_for("return document.querySelectorAll('#detail .bar').length > 0")

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
    assert page.texts("#detail .lines b") == ["task_started", "draft_pick_announced", "task_completed"]
    assert page.complaints() == []


def test_what_runs_grows_until_it_ends(page, log):
    """A connection's duration goes up in the list and in the waterfall; its end is shown as it comes."""
    log.write(line("ws_connected", "socket", logger="dtx_telemetry.websocket", ws_conn_id="socket", labels=["draft"]))
    page.open("connection")
    took = "return document.querySelector('#detail .bar .took').textContent"
    before = page.run(took)
    wait_until(lambda: page.run(took) != before, what="growth")
    assert page.run("return document.querySelector('#detail .bar').classList.contains('running')")
    page.wait_for_row("connection", "running")
    end = {"close.code": 1000, "duration_ms": 61000}
    log.write(line("ws_disconnected", "socket", logger="dtx_telemetry.websocket", ws_conn_id="socket", labels=["draft"], **end))
    page.wait_for_row("connection", "closed", "1 m 01 s")
    page.wait_for("return !document.querySelector('#detail .bar').classList.contains('running')")
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
    page.wait_for("return document.querySelector('#state').textContent.startsWith('4 kept · 4 lines')")
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
    """A page on another port of this machine gets neither lives nor updates, nor the page in a frame."""
    log.write(*click("secret"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text("<!doctype html><title>other</title>")
    other = processes.python("-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(tmp_path / "other"))
    page.driver.get(f"http://127.0.0.1:{other.wait_for_port()}/")
    script = """
        const [address, done] = arguments, got = [];
        const read = fetch(address + "life?id=secret").then(answer => answer.text(), error => error.name);
        const blind = fetch(address + "life?id=secret", {mode: "no-cors"}).then(answer => answer.text(), error => error.name);
        const updates = new Promise(resolve => {
            const source = new EventSource(address + "updates");
            source.onmessage = event => resolve(event.data);
            source.onerror = () => resolve("refused");
        });
        Promise.all([read, blind, updates]).then(done);
    """
    read, blind, updates = page.driver.execute_async_script(script, page.address)
    assert read == "TypeError"
    assert "secret" not in blind
    assert updates == "refused"


def test_the_filter_and_the_kinds_choose(page, log):
    """Words, fields, classes of status, durations, and a minus in front."""
    log.write(*click("click-one"), request("fine", "/api/teams/1/", user_id=7), request("bad", "/api/teams/2/", status=503))
    page.wait_for("return document.querySelector('#state').textContent.startsWith('3 kept')")

    def shown(text):
        page.run(
            "const box = document.querySelector('#filter'); box.value = arguments[0]; box.dispatchEvent(new Event('input'))",
            text,
        )
        return {row.split("|")[-1] for row in page.rows()}

    assert shown("") == {"click-on", "fine", "bad"}
    assert shown("teams") == {"fine", "bad"}
    assert shown("teams -user=7") == {"bad"}
    assert shown("status=5xx") == {"bad"}
    assert shown("is:failed") == {"bad"}
    assert shown("label=draft") == {"click-on"}
    assert shown(">20ms") == {"click-on"}
    assert shown("nothing like it") == set()
    assert page.texts("#empty") == ["Nothing fits the filter."]
    shown("")
    page.run("document.querySelector('[data-kind=task]').click()")
    assert [row.split("|")[-1] for row in page.rows()] == ["click-on"]


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
    assert len(page.rows()) == 1
    page.press(Keys.ENTER)
    page.wait_for("return document.querySelector('#detail h2').textContent.includes('/api/number/2/')")
    page.press(Keys.ESCAPE)
    assert len(page.rows()) == 3
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
    page.wait_for("return document.querySelector('#state').textContent.startsWith('10,000 kept · 12,000 lines')")
    page.wait_for("return document.querySelector('#canvas').clientHeight === 340000")
    assert page.run("return document.querySelectorAll('.row').length") < 60
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
