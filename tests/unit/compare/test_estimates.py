"""Differences of runs: Welch, paired, corrected, equivalence, noise bands, against references."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from mcgitops.compare.statistics import (
    corrected,
    paired,
    prediction_interval,
    sample,
    welch,
)

SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
"""Student (1908): hours of sleep gained by ten patients with two drugs. R: `sleep`."""


def cases(count: int, seed: int):
    """Pairs of samples: any scale, any spread, ties, an offset that is large for the spread."""
    rng = random.Random(seed)
    for _ in range(count):
        scale = 10 ** rng.uniform(-8, 8)
        offset = rng.choice((0.0, 1.0, 1e3)) * scale
        n, m = rng.randint(2, 12), rng.randint(2, 12)
        a = [offset + rng.gauss(0, scale) for _ in range(n)]
        b = [offset + rng.gauss(rng.uniform(-3, 3) * scale, scale) for _ in range(m)]
        if rng.random() < 0.2:  # ties, as of metrics written with few digits
            a = [round(x / scale, 1) * scale for x in a]
            b = [round(x / scale, 1) * scale for x in b]
        yield a, b


def test_welch_and_its_interval_agree_with_scipy():
    checked = 0
    for a, b in cases(400, 1):
        found = welch(sample(a), sample(b))
        if found is None:
            assert len(set(a)) == len(set(b)) == 1
            continue
        expected = stats.ttest_ind(b, a, equal_var=False)
        assert found.p == pytest.approx(expected.pvalue, rel=1e-9, abs=0)
        for level in (0.90, 0.95):
            interval = expected.confidence_interval(level)
            tolerance = 1e-9 * (interval.high - interval.low)
            assert found.interval(level)[0] == pytest.approx(interval.low, abs=tolerance)
            assert found.interval(level)[1] == pytest.approx(interval.high, abs=tolerance)
        checked += 1
    assert checked > 380


def test_the_paired_test_agrees_with_scipy():
    for a, b in cases(300, 2):
        n = min(len(a), len(b))
        differences = [y - x for x, y in zip(a[:n], b[:n], strict=True)]
        found = paired(differences)
        if found is None:
            assert len(set(differences)) == 1
            continue
        expected = stats.ttest_1samp(differences, 0)
        assert found.p == pytest.approx(expected.pvalue, rel=1e-9, abs=0)
        assert found.interval() == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)


def test_the_mean_s_interval_agrees_with_scipy():
    for a, _ in cases(200, 3):
        found = sample(a).interval()
        error = stats.sem(a)
        if error:
            low, high = stats.t.interval(0.95, len(a) - 1, np.mean(a), error)
            assert found == pytest.approx((low, high), rel=1e-9, abs=1e-9 * error)


def test_equivalence_agrees_with_statsmodels():
    rng = random.Random(4)
    for _ in range(150):
        a = [rng.gauss(0, 1) for _ in range(rng.randint(3, 10))]
        b = [rng.gauss(0.2, 1.5) for _ in range(rng.randint(3, 10))]
        margin = rng.uniform(0.1, 4)
        found = welch(sample(a), sample(b))
        p, (_, lower, _), (_, upper, _) = ttost_ind(b, a, -margin, margin, usevar="unequal")
        assert found.p_beyond(-margin) == pytest.approx(lower, rel=1e-9)
        assert 1 - found.p_beyond(margin) == pytest.approx(upper, rel=1e-9, abs=1e-12)
        low, high = found.interval(0.90)
        assert (-margin < low and high < margin) == (p < 0.05)
        n = min(len(a), len(b))
        both = paired([y - x for x, y in zip(a[:n], b[:n], strict=True)])
        p = ttost_paired(np.array(b[:n]), np.array(a[:n]), -margin, margin)[0]
        low, high = both.interval(0.90)
        assert (-margin < low and high < margin) == (p < 0.05)


def test_folds_are_corrected():
    rng = random.Random(5)
    for _ in range(100):
        folds, times = rng.randint(2, 10), rng.randint(1, 5)
        differences = [rng.gauss(0.1, 1) for _ in range(folds * times)]
        found = corrected(differences, folds)
        # Nadeau and Bengio (2003), with n_test/n_train = 1/(k - 1)
        count = len(differences)
        variance = np.var(differences, ddof=1) * (1 / count + 1 / (folds - 1))
        t = np.mean(differences) / math.sqrt(variance)
        assert found.p == pytest.approx(2 * stats.t.sf(abs(t), count - 1), rel=1e-9)
        assert found.p > paired(differences).p


def test_published_examples():
    # R: t.test(extra ~ group, data = sleep): 95 % interval -3.3654832 to 0.2054832
    unpaired = welch(sample(SLEEP_2), sample(SLEEP_1))
    assert unpaired.interval() == pytest.approx((-3.3654832, 0.2054832), abs=5e-8)
    assert unpaired.degrees == pytest.approx(17.776, abs=5e-4)
    # R: t.test(…, paired = TRUE): t = -4.0621, df = 9, p = 0.002833, -2.4598858 to -0.7001142
    pairs = paired([a - b for a, b in zip(SLEEP_1, SLEEP_2, strict=True)])
    assert pairs.p == pytest.approx(0.002833, abs=5e-7)
    assert pairs.interval() == pytest.approx((-2.4598858, -0.7001142), abs=5e-8)


def test_a_prediction_interval_holds_the_next_number_as_often_as_it_says():
    rng = random.Random(6)
    for future in (1, 3):
        inside = 0
        for _ in range(2000):
            earlier = sample([rng.gauss(5, 2) for _ in range(5)])
            low, high = prediction_interval(earlier, future)
            new = math.fsum(rng.gauss(5, 2) for _ in range(future)) / future
            inside += low <= new <= high
        assert 0.935 < inside / 2000 < 0.965


def test_a_prediction_interval_by_hand():
    # 2.776 · 1 · √(1 + 1/5) around 10
    values = [10 + d for d in (-1.264911064, -0.632455532, 0, 0.632455532, 1.264911064)]
    low, high = prediction_interval(sample(values))
    assert (high - low) / 2 == pytest.approx(2.7764451 * math.sqrt(1.2), rel=1e-7)
    assert (high + low) / 2 == pytest.approx(10)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([1e-200, 2e-200, 3e-200], [5e-200, 6e-200, 8e-200]),
        ([1e150, 2e150, 3e150], [5e150, 6e150, 8e150]),
        ([5e-324, 1e-323, 2e-323], [1e-300, 2e-300, 3e-300]),
    ],
)
def test_tiny_and_huge_values_keep_their_evidence(a, b):
    largest = max(abs(x) for x in (*a, *b))
    found = welch(sample(a), sample(b))
    expected = stats.ttest_ind([x / largest for x in b], [x / largest for x in a], equal_var=False)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)


def test_what_has_no_test():
    assert paired([1.0]) is None
    assert paired([2.0, 2.0]) is None
    assert paired([1.0, math.nan]) is None
    assert corrected([1.0, 2.0], 1) is None
    assert prediction_interval(sample([1.0])) is None
    assert sample([1.0]).interval() is None
    assert sample([1.0, math.inf]).interval() is None
