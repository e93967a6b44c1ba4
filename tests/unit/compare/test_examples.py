"""What the same examples say of two models: joins, metrics, evidence, groups, slices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mcgitops.compare import bootstrap
from mcgitops.compare.examples import (
    CannotJoinError,
    _Auc,
    compared,
    join,
    measures,
    values,
)
from mcgitops.compare.proportions import mcnemar_p, wilson
from mcgitops.metrics.predictions import Predictions


def classes(seed: int, n: int = 300, share: float = 0.8, **more) -> Predictions:
    """A binary classifier that is right in that share; the truth is the same for each seed."""
    truth = np.random.default_rng(0).integers(0, 2, n)
    rng = np.random.default_rng(seed)
    right = rng.random(n) < share
    prediction = np.where(right, truth, 1 - truth)
    score = np.round(np.clip(0.5 + (prediction - 0.5) * rng.random(n), 0, 1), 2)  # with ties
    return Predictions(
        tuple(map(str, truth)),
        tuple(map(str, prediction)),
        tuple(float(s) for s in score),
        **more,
    )


def numbers_of(seed: int, n: int = 200, offset: float = 0.0, scale: float = 1.0) -> Predictions:
    truth = offset + scale * np.random.default_rng(0).standard_normal(n)
    prediction = truth + scale * np.random.default_rng(seed).normal(0.1 * seed, 0.5, n)
    return Predictions(
        tuple(map(repr, map(float, truth))),
        tuple(map(repr, map(float, prediction))),
        task="regression",
    )


def auc(positive, score) -> float:
    """How often a positive example scores above a negative one, pair by pair."""
    above, below = score[positive][:, None], score[~positive][None, :]
    return ((above > below) + 0.5 * (above == below)).mean()


def loss(t, p, s) -> float:
    tiny = np.finfo(float).eps
    s = np.clip(s, tiny, 1 - tiny)
    return -np.where(t, np.log(s), np.log1p(-s)).mean()


DEFINITIONS = {
    "accuracy": lambda t, p, s: (t == p).mean(),
    "precision": lambda t, p, s: (t & p).sum() / p.sum(),
    "recall": lambda t, p, s: (t & p).sum() / t.sum(),
    "f1": lambda t, p, s: 2 * (t & p).sum() / (t.sum() + p.sum()),
    "f1_macro": lambda t, p, s: (
        (t & p).sum() / (t.sum() + p.sum()) + (~t & ~p).sum() / ((~t).sum() + (~p).sum())
    ),
    "roc_auc": lambda t, p, s: auc(t, s),
    "log_loss": loss,
}


def arrays(side: Predictions):
    return np.asarray(side.truth) == "1", np.asarray(side.prediction) == "1", np.asarray(side.score)


def test_classification_metrics_are_what_they_are_by_definition():
    side = classes(1)
    expected = {name: of(*arrays(side)) for name, of in DEFINITIONS.items()}
    assert values(side) == pytest.approx(expected, rel=1e-12)
    u = stats.mannwhitneyu(*(arrays(side)[2][arrays(side)[0] == side_] for side_ in (True, False)))
    positives = sum(arrays(side)[0])
    assert expected["roc_auc"] == pytest.approx(u.statistic / positives / (300 - positives))


def test_regression_metrics_are_what_they_are_by_definition():
    side = numbers_of(1, offset=1e6)
    truth, prediction = (np.asarray(v, dtype=float) for v in (side.truth, side.prediction))
    error = prediction - truth
    assert values(side) == pytest.approx(
        {
            "mae": np.abs(error).mean(),
            "rmse": np.sqrt((error**2).mean()),
            "r2": 1 - (error**2).sum() / ((truth - truth.mean()) ** 2).sum(),
        },
        rel=1e-9,
    )


def scipy_bounds(n: int, of, estimate: float):
    """scipy's interval of a function of row numbers; ties with the estimate are exact."""

    def statistic(rows, axis):
        found = np.apply_along_axis(of, -1, rows)
        return np.where(np.isclose(found, estimate, rtol=0, atol=1e-12), estimate, found)

    return stats.bootstrap(
        (np.arange(n),),
        statistic,
        vectorized=True,
        n_resamples=bootstrap.resamples(n),
        batch=bootstrap.batch(n),
        method="BCa",
        rng=np.random.default_rng(bootstrap.SEED),
    ).confidence_interval


