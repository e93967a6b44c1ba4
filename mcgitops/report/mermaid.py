"""A curve as a Mermaid chart, which forges draw themselves, for private repositories too.

`xychart-beta` is what every version that forges have had understands. It takes only finite
fixed-point numbers, has no legend (so the title names the lines and their colours), and its own
first colour is nearly white.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mcgitops.compare.model import Curve
from mcgitops.report.escape import mermaid
from mcgitops.report.templates import render as template

BASE_COLOUR, HEAD_COLOUR = "#8c959f", "#0969da"


def chart(curve: Curve) -> str:
    """The fenced chart of a curve that `curves.is_drawable`."""
    decimals = _decimals((*curve.base, *curve.head))
    places = _decimals(curve.xs)
    return template(
        "markdown/curve.md.j2",
        palette=f"{BASE_COLOUR}, {HEAD_COLOUR}" if curve.base else HEAD_COLOUR,
        title=title(curve),
        low=_fixed(min(curve.xs), places),
        high=_fixed(max(curve.xs), places),
        lines=[
            [_fixed(value, decimals) for value in side] for side in (curve.base, curve.head) if side
        ],
    )


def title(curve: Curve) -> str:
    """What is drawn, and which line is whose."""
    who = "base (grey), head (blue)" if curve.base else "head"
    return f"{mermaid(curve.series)} by {mermaid(curve.x)}: {who}"


def _decimals(values: Sequence[float]) -> int:
    """So many that the least and the largest can be told apart by four digits."""
    return max(0, 3 - math.floor(math.log10(max(values) - min(values))))


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{min(decimals, 12)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
