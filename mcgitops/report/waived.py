"""The report once gates are waived: each gate wherever it is shown, the verdict, and who waived."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from mcgitops.compare.model import GateResult, Waiver
from mcgitops.compare.waive import unwaive, waive
from mcgitops.report.build import gate_headline, listed
from mcgitops.report.model import Report

_GATES = {"failed": 0, "warned": 1, "waived": 2, "not judged": 3, "passed": 4}
_METRICS = {"failed": 0, "warned": 1}


def with_waivers(report: Report, waivers: Sequence[Waiver]) -> Report:
    """The report with those of its failed gates waived that the waivers name.

    What is still failed comes first, and the headline says which gates failed and which of them are
    waived. Where no failed gate is left, the status is a warning: waived isn't passed.
    """
    _, used = waive(report.gates, waivers)
    if not used:
        return report
    changed = _judged(report, lambda gates: waive(gates, waivers)[0])
    changed = replace(changed, waivers=(*report.waivers, *used))
    if report.status != "gate failed":
        return changed  # of runs that failed the headline says more
    failed = changed.failed_gates
    return replace(
        changed, status="gate failed" if failed else "warning", headline=_headline(changed)
    )


def without_waivers(report: Report) -> Report:
    """The report as if nobody had waived anything: for one whose waivers can't be believed."""
    if not report.waivers and all(gate.state != "waived" for gate in report.gates):
        return report
    changed = _judged(report, lambda gates: unwaive(gates, report.waivers))
    changed = replace(changed, waivers=())
    if report.status == "failed" or not (failed := changed.failed_gates):
        return changed
    return replace(changed, status="gate failed", headline=gate_headline(failed, changed.metrics))


def _judged(
    report: Report, judge: Callable[[Sequence[GateResult]], tuple[GateResult, ...]]
) -> Report:
    """The report with its gates judged anew, the worst first again."""
    metrics = [replace(change, gates=judge(change.gates)) for change in report.metrics]
    return replace(
        report,
        gates=tuple(sorted(judge(report.gates), key=lambda gate: _GATES[gate.state])),
        metrics=tuple(sorted(metrics, key=lambda change: _METRICS.get(change.gate_state, 2))),
    )


def _headline(report: Report) -> str:
    names = list(dict.fromkeys(g.metric for g in report.gates if g.state == "waived"))
    shown = listed(names)
    if failed := report.failed_gates:
        told = gate_headline(failed, report.metrics)
        if len(names) == 1:
            return f"{told}; the gate of {shown} is waived"
        return f"{told}; {len(names)} gates are waived: {shown}"
    if len(names) == 1:
        return f"{shown} failed its gate, which is waived"
    return f"{len(names)} gates failed and are waived: {shown}"
