"""The demo's ``--serve``: one clicks on the draft page, and sees the click on the live page beside it."""

import re
import signal

import pytest

from tests.support.browser import chromium
from tests.support.waiting import wait_until
from tests.system.test_demo import Demo


@pytest.fixture
def driver():
    with chromium() as found:
        yield found


def test_a_click_on_the_draft_page_appears_on_the_live_page(driver, tmp_path):
    """In two windows of one browser; its waterfall has the request, the task and the message."""
    with Demo(tmp_path, "--serve") as demo:
        demo.wait_for("Ctrl-C ends it")
        draft = re.search(r"(http://\S+) shows the draft", demo.text)[1]
        live = re.search(r"(http://\S+) beside it", demo.text)[1]
        driver.get(live)
        wait_until(lambda: rows(driver, "POST /api/tournaments/5/draft/12/"), what="the demo's own click")
        watching = driver.current_window_handle
        driver.switch_to.new_window("window")
        driver.get(draft)
        driver.execute_script("document.querySelector('form button').click()")
        enabled = "return document.querySelector('button[data-path]')?.disabled === false"
        wait_until(lambda: driver.execute_script(enabled), what="the draft page")
        driver.execute_script("document.querySelector('button').click()")
        said = "return document.querySelector('pre').textContent"
        wait_until(lambda: "pushed" in driver.execute_script(said), what="the pick")
        clicked = re.search(r"request\.id (\S+)", driver.execute_script(said))[1]
        driver.switch_to.window(watching)
        wait_until(lambda: rows(driver, clicked[:8]), what="the click on the live page")
        driver.get(f"{live}#{clicked}")
        wait_until(lambda: len(bars(driver)) == 3, what="request, task and message")
        request, task, message = bars(driver)
        assert request.startswith("POST /api/tournaments/5/draft/12/")
        assert task.startswith("task announce_pick")
        assert message.startswith("message")
        demo.popen.send_signal(signal.SIGINT)
        assert demo.end() == 0, demo.text
    demo.assert_nothing_is_left()


def rows(driver, text):
    script = "return [...document.querySelectorAll('.row')].filter(row => row.textContent.includes(arguments[0])).length"
    return driver.execute_script(script, text)


def bars(driver):
    return driver.execute_script("return [...document.querySelectorAll('.bar .label')].map(label => label.textContent)")
