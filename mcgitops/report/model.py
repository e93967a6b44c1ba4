"""The one report object. Every view (Markdown, terminal, JSON) shows this and nothing else.

`--format json` is this object: its keys are a public interface, numbered by `format`. Within a
number keys are only added. Left out there are `plots`, the whole series: thousands of points that
only the HTML report draws.
"""

from __future__ import annotations

from dataclasses import field
from typing import Literal

from mcgitops.compare.model import (
    ArtifactChange,
    ClassChange,
    CostChange,
    Curve,
    FactChange,
    Failure,
    GateResult,
    Lineage,
    MatrixPair,
    MetricChange,
    MetricHistory,
    PlotPair,
    SliceChange,
    ValueChange,
    Waiver,
)
from mcgitops.deferred import dataclass

Status = Literal[
    "failed",  # a stage failed or timed out
    "gate failed",
    "warning",  # a gate warns, or a metric is missing
    "worse",
    "better",
    "cannot tell",
    "changed",
    "unchanged",
    "nothing to compare",
]


@dataclass(frozen=True)
class Revision:
    """A commit, or a working tree. `why` says, for a base, why it is this one."""

    commit: str = ""
    name: str = ""
    why: str = ""
    dirty: bool = False


@dataclass(frozen=True)
class StageSummary:
    """How the head's runs of a stage came about. `seconds`: what was trained took in all."""

    stage: str
    runs: int
    replicates: int
    trained: int
    from_store: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class Report:
    """What changed in the model, and whether that is acceptable. Metrics come worst first."""

    project: str
    status: Status
    headline: str
    head: Revision
    base: Revision | None = None
    stages: tuple[StageSummary, ...] = ()
    metrics: tuple[MetricChange, ...] = ()
    gates: tuple[GateResult, ...] = ()
    params: tuple[ValueChange, ...] = ()
    facts: tuple[FactChange, ...] = ()
    costs: tuple[CostChange, ...] = ()
    artifacts: tuple[ArtifactChange, ...] = ()
    curves: tuple[Curve, ...] = ()
    failures: tuple[Failure, ...] = ()
    lineage: tuple[Lineage, ...] = ()
    warnings: tuple[str, ...] = ()
    classes: tuple[ClassChange, ...] = ()
    matrices: tuple[MatrixPair, ...] = ()
    slices: tuple[SliceChange, ...] = ()
    history: tuple[MetricHistory, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    plots: tuple[PlotPair, ...] = field(default=(), repr=False, metadata={"json": False})
    full_report: str = ""  # the HTML report's address, where the readers of the comment reach it
    reproduce: str = ""
    fetch: str = ""  # the command that brings the artifacts, where a store has them for others
    tool: str = ""
    format: Literal[1] = 1

    @property
    def failed_gates(self) -> tuple[GateResult, ...]:
        """The gates that make the exit code 3."""
        return tuple(gate for gate in self.gates if gate.state == "failed")
