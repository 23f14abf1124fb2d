"""A person before the search page: Chromium without a window, steered by selenium.

What belongs here: opening, waiting, pressing keys, looking. What does not: assertions.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
"""Where `make axe` puts the checker of accessibility, which is not part of this repository (MPL-2.0)."""

WAIT = 20


class Person:
    """What a person does and sees, in one window. `calm` means that the page waits for nothing."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str) -> None:
        """Load a page anew, with nothing left of what was open before."""
        self.driver.get("about:blank")
        self.driver.get(address)
        self.calm()

    def forget(self, base: str) -> None:
        """A browser that never was here: no login of an earlier test, light colours, a wide window."""
        self.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
        self.driver.get(f"{base}/page/page.css")
        self.driver.execute_script("sessionStorage.clear()")
        self.dark(False)
        self.width(1200)

    def log_in(self, base: str, key: str) -> None:
        """Have the page know a key, as if it had been typed."""
        self.driver.get(f"{base}/page/page.css")
        self.driver.execute_script("sessionStorage.setItem('rag-pipelines-login', arguments[0])", key)

    def calm(self) -> None:
        """Wait until the page has something to say and is no longer searching."""
        self.wait(
            "const s = document.getElementById('status'), e = document.getElementById('entry');"
            "const open = [...document.querySelectorAll('#search, #entry, #text')];"
            "return s && s.textContent !== 'Searching …' && (s.textContent || !e.hidden"
            " || open.some((one) => !one.hidden && one.children.length));"
        )

    def wait(self, script: str, *values: Any) -> Any:
        """The first truth that a script returns."""
        from selenium.webdriver.support.ui import WebDriverWait

        return WebDriverWait(self.driver, WAIT, 0.03).until(
            lambda driver: driver.execute_script(script, *values)
        )

    def wait_for_text(self, text: str) -> None:
        self.wait("return document.body.innerText.includes(arguments[0])", text)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def all(self, selector: str) -> list[Any]:
        return list(self.driver.find_elements("css selector", selector))

    def text(self, selector: str = "body") -> str:
        """What is to be read there."""
        return str(self.find(selector).text)

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        for key in keys:
            code = getattr(Keys, key.upper(), key) if len(key) > 1 and key.isidentifier() else key
            ActionChains(self.driver).send_keys(code).perform()

    def tab_to(self, reached: Callable[[str], bool], most: int = 60) -> str:
        """Press the tabulator until the name of what has the focus is what is wanted; that name."""
        for _ in range(most):
            self.press("tab")
            name = self.focused()
            if reached(name):
                return name
        raise AssertionError(f"the tabulator did not reach it in {most} steps; last was {self.focused()!r}")

    def focused(self) -> str:
        """The accessible name of what has the focus."""
        return str(self.driver.switch_to.active_element.accessible_name)

    def dark(self, on: bool) -> None:
        features = [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def width(self, pixels: int) -> None:
        size = {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def violations(self, *rules: str) -> list[str]:
        """What axe finds wrong, by all of its rules or by some, each with its element."""
        if not AXE.exists():
            pytest.skip("needs axe-core: make axe")
        self.driver.execute_script(AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "const only = arguments[0].length ? {runOnly: arguments[0]} : {};"
            "axe.run(document, {resultTypes: ['violations'], ...only}).then((r) => done(r.violations))",
            list(rules),
        )
        return [f"{one['id']}: {node['html']}" for one in found for node in one["nodes"]]

    def shoot(self, name: str) -> None:
        """Keep a picture where `PAGE_SHOTS` names a folder."""
        if folder := os.environ.get("PAGE_SHOTS"):
            size = self.driver.execute_cdp_cmd("Page.getLayoutMetrics", {})["cssContentSize"]
            clip = {**size, "height": min(size["height"], 2500), "scale": 1}
            asked = {"captureBeyondViewport": True, "clip": clip}
            picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", asked)
            Path(folder, f"{name}.png").write_bytes(base64.b64decode(picture["data"]))


@contextmanager
def opened() -> Iterator[Person]:
    """A browser with one window; skips where there is none."""
    if BROWSER is None or DRIVER is None:
        pytest.skip("needs a browser and its driver: apt install chromium chromium-driver")
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "hide-scrollbars"):
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(DRIVER))
    try:
        yield Person(driver)
    finally:
        driver.quit()
