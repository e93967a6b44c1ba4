"""Puts the classes and confusion matrices of both sides beside each other.

Of each combination of the matrix one run speaks: the selected one, else the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mcgitops.compare.direction import direction
from mcgitops.compare.model import ClassChange, MatrixPair, RunView
from mcgitops.metrics.values import ClassRow, Matrix

Key = tuple[str, str, str]
"""Stage, variant, source."""


def classes(base: Iterable[RunView], head: Iterable[RunView]) -> tuple[ClassChange, ...]:
    """The classes of each report, those that lost most first; a class may be on one side only."""
    before, after = _tables(base), _tables(head)
    found: list[ClassChange] = []
    for key, rows in after.items():
        old = before.get(key, {})
        changes = [_change(key, name, old.get(name), rows.get(name)) for name in _names(rows, old)]
        changes.sort(key=_worst)  # a stable order: what didn't change stays as the file has it
        found += changes
    return tuple(found)


def matrices(base: Iterable[RunView], head: Iterable[RunView]) -> tuple[MatrixPair, ...]:
    """The head's confusion matrices, each with the base's where the classes are the same."""
    before, after = _matrices(base), _matrices(head)
    return tuple(
        MatrixPair(
            stage,
            variant,
            matrix,
            old
            if (old := before.get((stage, variant, source))) and old.labels == matrix.labels
            else None,
        )
        for (stage, variant, source), matrix in after.items()
    )


def _change(key: Key, name: str, old: ClassRow | None, new: ClassRow | None) -> ClassChange:
    left, right = old.values if old else {}, new.values if new else {}
    return ClassChange(
        *key,
        name,
        {metric: (left.get(metric), right.get(metric)) for metric in _names(right, left)},
        old.support if old else None,
        new.support if new else None,
    )


def _worst(change: ClassChange) -> float:
    """The largest step in the wrong direction, negative; 0 where nothing became worse."""
    steps = [0.0]
    for metric, (old, new) in change.values.items():
        way = direction(metric)
        if old is not None and new is not None and way:
            steps.append(new - old if way == "higher" else old - new)
    return min(step for step in steps if step == step)


def _tables(runs: Iterable[RunView]) -> dict[Key, dict[str, ClassRow]]:
    return {
        (stage, variant, table.source): {row.name: row for row in table.rows}
        for (stage, variant), run in _chosen(runs).items()
        for table in run.tables
    }


def _matrices(runs: Iterable[RunView]) -> dict[Key, Matrix]:
    return {
        (stage, variant, matrix.source): matrix
        for (stage, variant), run in _chosen(runs).items()
        for matrix in run.matrices
    }


def _chosen(runs: Iterable[RunView]) -> dict[tuple[str, str], RunView]:
    found: dict[tuple[str, str], RunView] = {}
    for run in runs:
        key = (run.stage, run.variant)
        if run.state == "succeeded" and (key not in found or run.selected):
            found[key] = run
    return found


def _names(first: Mapping[str, object], second: Mapping[str, object]) -> list[str]:
    return list(dict.fromkeys((*first, *second)))
