"""Student's t distribution without scipy, whose import would cost every start.

Tail probabilities come from the regularised incomplete beta function by its continued fraction
(DLMF 8.17.22, evaluated after Lentz, as in Numerical Recipes 6.4). Tests hold them to 1e-9 relative
against scipy and against an arbitrary-precision library, far tails included.
"""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300
_EPSILON = 1e-15
_MOST_TERMS = 20_000
_LARGE = 30.0
_NODES = 18
_MANY = 1000
_MARGIN = 1e-9
_MIDDLE = 0.3


def student_p(t: float, degrees: float) -> float:
    """Two-sided tail probability of Student's t: P(|T| ≥ |t|)."""
    r = abs(t) / math.sqrt(degrees)
    if r == 0:
        return 1.0
    if math.isinf(r):
        return 0.0
    a, square = degrees / 2, r * r
    x = 1 / (1 + square)
    # ln x and √(1 - x) without a subtraction, and beyond the square's overflow
    log_x = -math.log1p(square) if r < 1 else -2 * math.log(math.hypot(1.0, r))
    root_y = r / math.hypot(1.0, r)
    front = math.exp(a * log_x + _log_ratio(a)) * root_y / math.sqrt(math.pi)
    if x < (a + 1) / (a + 2.5):
        return min(front * _fraction(a, 0.5, x) / a, 1.0)
    return max(1 - 2 * front * _fraction(0.5, a, square * x), 0.0)


def is_significant(t: float, degrees: float, tail: float) -> bool:
    """Whether `student_p(t, degrees) < tail`, mostly without computing it.

    The critical value falls as the degrees of freedom grow, so that those of the whole numbers
    around them decide unless t lies between the two.
    """
    if 1 <= degrees < _MANY:
        t = abs(t)
        whole = int(degrees)
        if t < _quantile(1 - tail, whole + 1) * (1 - _MARGIN):
            return False
        if t > _quantile(1 - tail, whole) * (1 + _MARGIN):
            return True
    return student_p(t, degrees) < tail


def student_quantile(level: float, degrees: float) -> float:
    """The t with P(|T| ≤ t) = level: 2.776… for 0.95 and 4 degrees of freedom."""
    if degrees == int(degrees):
        return _quantile(level, degrees)
    if not 1 < degrees < 1e6:
        return _quantile(level, degrees)
    u = 1 / degrees
    nodes = _nodes(level, 0.0, _MIDDLE) if u <= _MIDDLE else _nodes(level, _MIDDLE, 1.0)
    return _interpolated(nodes, u)


@lru_cache(maxsize=4096)
def _quantile(level: float, degrees: float) -> float:
    """By Newton's method on the tail probability."""
    from statistics import NormalDist  # brings fractions and decimals; most levels are tabulated

    tail = 1 - level
    z = NormalDist().inv_cdf(1 - tail / 2)
    t = z
    if degrees >= 3:  # Cornish-Fisher (Abramowitz and Stegun 26.7.5): from below, near enough
        t += (z**3 + z) / (4 * degrees)
    a = degrees / 2
    scale = math.exp(_log_ratio(a)) / math.sqrt(math.pi * degrees)
    for _ in range(200):
        density = scale * math.exp(-(a + 0.5) * math.log1p(t * t / degrees))
        p = student_p(t, degrees)
        # on the logarithm of the tail, which is close to linear: no step too far
        step = math.log(p / tail) * p / (2 * density)
        t += step
        if abs(step) <= 2e-15 * t:
            break
    return t


@lru_cache(maxsize=16)
def _nodes(level: float, low: float, high: float) -> tuple[tuple[float, float, float], ...]:
    """Node, value, weight of the interpolation in 1/degrees, at Chebyshev's points of a range."""
    found = []
    for k in range(_NODES):
        angle = (2 * k + 1) * math.pi / (2 * _NODES)
        u = low + (high - low) * (1 + math.cos(angle)) / 2
        value = math.log(_quantile(level, 1 / u))
        found.append((u, value, (-1) ** k * math.sin(angle)))
    return tuple(found)


def _interpolated(nodes: tuple[tuple[float, float, float], ...], u: float) -> float:
    """The quantile for 1/u degrees of freedom, by the barycentric formula; good to 1e-11.

    Thousands of metrics have as many numbers of degrees, and each quantile would take a search.
    """
    above = below = 0.0
    for node, value, weight in nodes:
        if u == node:
            return math.exp(value)
        quotient = weight / (u - node)
        above += quotient * value
        below += quotient
    return math.exp(above / below)


def _log_ratio(a: float) -> float:
    """ln Γ(a + ½)/Γ(a); by its asymptotic series where the difference would lose digits."""
    if a < _LARGE:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    s = 1 / a
    q = s * s
    series = s * (-1 / 8 + q * (1 / 192 + q * (-1 / 640 + q * (17 / 14336 - q * 31 / 18432))))
    return 0.5 * math.log(a) + series


def _fraction(a: float, b: float, x: float) -> float:
    d = 1 - (a + b) * x / (a + 1)
    d = 1 / (_TINY if -_TINY < d < _TINY else d)
    c, result, twice, both = 1.0, d, a, a + b
    for m in range(1, _MOST_TERMS):
        twice += 2.0
        term = m * (b - m) * x / ((twice - 1) * twice)
        d = 1 + term * d
        d = 1 / (_TINY if -_TINY < d < _TINY else d)
        c = 1 + term / c
        if -_TINY < c < _TINY:
            c = _TINY
        result *= c * d
        term = -(a + m) * (both + m) * x / (twice * (twice + 1))
        d = 1 + term * d
        d = 1 / (_TINY if -_TINY < d < _TINY else d)
        c = 1 + term / c
        if -_TINY < c < _TINY:
            c = _TINY
        change = c * d
        result *= change
        if -_EPSILON < change - 1 < _EPSILON:
            break
    return result