@pytest.mark.parametrize("name", list(DEFINITIONS))
def test_intervals_of_classification_agree_with_scipy(name):
    base, head = classes(1, 60, 0.7), classes(2, 60, 0.85)
    (found,) = [m for m in measures(join(base, head)) if m.name == name]
    of, old, new = DEFINITIONS[name], arrays(base), arrays(head)

    def difference(rows):
        return of(*(column[rows] for column in new)) - of(*(column[rows] for column in old))

    expected = scipy_bounds(60, difference, found.head - found.base)
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (expected.low, expected.high), rel=1e-9
    )


@pytest.mark.parametrize("name", ["mae", "rmse", "r2"])
@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_intervals_of_regression_agree_with_scipy(name, scale):
    base, head = numbers_of(1, 80, scale=scale), numbers_of(2, 80, scale=scale)
    (found,) = [m for m in measures(join(base, head)) if m.name == name]
    truth = np.asarray(base.truth, dtype=float)
    errors = [np.asarray(s.prediction, dtype=float) - truth for s in (base, head)]

    def one(rows, error):
        e, t = error[rows], truth[rows]
        return {
            "mae": np.abs(e).mean(),
            "rmse": np.sqrt((e**2).mean()),
            "r2": 1 - (e**2).sum() / ((t - t.mean()) ** 2).sum(),
        }[name]

    def difference(rows, axis):
        return np.apply_along_axis(lambda r: one(r, errors[1]) - one(r, errors[0]), -1, rows)

    expected = stats.bootstrap(
        (np.arange(80),),
        difference,
        vectorized=True,
        n_resamples=bootstrap.resamples(80),
        method="BCa",
        rng=np.random.default_rng(bootstrap.SEED),
    ).confidence_interval
    assert (found.interval.low, found.interval.high) == pytest.approx(
        (expected.low, expected.high), rel=1e-9
    )


def test_accuracy_is_mcnemar_s_and_says_what_was_lost_and_won():
    base, head = classes(1), classes(2)
    (found,) = [m for m in measures(join(base, head)) if m.name == "accuracy"]
    t, b, _ = arrays(base)
    _, h, _ = arrays(head)
    lost, won = int(((b == t) & (h != t)).sum()), int(((b != t) & (h == t)).sum())
    assert found.p == mcnemar_p(lost, won)
    assert f"{lost} lost and {won} won of 300 examples" in found.test.text
    assert [test.method for test in found.others] == ["bootstrap"]


def test_groups_are_resampled_whole_and_widen_the_interval():
    # each example five times: nothing new is known
    base, head = classes(1, 60), classes(2, 60)

    def five(side):
        return Predictions(
            side.truth * 5, side.prediction * 5, side.score * 5,
            groups=tuple(str(i) for i in range(60)) * 5,
        )  # fmt: skip

    single = {m.name: m for m in measures(join(base, head))}
    grouped = {m.name: m for m in measures(join(five(base), five(head)))}
    assert grouped["accuracy"].p is None  # McNemar's test would take them for independent
    assert "60 groups" in grouped["accuracy"].test.text
    for name, found in grouped.items():
        width = found.interval.high - found.interval.low
        alone = single[name].interval.high - single[name].interval.low
        assert width == pytest.approx(alone, rel=0.15)


def test_the_jackknife_of_an_auc_is_that_without_each_unit():
    rng = np.random.default_rng(5)
    positive = rng.random(40) < 0.4
    score = np.round(rng.random(40) + positive * 0.3, 1)
    groups = rng.integers(0, 9, 40)
    groups = np.unique(groups, return_inverse=True)[1]
    alone = _Auc(positive, score, None).without_each()
    for i in range(40):
        keep = np.arange(40) != i
        assert alone[i] == pytest.approx(auc(positive[keep], score[keep]), rel=1e-12)
    together = _Auc(positive, score, groups).without_each()
    for group in range(groups.max() + 1):
        keep = groups != group
        assert together[group] == pytest.approx(auc(positive[keep], score[keep]), rel=1e-12)


def test_joined_by_id_whatever_the_order():
    ids = tuple(f"x{i}" for i in range(300))
    base, head = classes(1, ids=ids), classes(2, ids=ids)
    order = np.random.default_rng(1).permutation(300)
    mixed = Predictions(
        *(tuple(np.asarray(v)[order].tolist()) for v in (head.truth, head.prediction, head.score)),
        ids=tuple(ids[i] for i in order),
    )
    straight, crossed = measures(join(base, head)), measures(join(base, mixed))
    for one, other in zip(straight, crossed, strict=True):
        assert (one.name, one.p) == (other.name, other.p)
        assert (one.base, one.head) == pytest.approx((other.base, other.head), rel=1e-12)


