"""The HTML report of 50 plots with 10,000 points on either side: its weight, and how it opens.

In the machine's own Chromium, without a window and without a GPU. Opened means: what is seen at
first, with its charts, is drawn; further charts are drawn when they come near. The second row,
which has no bound, opens the page in a window so high that all of them are seen at once.
"""

from __future__ import annotations

import dataclasses
import math
import random
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.support.measure import Sample, Series
from benchmarks.support.table import Row, verdict
from mcgitops.compare.model import PlotPair
from mcgitops.report import html
from mcgitops.report.model import Report, Revision
from tests.lab import browser as lab

PLOTS = 50
POINTS = 10_000
REPEATS = 7
SECONDS = 1.0
BYTES = 3_000_000

WATCH = """
addEventListener("DOMContentLoaded", () => {
  const root = document.documentElement;
  const look = () => {
    if (Number(root.dataset.drawn || 0) < %d || root.dataset.opened) return;
    const note = () => { root.dataset.opened = performance.now(); };
    requestAnimationFrame(() => requestAnimationFrame(note));
  };
  new MutationObserver(look).observe(root, {attributes: true});
  look();
});
"""


def report() -> Report:
    """Losses that fall, with noise: no two points are equal, so that nothing packs well."""
    noise = random.Random(7)
    xs = tuple(float(step) for step in range(POINTS))

    def losses(offset: float) -> tuple[float, ...]:
        return tuple(
            2 / (1 + step / 700) + offset + math.exp(noise.gauss(-3.0, 0.8))
            for step in range(POINTS)
        )

    plots = tuple(
        PlotPair("train", "out/history.csv", f"loss{n}", "step", xs, losses(0.1), xs, losses(0.0))
        for n in range(PLOTS)
    )
    return Report("bench", "unchanged", "no metric changed", Revision(), Revision(), plots=plots)


def opened(url: str, height: int, charts: int) -> Series:
    """Seconds from the navigation's beginning until so many charts are on the screen."""
    samples = []
    with lab.chromium() as browser:
        for _ in range(REPEATS + 1):  # the first warms the browser, not the page: none is cached
            context = browser.new_context(viewport={"width": 1200, "height": height})
            context.add_init_script(WATCH % charts)
            page = context.new_page()
            page.goto(url)
            root = page.locator("html[data-opened]")
            root.wait_for(timeout=60_000)
            samples.append(Sample(float(root.get_attribute("data-opened") or "nan") / 1000))
            context.close()
    return Series(tuple(samples[1:]))


def main() -> int:
    """1 where a bound is missed."""
    made = report()
    with tempfile.TemporaryDirectory(prefix="mcgitops-bench-") as name:
        file = Path(name, "report.html")
        times = []
        for _ in range(3):
            began = time.perf_counter()
            text = html.render(dataclasses.replace(made))
            times.append(Sample(time.perf_counter() - began))
        file.write_text(text, encoding="utf-8")
        size = file.stat().st_size
        print(f"{PLOTS} plots, base and head of {POINTS:,} points each …", file=sys.stderr)
        first = opened(file.as_uri(), 900, 2)
        everything = opened(file.as_uri(), 60 * 420, PLOTS)
    rows = [
        Row("open it: what is seen at first is drawn", first, kind="seconds", bound=SECONDS),
        Row(f"open it in a window that shows all {PLOTS} charts", everything),
        Row("make the page", Series(tuple(times)), kind="seconds"),
    ]
    status = verdict(f"The HTML report: {PLOTS} plots, 2 × {POINTS:,} points each", rows)
    kept = "kept" if size <= BYTES else "MISSED"
    print(f"It weighs {size / 1e6:.2f} MB, at most {BYTES / 1e6:.0f} MB: {kept}.")
    return max(status, int(size > BYTES))


if __name__ == "__main__":
    sys.exit(main())
