"""Makes the report out of a comparison: the status, and the headline that says it in words."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mcgitops.compare.model import (
    Comparison,
    GateResult,
    MetricChange,
    MetricHistory,
    RunView,
    Side,
)
from mcgitops.report import words
from mcgitops.report.escape import clean
from mcgitops.report.model import Report, Revision, StageSummary, Status

MOST_NAMES = 3


def build(
    project: str,
    comparison: Comparison,
    *,
    history: tuple[MetricHistory, ...] = (),
    reproduce: str = "",
    tool: str = "",
) -> Report:
    """The report of a comparison."""
    status, headline = _headline(comparison)
    return Report(
        project=project,
        status=status,
        headline=headline,
        head=_revision(comparison.head),
        base=_revision(comparison.base) if comparison.base else None,
        stages=_stages(comparison),
        metrics=comparison.metrics,
        gates=comparison.gates,
        params=comparison.params,
        facts=comparison.facts,
        costs=comparison.costs,
        artifacts=comparison.artifacts,
        curves=comparison.curves,
        plots=comparison.plots,
        failures=comparison.failures,
        lineage=comparison.lineage,
        warnings=comparison.warnings,
        classes=comparison.classes,
        matrices=comparison.matrices,
        slices=comparison.slices,
        history=history,
        reproduce=reproduce,
        tool=tool,
    )


def _revision(side: Side) -> Revision:
    return Revision(side.commit, side.name, side.why, side.dirty)


def _stages(comparison: Comparison) -> tuple[StageSummary, ...]:
    by_stage: dict[str, list[RunView]] = {}
    for run in comparison.head.runs:
        by_stage.setdefault(run.stage, []).append(run)
    commit = comparison.head.commit
    known = {run.fingerprint for run in comparison.base.runs} if comparison.base else set()
    summaries = []
    for stage, runs in by_stage.items():
        good = [run for run in runs if run.state == "succeeded"]
        stored = [r for r in good if r.fingerprint in known or (commit and r.commit != commit)]
        trained = [run for run in good if run not in stored]
        variants = {run.variant for run in runs}
        summaries.append(
            StageSummary(
                stage=stage,
                runs=len(runs),
                replicates=len(runs) // max(len(variants), 1),
                trained=len(trained),
                from_store=len(stored),
                failed=len(runs) - len(good),
                seconds=math.fsum(run.wall_seconds or 0.0 for run in trained),
            )
        )
    return tuple(summaries)


def _headline(comparison: Comparison) -> tuple[Status, str]:
    changes = comparison.metrics
    if failures := comparison.failures:
        # What only waits for a run that failed isn't news.
        told = [failure for failure in failures if failure.state != "missing"] or failures
        runs = [failure.run for failure in told]
        return "failed", f"{listed(runs)} {_ended([failure.state for failure in told])}"
    if failed := [gate for gate in comparison.gates if gate.state == "failed"]:
        return "gate failed", gate_headline(failed, changes)
    if warned := [gate for gate in comparison.gates if gate.state == "warned"]:
        return "warning", gate_headline(warned, changes)
    if comparison.base is None:
        return "nothing to compare", "nothing to compare with yet"
    return _differences(changes)


def _ended(states: Sequence[str]) -> str:
    if len(states) == 1:
        return words.ENDED.get(states[0], "failed")
    return "have not been trained" if set(states) == {"missing"} else "failed"


def _differences(changes: Sequence[MetricChange]) -> tuple[Status, str]:
    names: dict[str, list[str]] = {}
    for change in changes:
        names.setdefault(change.verdict, []).append(change.label)
    if missing := names.get("missing"):
        return "warning", _count(missing, "is missing", "are missing")
    if worse := names.get("worse"):
        text = _count(worse, "is worse", "are worse")
        better = len(names.get("better", ()))
        return "worse", f"{text}, {better} better" if better else text
    if better_names := names.get("better"):
        return "better", _count(better_names, "is better", "are better")
    if unsure := names.get("cannot tell"):
        text = _count(unsure, "differs", "differ")
        return "cannot tell", f"{text}; cannot tell if it is noise"
    if changed := names.get("changed"):
        return "changed", _count(changed, "changed", "changed")
    if new := names.get("new"):
        return "changed", _count(new, "is new", "are new")
    return "unchanged", "no metric changed" if changes else "no metrics"


def gate_headline(gates: Sequence[GateResult], changes: Sequence[MetricChange]) -> str:
    """What gates that failed, or that warn, say in one line. changes: the metrics they are of."""
    verb = "failed" if gates[0].state == "failed" else "warn"
    names = list(dict.fromkeys(gate.metric for gate in gates))
    if len(names) > 1:
        return f"{len(names)} gates {verb}: {listed(names)}"
    gate = gates[0]
    name = clean(gate.metric, 60)
    if gate.kind == "budget":
        unknown = "not measured" in gate.text
        return f"{name} was not measured" if unknown else f"{name} is over its budget"
    if gate.kind == "check":
        return f"the check {name} {'failed' if verb == 'failed' else 'warns'}"
    change = next((c for c in changes if gate in c.gates), None)
    if change is None or change.head_mean is None:
        return f"{name} is missing, and its gate {'failed' if verb == 'failed' else 'warns'}"
    if math.isnan(change.head_mean):
        return f"{name} is NaN, and its gate {'failed' if verb == 'failed' else 'warns'}"
    if gate.bound.startswith("at least"):
        return f"{name} is below its gate"
    if gate.bound.startswith("at most"):
        return f"{name} is above its gate"
    if gate.bound == "not worse than the noise":
        return f"{name} left the noise band"
    if not change.direction:
        return f"{name} can't be judged by its gate"
    if gate.bound.startswith("worse by less than"):
        return f"{name} may be worse than its gate allows"
    return f"{name} {'fell below' if change.direction == 'higher' else 'rose above'} its gate"


def _count(names: Sequence[str], one: str, many: str) -> str:
    if len(names) == 1:
        return f"{clean(names[0], 60)} {one}"
    return f"{len(names)} metrics {many}: {listed(names)}"


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    shown = ", ".join(clean(name, 60) for name in names[:MOST_NAMES])
    return f"{shown} and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else shown
