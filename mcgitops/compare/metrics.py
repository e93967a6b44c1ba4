"""One metric on two sides: difference, direction, verdict and the evidence for it, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mcgitops.compare import gates
from mcgitops.compare.direction import direction
from mcgitops.compare.model import (
    Direction,
    Interval,
    MetricChange,
    MetricRule,
    Movement,
    Verdict,
)
from mcgitops.compare.paired import Measure
from mcgitops.compare.policy import Design
from mcgitops.compare.statistics import Sample, sample, welch
from mcgitops.compare.student import is_significant
from mcgitops.compare.verdict import (
    NO_DESIGN,
    SIGNIFICANT,
    Band,
    Evidence,
    band_of,
    evidence,
    verdict,
)
from mcgitops.metrics.values import Scalar

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
    pairing: Sequence[tuple[int, int]] = (),
    design: Design = NO_DESIGN,
    folds: int = 0,
    measure: Measure | None = None,
    earlier: Sequence[Scalar] = (),
) -> MetricChange:
    """The change of one metric.

    runs:    how many runs of the head should have it.
    pairing: places in `base` and `head` that are of the same replicate.
    measure: what the examples say of this metric.
    earlier: values of earlier runs of the base's code.
    """
    way = direction(name, rule.goal if rule else None)
    before, after = _sample(base), _sample(head)
    is_plain = rule is None or (rule.gate is None and rule.equivalence is None)
    if is_plain and before and after and measure is None and not earlier and design == NO_DESIGN:
        quick = _by_welch(
            stage, variant, file, name, label, base, head, before, after, way, pairing
        )  # fmt: skip
        if quick is not None:
            return quick
    difference = percent = None
    moved: Movement = ""
    known = Evidence("")
    band: Band | None = None
    said: tuple[Verdict, str]
    if not has_base:
        said = _alone(head)
    elif not base:
        said = "new", ""
    elif not head:
        said = "missing", "no run of the head has it"
    elif before is None or after is None:
        said = _texts(base, head)
    else:
        difference = after.mean - before.mean
        if before.mean and math.isfinite(difference):
            percent = 100 * difference / abs(before.mean)
        moved = _moved(before, after, way)
        band = _band(earlier, len(head)) if earlier else None
        same = _is_rounding(before, after)
        asked = _asks(rule)
        margin = rule.equivalence if rule else None
        if not (before.is_finite and after.is_finite):
            said = _not_finite(before, after, moved, base, head)
        elif same and not (asked and (before.sd or after.sd)):
            said = "same", ""
            known = Evidence("", inner=(0.0, 0.0))
        else:
            known = evidence(
                before,
                after,
                [_float(head[j]) - _float(base[i]) for i, j in pairing],
                design=design,
                folds=folds,
                inner=asked or margin is not None,
                measure=measure,
                band=band,
            )
            said = ("same", "") if same else verdict(known, moved, margin)
    change = MetricChange(
        stage=stage,
        variant=variant,
        file=file,
        name=name,
        label=label,
        base=tuple(base),
        head=tuple(head),
        direction=way,
        verdict=said[0],
        evidence=said[1],
        moved=moved,
        base_mean=before.mean if before else None,
        base_sd=before.sd if before else None,
        head_mean=after.mean if after else None,
        head_sd=after.sd if after else None,
        difference=difference,
        percent=percent,
        p=known.p,
        base_interval=_interval(before),
        head_interval=_interval(after),
        tests=known.tests,
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
        evidence=said[1],
        has_base=has_base,
        by_name=by_name,
        inner=known.inner,
        band=band,
        earlier=len(earlier),
    )
    return replace(change, gates=gates.judge(rule.gate, judged))


def _by_welch(
    stage: str,
    variant: str,
    file: str,
    name: str,
    label: str,
    base: Sequence[Scalar],
    head: Sequence[Scalar],
    before: Sample,
    after: Sample,
    way: Direction,
    pairing: Sequence[tuple[int, int]],
) -> MetricChange | None:
    """The same for runs on both sides and nothing else to go by; None where that isn't so.

    Most metrics are so, and there may be thousands of them. The verdict needs no more than which
    side of its bound the test is on; p, intervals and tests follow when they are asked for.
    """
    estimate = welch(before, after)
    if estimate is None or _is_rounding(before, after):
        return None
    difference = after.mean - before.mean
    moved = _moved(before, after, way)
    t = estimate.difference / estimate.error
    is_clear = is_significant(t, estimate.degrees, SIGNIFICANT)
    return MetricChange.with_late(
        partial(_of_welch, before, after, base, head, pairing),
        stage=stage,
        variant=variant,
        file=file,
        name=name,
        label=label,
        base=tuple(base),
        head=tuple(head),
        direction=way,
        verdict=(moved or "changed") if is_clear else "cannot tell",
        moved=moved,
        base_mean=before.mean,
        base_sd=before.sd,
        head_mean=after.mean,
        head_sd=after.sd,
        difference=difference,
        percent=(
            100 * difference / abs(before.mean)
            if before.mean and math.isfinite(difference)
            else None
        ),
        gates=(),
    )


def _of_welch(
    before: Sample,
    after: Sample,
    base: Sequence[Scalar],
    head: Sequence[Scalar],
    pairing: Sequence[tuple[int, int]],
) -> Mapping[str, Any]:
    """What `_by_welch` left for later."""
    known = evidence(before, after, [_float(head[j]) - _float(base[i]) for i, j in pairing])
    return {
        "evidence": known.text,
        "p": known.p,
        "base_interval": _interval(before),
        "head_interval": _interval(after),
        "tests": known.tests,
    }


def _sample(values: Sequence[Scalar]) -> Sample | None:
    """None unless there are values and all of them are numbers."""
    kinds = set(map(type, values))
    if kinds == _FLOATS:
        return sample(values)  # type: ignore[arg-type]  # all of them are
    if not kinds or any(kind is bool or not issubclass(kind, (int, float)) for kind in kinds):
        return None
    return sample([_float(value) for value in values])


_FLOATS = {float}


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


def _not_finite(
    before: Sample,
    after: Sample,
    moved: Movement,
    base: Sequence[Scalar],
    head: Sequence[Scalar],
) -> tuple[Verdict, str]:
    same = before.mean == after.mean or (math.isnan(before.mean) and math.isnan(after.mean))
    found = _not_numbers(head) or (f"base: {text}" if (text := _not_numbers(base)) else "")
    return ("same" if same else moved or "changed"), found


def _is_rounding(before: Sample, after: Sample) -> bool:
    a, b = before.mean, after.mean
    return a == b or abs(b - a) <= ROUNDING * max(abs(a), abs(b))


def _interval(found: Sample | None) -> Interval | None:
    if found is None or not found.sd:
        return None
    interval = found.interval()
    return Interval(*interval) if interval else None


def _band(earlier: Sequence[Scalar], future: int) -> Band | None:
    known = _sample(earlier)
    return band_of([_float(value) for value in earlier], future) if known else None


def _asks(rule: MetricRule | None) -> bool:
    return rule is not None and rule.gate is not None and rule.gate.non_inferiority is not None


def _not_numbers(values: Sequence[Scalar]) -> str:
    odd = [value for value in values if isinstance(value, float) and not math.isfinite(value)]
    if not odd:
        return ""
    kind = "NaN" if any(math.isnan(value) for value in odd) else "infinite"
    return kind if len(values) == 1 else f"{kind} in {len(odd)} of {len(values)} runs"
