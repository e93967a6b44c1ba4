"""The report once gates are waived: each gate wherever it is shown, the verdict, and who waived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mcgitops.compare.model import Waiver
from mcgitops.compare.waive import waive
from mcgitops.report.escape import clean
from mcgitops.report.model import Report

MOST_NAMES = 3


def with_waivers(report: Report, waivers: Sequence[Waiver]) -> Report:
    """The report with those of its failed gates waived that the waivers name.

    Where no failed gate is left, the status is a warning: waived isn't passed.
    """
    gates, used = waive(report.gates, waivers)
    if not used:
        return report
    changed = replace(
        report,
        gates=gates,
        metrics=tuple(replace(m, gates=waive(m.gates, waivers)[0]) for m in report.metrics),
        waivers=(*report.waivers, *used),
    )
    if report.status != "gate failed" or changed.failed_gates:
        return changed
    return replace(changed, status="warning", headline=_headline(changed))


def without_waivers(report: Report) -> Report:
    """The report as if nobody had waived anything: for one whose waivers can't be believed."""
    gates = tuple(replace(g, state="failed") if g.state == "waived" else g for g in report.gates)
    metrics = tuple(
        replace(m, gates=tuple(replace(g, state="failed") if g.state == "waived" else g
                               for g in m.gates))
        for m in report.metrics
    )  # fmt: skip
    return replace(report, gates=gates, metrics=metrics, waivers=())


def _headline(report: Report) -> str:
    names = list(dict.fromkeys(g.metric for g in report.gates if g.state == "waived"))
    shown = ", ".join(clean(name, 60) for name in names[:MOST_NAMES])
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    if len(names) == 1:
        return f"{shown} failed its gate, which is waived"
    return f"{len(names)} gates failed and are waived: {shown}{more}"
