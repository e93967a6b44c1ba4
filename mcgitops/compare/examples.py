"""Compares two models example by example: joins their predictions, measures, tests, slices.

All of it is about one uncertainty only, that the test set is finite; what training again would give
is another, and never mixed in. Imported where predictions are compared, since numpy is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mcgitops.compare import bootstrap, numbers
from mcgitops.compare.bootstrap import Bounds, Floats
from mcgitops.compare.model import Interval, SliceChange, Test, Verdict
from mcgitops.compare.paired import Measure, PairedExamples
from mcgitops.compare.proportions import holm, mcnemar_p, wilson
from mcgitops.deferred import dataclass
from mcgitops.metrics.predictions import Predictions

LEAST_SLICE = 20
"""Examples; a smaller slice isn't judged."""
MOST_SLICES = 50
"""Values of one slice column; a column with more isn't one of slices."""
MOST_CLASSES = 100
SIGNIFICANT = 0.05

T = TypeVar("T")
Codes = NDArray[np.int64]
_POSITIVE = ("1", "true", "yes", "y", "positive", "pos")


class CannotJoinError(Exception):
    """The two files aren't of the same examples; the text says why."""


@dataclass(frozen=True)
class Joined:
    """The same examples of both sides, row by row."""

    base: Predictions
    head: Predictions
    only_base: int = 0
    only_head: int = 0


def compared(
    stage: str,
    variant: str,
    source: str,
    base: Predictions | None,
    head: Predictions,
    run: str = "",
) -> PairedExamples:
    """All that the examples say of two models. What can't be said ends as a warning.

    Without a base, or where the test sets differ, each side is measured alone.
    """
    if base is None:
        alone = tuple(Measure(name, None, value) for name, value in values(head).items())
        return PairedExamples(stage, variant, source, run, len(head), alone)
    try:
        joined = join(base, head)
    except CannotJoinError as error:
        old, new = values(base), values(head)
        return PairedExamples(
            stage,
            variant,
            source,
            run,
            measures=tuple(Measure(name, old.get(name), value) for name, value in new.items()),
            warnings=(f"{source}: {error}",),
        )
    said = []
    if joined.only_base or joined.only_head:
        said.append(
            f"{source}: {len(joined.head):,} examples are on both sides and are compared; "
            f"{joined.only_base:,} only on the base's, {joined.only_head:,} only on the head's."
        )
    return PairedExamples(
        stage,
        variant,
        source,
        run,
        len(joined.head),
        measures(joined),
        slices(stage, variant, source, joined),
        tuple(said),
    )


@np.errstate(all="ignore")  # what isn't finite ends as NaN, and is said as such
def values(side: Predictions) -> dict[str, float]:
    """Each metric that the columns of one side allow."""
    one = np.ones((1, len(side)))
    return {name: float(found.of(one)[0]) for name, found in _statistics(side, side).items()}


def join(base: Predictions, head: Predictions) -> Joined:
    """By id where both have one, else row by row. Raises `CannotJoinError` unless truth agrees."""
    if base.task != head.task:
        raise CannotJoinError("one side holds classes, the other numbers: no examples to compare.")
    only_base = only_head = 0
    if base.ids is not None and head.ids is not None:
        where = {name: row for row, name in enumerate(base.ids)}
        rows = [row for row, name in enumerate(head.ids) if name in where]
        others = [where[head.ids[row]] for row in rows]
        only_base, only_head = len(base) - len(rows), len(head) - len(rows)
        if not rows:
            raise CannotJoinError("no example is on both sides: their ids have nothing in common.")
        if only_head or rows != others:
            head = _rows(head, rows)
        if only_base or rows != others:
            base = _rows(base, others)
    elif len(base) != len(head):
        raise CannotJoinError(
            f"the base has {len(base):,} examples and the head {len(head):,}, without an id to "
            "join them by."
        )
    differ = [i for i, (a, b) in enumerate(zip(base.truth, head.truth, strict=True)) if a != b]
    if head.task == "regression":
        differ = [i for i in differ if float(base.truth[i]) != float(head.truth[i])]
    if differ:
        raise CannotJoinError(
            f"the truth differs for {len(differ):,} of {len(head):,} examples (the first is number "
            f"{differ[0] + 1:,}): not the same test set, so the examples aren't compared."
        )
    return Joined(base, head, only_base, only_head)


