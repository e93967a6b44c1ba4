"""What the readers of nested files share: data that is parsed once, and charts over a given column.

A reader that must look into a JSON file to know whether it is its own hands the data on in the
claim, so that the file isn't parsed a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mcgitops.deferred import dataclass
from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files
from mcgitops.metrics.formats import json_file, yaml_file
from mcgitops.metrics.formats.series import Row, from_rows
from mcgitops.metrics.values import Matrix, Plot, UnreadableError, Warnings, text

HEAD = 64 << 10
"""Bytes that tell what a JSON file is."""
MAX_CLASSES = 200
"""Rows of a confusion matrix that are kept; nobody reads a larger one."""


@dataclass(frozen=True)
class Parsed(Claim):
    """A claim with the data of its one file, and what was noticed while it was parsed."""

    data: Any
    noticed: tuple[str, ...] = ()


def parsed(files: Files, path: str) -> Parsed | None:
    """The file's data as a claim; None where it isn't whole: then the plain readers say so."""
    warnings = Warnings()
    try:
        data = loaded(files, path, warnings)
    except (UnreadableError, OSError):
        return None
    return Parsed(path, (path,), data, warnings.all())


def loaded(files: Files, path: str, warnings: Warnings) -> Any:
    """The data of a JSON or YAML file. Raises `UnreadableError` and `OSError`."""
    load = json_file.load if path.lower().endswith(".json") else yaml_file.load
    with files.open(path) as stream:
        return load(stream, warnings)


def data_of(files: Files, claim: Claim, warnings: Warnings) -> Any:
    """The data of a claim's file, with what was noticed while it was parsed."""
    if isinstance(claim, Parsed):
        for sentence in claim.noticed:
            warnings.add(sentence)
        return claim.data
    return loaded(files, claim.source, warnings)


def rows_in(data: Any, depth: int = 8) -> list[Mapping[str, Any]] | None:
    """A list of rows; also the first one that is under a key, as plots' files have it."""
    if isinstance(data, list):
        return data if data and all(isinstance(row, Mapping) for row in data) else None
    if isinstance(data, Mapping) and depth:
        below = (rows_in(value, depth - 1) for value in data.values())
        return next((rows for rows in below if rows), None)
    return None


def over(
    name: str, x: str, columns: Iterable[str], rows: Iterable[Row], warnings: Warnings
) -> Plot:
    """A plot of some columns over the column `x`. Raises `UnreadableError` where there is none."""
    wanted = list(dict.fromkeys((x, *columns)))
    kept = ({key: row.get(key) for key in wanted} for row in rows)
    plot = from_rows(name, wanted, (row for row in kept if row[x] is not None), warnings)
    if plot.x == x:
        return plot
    xs = plot.series.get(x)
    rest = {key: points for key, points in plot.series.items() if key != x}
    if xs is None or not rest:
        raise UnreadableError(f"has no numbers to draw over {x[:80]}.")
    return replace(plot, x=x, xs=tuple(value or 0.0 for value in xs), series=rest)


def counted(source: str, pairs: Iterable[tuple[Any, Any]], warnings: Warnings) -> Matrix:
    """The confusion matrix of pairs (true class, predicted class)."""
    counts: dict[tuple[str, str], float] = {}
    for pair in pairs:
        truth, guess = (_label(value) for value in pair)
        counts[truth, guess] = counts.get((truth, guess), 0.0) + 1
    labels = sorted({label for pair in counts for label in pair}, key=_order)
    if not labels:
        raise UnreadableError("holds no pair of a true and a predicted class.")
    if len(labels) > MAX_CLASSES:
        raise UnreadableError(f"has over {MAX_CLASSES} classes, too many for a confusion matrix.")
    table = tuple(tuple(counts.get((a, b), 0.0) for b in labels) for a in labels)
    return Matrix(source, tuple(labels), table)


def _label(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return text(str(value), 80)


def _order(label: str) -> tuple[int, int, str]:
    """Numbers by size, then names."""
    digits = label.lstrip("-")
    is_number = digits.isascii() and digits.isdigit() and len(digits) < 16
    return (0, int(label), "") if is_number and label.count("-") < 2 else (1, 0, label)
