"""Finds the metric that a measure over the examples is, so that its evidence stands beside it.

A script that writes `accuracy` and its predictions says the same thing twice. Where name and values
agree, on both sides, the examples are evidence for the script's own metric; else the measure is a
metric of its own, with the file of predictions as its source.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from mcgitops.compare.direction import measure_of
from mcgitops.compare.model import RunView, Side, assignments
from mcgitops.compare.paired import Measure, PairedExamples
from mcgitops.deferred import dataclass
from mcgitops.metrics.values import Scalar

Key = tuple[str, str, str, str]
"""Stage, variant, file, name."""

_SAME = {
    "acc": "accuracy",
    "auc": "roc_auc",
    "auroc": "roc_auc",
    "logloss": "log_loss",
    "cross_entropy": "log_loss",
    "crossentropy": "log_loss",
    "absolute_error": "mae",
    "r_squared": "r2",
}
_OTHERS = {"train", "training", "weighted", "micro", "samples"}


@dataclass(frozen=True)
class Matched:
    """by_key: the measure of a metric. base, head: values of the measures that are none's yet."""

    by_key: Mapping[Key, Measure] = field(default_factory=dict)
    base: Mapping[Key, list[Scalar]] = field(default_factory=dict)
    head: Mapping[Key, list[Scalar]] = field(default_factory=dict)


def matched(examples: Iterable[PairedExamples], base: Side | None, head: Side) -> Matched:
    """Every measure, as evidence for a metric that there is, or as one of its own."""
    by_key: dict[Key, Measure] = {}
    old: dict[Key, list[Scalar]] = {}
    new: dict[Key, list[Scalar]] = {}
    for one in examples:
        before = _run(base.runs if base else (), one)
        after = _run(head.runs, one)
        names = _names(before, after)
        for measure in one.measures:
            known = [key for key in names if _is(measure, key, before, after)]
            for file, name in known:  # more than one, where two files say the same
                by_key[one.stage, one.variant, file, name] = measure
            if known:
                continue
            key = (one.stage, one.variant, one.source, measure.name)
            by_key[key] = measure
            new[key] = list(measure.head_values or (measure.head,))
            if measure.base is not None:
                old[key] = list(measure.base_values or (measure.base,))
    return Matched(by_key, old, new)


def _run(runs: Sequence[RunView], one: PairedExamples) -> RunView | None:
    return next(
        (
            run
            for run in runs
            if run.state == "succeeded"
            and (run.stage, run.variant) == (one.stage, one.variant)
            and assignments(run.replicate) == one.run
        ),
        None,
    )


def _names(before: RunView | None, after: RunView | None) -> list[tuple[str, str]]:
    if before is None or after is None:
        return []
    return [
        (file, name)
        for file, values in after.metrics.items()
        for name in values
        if name in before.metrics.get(file, ())
    ]


def _is(
    measure: Measure, key: tuple[str, str], before: RunView | None, after: RunView | None
) -> bool:
    if before is None or after is None or measure.base is None:
        return False
    file, name = key
    found, words = measure_of(name)
    if _OTHERS & set(words):
        return False
    found = _SAME.get(found, found)
    if found == "f1" and "macro" in words:
        found = "f1_macro"
    return (
        found == measure.name
        and _agree(after.metrics[file][name], measure.head)
        and _agree(before.metrics[file][name], measure.base)
    )


def _agree(written: Scalar, computed: float) -> bool:
    """Whether a value is the computed one, as far as it was written out: at least three digits."""
    if isinstance(written, bool) or not isinstance(written, (int, float)):
        return False
    if math.isclose(written, computed, rel_tol=1e-6, abs_tol=1e-9):
        return True
    decimals = len(repr(float(written)).partition(".")[2])
    return 3 <= decimals <= 8 and abs(written - computed) <= 0.5000001 * 10.0**-decimals