@np.errstate(all="ignore")
def measures(joined: Joined) -> tuple[Measure, ...]:
    """Each metric that both sides' columns allow, with its evidence."""
    n = len(joined.head)
    before, after = _statistics(joined.base, joined.head), _statistics(joined.head, joined.base)
    names = [name for name in after if name in before]
    if not names:
        return ()
    groups = _groups(joined)
    units = int(groups.max()) + 1 if groups is not None else n
    one = np.ones((1, n))
    old = {name: float(before[name].of(one)[0]) for name in names}
    new = {name: float(after[name].of(one)[0]) for name in names}
    bounds: dict[str, Bounds | None] = {}
    if units >= bootstrap.LEAST_UNITS:
        pairs = [(before[name].by_unit(groups), after[name].by_unit(groups)) for name in names]

        def differences(weights: Floats) -> Floats:
            return np.stack([right.of(weights) - left.of(weights) for left, right in pairs], axis=1)

        resampled = bootstrap.distributions(units, differences)
        for column, (name, (left, right)) in enumerate(zip(names, pairs, strict=True)):
            bounds[name] = (
                bootstrap.bca(
                    new[name] - old[name],
                    resampled[:, column],
                    right.without_each() - left.without_each(),
                )
                if bootstrap.is_defined(resampled[:, column])
                else None
            )
    over = f"{units:,} groups" if groups is not None else f"{n:,} examples"
    mcnemar = _mcnemar(joined) if groups is None and joined.head.task == "classification" else None
    return tuple(
        _measure(name, old[name], new[name], bounds.get(name), n, over, mcnemar) for name in names
    )


def slices(stage: str, variant: str, source: str, joined: Joined) -> tuple[SliceChange, ...]:
    """Accuracy in each slice, the worst first; Wilson's intervals, McNemar's test after Holm.

    In a slice, too, examples of one group aren't independent: where there are groups, slices have
    no test.
    """
    columns = joined.head.slices or joined.base.slices
    if joined.head.task != "classification" or not columns:
        return ()
    right_before, right_after = _right(joined.base), _right(joined.head)
    if right_before is None or right_after is None:
        return ()
    found: list[SliceChange] = []
    for column, values in columns.items():
        labels, codes = np.unique(np.asarray(values), return_inverse=True)
        if len(labels) > MOST_SLICES:
            continue
        for code, label in enumerate(labels):
            rows = codes == code
            found.append(
                _slice(
                    SliceChange(
                        stage, variant, source, column, str(label), "accuracy", 0, None, None
                    ),
                    right_before[rows],
                    right_after[rows],
                    is_tested=joined.head.groups is None and joined.base.groups is None,
                )
            )
    tested = [change for change in found if change.p is not None]
    adjusted = holm([change.p for change in tested if change.p is not None])
    judged = {id(c): _judged(c, p, len(tested)) for c, p in zip(tested, adjusted, strict=True)}
    result = [judged.get(id(change), change) for change in found]
    order = {"worse": 0, "cannot tell": 1, "same": 2, "better": 3}
    result.sort(key=lambda c: (order.get(c.verdict, 1), (c.head or 0.0) - (c.base or 0.0)))
    return tuple(result)


