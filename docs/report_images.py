"""Takes the pictures of the HTML report that docs/how-to/read-the-report.md shows.

`python -m docs.report_images` writes docs/images/report-*.png, in the machine's Chromium, from the
sample report of the tests: a wine classifier whose accuracy fell.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from mcgitops.report import chart, html
from tests.browser import reports
from tests.lab import browser as lab

IMAGES = Path(__file__).parent / "images"
SHOTS = (
    # name, width, height, theme, the section at the top
    ("report-wide", 1100, 860, "light", ""),
    ("report-curves", 1100, 640, "light", "curves"),
    ("report-confusion", 1100, 640, "dark", "matrices"),
    ("report-phone", 360, 780, "dark", ""),
)


def main() -> None:
    """All of them."""
    report = reports.full(plots=4, points=2000)
    with tempfile.TemporaryDirectory() as name, lab.chromium() as browser:
        file = Path(name, "report.html")
        file.write_text(html.render(report), encoding="utf-8")
        for shot, width, height, theme, section in SHOTS:
            context = browser.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if theme == "dark" else "light",
                reduced_motion="reduce",
            )
            page = context.new_page()
            page.goto(file.as_uri())
            page.wait_for_selector("html[data-ready=true]")
            if section:
                page.locator(f"#{section}").evaluate("(section) => section.scrollIntoView()")
            if section == "curves":
                page.locator("#curves .plot.drawn").nth(1).wait_for()
                page.locator("#curves .u-over").first.hover()
            page.screenshot(path=IMAGES / f"{shot}.png")
            context.close()
    (IMAGES / "report-summary.png").write_bytes(chart.png(report))


if __name__ == "__main__":
    main()
