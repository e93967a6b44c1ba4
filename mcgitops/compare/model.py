"""What goes into a comparison and what comes out: plain frozen values, ready for JSON.

`Side` and `RunView` are this package's own view of runs, so that it knows nothing of stores.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any, Literal

from mcgitops.deferred import dataclass
from mcgitops.metrics.values import Check, ClassTable, Matrix, Plot, Scalar

Direction = Literal["higher", "lower", ""]
"""Which way is better; "" where nobody said so and the name doesn't tell."""

Verdict = Literal[
    "better", "worse", "same", "no difference", "changed", "new", "missing", "cannot tell"
]
"""`changed` has no direction; `cannot tell` has one, or not, but the evidence doesn't suffice.

`no difference` is a finding, not a lack of one: an equivalence test within a given margin passed.
(Lying within a noise band is not enough: a wide band holds anything.) `same` is equal values.
"""

GateState = Literal["passed", "failed", "warned", "waived", "not judged"]

Movement = Literal["better", "worse", ""]
"""Which way the numbers went, whatever the evidence is worth."""


@dataclass(frozen=True)
class Artifact:
    """A file that a run gave."""

    path: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, in the metric's unit, with a confidence of `level`."""

    low: float
    high: float
    level: float = 0.95


@dataclass(frozen=True, slots=True)
class Test:
    """One piece of evidence about a metric, or a slice of it.

    method: `welch`, `paired t`, `mcnemar`, `bootstrap`, `noise band`, `non-inferiority`, …
    interval: of the difference head minus base.
    text: the evidence in words, as the report shows it.
    """

    method: str
    text: str
    p: float | None = None
    interval: Interval | None = None
    base_n: int = 0
    head_n: int = 0


