"""Means, deviations and Welch's test, without scipy: importing that would cost every start.

The p-value comes from the regularised incomplete beta function (continued fraction after Lentz, as
in Numerical Recipes 6.4); tests hold it to 1e-9 against an arbitrary-precision library.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

TINY = 1e-300
EPSILON = 1e-15


@dataclass(frozen=True)
class Sample:
    """Some numbers in brief. `sd` is the sample's standard deviation, None below two numbers."""

    n: int
    mean: float
    sd: float | None

    @property
    def is_finite(self) -> bool:
        """Whether the mean is a finite number."""
        return math.isfinite(self.mean)


def sample(numbers: Sequence[float]) -> Sample:
    """Mean and standard deviation. NaN where a NaN is in it; never an exception."""
    n = len(numbers)
    first = numbers[0]
    if n == 1:
        return Sample(1, first, None)
    if all(number == first for number in numbers):  # exact, where a sum would round
        return Sample(n, first, 0.0)
    try:
        mean = math.fsum(numbers) / n
        sd = math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / (n - 1))
    except (OverflowError, ValueError):  # sums beyond a float; inf - inf
        mean = sum(number / n for number in numbers)
        sd = math.inf if math.isfinite(mean) else math.nan
    return Sample(n, mean, sd)


def welch_p(a: Sample, b: Sample) -> float | None:
    """Two-sided p of Welch's t-test; None where it can't be had (n < 2, no spread, not finite)."""
    if a.sd is None or b.sd is None or not (a.is_finite and b.is_finite):
        return None
    va, vb = a.sd**2 / a.n, b.sd**2 / b.n
    total = va + vb
    if not math.isfinite(total) or total <= 0:
        return None
    ra, rb = va / total, vb / total  # ratios: squares of tiny variances would vanish
    degrees = 1 / (ra**2 / (a.n - 1) + rb**2 / (b.n - 1))
    t = (b.mean - a.mean) / math.sqrt(total)
    return student_p(t, degrees)


def student_p(t: float, degrees: float) -> float:
    """Two-sided tail probability of Student's t."""
    if math.isinf(t):
        return 0.0
    square = t * t
    if math.isinf(square):
        return 0.0
    # x and 1 - x are both formed without subtraction, so that neither loses digits
    return _incomplete_beta(
        degrees / 2, 0.5, degrees / (degrees + square), square / (degrees + square)
    )


def _incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """The regularised incomplete beta function at x = 1 - y."""
    if x <= 0:
        return 0.0
    if y <= 0:
        return 1.0
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y)
    )
    front = math.exp(log_front)
    if x < (a + 1) / (a + b + 2):
        return front * _fraction(a, b, x) / a
    return 1 - front * _fraction(b, a, y) / b


def _fraction(a: float, b: float, x: float) -> float:
    c, d = 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d if abs(d) > TINY else TINY)
    result = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 + term * d
            d = 1 / (d if abs(d) > TINY else TINY)
            c = 1 + term / c
            c = c if abs(c) > TINY else TINY
            result *= c * d
        if abs(c * d - 1) < EPSILON:
            break
    return result
