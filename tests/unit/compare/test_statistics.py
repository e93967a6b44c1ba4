"""Means, deviations and Welch's test against references."""

from __future__ import annotations

import math
import random
import statistics

import mpmath
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.compare.statistics import Sample, sample, student_p, welch_p


def reference_p(a: list[float], b: list[float]) -> float:
    """Welch's two-sided p with forty digits."""
    with mpmath.workdps(40):
        xs, ys = [mpmath.mpf(x) for x in a], [mpmath.mpf(y) for y in b]

        def mean_and_error(values):
            mean = mpmath.fsum(values) / len(values)
            variance = mpmath.fsum((v - mean) ** 2 for v in values) / (len(values) - 1)
            return mean, variance / len(values)

        (ma, va), (mb, vb) = mean_and_error(xs), mean_and_error(ys)
        t = (mb - ma) / mpmath.sqrt(va + vb)
        df = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
        return float(mpmath.betainc(df / 2, 0.5, 0, df / (df + t**2), regularized=True))


def test_welch_agrees_with_forty_digits_on_hundreds_of_cases():
    rng = random.Random(7)
    for _ in range(400):
        scale = 10 ** rng.uniform(-6, 6)
        a = [rng.gauss(0, scale) for _ in range(rng.randint(2, 12))]
        shift = rng.uniform(0, 5) * scale
        spread = rng.uniform(0.1, 10)
        b = [rng.gauss(shift, scale * spread) for _ in range(rng.randint(2, 12))]
        expected = reference_p(a, b)
        assert welch_p(sample(a), sample(b)) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_a_published_example():
    # Welch's test of Student's sleep data (R: t.test(extra ~ group, data = sleep)): p = 0.07939
    one = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    two = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    assert welch_p(sample(one), sample(two)) == pytest.approx(0.07939, abs=5e-6)


@pytest.mark.parametrize("degrees", [1.0, 1.5, 2.0, 7.3, 100.0, 1e5])
@pytest.mark.parametrize("t", [0.0, 1e-9, 0.5, 2.0, 12.7, 300.0])
def test_the_t_distribution(t, degrees):
    with mpmath.workdps(40):
        x = mpmath.mpf(degrees) / (mpmath.mpf(degrees) + mpmath.mpf(t) ** 2)
        expected = float(mpmath.betainc(mpmath.mpf(degrees) / 2, 0.5, 0, x, regularized=True))
    assert student_p(t, degrees) == pytest.approx(expected, rel=1e-8, abs=1e-15)


def test_no_p_where_there_is_none_to_be_had():
    assert welch_p(sample([1.0]), sample([1.0, 2.0])) is None
    assert welch_p(sample([1.0, 1.0]), sample([2.0, 2.0])) is None
    assert welch_p(sample([1.0, math.nan]), sample([1.0, 2.0])) is None
    assert welch_p(sample([1.0, 1e308]), sample([1e308, 2.0])) is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20))
@settings(deadline=None)
def test_mean_and_deviation(numbers):
    found = sample(numbers)
    assert found.mean == pytest.approx(statistics.fmean(numbers), rel=1e-12, abs=1e-12)
    assert found.sd == pytest.approx(statistics.stdev(numbers), rel=1e-9, abs=1e-9)


@given(st.lists(st.floats(), min_size=1, max_size=5))
@settings(deadline=None)
def test_no_floats_raise(numbers):
    found = sample(numbers)
    assert found.n == len(numbers)
    if any(math.isnan(number) for number in numbers):
        assert math.isnan(found.mean)
    p = welch_p(found, sample([1.0, 2.0]))
    assert p is None or 0 <= p <= 1


def test_equal_numbers_have_exactly_no_spread():
    assert sample([0.1] * 7) == Sample(7, 0.1, 0.0)
    assert sample([0.1]).sd is None
