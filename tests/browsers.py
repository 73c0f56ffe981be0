"""Pages in Chromium, offline."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium: apt-get install chromium"
)
one_browser = pytest.mark.xdist_group("browser")  # its tests run in one process


class Opened:
    """A page, with its errors and its requests to the network.

    Args:
        browser: a running browser.
        file: the page.
        ready: a selector that the page has when its script is ready.
        context: options of the browser's context.
    """

    def __init__(self, browser: Browser, file: Path, ready: str, **context: object) -> None:
        self.complaints: list[str] = []
        page = browser.new_context(offline=True, **context).new_page()  # type: ignore[arg-type]
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        page.on("request", lambda request: self._note(request.url, file.as_uri()))
        page.on(
            "console",
            lambda said: said.type == "error" and self.complaints.append(said.text),
        )
        page.goto(file.as_uri())
        page.wait_for_selector(ready)
        self.page: Page = page

    def _note(self, url: str, own: str) -> None:
        if url != own and not url.startswith(("data:", "blob:")):
            self.complaints.append(url)

    def is_too_wide(self) -> bool:
        """Whether the page scrolls sideways."""
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        return bool(self.page.evaluate(wide))
