"""Series out of rows, thinned while they are read so that memory stays bounded."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from mcgitops.metrics.values import X_NAMES, Plot, UnreadableError, Warnings

MAX_POINTS = 5_000
"""Points that are kept of one series, at least, where it has them; at most twice as many."""
MAX_CELLS = 260_000
"""Values that are kept of one file, at least; at most twice as many: 50 series of 10,000 points."""
LEAST_POINTS = 500
MAX_SERIES = 50

Row = Mapping[str, float | None]


def from_rows(name: str, columns: Iterable[str], rows: Iterable[Row], warnings: Warnings) -> Plot:
    """A plot of `rows`. Every k-th row is kept, k doubling as they grow, and always the last."""
    columns = tuple(columns)
    most = max(LEAST_POINTS, min(MAX_POINTS, MAX_CELLS // max(1, len(columns))))
    kept: list[tuple[int, Row]] = []
    stride, last = 1, None
    for index, row in enumerate(rows):
        last = (index, row)
        if index % stride == 0:
            kept.append(last)
            if len(kept) > 2 * most:
                stride *= 2
                kept = kept[::2]
    if last is not None and kept[-1][0] != last[0]:
        kept.append(last)
    return _plot(name, columns, kept, warnings)


def plot_of(path: str, data: Any, warnings: Warnings) -> Plot:
    """Out of loaded data: a list of rows, lists by name, or one of these under a single key."""
    rows = _rows(data)
    if rows is None and isinstance(data, Mapping):
        inner = [found for value in data.values() if (found := _rows(value)) is not None]
        rows = inner[0] if len(inner) == 1 else None
    if rows is None:
        raise UnreadableError("holds no series: neither a list of rows nor lists of numbers.")
    columns = dict.fromkeys(key for row in rows for key in row)
    return from_rows(path, columns, rows, warnings)


def number(value: Any) -> float | None:
    """A number as a float; anything else, booleans included, is None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _rows(data: Any) -> list[dict[str, float | None]] | None:
    if isinstance(data, list) and data and all(isinstance(row, Mapping) for row in data):
        return [{str(k): n for k, v in row.items() if (n := number(v)) is not None} for row in data]
    if isinstance(data, Mapping):
        lists = {str(k): v for k, v in data.items() if isinstance(v, list) and len(v) > 1}
        lists = {k: v for k, v in lists.items() if any(number(i) is not None for i in v)}
        if lists:
            length = max(len(items) for items in lists.values())
            return [
                {k: number(items[i]) for k, items in lists.items() if i < len(items)}
                for i in range(length)
            ]
    return None


def _plot(
    name: str, columns: tuple[str, ...], kept: list[tuple[int, Row]], warnings: Warnings
) -> Plot:
    by_lower = {column.lower(): column for column in reversed(columns)}
    x = next((by_lower[known] for known in X_NAMES if known in by_lower), "")
    series: dict[str, tuple[float | None, ...]] = {}
    for column in columns:
        if column == x or column.lower() in X_NAMES:
            continue
        points = tuple(row.get(column) for _, row in kept)
        if all(point is None for point in points):
            continue
        if len(series) == MAX_SERIES:
            warnings.add(f"holds more than {MAX_SERIES} series; the rest is left out.")
            break
        series[column] = points
    if not series:
        raise UnreadableError("holds no series of numbers.")
    xs = []
    for index, row in kept:
        value = row.get(x) if x else None
        xs.append(float(index) if value is None else value)
    return Plot(name, x or "row", tuple(xs), series)
