"""Paired bootstrap with BCa intervals, vectorised; the only module that imports numpy.

A statistic is computed from *weights*: how often each unit (an example, or a whole group of them)
is in a resample. Sums over examples then are one matrix product for all resamples at once. Indices
are drawn as scipy.stats.bootstrap draws them, so that the tests can compare both digit by digit.

BCa: B. Efron, JASA 82, 1987; Efron and Tibshirani, An Introduction to the Bootstrap, 1993, 14.3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mcgitops.deferred import dataclass

Floats = NDArray[np.float64]

SEED = 20250101
"""Fixed, so that a report made twice says the same."""
LEAST_UNITS = 20
"""Examples, or groups: of fewer no interval is made."""
MOST_CELLS = 4_000_000
"""Numbers in one array: 32 MB."""
_CELLS = 2_000_000
_TIE = 1e-12
_MOST_UNDEFINED = 0.05


@dataclass(frozen=True)
class Bounds:
    """BCa intervals of a difference at 95 % and at 90 % (whose ends are one-sided 95 % bounds)."""

    wide: tuple[float, float]
    narrow: tuple[float, float]


def resamples(units: int) -> int:
    """How many: 2,000, and 1,000 for many units, where each costs more and they matter less."""
    return 2000 if units <= 20_000 else 1000


def batch(units: int) -> int:
    """How many resamples are drawn at once: as many as stay within 16 MB."""
    return max(1, min(resamples(units), _CELLS // units))


def weights(units: int) -> Iterator[Floats]:
    """How often each unit is in each resample: arrays of (some resamples, units)."""
    generator = np.random.default_rng(SEED)
    total, size = resamples(units), batch(units)
    for start in range(0, total, size):
        count = min(size, total - start)
        indices = generator.integers(0, units, (count, units))
        indices += np.arange(count)[:, None] * units
        found = np.bincount(indices.ravel(), minlength=count * units)
        yield found.reshape(count, units).astype(np.float64)


def distributions(units: int, statistics: Callable[[Floats], Floats]) -> Floats:
    """The statistics, which are a row for each resample, of all resamples."""
    return np.concatenate([statistics(drawn) for drawn in weights(units)])


def bca(estimate: float, resampled: Floats, jackknife: Floats) -> Bounds | None:
    """The intervals; None where they can't be had: no spread, or mostly undefined.

    estimate:  the statistic of the sample itself.
    resampled: of each resample; NaN where it is undefined, such as an AUC of one class.
    jackknife: of the sample without each unit.
    """
    resampled = resampled[np.isfinite(resampled)] if not np.isfinite(resampled).all() else resampled
    if not math.isfinite(estimate) or not np.isfinite(jackknife).all() or not resampled.size:
        return None
    scale = max(abs(estimate), float(np.abs(resampled).max()))
    tie = np.abs(resampled - estimate) <= _TIE * scale
    below = np.count_nonzero((resampled < estimate) & ~tie)
    share = (below + 0.5 * np.count_nonzero(tie)) / resampled.size
    if not 0 < share < 1 or float(np.ptp(resampled)) <= _TIE * scale:
        return None
    bias = NormalDist().inv_cdf(share)
    n = jackknife.size
    influence = (n - 1) * (jackknife.mean() - jackknife)
    spread = float((influence**2).sum()) / n**2
    if not spread > 0:
        return None
    acceleration = float((influence**3).sum()) / n**3 / (6 * spread**1.5)
    wide, narrow = (_interval(resampled, bias, acceleration, level) for level in (0.95, 0.90))
    return Bounds(wide, narrow) if wide and narrow else None


def is_defined(resampled: Floats) -> bool:
    """Whether nearly all resamples have the statistic."""
    return bool(np.isfinite(resampled).mean() >= 1 - _MOST_UNDEFINED)


def _interval(
    resampled: Floats, bias: float, acceleration: float, level: float
) -> tuple[float, float] | None:
    z = NormalDist().inv_cdf((1 + level) / 2)
    shares = []
    for side in (bias - z, bias + z):
        below = 1 - acceleration * side
        if below <= 0:  # so skewed that the correction has no meaning
            return None
        shares.append(100 * _normal(bias + side / below))
    low, high = np.percentile(resampled, shares)
    return float(low), float(high)


def _normal(z: float) -> float:
    """The normal distribution, with all digits in both tails."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


def array(values: Any) -> Floats:
    """As 64-bit floats."""
    return np.asarray(values, dtype=np.float64)
