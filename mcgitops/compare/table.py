"""Several runs, or commits with all their runs, side by side: one line a value, one cell a side.

Unlike `compare`, which weighs a head against its base, nothing is judged here. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from mcgitops.compare.direction import direction
from mcgitops.compare.model import Direction, MetricRule, RunView
from mcgitops.compare.rules import Rules
from mcgitops.compare.statistics import Sample, sample
from mcgitops.deferred import dataclass
from mcgitops.metrics.values import Scalar

Section = Literal["variables", "metrics", "params", "resources"]
SECTIONS: tuple[Section, ...] = ("variables", "metrics", "params", "resources")
Cell = tuple[Scalar, ...]
"""The values of a side's runs, in their order; () where it has none."""
Key = tuple[str, str, str, str]
"""Stage, variant, file, name; the first two are "" where they don't tell lines apart."""


@dataclass(frozen=True)
class Line:
    """One value of all sides. `label`: its name, with the file where that is needed.

    unit: `seconds`, `bytes` or "".
    """

    section: Section
    stage: str
    variant: str
    label: str
    cells: tuple[Cell, ...]
    unit: Literal["seconds", "bytes", ""] = ""
    direction: Direction = ""

    @property
    def differs(self) -> bool:
        """Whether any two sides have other values. Their order, and how often, is no difference."""
        return len({frozenset(map(_identity, cell)) for cell in self.cells}) > 1


def lines(
    sides: Sequence[Sequence[RunView]], *, by_stage: bool, rules: Sequence[MetricRule] = ()
) -> list[Line]:
    """All lines, metrics first.

    by_stage: lines belong to a stage and a variant, as where a side is a commit; else a side is a
              single run, whichever stage it is of, and its variables are lines, too.
    """
    known = Rules(rules)
    found: list[Line] = []
    if not by_stage:
        found += _section("variables", [_variables(side) for side in sides], known)
    found += _section("metrics", [_files(side, "metrics", by_stage) for side in sides], known)
    found += _section("params", [_files(side, "params", by_stage) for side in sides], known)
    found += _section("resources", [_resources(side, by_stage) for side in sides], known)
    return found


def numbers_of(cell: Cell) -> Sample | None:
    """Mean and deviation; None unless all values are numbers, and there are any."""
    found = []
    for value in cell:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        try:
            found.append(float(value))
        except OverflowError:
            return None
    return sample(found) if found else None


_COSTS: tuple[tuple[str, str, Literal["seconds", "bytes"]], ...] = (
    ("wall time", "wall_seconds", "seconds"),
    ("CPU time", "cpu_seconds", "seconds"),
    ("peak memory", "peak_memory_bytes", "bytes"),
    ("image size", "image_size", "bytes"),
)
OUTPUTS = "size of all outputs"
_UNITS = {name: unit for name, _, unit in _COSTS} | {OUTPUTS: "bytes"}


def _section(
    section: Section, sides: Sequence[dict[Key, list[Scalar]]], rules: Rules
) -> Iterator[Line]:
    keys = list(dict.fromkeys(key for side in sides for key in side))
    files: dict[tuple[str, str, str], set[str]] = {}
    for stage, variant, file, name in keys:
        files.setdefault((stage, variant, name), set()).add(file)
    for key in keys:
        stage, variant, file, name = key
        unit = _UNITS.get(name, "") if section == "resources" else ""
        yield Line(
            section=section,
            stage=stage,
            variant=variant,
            label=name if len(files[stage, variant, name]) == 1 else f"{file}:{name}",
            cells=tuple(tuple(side.get(key, ())) for side in sides),
            unit="seconds" if unit == "seconds" else "bytes" if unit == "bytes" else "",
            direction=_direction(rules, stage, file, name) if section == "metrics" else "",
        )


def _direction(rules: Rules, stage: str, file: str, name: str) -> Direction:
    rule, _ = rules.find(stage, file, name)
    return direction(name, rule.goal if rule else None)


def _place(run: RunView, by_stage: bool) -> tuple[str, str]:
    return (run.stage, run.variant) if by_stage else ("", "")


def _variables(runs: Iterable[RunView]) -> dict[Key, list[Scalar]]:
    found: dict[Key, list[Scalar]] = {}
    for run in runs:
        for name, value in {**run.matrix, **run.replicate}.items():
            found.setdefault(("", "", "", name), []).append(value)
    return found


def _files(
    runs: Iterable[RunView], what: Literal["metrics", "params"], by_stage: bool
) -> dict[Key, list[Scalar]]:
    found: dict[Key, list[Scalar]] = {}
    for run in runs:
        place = _place(run, by_stage)
        for file, values in (run.metrics if what == "metrics" else run.params).items():
            for name, value in values.items():
                cell = found.setdefault((*place, file, name), [])
                if what == "metrics" or _identity(value) not in map(_identity, cell):
                    cell.append(value)  # replicates have the same params: each value once
    return found


def _resources(runs: Iterable[RunView], by_stage: bool) -> dict[Key, list[Scalar]]:
    found: dict[Key, list[Scalar]] = {}
    for run in runs:
        values = [(name, getattr(run, attribute)) for name, attribute, _ in _COSTS]
        values.append((OUTPUTS, sum(o.size for o in run.outputs) if run.outputs else None))
        for name, value in values:
            if value is not None:
                found.setdefault((*_place(run, by_stage), "", name), []).append(value)
    return found


def _identity(value: Scalar) -> tuple[str, str]:
    """Equal for equal values; NaN is one value, and true is not 1."""
    kind = "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else "other"
    if kind == "number" and isinstance(value, int) and abs(value) <= 2**53:
        value = float(value)
    return (kind if kind == "number" else type(value).__name__, repr(value))