class _Sums:
    """A statistic that is a function of sums over examples."""

    def __init__(self, columns: Floats, function: Callable[[Floats], Floats]) -> None:
        self._columns = columns  # (units, sums)
        self._function = function

    def of(self, weights: Floats) -> Floats:
        """For each row of weights (resamples, units)."""
        return self._function(weights @ self._columns)

    def by_unit(self, groups: Codes | None) -> _Sums:
        """The same with whole groups as units."""
        if groups is None:
            return self
        summed = np.zeros((int(groups.max()) + 1, self._columns.shape[1]))
        np.add.at(summed, groups, self._columns)
        return _Sums(summed, self._function)

    def without_each(self) -> Floats:
        """Without each of the units in turn."""
        return self._function(self._columns.sum(axis=0) - self._columns)


class _Auc:
    """The area under the ROC curve: how often a positive example scores above a negative one."""

    def __init__(self, positive: NDArray[np.bool_], score: Floats, groups: Codes | None) -> None:
        self._order = np.argsort(score, kind="stable")
        self._positive = positive
        self._groups = groups
        ordered = score[self._order]
        new = np.concatenate(([True], ordered[1:] != ordered[:-1]))
        self._starts = np.flatnonzero(new)
        self._rank = np.empty(len(score), dtype=np.int64)  # of each example's distinct score
        self._rank[self._order] = np.cumsum(new) - 1
        self._score = score

    def by_unit(self, groups: Codes | None) -> _Auc:
        """The same with whole groups as units."""
        return _Auc(self._positive, self._score, groups)

    def of(self, weights: Floats) -> Floats:
        """For each row of weights (resamples, units); NaN where one of the classes is missing."""
        each = weights if self._groups is None else weights[:, self._groups]
        ordered = each[:, self._order]
        positive = np.add.reduceat(ordered * self._positive[self._order], self._starts, axis=1)
        negative = np.add.reduceat(ordered * ~self._positive[self._order], self._starts, axis=1)
        below = np.cumsum(negative, axis=1) - negative
        wins = (positive * (below + negative / 2)).sum(axis=1)
        return _ratio(wins, positive.sum(axis=1) * negative.sum(axis=1), math.nan)

    def without_each(self) -> Floats:
        """Without each of the units in turn, in one pass: wins minus those that a unit is in."""
        positive = np.bincount(self._rank[self._positive], minlength=len(self._starts))
        negative = np.bincount(self._rank[~self._positive], minlength=len(self._starts))
        below = np.cumsum(negative) - negative
        above = positive.sum() - np.cumsum(positive)
        wins = float((positive * (below + negative / 2)).sum())
        part = np.where(
            self._positive,
            (below + negative / 2)[self._rank],
            (above + positive / 2)[self._rank],
        )
        if self._groups is None:
            lost, p, q = part, self._positive.astype(float), (~self._positive).astype(float)
        else:
            units = int(self._groups.max()) + 1
            p = bootstrap.array(np.bincount(self._groups, self._positive, units))
            q = bootstrap.array(np.bincount(self._groups, ~self._positive, units))
            lost = np.bincount(self._groups, part, units) - self._within(units, p, q)
        return _ratio(
            wins - lost, (self._positive.sum() - p) * ((~self._positive).sum() - q), math.nan
        )

    def _within(self, units: int, p: Floats, q: Floats) -> Floats:
        """Wins inside each group, which its examples would be counted for twice."""
        found = np.zeros(units)
        assert self._groups is not None  # noqa: S101  # only called with groups
        order = np.argsort(self._groups, kind="stable")
        ends = np.cumsum(np.bincount(self._groups, minlength=units))
        for unit in np.flatnonzero((p > 0) & (q > 0)):
            rows = order[ends[unit] - int(p[unit] + q[unit]) : ends[unit]]
            own = _Auc(self._positive[rows], self._score[rows], None)
            found[unit] = own.of(np.ones((1, len(rows))))[0] * p[unit] * q[unit]
        return found


