"""Counts of right and wrong: McNemar's exact test, Wilson's interval, Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist


def mcnemar_p(only_base: int, only_head: int) -> float:
    """Exact two-sided p of McNemar's test (McNemar 1947; the test that Dietterich 1998 advises
    where each of two models was trained once).

    only_base, only_head: examples that one model got right and the other wrong. Under equal error
    rates the smaller one is binomial with ½; computed in whole numbers, so nothing is rounded.
    """
    n, k = only_base + only_head, min(only_base, only_head)
    if 2 * k >= n:
        return 1.0
    term = math.comb(n, k)
    total, floor = 0, term >> 80  # what is smaller than that can't be seen in a float
    for i in range(k, -1, -1):
        total += term
        term = term * i // (n - i + 1)  # exact: the binomial coefficient before
        if term <= floor:
            break
    return min(2 * total / (1 << n), 1.0)  # Python divides whole numbers of any size


def wilson(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Score interval of a share (E. B. Wilson, JASA 22, 1927)."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    square, share = z * z, successes / n
    spread = z * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    scale = 1 + square / n
    high = (share + square / (2 * n) + spread) / scale
    low = share * share / (scale * high)  # the other root by Vieta: no digits are lost
    return (0.0 if successes == 0 else low), (1.0 if successes == n else min(high, 1.0))


def holm(ps: Sequence[float]) -> list[float]:
    """p-values adjusted for being many (S. Holm, Scand. J. Statist. 6, 1979), in their order."""
    order = sorted(range(len(ps)), key=ps.__getitem__)
    adjusted = [1.0] * len(ps)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min((len(ps) - rank) * ps[index], 1.0))
        adjusted[index] = largest
    return adjusted
