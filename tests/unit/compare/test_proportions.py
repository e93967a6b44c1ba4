"""McNemar, Wilson and Holm against scipy, statsmodels and what was published."""

from __future__ import annotations

import gc
import random

import pytest
from scipy import stats
from statsmodels.stats import multitest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from mcgitops.compare.proportions import holm, mcnemar_p, wilson


def test_mcnemar_agrees_with_scipy_and_statsmodels():
    rng = random.Random(1)
    cases = [(rng.randint(0, 60), rng.randint(0, 60)) for _ in range(200)]
    cases += [(rng.randint(0, 3000), rng.randint(0, 3000)) for _ in range(100)]
    for b, c in cases:
        expected = stats.binomtest(b, b + c, 0.5).pvalue if b + c else 1.0
        assert mcnemar_p(b, c) == pytest.approx(expected, rel=1e-9, abs=1e-300)
        if b + c:
            table = [[10, b], [c, 10]]
            known = mcnemar(table, exact=True).pvalue
            assert mcnemar_p(b, c) == pytest.approx(known, rel=1e-9, abs=1e-300)


def test_mcnemar_of_very_many():
    assert mcnemar_p(49_000, 51_000) == pytest.approx(
        stats.binomtest(49_000, 100_000, 0.5).pvalue, rel=1e-9
    )
    assert mcnemar_p(0, 5000) == 0.0  # 2^-4999 is beyond a float


def test_mcnemar_as_published():
    # Agresti, Categorical Data Analysis, 2002, table 10.1 (approval of the prime minister, 1,600
    # people asked twice): 150 and 86 changed their minds. R: exact2x2::mcnemar.exact
    assert mcnemar_p(150, 86) == pytest.approx(3.716e-05, rel=2e-4)
    # by hand: 2 · (1 + 10 + 45) / 1024
    assert mcnemar_p(2, 8) == 2 * 56 / 1024


def test_wilson_agrees_with_statsmodels():
    rng = random.Random(2)
    for _ in range(400):
        n = round(10 ** rng.uniform(0, 6))
        successes = rng.choice((0, n, rng.randint(0, n), min(n, rng.randint(0, 3))))
        level = rng.choice((0.9, 0.95, 0.99))
        expected = proportion_confint(successes, n, alpha=1 - level, method="wilson")
        assert wilson(successes, n, level) == pytest.approx(expected, rel=1e-9, abs=1e-16)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_as_published(successes, n, low, high):
    # R. G. Newcombe, Statistics in Medicine 17, 1998, table I, method 3
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_holm_agrees_with_statsmodels(monkeypatch):
    monkeypatch.setattr(gc, "collect", lambda: 0)  # which it calls each time
    rng = random.Random(3)
    for _ in range(300):
        many = rng.randint(1, 30)
        ps = [rng.choice((rng.random(), 10 ** rng.uniform(-12, 0), 0.05)) for _ in range(many)]
        assert holm(ps) == pytest.approx(
            list(multitest.multipletests(ps, method="holm")[1]), rel=1e-9
        )
    assert holm([]) == []


def test_holm_as_published():
    # the example of R's help and of many textbooks: 0.01, 0.04, 0.03, 0.005
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
