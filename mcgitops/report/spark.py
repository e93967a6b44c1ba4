"""Small pictures out of characters: sparklines for series, shades for shares."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"
SHADES = " ░▒▓█"


def sparkline(values: Sequence[float], low: float, high: float, width: int = 16) -> str:
    """A series as at most `width` bars on a scale from `low` to `high`; `·` is no number.

    >>> sparkline([0, 1, 2, 3], 0, 3)
    '▁▃▆█'
    """
    return "".join(_bar(value, low, high) for value in sampled(values, width))


def sampled(values: Sequence[float], most: int) -> list[float]:
    """At most that many of the values, evenly, with the first and the last."""
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def shade(share: float) -> str:
    """A share from 0 to 1 as a character that is the darker the larger it is."""
    if not share > 0:  # nor NaN
        return SHADES[0]
    return SHADES[min(1 + int(min(share, 1.0) * (len(SHADES) - 1)), len(SHADES) - 1)]


def _bar(value: float, low: float, high: float) -> str:
    if not math.isfinite(value):
        return "·"
    if not (math.isfinite(high - low) and high > low):
        return BARS[0]
    place = min(max((value - low) / (high - low), 0.0), 1.0)
    return BARS[round(place * (len(BARS) - 1))]