def _statistics(side: Predictions, other: Predictions) -> dict[str, _Sums | _Auc]:
    """What can be measured on one side, by name."""
    if side.task == "regression":
        return _regression(side)
    found: dict[str, _Sums | _Auc] = {}
    truth = np.asarray(side.truth)
    positive = _positive(side, other)
    n = len(side)
    if side.prediction is not None:
        prediction = np.asarray(side.prediction)
        right = (truth == prediction).astype(np.float64)
        found["accuracy"] = _Sums(_columns(np.ones(n), right), lambda s: s[..., 1] / s[..., 0])
        if positive:
            said, true = prediction == positive, truth == positive
            sums = _columns(said & true, said, true)
            found["precision"] = _Sums(sums, lambda s: _ratio(s[..., 0], s[..., 1]))
            found["recall"] = _Sums(sums, lambda s: _ratio(s[..., 0], s[..., 2]))
            found["f1"] = _Sums(sums, lambda s: _ratio(2 * s[..., 0], s[..., 1] + s[..., 2]))
        labels = np.unique(np.concatenate((truth, prediction)))
        if 2 <= len(labels) <= MOST_CLASSES and len(labels) * n <= bootstrap.MOST_CELLS:
            hits = (truth[:, None] == labels) & (prediction[:, None] == labels)
            named = (truth[:, None] == labels).astype(float) + (prediction[:, None] == labels)
            k = len(labels)
            found["f1_macro"] = _Sums(
                np.concatenate((hits, named), axis=1).astype(np.float64),
                lambda s: _ratio(2 * s[..., :k], s[..., k:]).mean(axis=-1),
            )
    if side.score is not None and positive:
        score, true = bootstrap.array(side.score), truth == positive
        if 0 < true.sum() < n:
            found["roc_auc"] = _Auc(true, score, None)
        if score.min() >= 0 and score.max() <= 1:
            tiny = float(np.finfo(np.float64).eps)
            clipped = np.clip(score, tiny, 1 - tiny)
            loss = -np.where(true, np.log(clipped), np.log1p(-clipped))
            found["log_loss"] = _Sums(_columns(np.ones(n), loss), lambda s: s[..., 1] / s[..., 0])
    return found


def _regression(side: Predictions) -> dict[str, _Sums | _Auc]:
    if side.prediction is None:
        return {}
    try:
        truth = bootstrap.array([float(value) for value in side.truth])
        error = bootstrap.array([float(value) for value in side.prediction]) - truth
    except ValueError:
        return {}
    centred = truth - truth.mean()  # R² would lose its digits to a large mean
    one = np.ones(len(truth))
    found: dict[str, _Sums | _Auc] = {
        "mae": _Sums(_columns(one, np.abs(error)), lambda s: s[..., 1] / s[..., 0]),
        "rmse": _Sums(_columns(one, error**2), lambda s: np.sqrt(s[..., 1] / s[..., 0])),
    }
    if float(np.ptp(truth)) > 0:

        def r2(s: Floats) -> Floats:
            total = s[..., 3] - s[..., 2] ** 2 / s[..., 0]
            return 1 - _ratio(s[..., 1], total, math.nan)

        found["r2"] = _Sums(_columns(one, error**2, centred, centred**2), r2)
    return found


def _measure(
    name: str,
    base: float,
    head: float,
    bounds: Bounds | None,
    n: int,
    over: str,
    mcnemar: tuple[float, Test] | None,
) -> Measure:
    interval = Interval(*bounds.wide) if bounds else None
    resampled = None
    if interval:
        low, high = (numbers.signed(numbers.plain(v, 3), v) for v in (interval.low, interval.high))
        resampled = Test(
            "bootstrap",
            f"95 % interval {low} to {high} (bootstrap, {over})",
            None,
            interval,
            n,
            n,
        )
    p, exact = mcnemar if mcnemar and name == "accuracy" else (None, None)
    tests = [test for test in (exact, resampled) if test]
    return Measure(
        name,
        base,
        head,
        tests[0] if tests else None,
        tuple(tests[1:]),
        interval,
        Interval(*bounds.narrow, level=0.90) if bounds else None,
        p,
    )


