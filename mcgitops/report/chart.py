"""Images without a browser: the still image of a chart, and the summary of a report as SVG or PNG.

SVG is text from a template. PNG is made from it by resvg, where that is installed
(`pip install 'mcgitops[images]'`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from mcgitops.compare import numbers
from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError
from mcgitops.report import markup, words
from mcgitops.report.model import Report
from mcgitops.report.packing import Line, lines_of, pair_of

if TYPE_CHECKING:
    pass

WIDTH, HEIGHT = 600, 220
BUCKETS = 60
SUMMARY_WIDTH = 960
FAMILIES = (
    "DejaVu Sans",
    "Liberation Sans",
    "Noto Sans",
    "Ubuntu",
    "Verdana",
    "Arial",
    "Helvetica",
)
"""Fonts of images, the first that the machine has."""
SUMMARY_ROWS = 8
_TONES = {
    "failed": "#cf222e",
    "gate failed": "#cf222e",
    "warning": "#bf5700",
    "worse": "#bf5700",
    "better": "#1a7f37",
    "unchanged": "#1a7f37",
}
_SIGN_COLORS = {
    words.RED: "#cf222e",
    words.ORANGE: "#bf5700",
    words.YELLOW: "#bf8700",
    words.GREEN: "#1a7f37",
    words.WHITE: "#8c959f",
}


@dataclass(frozen=True)
class Still:
    """Points of both lines, as `polyline` elements take them, within `WIDTH` × `HEIGHT`."""

    base: tuple[str, ...]
    head: tuple[str, ...]
    width: int = WIDTH
    height: int = HEIGHT


def still(base: Line, head: Line, width: int = WIDTH, height: int = HEIGHT) -> Still:
    """Both lines in one frame. Of many points the extremes of each bucket: no peak gets lost."""
    sides = [_envelope(base), _envelope(head)]
    everything = [point for side in sides for point in side]
    finite = [y for _, y in everything if not math.isnan(y)]
    if not finite:
        return Still((), (), width, height)
    left, right = min(x for x, _ in everything), max(x for x, _ in everything)
    low, high = min(finite), max(finite)
    pad = 6

    def place(value: float, start: float, end: float, length: int) -> float:
        # halves, since the difference of two huge numbers may be beyond a float
        span = end / 2 - start / 2
        return pad + (length - 2 * pad) * ((value / 2 - start / 2) / span if span else 0.5)

    def texts(side: Sequence[tuple[float, float]]) -> tuple[str, ...]:
        found: list[list[str]] = [[]]
        for x, y in side:
            if math.isnan(y):
                found.append([])
                continue
            across = place(x, left, right, width)
            down = height - place(y, low, high, height)
            found[-1].append(f"{across:.0f},{down:.0f}")
        return tuple(" ".join(dict.fromkeys(part)) for part in found if len(part) > 1)

    return Still(texts(sides[0]), texts(sides[1]), width, height)


def in_words(x: str, base: Line, head: Line) -> str:
    """What a chart shows, for who can't see it: ends and extremes of both sides."""
    return " ".join(
        sentence
        for sentence in (_side_in_words("head", x, head), _side_in_words("base", x, base))
        if sentence
    )


def points(base: Line, head: Line, most: int) -> Iterator[tuple[str, str, str]]:
    """Some points as text: x, base, head. Those of the head; the base's last value at or before."""
    count = len(head.xs)
    chosen = dict.fromkeys(round(k * (count - 1) / (most - 1)) for k in range(most))
    at = -1
    for index in chosen:
        x = head.xs[index]
        while at + 1 < len(base.xs) and base.xs[at + 1] <= x:
            at += 1
        before = base.ys[at] if at >= 0 else math.nan
        yield numbers.plain(x, 6), _number(before), _number(head.ys[index])


