"""Packs the series of charts for the HTML report: deflated planes of bytes, in Base85.

A value is a 32-bit float whose sign, exponent and first bits of the mantissa are kept: 15 of them
(5 digits), or 13 (4 digits) where there is so much that the page would grow heavy. The first bytes
of all values lie side by side, then the second ones, …: that is what deflate packs well.
The browser undoes all of it: see `series` in `templates/html/report.js`.
"""

from __future__ import annotations

import base64
import itertools
import math
import sys
import zlib
from array import array
from collections.abc import Sequence

from mcgitops.compare.model import Curve, PlotPair
from mcgitops.deferred import dataclass

MOST_POINTS = 1_000_000
"""Of all charts in all. Beyond it every series is thinned by the same factor."""
MANY_POINTS = 500_000
LEAST_POINTS = 200
GAP = math.nan
GREATEST = 1e38  # a 32-bit float holds three times as much; what is beyond isn't drawn

_TO_HTML = bytes.maketrans(b"<>&", b",./")

Values = Sequence[float | None]
Packed = dict[str, object]


@dataclass(frozen=True)
class Line:
    """One side of a chart: finite x in ascending order; a value is NaN where there is none."""

    xs: Sequence[float]
    ys: Sequence[float]

    @property
    def drawable(self) -> bool:
        """Whether there are two points at least."""
        return len(self.xs) > 1 and any(not math.isnan(y) for y in self.ys)


def line(xs: Sequence[float], ys: Values) -> Line:
    """A series ready to be drawn. Where x repeats, the last value counts."""
    count = min(len(xs), len(ys))
    xs, ys = xs[:count], ys[:count]
    values = [GAP if y is None or not -GREATEST < y < GREATEST else y for y in ys]
    if not _ascends(xs):
        found = {x: y for x, y in zip(xs, values, strict=True) if math.isfinite(x)}
        pairs = sorted(found.items())
        return Line([x for x, _ in pairs], [y for _, y in pairs])
    return Line(xs, values)


def lines_of(pair: PlotPair) -> tuple[Line, Line]:
    """Base and head of a pair."""
    head = line(pair.head_xs, pair.head)
    base = line(pair.base_xs, pair.base)
    return base if base.drawable else Line((), ()), head


def pair_of(curve: Curve) -> PlotPair:
    """A thinned curve as a pair, for a report that came without whole series."""
    base_xs = curve.xs if curve.base else ()
    return PlotPair(
        curve.stage, curve.plot, curve.series, curve.x, curve.xs, curve.head, base_xs, curve.base
    )


def thinned(found: Line, stride: int) -> Line:
    """Every `stride`-th point, and the last."""
    if stride <= 1 or len(found.xs) <= LEAST_POINTS:
        return found
    xs, ys = list(found.xs[::stride]), list(found.ys[::stride])
    if (len(found.xs) - 1) % stride:
        xs.append(found.xs[-1])
        ys.append(found.ys[-1])
    return Line(xs, ys)


def pack_all(charts: Sequence[tuple[Line, Line]]) -> list[Packed]:
    """The data of all charts, base and head of each, ready for JSON."""
    total = sum(len(side.xs) for chart in charts for side in chart)
    stride = -(-total // MOST_POINTS)
    bits = 13 if total > MANY_POINTS else 15
    return [pack(thinned(base, stride), thinned(head, stride), bits) for base, head in charts]


def pack(base: Line, head: Line, bits: int = 15) -> Packed:
    """One chart: `n` points of base and head, their `x`, and the bytes `b`.

    x: `[first, step]`, or 0: its numbers are among the bytes, or 1: the base has those of the head.
    """
    parts: list[bytes] = []
    axes: list[object] = []
    for side in (head, base):
        if side is base and list(base.xs) == list(head.xs):
            axes.append(1)
        elif (even := _even(side.xs)) is not None:
            axes.append(even)
        else:
            axes.append(0)
            parts.append(_planes(array("d", side.xs)))
        parts.append(values(side.ys, bits))
    deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
    raw = deflate.compress(b"".join(parts)) + deflate.flush()
    return {"n": [len(head.xs), len(base.xs)], "x": axes, "b": text(raw)}


def text(raw: bytes) -> str:
    """Base85 as of Python and git, but for three letters that would mean something in HTML."""
    return base64.b85encode(raw).translate(_TO_HTML).decode()


def values(ys: Sequence[float], bits: int) -> bytes:
    """Three planes: the upper 24 bits of each value as a 32-bit float, the last of them rounded."""
    cut = 23 - bits
    half, mask = 1 << (cut - 1), 0xFFFFFFFF ^ ((1 << cut) - 1)
    raw = array("I", array("f", ys).tobytes())
    rounded = array("I", [(value + half) & mask for value in raw])
    return _planes(rounded)[: 3 * len(ys)]


def _planes(numbers: array[float] | array[int]) -> bytes:
    """The most significant bytes of all numbers, then the next ones, …"""
    if sys.byteorder == "little":
        numbers = numbers[:]
        numbers.byteswap()
    raw, width = numbers.tobytes(), numbers.itemsize
    return b"".join(raw[index::width] for index in range(width))


def _even(xs: Sequence[float]) -> list[float] | None:
    """First number and step, where the numbers are exactly even; most steps and epochs are."""
    if len(xs) < 2:
        return None
    first, step = xs[0], xs[1] - xs[0]
    if all(x == first + index * step for index, x in enumerate(xs)):
        return [float(first), float(step)]
    return None


def _ascends(xs: Sequence[float]) -> bool:
    """Strictly, and without NaN or infinity."""
    if not xs or not (math.isfinite(xs[0]) and math.isfinite(xs[-1])):
        return not xs
    return all(a < b for a, b in itertools.pairwise(xs))
