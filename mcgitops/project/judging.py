"""The keys that say how a stage is judged: columns of its predictions, and what it may cost."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from mcgitops.project.base import Duration, Spec
from mcgitops.typed.convert import Before, Limits
from mcgitops.typed.model import key, whole

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY = {"k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
SIZE = r"^\d+(\.\d+)? ?([kKMGT]i?)?B?$"


def _size_text(value: Any) -> str:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not re.fullmatch(SIZE, text.strip()):
        raise ValueError(f"{value!r} is not a size. Write 500MB, 2GiB or a number of bytes.")
    return text


Size = Annotated[str, Before(_size_text), Limits(shown=SIZE)]
"""`500MB`, `2GiB`, or bytes as a number."""


def size_bytes(size: str) -> int:
    """`1.5GB` → 1500000000; `2GiB` → 2147483648."""
    found = re.fullmatch(r"([\d.]+) ?(?:([kKMGT])(i)?)?B?", size)
    if found is None:
        raise ValueError(f"{size!r} is not a size. Write 500MB or 2GiB.")
    number, unit, binary = found.groups()
    factor = (_BINARY if binary else _UNITS)[(unit or "").lower()]
    return round(float(number) * factor)


class PredictionsSpec(Spec):
    """The columns of a file of predictions, where their names don't tell."""

    truth: str = key(default="", description="The column with what is true.")
    prediction: str = key(default="", description="The column with what the model said.")
    score: str = key(
        default="", description="The column with the score or probability of the positive class."
    )
    id: str = key(
        default="",
        description="The column that names the example, by which both sides are joined. Without "
        "one they are joined row by row.",
    )
    group: str = key(
        default="",
        description="The column with what examples belong to (a patient, a user): whole groups are "
        "resampled then, since examples of one group aren't independent.",
    )
    slices: tuple[str, ...] = key(
        default=(), description="Columns whose values are slices, each judged by itself."
    )
    positive: str | int | bool = key(
        default="",
        description="The class that precision, recall, F1 and AUC are of. Default: `1`, `true`, "
        "`yes` or `positive`, where there are two classes.",
    )
    task: Literal["classification", "regression"] | None = key(
        default=None,
        description="Default: regression where truth and predictions are numbers, not all whole.",
    )


class _Bound(Spec):
    level: Literal["fail", "warn"] = key(
        default="fail", description="`fail` makes the exit code 3; `warn` only shows it."
    )
    max_increase_percent: float | None = key(
        default=None, ge=0, description="The largest increase against the base, in percent of it."
    )

    @whole
    def _says_something(self) -> None:
        if getattr(self, "max", None) is None and self.max_increase_percent is None:
            raise ValueError("names no bound. Give max or max_increase_percent.")


class TimeBudget(_Bound):
    """What a run of a stage may take; over replicates their mean."""

    max: Duration | None = key(default=None, description="At most so long: `90s`, `15m`, `1h30m`.")


class SizeBudget(_Bound):
    """What a stage may need, or make."""

    max: Size | None = key(default=None, description="At most so much: `500MB`, `2GiB`.")


class LatencyBudget(_Bound):
    """How long an answer may take, as the stage itself measured it."""

    metric: str = key(
        default="latency_p95",
        min_length=1,
        description="The stage's metric that it is, or `file:metric`.",
    )
    max: float | None = key(
        default=None,
        ge=0,
        description="At most so much, in the metric's own unit; over replicates the mean.",
    )


class StageBudget(Spec):
    """What a stage may cost. A budget that is exceeded is a gate that fails."""

    wall_time: TimeBudget | None = key(default=None, description="By the clock, from start to end.")
    cpu_time: TimeBudget | None = key(default=None, description="Of all its processes.")
    peak_memory: SizeBudget | None = key(
        default=None, description="The largest of its runs' peaks."
    )
    image_size: SizeBudget | None = key(default=None, description="The image that it ran in.")
    artifact_size: SizeBudget | None = key(
        default=None, description="All outputs of the selected run."
    )
    latency: LatencyBudget | None = key(
        default=None, description="Of an answer: a metric that the stage writes."
    )

    @whole
    def _says_something(self) -> None:
        if not self.bounds:
            raise ValueError("names no cost. Give wall_time, cpu_time, peak_memory, image_size, "
                             "artifact_size or latency.")  # fmt: skip

    @property
    def bounds(self) -> dict[str, TimeBudget | SizeBudget | LatencyBudget]:
        """The costs that have a bound."""
        found = {name: getattr(self, name) for name in self.model_keys()}
        return {name: bound for name, bound in found.items() if bound is not None}