def svg(report: Report) -> str:
    """The report's summary as an image: verdict, the metrics that matter most, a curve."""
    shown = [change for change in report.metrics if change.is_changed] or list(report.metrics)
    if report.base is None:
        shown = list(report.metrics)
    rows = [words.metric_cells(change) for change in shown[:SUMMARY_ROWS]]
    rows += [words.cost_cells(cost) for cost in words.notable_costs(report)[:2]]
    pairs = report.plots or tuple(pair_of(curve) for curve in report.curves)
    lines = ((pair, *lines_of(pair)) for pair in pairs[:50])
    drawn = next((item for item in lines if item[2].drawable), None)
    more = len(shown) - SUMMARY_ROWS
    return markup.render(
        "summary.svg.j2",
        report=report,
        width=SUMMARY_WIDTH,
        tone=_TONES.get(report.status, "#8c959f"),
        colors=_SIGN_COLORS,
        rows=rows,
        more=f"and {words.count(more, 'metric')} more" if more > 0 else "",
        curve=drawn[0] if drawn else None,
        curve_has_base=bool(drawn and drawn[1].drawable),
        image=still(drawn[1], drawn[2], SUMMARY_WIDTH - 64, 180) if drawn else None,
        families=_families(),
    ).strip() + "\n"  # fmt: skip


def png(report: Report) -> bytes:
    """The same as PNG, twice as fine. Raises `UsageError` where this machine can't make it."""
    try:
        import resvg_py
    except ImportError:
        raise UsageError(
            "PNG images need the package resvg-py, which isn't installed.",
            "Install it with pip install 'mcgitops[images]', or use --format svg.",
        ) from None
    if not _has_fonts():
        raise UsageError(
            f"This machine has none of the fonts {', '.join(FAMILIES)}: an image would have no "
            "text.",
            "Install one (on Debian: fonts-dejavu-core), or use --format svg.",
        )
    return bytes(resvg_py.svg_to_bytes(svg_string=svg(report), zoom=2, font_family=FAMILIES[0]))


def _families() -> str:
    """The fonts as an SVG names them; the generic name alone finds none where Arial is missing."""
    return ", ".join((*(f"'{name}'" for name in FAMILIES), "sans-serif"))


@lru_cache(maxsize=1)
def _has_fonts() -> bool:
    """Whether a letter leaves anything on an image."""
    import resvg_py

    frame = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40">{}</svg>'
    letter = f'<text x="5" y="30" font-size="24" font-family="{_families()}">M</text>'
    images = [resvg_py.svg_to_bytes(svg_string=frame.format(text)) for text in ("", letter)]
    return bytes(images[0]) != bytes(images[1])


def _envelope(side: Line) -> list[tuple[float, float]]:
    """The points; of many, the lowest and the highest of each of `BUCKETS` runs of points."""
    count = len(side.xs)
    if count <= 2 * BUCKETS:
        return list(zip(side.xs, side.ys, strict=True))
    found: list[tuple[float, float]] = []
    for bucket in range(BUCKETS):
        start, end = bucket * count // BUCKETS, (bucket + 1) * count // BUCKETS
        here = [index for index in range(start, end) if not math.isnan(side.ys[index])]
        if not here:
            found.append((side.xs[start], math.nan))
            continue
        ends = {min(here, key=side.ys.__getitem__), max(here, key=side.ys.__getitem__)}
        if bucket == 0:
            ends.add(here[0])
        if bucket == BUCKETS - 1:
            ends.add(here[-1])
        found += [(side.xs[index], side.ys[index]) for index in sorted(ends)]
    return found


def _side_in_words(name: str, x: str, side: Line) -> str:
    known = [index for index, y in enumerate(side.ys) if not math.isnan(y)]
    if not known:
        return ""
    ys = side.ys
    low, high = min(known, key=ys.__getitem__), max(known, key=ys.__getitem__)
    return (
        f"{name}: from {_number(ys[known[0]])} to {_number(ys[known[-1]])} "
        f"over {len(known):,} points; "
        f"lowest {_number(ys[low])} at {x} {numbers.plain(side.xs[low], 6)}, "
        f"highest {_number(ys[high])} at {x} {numbers.plain(side.xs[high], 6)}."
    )


def _number(value: float) -> str:
    return "–" if math.isnan(value) else numbers.plain(value, 5)
