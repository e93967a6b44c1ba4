"""Puts the same series of both sides on one grid, so that they can be drawn in one chart."""

from __future__ import annotations

import bisect
import itertools
import math
import re
from collections.abc import Mapping, Sequence

from mcgitops.compare.model import Curve, MetricChange, PlotPair, RunView
from mcgitops.metrics.values import Plot

POINTS = 40
MOST_CURVES = 12
MOST_PAIRS = 200


def curves(
    base: Mapping[str, RunView], head: Mapping[str, RunView], changes: Sequence[MetricChange]
) -> tuple[Curve, ...]:
    """The head's series beside the base's: those of validation first, then the worst metrics'."""
    found = (_curve(*candidate) for candidate in _candidates(base, head, changes))
    return tuple(itertools.islice((curve for curve in found if curve), MOST_CURVES))


def pairs(
    base: Mapping[str, RunView], head: Mapping[str, RunView], changes: Sequence[MetricChange]
) -> tuple[PlotPair, ...]:
    """The same series in the same order with all their points, at most `MOST_PAIRS`."""
    found = []
    for stage, series, plot, other in _candidates(base, head, changes)[:MOST_PAIRS]:
        has_base = other is not None and other.x == plot.x and series in other.series
        found.append(
            PlotPair(
                stage,
                plot.name,
                series,
                plot.x,
                plot.xs,
                plot.series[series],
                other.xs if other and has_base else (),
                other.series[series] if other and has_base else (),
            )
        )
    return tuple(found)


Candidate = tuple[str, str, Plot, Plot | None]
"""Stage, series, the head's plot and the base's of the same name."""


def _candidates(
    base: Mapping[str, RunView], head: Mapping[str, RunView], changes: Sequence[MetricChange]
) -> list[Candidate]:
    rank = {name: index for index, name in reversed([(i, c.name) for i, c in enumerate(changes)])}
    found: list[Candidate] = []
    for stage, run in head.items():
        others = {plot.name: plot for plot in base[stage].plots} if stage in base else {}
        found += [
            (stage, s, plot, others.get(plot.name)) for plot in run.plots for s in plot.series
        ]
    found.sort(key=lambda item: (not _is_validation(item[1]), rank.get(item[1], len(rank))))
    return found


def _is_validation(series: str) -> bool:
    """Whether it says how well the model does on data that it wasn't trained on."""
    return re.match(r"(val|valid|validation|eval|test|dev)[^a-z]", series.lower()) is not None


def _curve(stage: str, series: str, plot: Plot, other: Plot | None) -> Curve | None:
    head = _points(plot, series)
    base = _points(other, series) if other and other.x == plot.x else []
    if len(head) < 2:
        return None
    low, high = head[0][0], head[-1][0]
    if len(base) >= 2:
        low, high = max(low, base[0][0]), min(high, base[-1][0])
    if len(base) < 2 or not low < high:
        low, high, base = head[0][0], head[-1][0], []
    inside = (sum(low <= x <= high for x, _ in points) for points in (head, base))
    count = max(2, min(POINTS, max(inside)))
    step = (high - low) / (count - 1)
    if not (math.isfinite(step) and step > 0):
        return None
    xs = (*(low + index * step for index in range(count - 1)), high)
    return Curve(
        stage,
        plot.name,
        series,
        plot.x,
        xs,
        tuple(_at(base, x) for x in xs) if base else (),
        tuple(_at(head, x) for x in xs),
    )


def _points(plot: Plot, series: str) -> list[tuple[float, float]]:
    """Finite points in the order of x; where x repeats, the last one counts."""
    values = plot.series.get(series, ())
    found = {
        x: y
        for x, y in zip(plot.xs, values, strict=False)
        if y is not None and math.isfinite(x) and math.isfinite(y)
    }
    return sorted(found.items())


def _at(points: Sequence[tuple[float, float]], x: float) -> float:
    """Linear between the neighbours."""
    index = bisect.bisect_left(points, (x, -math.inf))
    if index >= len(points):
        return points[-1][1]
    right = points[index]
    if index == 0 or right[0] == x:
        return right[1]
    left = points[index - 1]
    part = (x - left[0]) / (right[0] - left[0])
    return left[1] * (1 - part) + right[1] * part
