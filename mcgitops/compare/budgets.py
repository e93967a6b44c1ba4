"""Judges what a stage may cost: time, memory, size, latency. Each budget's bound becomes a gate.

A cost that wasn't measured fails its budget, as a missing metric fails its gate; an increase
without a base to increase from isn't judged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from mcgitops.compare import numbers
from mcgitops.compare.model import (
    ArtifactChange,
    CostChange,
    GateResult,
    GateState,
    MetricChange,
    RunView,
)
from mcgitops.compare.policy import Budget, Cost

_NAMES: dict[Cost, str] = {
    "wall_time": "wall time",
    "cpu_time": "CPU time",
    "peak_memory": "peak memory",
    "image_size": "image size",
    "artifact_size": "artifact size",
    "latency": "latency",
}
_SLACK = 1e-9


def judge(
    budgets: Sequence[Budget],
    costs: Sequence[CostChange],
    artifacts: Sequence[ArtifactChange],
    metrics: Sequence[MetricChange] = (),
    runs: Sequence[RunView] = (),
) -> tuple[GateResult, ...]:
    """Each bound of each budget; but for sizes, for each combination of the matrix.

    metrics, runs: the head's, where latencies are found.
    """
    found: list[GateResult] = []
    for budget in budgets:
        if budget.cost == "latency":
            measured = list(_latencies(budget, metrics, runs))
        else:
            measured = list(_measured(budget, costs, artifacts))
        if not measured:
            measured = [("", None, None)]
        for variant, base, head in measured:
            found += _judged(budget, variant, base, head)
    return tuple(found)


def _measured(
    budget: Budget, costs: Sequence[CostChange], artifacts: Sequence[ArtifactChange]
) -> Iterator[tuple[str, float | None, float | None]]:
    """Variant, base, head."""
    if budget.cost == "artifact_size":
        ours = [artifact for artifact in artifacts if artifact.stage == budget.stage]
        new = [a.head_size for a in ours if a.head_size is not None]
        old = [a.base_size for a in ours if a.base_size is not None]
        if ours:
            yield "", float(sum(old)) if old else None, float(sum(new))
        return
    for cost in costs:
        name = cost.name.removesuffix(" (sampled)")
        if cost.stage == budget.stage and name == _NAMES[budget.cost]:
            yield cost.variant, cost.base, cost.head


def _latencies(
    budget: Budget, metrics: Sequence[MetricChange], runs: Sequence[RunView]
) -> Iterator[tuple[str, float | None, float | None]]:
    """Variant, base, head; what one of the runs didn't measure isn't measured."""
    for change in metrics:
        if change.stage != budget.stage or budget.metric not in (
            change.name,
            f"{change.file}:{change.name}",
        ):
            continue
        expected = sum(run.stage == change.stage and run.variant == change.variant for run in runs)
        if not expected:
            continue  # a combination that the head no longer has
        head = change.head_mean
        is_whole = len(change.head) == expected and head is not None and not math.isnan(head)
        base = change.base_mean
        is_known = base is not None and math.isfinite(base)
        yield change.variant, base if is_known else None, head if is_whole else None


def _judged(
    budget: Budget, variant: str, base: float | None, head: float | None
) -> Iterator[GateResult]:
    metric, name = f"{budget.stage}/{budget.cost}", budget.metric or _NAMES[budget.cost]
    show: Callable[[float | None], str] = numbers.size
    if budget.cost == "latency":
        show = numbers.plain
    elif budget.cost.endswith("time"):
        show = numbers.duration
    word = "gate failed" if budget.level == "fail" else "gate warns"
    if budget.max is not None:
        bound = f"{name} at most {show(budget.max)}"
        if head is None:
            state, text = _state(budget, False), f"{name} was not measured, {word}"
        elif head <= budget.max:
            state, text = "passed", f"{name} {show(head)} ≤ {show(budget.max)}"
        else:
            shown = _apart(show, head, budget.max)
            state, text = _state(budget, False), f"{name} {shown} > {show(budget.max)}, {word}"
        yield GateResult(metric, variant, bound, state, text, "budget")
    if budget.max_increase_percent is not None:
        limit = numbers.bound(budget.max_increase_percent)
        bound = f"{name} at most +{limit} %"
        if head is None:
            state, text = _state(budget, False), f"{name} was not measured, {word}"
        elif not base:
            state, text = "not judged", f"{name}: there is no base's to compare with"
        else:
            percent = 100 * (head - base) / base
            change = f"{name} {show(base)} → {show(head)} ({numbers.percent(percent)})"
            if percent <= budget.max_increase_percent + _SLACK:
                state, text = "passed", f"{change}, at most +{limit} %"
            else:
                state, text = _state(budget, False), f"{change} > +{limit} %, {word}"
        yield GateResult(metric, variant, bound, state, text, "budget")


def _state(budget: Budget, passed: bool) -> GateState:
    if passed:
        return "passed"
    return "failed" if budget.level == "fail" else "warned"


def _apart(show: Callable[[float | None], str], value: float, limit: float) -> str:
    """The value; in full where it would look like the limit."""
    text = show(value)
    if text != show(limit):
        return text
    if show is numbers.plain:
        return numbers.plain(value, 12)
    return f"{value:,.3f} s" if show is numbers.duration else f"{value:,.0f} B"
