"""scikit-learn's results as scripts dump them: a classification report, a confusion matrix.

The report is `classification_report(…, output_dict=True)` as JSON. A matrix is a square list of
lists of counts or shares, alone, under `matrix` or `confusion_matrix` with `labels` beside it, or a
CSV file whose first row and first column name the classes. What else is in the file stays a metric.
"""

from __future__ import annotations

import csv
import io
import itertools
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head, matching
from mcgitops.metrics.formats.content import stem, text_of
from mcgitops.metrics.formats.parsed import HEAD, MAX_CLASSES, data_of, parsed
from mcgitops.metrics.formats.series import number
from mcgitops.metrics.values import (
    ClassRow,
    ClassTable,
    Findings,
    Matrix,
    UnreadableError,
    Warnings,
    flatten,
    text,
)

AVERAGES = ("micro avg", "macro avg", "weighted avg", "samples avg")
MAX_ROWS = 1000
"""Classes that are kept of one report."""
_MATRICES = ("confusion_matrix", "matrix")
_LIKELY = re.compile(rb'\s*\[\s*\[|.*"(?:precision|confusion_matrix|matrix)"\s*:', re.DOTALL)
_MAX_CSV = 1 << 20


def claims(files: Files) -> Iterator[Claim]:
    """JSON with a report or a matrix in it, and square CSV files."""
    for path in matching(files, "*.json", "*.JSON"):
        if not _LIKELY.match(head(files, path, HEAD)):
            continue
        claim = parsed(files, path)
        if claim is not None and (_report(claim.data) is not None or _found(claim.data)):
            yield claim
    for path in matching(files, "*.csv", "*.tsv"):
        if _is_square(files, path):
            yield Claim(path, (path,))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """Classes as a table, averages and the rest as metrics, a confusion matrix."""
    path = claim.source
    if not path.lower().endswith(".json"):
        return Findings(matrices=(_from_table(files, path),))
    data = data_of(files, claim, warnings)
    matrices: list[Matrix] = []
    rest = data
    if found := _found(data):
        key, labels, counts = found
        matrices.append(_matrix(path, labels, counts))
        known = {key, "labels"} if labels is not None else {key}
        rest = {k: v for k, v in data.items() if k not in known} if key else {}
    tables: tuple[ClassTable, ...] = ()
    if (classes := _report(rest)) is not None:
        if len(classes) > MAX_ROWS:
            warnings.add(f"has more than {MAX_ROWS} classes; the rest is left out.")
        kept = itertools.islice(classes.items(), MAX_ROWS)
        rows = tuple(_row(name, values, warnings) for name, values in kept)
        tables = (ClassTable(path, rows),)
        rest = {key: value for key, value in rest.items() if key not in classes}
    metrics = {path: flatten(rest, warnings, root=stem(path))} if rest else {}
    return Findings(metrics=metrics, tables=tables, matrices=tuple(matrices))


def _report(data: Any) -> dict[str, Mapping[str, Any]] | None:
    """The classes of a report; None where this is none."""
    if not isinstance(data, Mapping) or not {"macro avg", "weighted avg"} <= data.keys():
        return None
    classes = {
        str(key): value
        for key, value in data.items()
        if isinstance(value, Mapping) and "support" in value and key not in AVERAGES
    }
    return classes or None


def _row(name: str, values: Mapping[str, Any], warnings: Warnings) -> ClassRow:
    numbers: dict[str, float] = {}
    for key, raw in values.items():
        value = number(raw)
        if value is None:
            warnings.add(f"{name[:80]}: {key} is not a number and is left out.")
        else:
            numbers[text(str(key), 80)] = value
    support = numbers.pop("support", None)
    return ClassRow(text(name, 200), numbers, support)


def _found(data: Any) -> tuple[str, list[Any] | None, list[list[Any]]] | None:
    """Where the matrix is: its key ("" for the whole file), the labels, the numbers."""
    if _is_matrix(data):
        return "", None, data
    if not isinstance(data, Mapping):
        return None
    key = next((key for key in _MATRICES if _is_matrix(data.get(key))), None)
    if key is None:
        return None
    labels = data.get("labels")
    fits = isinstance(labels, list) and len(labels) == len(data[key])
    return key, labels if fits else None, data[key]


def _is_matrix(data: Any) -> bool:
    """Whether it is a square of counts, or of shares, two by two at least."""
    if not (
        isinstance(data, list)
        and 2 <= len(data) <= MAX_CLASSES
        and all(isinstance(row, list) and len(row) == len(data) for row in data)
        and all(_is_count(cell) for row in data for cell in row)
    ):
        return False
    return all(float(cell).is_integer() for row in data for cell in row) or _is_shares(data)


def _is_count(cell: Any) -> bool:
    value = number(cell)
    return value is not None and math.isfinite(value) and value >= 0


def _is_shares(data: list[list[float]]) -> bool:
    """Whether rows, columns or all cells sum to 1, as `normalize=` leaves them.

    A correlation matrix is square as well, and isn't meant.
    """

    def one(total: float) -> bool:
        return abs(total - 1) < 0.02

    rows = [sum(row) for row in data]
    columns = [sum(column) for column in zip(*data, strict=True)]
    by_class = (all(one(s) or s == 0 for s in sums) and any(sums) for sums in (rows, columns))
    return any(by_class) or one(sum(rows))


def _matrix(path: str, labels: list[Any] | None, counts: list[list[Any]]) -> Matrix:
    names = labels if labels is not None else range(len(counts))
    shown = tuple(text(str(name), 80) for name in names)
    return Matrix(path, shown, tuple(tuple(float(cell) for cell in row) for row in counts))


def _is_square(files: Files, path: str) -> bool:
    """By the first two rows: the header's second cell names the first row, and all else counts.

    A matrix of shares is looked at as a whole, since tables of other numbers may begin like one.
    """
    lines = head(files, path, HEAD).decode("utf-8-sig", "replace").splitlines()[:2]
    try:
        rows = list(csv.reader(lines, delimiter=_delimiter(path)))
    except csv.Error:
        return False
    if len(rows) < 2 or len(rows[0]) < 3 or len(rows[0]) != len(rows[1]):
        return False
    if not rows[1][0] == rows[0][1] != "" or len(set(rows[0])) < len(rows[0]):
        return False
    if all(cell.isascii() and cell.isdigit() for cell in rows[1][1:]):
        return True
    try:
        _from_table(files, path)
    except (UnreadableError, OSError):
        return False
    return True


def _delimiter(path: str) -> str:
    return "\t" if path.lower().endswith(".tsv") else ","


def _from_table(files: Files, path: str) -> Matrix:
    with files.open(path) as stream:
        content = text_of(stream, _MAX_CSV)
    try:
        rows = list(csv.reader(io.StringIO(content), delimiter=_delimiter(path)))
    except csv.Error as error:
        raise UnreadableError(f"is not valid CSV: {error}.") from None
    labels, rows = rows[0][1:], [row for row in rows[1:] if row]
    named = [row[0] for row in rows]
    whole = content.endswith(("\n", "\r")) and all(len(row) == len(labels) + 1 for row in rows)
    if named != labels or not whole:
        raise UnreadableError(
            f"begins like a confusion matrix of {len(labels)} classes, and isn't one: it seems to "
            "be cut off, or its first column doesn't name the classes of its first row."
        )
    try:
        counts = [[float(cell) for cell in row[1:]] for row in rows]
    except ValueError:
        counts = []
    if not _is_matrix(counts):
        raise UnreadableError("begins like a confusion matrix, and has cells that are no counts.")
    return _matrix(path, list(labels), counts)