def test_examples_on_one_side_only_are_counted_and_left_out():
    ids = tuple(str(i) for i in range(300))
    base = classes(1, ids=ids)
    head = classes(2, ids=ids)
    part = Predictions(head.truth[20:], head.prediction[20:], head.score[20:], ids=ids[20:])
    found = compared("t", "", "p.csv", base, part)
    assert found.examples == 280
    assert found.warnings == (
        "p.csv: 280 examples are on both sides and are compared; 20 only on the base's, 0 only on "
        "the head's.",
    )


def test_another_truth_is_another_test_set():
    base, head = classes(1), classes(2)
    other = Predictions(("0", *head.truth[1:]) if head.truth[0] == "1" else ("1", *head.truth[1:]),
                        head.prediction, head.score)  # fmt: skip
    with pytest.raises(CannotJoinError, match=r"differs for 1 of 300 .* number 1"):
        join(base, other)
    found = compared("t", "", "p.csv", base, other)
    assert found.measures
    assert all(measure.test is None for measure in found.measures)
    assert "not the same test set" in found.warnings[0]
    with pytest.raises(CannotJoinError, match="without an id"):
        join(base, classes(2, 299))
    with pytest.raises(CannotJoinError, match="classes, the other numbers"):
        join(base, numbers_of(1, 300))


def test_few_examples_have_no_interval():
    found = measures(join(classes(1, 19), classes(2, 19)))
    assert all(measure.interval is None for measure in found)
    assert {m.name for m in found if m.p is not None} == {"accuracy"}


def test_slices_are_corrected_for_being_many():
    regions = tuple("north" if i % 3 == 0 else "south" for i in range(300))
    sizes = tuple("rare" if i < 10 else f"{i % 5}" for i in range(300))
    base = classes(1, share=0.95, slices={"region": regions, "size": sizes})
    worse = tuple(
        str(1 - int(t)) if region == "north" and i % 2 else p
        for i, (t, p, region) in enumerate(
            zip(base.truth, base.prediction, regions, strict=True)
        )
    )  # fmt: skip
    head = Predictions(base.truth, worse, slices=base.slices)
    found = compared("t", "", "p.csv", base, head).slices
    by = {(s.column, s.value): s for s in found}
    north = by["region", "north"]
    assert north is found[0]
    assert (north.verdict, north.n) == ("worse", 100)
    right = sum(t == p for t, p, r in zip(head.truth, worse, regions, strict=True) if r == "north")
    assert (north.head_interval.low, north.head_interval.high) == wilson(right, 100)
    tested = [s for s in found if s.p is not None]
    assert len(tested) == 7
    assert all(s.p_adjusted >= s.p for s in tested)
    assert (by["region", "south"].verdict, by["region", "south"].p) == ("same", 1.0)
    rare = by["size", "rare"]
    assert (rare.p, rare.verdict) == (None, "cannot tell")
    assert rare.evidence == "too few to judge: 10 of at least 20"


def test_slices_of_grouped_examples_have_no_test():
    slices = {"s": ("a",) * 150 + ("b",) * 150}
    groups = tuple(str(i % 30) for i in range(300))
    base, head = (classes(seed, slices=slices, groups=groups) for seed in (1, 2))
    found = compared("t", "", "p", base, head).slices
    assert all(s.p is None and s.verdict == "cannot tell" for s in found)
    assert "groups" in found[0].evidence


LABEL = st.sampled_from(["0", "1", "a", "é", ""])
ROW = st.tuples(LABEL, LABEL, LABEL, st.floats(-2, 2), st.sampled_from("xyz"))


@given(st.lists(ROW, min_size=1, max_size=40), st.booleans())
def test_any_classes_are_compared(rows, grouped):
    truth, old, new, score, group = (tuple(column) for column in zip(*rows, strict=True))
    groups = group if grouped else None
    base = Predictions(truth, old, score, groups=groups, slices={"g": group})
    head = Predictions(truth, new, score, groups=groups, slices={"g": group})
    found = compared("t", "", "p", base, head)
    for measure in found.measures:
        assert measure.base == measure.base
        if measure.interval:
            assert measure.interval.low <= measure.interval.high


def test_a_prediction_that_is_not_a_number_shows_in_the_metrics(recwarn):
    base = numbers_of(1)
    head = Predictions(base.truth, ("nan", "inf", *base.prediction[2:]), task="regression")
    found = {measure.name: measure for measure in compared("t", "", "p", base, head).measures}
    assert np.isnan(found["rmse"].head)
    assert all(measure.test is None for measure in found.values())
    assert not recwarn.list
