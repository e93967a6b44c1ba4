"""A chart out of characters: the mean of each point, and the range of its replicates. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mcgitops.compare import numbers
from mcgitops.deferred import dataclass

HEIGHT = 12
LEAST_WIDTH = 24
"""Columns of the chart itself: with fewer a sparkline says more."""
MARK, RANGE, AXIS, TICK, CORNER, FLOOR = "●", "│", "│", "┤", "└", "─"


@dataclass(frozen=True)
class Point:
    """One point. `at`: where it is from left to right; low ≤ mean ≤ high."""

    at: float
    mean: float
    low: float
    high: float

    @property
    def is_finite(self) -> bool:
        """Whether it can be drawn."""
        return all(map(math.isfinite, (self.at, self.mean, self.low, self.high)))


def plot(
    points: Sequence[Point], *, width: int, height: int = HEIGHT, first: str = "", last: str = ""
) -> list[str]:
    """The lines of a chart at most `width` columns wide; [] where nothing can be drawn so.

    first, last: what stands below the two ends of the axis.
    Points of one column become one: the mean of the means, the range of the ranges.
    """
    known = [point for point in points if point.is_finite]
    if not known or height < 2:
        return []
    low, high = min(point.low for point in known), max(point.high for point in known)
    if not math.isfinite(high - low):
        return []
    if high == low:
        margin = abs(high) * 0.05 or 1.0
        low, high = low - margin, high + margin
        if not low < high:
            return []
    labels = _labels(low, high, height)
    space = max(map(len, labels.values()))
    columns = width - space - 2
    if columns < LEAST_WIDTH:
        return []
    rows = [[" "] * columns for _ in range(height)]

    def row(value: float) -> int:
        return height - 1 - round((value - low) / (high - low) * (height - 1))

    for column, point in _columns(known, columns).items():
        for index in range(row(point.high), row(point.low) + 1):
            rows[index][column] = RANGE
        rows[row(point.mean)][column] = MARK
    lines = [
        f"{labels.get(index, ''):>{space}} {TICK if index in labels else AXIS}{''.join(cells)}"
        for index, cells in enumerate(rows)
    ]
    lines.append(f"{'':>{space}} {CORNER}{FLOOR * columns}")
    gap = columns - len(first) - len(last)
    if (first or last) and gap >= 1:
        lines.append(f"{'':>{space}}  {first}{' ' * gap}{last}")
    return [line.rstrip() for line in lines]


def _columns(points: Sequence[Point], columns: int) -> dict[int, Point]:
    start, end = min(point.at for point in points), max(point.at for point in points)
    span = end - start
    found: dict[int, list[Point]] = {}
    for point in points:
        share = (point.at - start) / span if span > 0 and math.isfinite(span) else 0.5
        found.setdefault(round(share * (columns - 1)), []).append(point)
    return {
        column: Point(
            at=column,
            mean=sum(point.mean / len(group) for point in group),
            low=min(point.low for point in group),
            high=max(point.high for point in group),
        )
        for column, group in found.items()
    }


def _labels(low: float, high: float, height: int) -> dict[int, str]:
    """The values of a few rows, with as many digits as tell them apart."""
    every = 3 if height > 7 else max(height - 1, 1)
    chosen = sorted({*range(0, height, every), height - 1})
    if len(chosen) > 2 and chosen[-1] - chosen[-2] < 2:
        chosen.pop(-2)
    values = {index: high - (high - low) * index / (height - 1) for index in chosen}
    for digits in range(3, 16):
        texts = {index: numbers.plain(value, digits) for index, value in values.items()}
        if len(set(texts.values())) == len(texts):
            break
    return _aligned(texts)


def _aligned(texts: dict[int, str]) -> dict[int, str]:
    """With the same number of decimals, where none is in the way of it."""
    if any("e" in text or not text[-1:].isdigit() for text in texts.values()):
        return texts
    decimals = max(len(text.partition(".")[2]) for text in texts.values())
    return {
        index: text
        if not decimals
        else f"{text}{'' if '.' in text else '.'}{'0' * (decimals - len(text.partition('.')[2]))}"
        for index, text in texts.items()
    }
