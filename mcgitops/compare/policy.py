"""What a comparison is told beside the two sides and the metrics' rules. Plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from types import MappingProxyType
from typing import Literal

from mcgitops.compare.model import RunView
from mcgitops.compare.paired import PairedExamples
from mcgitops.deferred import dataclass

Cost = Literal["wall_time", "cpu_time", "peak_memory", "image_size", "artifact_size", "latency"]


@dataclass(frozen=True)
class Design:
    """What a stage's replicates are.

    paired: runs of the same replicate belong together (a seed that fixes the split, say).
    folds:  the variable that numbers the folds of a cross-validation; "" without one.
    """

    paired: bool = False
    folds: str = ""


@dataclass(frozen=True)
class Budget:
    """What a stage may cost: seconds or bytes, and how much more than the base's.

    metric: of a `latency`, the stage's metric that it is; `max` is in that one's own unit.
    """

    stage: str
    cost: Cost
    max: float | None = None
    max_increase_percent: float | None = None
    level: Literal["fail", "warn"] = "fail"
    metric: str = ""


@dataclass(frozen=True)
class Policy:
    """designs:  by stage.
    checks:   what another tool's failed test is.
    examples: predictions of both sides, compared.
    earlier:  runs of the base's branch with the base's code, data and image: the noise band's.
    """

    designs: Mapping[str, Design] = field(default_factory=lambda: MappingProxyType({}))
    budgets: tuple[Budget, ...] = ()
    checks: Literal["fail", "warn", "ignore"] = "fail"
    examples: tuple[PairedExamples, ...] = ()
    earlier: tuple[RunView, ...] = ()