@dataclass(frozen=True)
class RunView:
    """One run, as far as a comparison looks at it."""

    stage: str
    fingerprint: str
    state: str = "succeeded"
    matrix: Mapping[str, str] = field(default_factory=dict)
    replicate: Mapping[str, str] = field(default_factory=dict)
    selected: bool = False
    selection: str = ""  # how it was selected, where that is worth a word
    commit: str = ""
    exit_code: int | None = None
    metrics: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    upstream: Mapping[str, str] = field(default_factory=dict)
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    peak_memory_sampled: bool = False
    image: str = ""
    image_digest: str = ""
    image_size: int | None = None
    outputs: tuple[Artifact, ...] = ()
    plots: tuple[Plot, ...] = ()
    tables: tuple[ClassTable, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
    log_tail: tuple[str, ...] = ()

    @property
    def variant(self) -> str:
        """The matrix combination as text: `MODEL=rf`; "" without a matrix."""
        return assignments(self.matrix)

    @property
    def label(self) -> str:
        """Stage and combination: `train MODEL=rf SEED=0`."""
        parts = (self.stage, assignments(self.matrix), assignments(self.replicate))
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Side:
    """A revision and its runs. `why` says, for a base, why it is this one."""

    commit: str = ""
    name: str = ""
    why: str = ""
    dirty: bool = False
    runs: tuple[RunView, ...] = ()


@dataclass(frozen=True)
class Gate:
    """Bounds on a metric; None where there is none.

    non_inferiority: a margin in the metric's unit; it must be shown to be worse by less than that.
    outside_noise:   fails where the metric is worse than the noise band of earlier runs.
    """

    min: float | None = None
    max: float | None = None
    max_drop: float | None = None
    max_drop_percent: float | None = None
    level: Literal["fail", "warn"] = "fail"
    non_inferiority: float | None = None
    outside_noise: bool = False


@dataclass(frozen=True)
class MetricRule:
    """What the project's file says of a metric. `key` is a name or a shell pattern.

    equivalence: a margin in the metric's unit; smaller differences don't matter.
    """

    key: str
    goal: Literal["maximize", "minimize", "neutral"] | None = None
    gate: Gate | None = None
    equivalence: float | None = None


@dataclass(frozen=True)
class GateResult:
    """One bound, judged. `bound` is the rule in words, `text` the whole sentence.

    kind: what it bounds. Of a `check` (another tool's test), `metric` is the test's name; of a
          `budget`, `STAGE/COST`.
    """

    metric: str
    variant: str
    bound: str
    state: GateState
    text: str
    kind: Literal["metric", "budget", "check"] = "metric"


class _Late:
    """Values that are computed when they are first asked for, and kept.

    A slot that is still empty leads to `__getattr__`, so that a value which is there costs nothing
    more than any other. Of thousands of metrics a report shows a few dozen with their evidence.
    """

    __slots__ = ("_later",)
    _later: Callable[[], Mapping[str, Any]]

    if not TYPE_CHECKING:  # a misspelt name is found as in any other class

        def __getattr__(self, name: str) -> Any:
            if name == "_later" or name not in type(self).__slots__:
                raise AttributeError(f"{type(self).__name__} has no {name}")
            for late, value in self._later().items():
                object.__setattr__(self, late, value)
            return object.__getattribute__(self, name)


@dataclass(frozen=True, slots=True)
class MetricChange(_Late):
    """One metric on both sides; several values where there are replicates."""

    stage: str
    variant: str
    file: str
    name: str
    label: str  # the shortest unambiguous name
    base: tuple[Scalar, ...]
    head: tuple[Scalar, ...]
    direction: Direction
    verdict: Verdict
    evidence: str = ""
    moved: Movement = ""
    base_mean: float | None = None
    base_sd: float | None = None
    head_mean: float | None = None
    head_sd: float | None = None
    difference: float | None = None
    percent: float | None = None
    p: float | None = None
    gates: tuple[GateResult, ...] = ()
    base_interval: Interval | None = None  # of the mean
    head_interval: Interval | None = None
    tests: tuple[Test, ...] = ()  # all evidence; `evidence` and `p` are of the deciding one

    @classmethod
    def with_late(cls, later: Callable[[], Mapping[str, Any]], **known: Any) -> MetricChange:
        """A change of which `known` doesn't name all: `later` is called once, for all others."""
        made = object.__new__(cls)
        put = object.__setattr__
        for name, value in known.items():
            put(made, name, value)
        put(made, "_later", later)
        return made

    @property
    def has_evidence(self) -> bool:
        """Whether it has an interval or a test. Computes none where its spread says so already."""
        for mean, sd in ((self.base_mean, self.base_sd), (self.head_mean, self.head_sd)):
            if sd and mean is not None and math.isfinite(mean) and math.isfinite(sd):
                return True
        return bool(self.base_interval or self.head_interval or self.tests)

    @property
    def is_changed(self) -> bool:
        """Whether a reader should see it: it changed, or one of its gates has something to say."""
        unchanged = self.verdict in ("same", "no difference")
        return not unchanged or self.gate_state in ("failed", "warned", "waived")

    @property
    def gate_state(self) -> str:
        """The worst state of its gates; "" without any."""
        if not self.gates:
            return ""
        states = {gate.state for gate in self.gates}
        ordered = ("failed", "warned", "waived", "not judged", "passed")
        return next((state for state in ordered if state in states), "")


@dataclass(frozen=True)
class MetricHistory:
    """A metric's values on the base's branch, the oldest first and the base's own the last.

    means: over the runs of each commit, in the metric's unit. commits: which, one for each mean.
    """

    stage: str
    variant: str
    file: str
    name: str
    means: tuple[float, ...]
    commits: tuple[str, ...]


@dataclass(frozen=True)
class ValueChange:
    """A parameter that differs. None is "not there"; a null of the file is the text `null`."""

    stage: str
    file: str
    name: str
    label: str
    base: Scalar
    head: Scalar


@dataclass(frozen=True)
class FileChanges:
    """How a folder became another one; of many paths the first.

    base_size, head_size: bytes of all its files, changed or not.
    sizes: of each path that is named, its bytes on both sides; None where it isn't.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    count: int = 0
    base_size: int = 0
    head_size: int = 0
    sizes: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class FactChange:
    """Something else that went into a run and differs: code, data, the base image, …

    `files` where it is a folder whose content was kept on both sides.
    """

    stages: tuple[str, ...]
    name: str
    base: str
    head: str
    files: FileChanges | None = None


@dataclass(frozen=True)
class CostChange:
    """Time, memory or size of a stage, on both sides. `exact`: measured without noise."""

    stage: str
    variant: str
    name: str
    unit: Literal["seconds", "bytes"]
    base: float | None
    head: float | None
    exact: bool = False

    @property
    def difference(self) -> float | None:
        """Head minus base."""
        return None if self.base is None or self.head is None else self.head - self.base

    @property
    def percent(self) -> float | None:
        """The difference in percent of the base."""
        return 100 * (self.difference or 0.0) / self.base if self.base and self.head else None


@dataclass(frozen=True)
class ArtifactChange:
    """An artifact of a stage's selected run, by content.

    link: the address of the head's, where the readers of the report reach it.
    """

    stage: str
    path: str
    state: Literal["same", "changed", "new", "missing"]
    base_digest: str = ""
    base_size: int | None = None
    head_digest: str = ""
    head_size: int | None = None
    link: str = ""


@dataclass(frozen=True)
class Curve:
    """One series on both sides, over the range of x that both have."""

    stage: str
    plot: str
    series: str
    x: str
    xs: tuple[float, ...]
    base: tuple[float, ...]  # () without a base
    head: tuple[float, ...]


@dataclass(frozen=True)
class PlotPair:
    """One series on both sides, each over its own x and with every point that was read.

    The tuples are those of the plots: nothing is copied. A value is None where there is none.
    """

    stage: str
    plot: str
    series: str
    x: str
    head_xs: tuple[float, ...]
    head: tuple[float | None, ...]
    base_xs: tuple[float, ...] = ()  # () without a base
    base: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class ClassChange:
    """A class of a classification report on both sides: metric → (base, head)."""

    stage: str
    variant: str
    source: str
    name: str
    values: Mapping[str, tuple[float | None, float | None]]
    base_support: float | None = None
    head_support: float | None = None


@dataclass(frozen=True)
class MatrixPair:
    """A confusion matrix of the head, and the base's where it has one with the same labels."""

    stage: str
    variant: str
    head: Matrix
    base: Matrix | None = None


@dataclass(frozen=True)
class SliceChange:
    """A metric over the examples of one slice. `p_adjusted`: after Holm, over all slices."""

    stage: str
    variant: str
    source: str
    column: str
    value: str
    metric: str
    n: int
    base: float | None
    head: float | None
    base_interval: Interval | None = None
    head_interval: Interval | None = None
    p: float | None = None
    p_adjusted: float | None = None
    verdict: Verdict = "cannot tell"
    evidence: str = ""


@dataclass(frozen=True)
class Waiver:
    """Somebody's word that a failed gate may pass. `gate` is a metric's name, or `*`."""

    gate: str
    by: str
    how: Literal["label", "comment"]
    reason: str = ""
    url: str = ""


@dataclass(frozen=True)
class Failure:
    """A run that didn't succeed, and the end of its log."""

    run: str
    state: str
    exit_code: int | None
    log_tail: tuple[str, ...]


@dataclass(frozen=True)
class Lineage:
    """Where a stage's artifacts come from."""

    stage: str
    run: str
    fingerprint: str
    commit: str
    image: str
    image_digest: str
    upstream: Mapping[str, str]
    from_store: bool
    selection: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)  # the data that it read: name → digest


@dataclass(frozen=True)
class Comparison:
    """All that differs between two sides, worst first, and what the gates say."""

    base: Side | None
    head: Side
    metrics: tuple[MetricChange, ...] = ()
    gates: tuple[GateResult, ...] = ()
    params: tuple[ValueChange, ...] = ()
    facts: tuple[FactChange, ...] = ()
    costs: tuple[CostChange, ...] = ()
    artifacts: tuple[ArtifactChange, ...] = ()
    curves: tuple[Curve, ...] = ()
    plots: tuple[PlotPair, ...] = ()
    failures: tuple[Failure, ...] = ()
    lineage: tuple[Lineage, ...] = ()
    warnings: tuple[str, ...] = ()
    classes: tuple[ClassChange, ...] = ()
    matrices: tuple[MatrixPair, ...] = ()
    slices: tuple[SliceChange, ...] = ()


def assignments(values: Mapping[str, str]) -> str:
    """`{"A": "1", "B": "2"}` → `A=1 B=2`."""
    return " ".join(f"{name}={value}" for name, value in values.items())
