"""One metric on two sides: difference, direction, verdict and the evidence for it, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from mcgitops.compare import gates, numbers
from mcgitops.compare.direction import direction
from mcgitops.compare.model import (
    Direction,
    MetricChange,
    MetricRule,
    Movement,
    Verdict,
)
from mcgitops.compare.statistics import Sample, sample, welch_p
from mcgitops.metrics.values import Scalar

SIGNIFICANT = 0.05
ROUNDING = 1e-12
"""Relative: a smaller difference is the order of summation, not a change."""


def compare_metric(
    stage: str,
    variant: str,
    file: str,
    name: str,
    label: str,
    base: Sequence[Scalar],
    head: Sequence[Scalar],
    *,
    runs: int,
    has_base: bool,
    rule: MetricRule | None = None,
    by_name: bool = True,
) -> MetricChange:
    """The change of one metric. `runs` is how many runs of the head should have it."""
    way = direction(name, rule.goal if rule else None)
    before, after = _sample(base), _sample(head)
    difference = percent = p = None
    moved: Movement = ""
    if not has_base:
        verdict, evidence = _alone(head)
    elif not base:
        verdict, evidence = "new", ""
    elif not head:
        verdict, evidence = "missing", "no run of the head has it"
    elif before is None or after is None:
        verdict, evidence = _texts(base, head)
    else:
        difference = after.mean - before.mean
        if before.mean and math.isfinite(difference):
            percent = 100 * difference / abs(before.mean)
        moved = _moved(before, after, way)
        p = welch_p(before, after)
        verdict, evidence = _verdict(before, after, way, moved, p, base, head)
    change = MetricChange(
        stage=stage,
        variant=variant,
        file=file,
        name=name,
        label=label,
        base=tuple(base),
        head=tuple(head),
        direction=way,
        verdict=verdict,
        evidence=evidence,
        moved=moved,
        base_mean=before.mean if before else None,
        base_sd=before.sd if before else None,
        head_mean=after.mean if after else None,
        head_sd=after.sd if after else None,
        difference=difference,
        percent=percent,
        p=p,
    )
    if rule is None or rule.gate is None:
        return change
    judged = gates.Judged(
        metric=label,
        variant=variant,
        direction=way,
        base=before,
        head=after,
        runs=runs,
        missing=max(runs - len(head), 0) if runs else 1,
        evidence=evidence,
        has_base=has_base,
        by_name=by_name,
    )
    return replace(change, gates=gates.judge(rule.gate, judged))


def _sample(values: Sequence[Scalar]) -> Sample | None:
    """None unless there are values and all of them are numbers."""
    found = [_float(value) for value in values if _is_number(value)]
    return sample(found) if found and len(found) == len(values) else None


def _is_number(value: Scalar) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _float(value: Scalar) -> float:
    try:
        return float(value)  # type: ignore[arg-type]  # only called for numbers
    except OverflowError:
        return math.inf


def _alone(head: Sequence[Scalar]) -> tuple[Verdict, str]:
    return "new", _not_numbers(head)


def _texts(base: Sequence[Scalar], head: Sequence[Scalar]) -> tuple[Verdict, str]:
    """Where one side isn't numbers: equal or not, as sets of values of equal kinds."""
    same = {(type(v), v) for v in base} == {(type(v), v) for v in head}
    return ("same" if same else "changed"), ""


def _moved(before: Sample, after: Sample, way: Direction) -> Movement:
    if not way or before.mean == after.mean:
        return ""
    if math.isnan(after.mean):
        return "" if math.isnan(before.mean) else "worse"
    if math.isnan(before.mean):
        return "better"
    return "better" if (after.mean > before.mean) == (way == "higher") else "worse"


def _verdict(
    before: Sample,
    after: Sample,
    way: Direction,
    moved: Movement,
    p: float | None,
    base: Sequence[Scalar],
    head: Sequence[Scalar],
) -> tuple[Verdict, str]:
    if not (before.is_finite and after.is_finite):
        same = before.mean == after.mean or (math.isnan(before.mean) and math.isnan(after.mean))
        found = _not_numbers(head) or (f"base: {text}" if (text := _not_numbers(base)) else "")
        return ("same" if same else moved or "changed"), found
    difference = abs(after.mean - before.mean)
    if difference <= ROUNDING * max(abs(before.mean), abs(after.mean)):
        return "same", ""
    counts = f"{before.n} + {after.n}"
    if p is not None:
        evidence = f"{numbers.p_value(p)} (Welch, {counts})"
        return (moved or "changed") if p < SIGNIFICANT else "cannot tell", evidence
    if before.sd is not None and after.sd is not None:  # both without any spread, and apart
        return moved or "changed", f"no spread within either side ({counts})"
    who = "one run each" if before.n == after.n == 1 else f"{counts} runs"
    return "cannot tell", f"{who}: cannot tell if it is noise"


def _not_numbers(values: Sequence[Scalar]) -> str:
    odd = [value for value in values if isinstance(value, float) and not math.isfinite(value)]
    if not odd:
        return ""
    kind = "NaN" if any(math.isnan(value) for value in odd) else "infinite"
    return kind if len(values) == 1 else f"{kind} in {len(odd)} of {len(values)} runs"
