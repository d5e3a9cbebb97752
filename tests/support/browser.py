"""A real browser: headless Chromium, driven by Selenium."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["chromium", "requests_of"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-proxy-server",
    "--window-size=1280,800",
)


@contextmanager
def chromium() -> Iterator[Any]:
    """Run a Chromium for the block; skip where there is none, and fail there if ``DTX_REQUIRE_CHROMIUM`` is 1."""
    binary, driver = next(filter(None, map(shutil.which, _NAMES)), None), shutil.which("chromedriver")
    if binary is None or driver is None:
        if os.environ.get("DTX_REQUIRE_CHROMIUM") == "1":
            pytest.fail("there is no Chromium with its driver, and DTX_REQUIRE_CHROMIUM is 1")
        pytest.skip("there is no Chromium with its driver: apt-get install chromium chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for option in _OPTIONS:
        options.add_argument(option)
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    try:
        yield running
    finally:
        running.quit()


def requests_of(driver: Any) -> list[str]:
    """Return the URLs that pages asked for since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [message["params"]["request"]["url"] for message in messages if message["method"] == "Network.requestWillBeSent"]
