"""Reports as files, and one Chromium for each process that runs tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from mcgitops.report import html
from tests.browser import reports
from tests.lab import browser as lab_browser


@pytest.fixture(scope="module")  # no longer: while Playwright runs, no other event loop can
def chromium() -> Iterator[Browser]:
    with lab_browser.chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The address of each report's file."""
    folder = tmp_path_factory.mktemp("reports")
    made = {
        "full": reports.full(),
        "many": reports.full(plots=14, points=60),
        "hostile": reports.hostile(),
    }
    found = {}
    for name, report in made.items():
        file = Path(folder, f"{name}.html")
        file.write_text(html.render(report), encoding="utf-8")
        found[name] = file.as_uri()
    return found


class Watched:
    """A page, and whatever it asked for or complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(dialog.message))

    def open(self, url: str) -> Page:
        self.page.goto(url)
        self.page.wait_for_selector("html[data-ready=true]")
        return self.page

    def draw_all(self) -> None:
        """Scroll to each chart until it is drawn."""
        figures = self.page.locator("figure[data-chart]")
        for index in range(figures.count()):
            figures.nth(index).scroll_into_view_if_needed()
            figures.nth(index).locator(".plot.drawn").wait_for()
        self.page.evaluate("scrollTo(0, 0)")


@pytest.fixture
def watched(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """A new page; the marker's arguments are those of Playwright's context."""
    marker = request.node.get_closest_marker("context")
    options = {"viewport": {"width": 1200, "height": 900}, **(marker.kwargs if marker else {})}
    context = chromium.new_context(**options)
    context.set_default_timeout(90_000)
    yield Watched(context.new_page())
    context.close()
