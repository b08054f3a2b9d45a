"""Chromium for the page tests: Debian's own, headless, reaching nothing but this machine."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests import chromium as chromium_
from tests.integration.web_house import WebHouse, open_house

ROOT = Path(__file__).parents[2]
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"  # axe-core 4.14.1, MPL-2.0
SERIOUS = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter(v => ["serious", "critical"].includes(v.impact))
  .map(v => `${v.id}: ${v.help} at ${v.nodes.map(n => n.target.join(" ")).join(", ")}`)"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, for one file of tests, which its loop must not outlive; skips, saying so, without one."""
    found = chromium_.program()
    if found is None:
        pytest.skip("no Chromium on the PATH: the pages are not looked at (Debian: apt install chromium)")
    with chromium_.launched(found) as browser:
        yield browser


@pytest.fixture
def house(dsn: str) -> Iterator[WebHouse]:
    with open_house(dsn) as opened:
        yield opened


Open = Callable[..., Page]


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """Open a page in a fresh browser context and keep what it asked the network for in `page.asked`."""
    contexts: list[BrowserContext] = []

    def open_(url: str, *, width: int = 360, height: int = 640, dark: bool = False, script: bool = True) -> Page:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            java_script_enabled=script,
            device_scale_factor=2,
            bypass_csp=False,
        )
        contexts.append(context)
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(url)
        page.asked = asked  # type: ignore[attr-defined]  # noted on the page itself
        return page

    yield open_
    for context in contexts:
        context.close()


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where screenshots are kept: WEARWELL_SCREENSHOTS, else test-output/screenshots of this repository."""
    folder = Path(os.environ.get("WEARWELL_SCREENSHOTS") or ROOT / "test-output" / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def axe() -> str:
    """The accessibility checker's text, when it is the one that we vendored."""
    text = AXE.read_bytes()
    assert AXE_SHA256 == hashlib.sha256(text).hexdigest()
    return text.decode()


@pytest.fixture
def accessible(axe: str) -> Callable[[Page], list[Any]]:
    """Return the serious and critical findings of axe-core on a page; none is right.

    The checker is run by the browser's inspector, which our Content-Security-Policy does not bind.
    """

    def check(page: Page) -> list[Any]:
        page.evaluate(axe)
        found: list[Any] = page.evaluate(SERIOUS)
        return found

    return check
