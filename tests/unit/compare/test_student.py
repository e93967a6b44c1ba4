"""Student's t against scipy and against forty digits, from the middle to the far tails."""

from __future__ import annotations

import math
import random

import mpmath
import pytest
from scipy import stats

from mcgitops.compare.student import student_p, student_quantile


def test_tails_agree_with_scipy_on_hundreds_of_cases():
    rng = random.Random(1)
    for _ in range(600):
        degrees = 10 ** rng.uniform(0, 5)
        t = rng.choice((-1, 1)) * 10 ** rng.uniform(-8, 2.5)
        expected = 2 * stats.t.sf(abs(t), degrees)
        if expected > 1e-290:
            assert student_p(t, degrees) == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize("degrees", [1.0, 2.0, 3.7, 4.0, 29.0, 59.9, 60.1, 1e4])
@pytest.mark.parametrize("t", [1e-12, 0.3, 2.0, 40.0, 1e6])
def test_tails_agree_with_forty_digits(t, degrees):
    with mpmath.workdps(60):
        x = mpmath.mpf(degrees) / (mpmath.mpf(degrees) + mpmath.mpf(t) ** 2)
        expected = mpmath.betainc(mpmath.mpf(degrees) / 2, 0.5, 0, x, regularized=True)
        assert student_p(t, degrees) == pytest.approx(float(expected), rel=1e-10, abs=1e-305)


def test_extremes():
    assert student_p(0.0, 4) == 1.0
    assert student_p(math.inf, 4) == 0.0
    # of Cauchy's distribution the tail is 2/(πt), where t² is beyond a float
    assert student_p(1e200, 1) == pytest.approx(2 / math.pi * 1e-200, rel=1e-12, abs=0)


@pytest.mark.parametrize("level", [0.90, 0.95, 0.99])
def test_quantiles_agree_with_scipy_on_hundreds_of_cases(level):
    rng = random.Random(2)
    cases = [*range(1, 60), *(1 / rng.uniform(1e-5, 1) for _ in range(200))]
    for degrees in cases:
        expected = stats.t.isf((1 - level) / 2, degrees)
        assert student_quantile(level, degrees) == pytest.approx(expected, rel=1e-10)


def test_published_quantiles():
    # Student's table as every textbook prints it
    for degrees, expected in ((1, 12.706), (4, 2.776), (10, 2.228), (30, 2.042), (120, 1.980)):
        assert student_quantile(0.95, degrees) == pytest.approx(expected, abs=5e-4)
