"""BCa intervals against scipy's, resample by resample, and against what was published."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mcgitops.compare import bootstrap

SPATIAL = [48, 36, 20, 29, 42, 42, 20, 42, 22, 41, 45, 14, 6, 0, 33, 28, 34, 4, 32, 24, 47, 41, 24,
           26, 30, 41]  # fmt: skip
"""Efron and Tibshirani, An Introduction to the Bootstrap, 1993, table 14.1, test A."""


def reference(n: int, statistic, level: float):
    """scipy's BCa interval of a statistic of row numbers, with the same resamples as ours."""
    return stats.bootstrap(
        (np.arange(n),),
        statistic,
        vectorized=True,
        axis=-1,
        n_resamples=bootstrap.resamples(n),
        batch=bootstrap.batch(n),
        confidence_level=level,
        method="BCa",
        rng=np.random.default_rng(bootstrap.SEED),
    ).confidence_interval


def mean_bounds(values: np.ndarray) -> bootstrap.Bounds | None:
    n = len(values)
    resampled = bootstrap.distributions(n, lambda w: w @ values / n)
    return bootstrap.bca(values.mean(), resampled, (values.sum() - values) / (n - 1))


@pytest.mark.parametrize("seed", range(12))
def test_the_mean_of_paired_differences_agrees_with_scipy(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(20, 400))
    scale = 10.0 ** rng.integers(-9, 9)
    values = scale * (rng.standard_exponential(n) - rng.standard_normal(n) + rng.normal())
    found = mean_bounds(values)
    for level, interval in ((0.95, found.wide), (0.90, found.narrow)):
        expected = reference(n, lambda i, axis: values[i].mean(axis=axis), level)
        assert interval == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-9 * scale)


def test_hundreds_of_small_samples_agree_with_scipy():
    checked = 0
    for seed in range(220):
        rng = np.random.default_rng(1000 + seed)
        n = int(rng.integers(20, 80))
        right = rng.integers(0, 2, (2, n)).astype(float)  # of two models: differences with ties
        values = right[0] - right[1] if seed % 2 else rng.standard_exponential(n)
        found = mean_bounds(values)
        if found is None:
            continue
        expected = reference(n, lambda i, axis, v=values: v[i].mean(axis=axis), 0.95)
        assert found.wide == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-9)
        checked += 1
    assert checked >= 200


def test_batches_draw_what_one_draw_would():
    n = 3000  # of which a batch holds fewer than all resamples
    assert bootstrap.batch(n) < bootstrap.resamples(n)
    values = np.random.default_rng(3).standard_normal(n)
    expected = reference(n, lambda i, axis: values[i].mean(axis=axis), 0.95)
    assert mean_bounds(values).wide == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_as_published():
    # table 14.2: BCa (115.8, 259.6) at 90 %, of the variance 171.5, with 2,000 resamples of theirs
    values = np.asarray(SPATIAL, dtype=float)
    n = len(values)

    def variance(weights):
        mean = weights @ values / weights.sum(axis=-1)
        return weights @ values**2 / weights.sum(axis=-1) - mean**2

    estimate = float(variance(np.ones(n)))
    assert estimate == pytest.approx(171.5, abs=0.05)
    found = bootstrap.bca(
        estimate, bootstrap.distributions(n, variance), variance(1 - np.identity(n))
    )
    assert found.narrow == pytest.approx((115.8, 259.6), rel=0.05)


def test_ties_with_the_estimate_don_t_depend_on_rounding():
    rng = np.random.default_rng(1)
    values = rng.choice([-1.0, 0.0, 1.0], 200)
    found = mean_bounds(values)
    again = mean_bounds(values * 0.1 + 0.0)
    assert again.wide == pytest.approx(tuple(0.1 * v for v in found.wide), rel=1e-12)


def test_where_there_is_no_interval():
    assert mean_bounds(np.zeros(50)) is None
    assert mean_bounds(np.full(50, 0.3)) is None
    drawn, each = np.linspace(0, 1, 500), np.linspace(0, 1, 50)
    assert bootstrap.bca(0.5, drawn, each) is not None
    assert bootstrap.bca(np.nan, drawn, each) is None
    assert bootstrap.bca(0.5, drawn, np.array([*each, np.nan])) is None
    assert bootstrap.bca(2.0, drawn, each) is None  # beyond every resample
    assert bootstrap.bca(0.5, drawn, np.zeros(50)) is None


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(2)
    inside = 0
    for _ in range(300):
        low, high = mean_bounds(rng.standard_exponential(60) - 1).wide
        inside += low <= 0 <= high
    assert 0.89 <= inside / 300 <= 0.98
