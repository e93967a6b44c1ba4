"""Which curves tell most, for the views that can't show all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mcgitops.compare import numbers
from mcgitops.compare.model import Curve
from mcgitops.deferred import dataclass
from mcgitops.report.model import Report
from mcgitops.report.spark import sparkline

_TOO_LARGE = 1e12  # what a chart can't write as a fixed-point number
_FLAT = 1e-9
_PRECISION = 1e-12  # some thousand times what a double of that size can tell apart


@dataclass(frozen=True)
class Line:
    """A curve as text. `base` is "" without one; both sparklines have the same scale."""

    curve: Curve
    base: str
    head: str
    last_base: str
    last_head: str


def ranked(report: Report) -> list[Curve]:
    """All curves, the most telling first: a gate speaks of it, its metric is worse, it moved.

    Those that are alike in that keep the order of the comparison, which puts validation first.
    """
    speaks = {m.name for m in report.metrics if m.gate_state in ("failed", "warned", "waived")}
    worse = {m.name for m in report.metrics if m.verdict == "worse"}

    def key(curve: Curve) -> tuple[bool, bool, bool, bool]:
        return (
            not is_drawable(curve),
            report.base is not None and not _has_moved(curve),
            curve.series not in speaks,
            curve.series not in worse,
        )

    return sorted(report.curves, key=key)


def charts(report: Report, most: int) -> list[Curve]:
    """Those that are worth a chart: drawable, and moved where there is a base."""
    return [
        curve
        for curve in ranked(report)
        if is_drawable(curve) and (report.base is None or _has_moved(curve))
    ][:most]


def is_drawable(curve: Curve) -> bool:
    """Whether its numbers can be written out, and aren't all the same.

    Where a step is too small to be added to an end of the axis, Mermaid never comes to the other
    end, and takes the reader's browser with it.
    """
    count = len(curve.xs)
    if count < 2 or len(curve.head) != count or len(curve.base) not in (0, count):
        return False
    return _is_range(curve.xs, count) and _is_range((*curve.base, *curve.head), count)


def _is_range(values: Sequence[float], steps: int) -> bool:
    """Whether a scale of that many steps can be drawn from the least to the largest."""
    if not all(map(math.isfinite, values)):
        return False
    low, high = min(values), max(values)
    largest = max(abs(low), abs(high))
    least = max(_FLAT, largest * steps * _PRECISION)
    return largest < _TOO_LARGE and high - low > least


def line(curve: Curve, width: int = 16) -> Line:
    """The curve as sparklines with the last values."""
    finite = [value for value in (*curve.base, *curve.head) if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    base, head = curve.base[-1:], curve.head[-1:]
    before, after, _ = numbers.row(
        base[0] if base else None, head[0] if head else None, head[0] - base[0] if base else None
    )
    return Line(
        curve,
        sparkline(curve.base, low, high, width),
        sparkline(curve.head, low, high, width),
        before,
        after,
    )


def _has_moved(curve: Curve) -> bool:
    return bool(curve.base) and curve.base != curve.head