def _mcnemar(joined: Joined) -> tuple[float, Test] | None:
    before, after = _right(joined.base), _right(joined.head)
    if before is None or after is None:
        return None
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    p, n = mcnemar_p(lost, won), len(joined.head)
    text = f"{numbers.p_value(p)} (McNemar, {lost:,} lost and {won:,} won of {n:,} examples)"
    return p, Test("mcnemar", text, p, None, n, n)


def _slice(
    change: SliceChange, before: NDArray[np.bool_], after: NDArray[np.bool_], *, is_tested: bool
) -> SliceChange:
    n, old, new = len(before), int(before.sum()), int(after.sum())
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    few = n < LEAST_SLICE
    verdict: Verdict = "same" if lost == won == 0 else "cannot tell"
    evidence = f"{lost:,} lost and {won:,} won of {n:,}" if lost or won else ""
    if few:
        evidence = f"too few to judge: {n:,} of at least {LEAST_SLICE}"
    elif not is_tested and evidence:
        evidence = f"{evidence}; examples come in groups, so slices aren't tested"
    return replace(
        change,
        n=n,
        base=old / n,
        head=new / n,
        base_interval=Interval(*wilson(old, n)),
        head_interval=Interval(*wilson(new, n)),
        p=mcnemar_p(lost, won) if is_tested and not few else None,
        verdict=verdict,
        evidence=evidence,
    )


def _judged(change: SliceChange, adjusted: float, many: int) -> SliceChange:
    verdict = change.verdict
    if adjusted < SIGNIFICANT:
        verdict = "better" if (change.head or 0.0) > (change.base or 0.0) else "worse"
    of = f" of {many} slices" if many > 1 else ""
    said = f"{numbers.p_value(adjusted)} (McNemar, Holm{of}), " if change.evidence else ""
    return replace(
        change, p_adjusted=adjusted, verdict=verdict, evidence=f"{said}{change.evidence}"
    )


def _right(side: Predictions) -> NDArray[np.bool_] | None:
    if side.prediction is None:
        return None
    found: NDArray[np.bool_] = np.asarray(side.truth) == np.asarray(side.prediction)
    return found


def _positive(side: Predictions, other: Predictions) -> str:
    """The class that counts as positive; "" where there are more than two, or none is known."""
    if named := side.positive or other.positive:
        return named
    labels = {*side.truth, *(side.prediction or ()), *(other.prediction or ())}
    if len(labels) != 2:
        return ""
    return next((label for label in sorted(labels) if label.lower() in _POSITIVE), "")


def _groups(joined: Joined) -> Codes | None:
    """The group of each example, numbered from 0."""
    names = joined.head.groups or joined.base.groups
    if names is None:
        return None
    codes: Codes = np.unique(np.asarray(names), return_inverse=True)[1].astype(np.int64)
    return codes


def _columns(*columns: NDArray[Any]) -> Floats:
    return np.stack([column.astype(np.float64) for column in columns], axis=1)


def _ratio(above: Floats, below: Floats, without: float = 0.0) -> Floats:
    """The quotient, `without` where it has none (as scikit-learn's zero_division=0)."""
    found: Floats = np.full(np.shape(above), without)
    np.divide(above, below, out=found, where=below != 0)
    return found


def _rows(side: Predictions, rows: Sequence[int]) -> Predictions:
    """Those rows, in this order."""

    def take(values: Sequence[T]) -> tuple[T, ...]:
        return tuple([values[row] for row in rows])

    return replace(
        side,
        truth=take(side.truth),
        prediction=take(side.prediction) if side.prediction is not None else None,
        score=take(side.score) if side.score is not None else None,
        ids=take(side.ids) if side.ids is not None else None,
        groups=take(side.groups) if side.groups is not None else None,
        slices={name: take(values) for name, values in side.slices.items()},
    )
