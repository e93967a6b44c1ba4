"""Reads predictions: a row for each example, with what is true and what the model said.

CSV and TSV with a header, or JSON Lines. Columns are known by their names, or declared. A file that
is cut off or inconsistent is refused as a whole: a comparison over some of the examples would look
like one over all of them.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import PurePosixPath
from typing import BinaryIO, Literal

from mcgitops.deferred import dataclass
from mcgitops.metrics.values import UnreadableError, Warnings, text

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson")
MOST_EXAMPLES = 200_000
MOST_BYTES = 64 << 20
MOST_TEXT = 200
MOST_SLICES = 20
"""Slice columns."""

_TRUTH = "y_true truth true_label ground_truth gold actual expected target label true y"
_PREDICTION = (
    "y_pred prediction predicted predicted_label pred_label predicted_value pred yhat y_hat"
)
_SCORE = "y_score y_prob y_proba score probability prob proba confidence"
_ID = "id example_id sample_id row_id uid uuid"
_GROUP = "group group_id cluster cluster_id subject subject_id patient patient_id"
_SLICES = ("slice", "segment", "subgroup")

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Columns:
    """Which column holds what; "" where the name tells, or there is none.

    positive: the class that precision, recall, F1 and AUC are of. Default: 1, true, yes, positive.
    """

    truth: str = ""
    prediction: str = ""
    score: str = ""
    id: str = ""
    group: str = ""
    slices: tuple[str, ...] = ()
    positive: str = ""
    task: Task | None = None


@dataclass(frozen=True)
class Predictions:
    """A file's columns, each as long as there are examples; None where there is no such column."""

    truth: tuple[str, ...]
    prediction: tuple[str, ...] | None = None
    score: tuple[float, ...] | None = None
    ids: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    slices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    positive: str = ""
    task: Task = "classification"

    def __len__(self) -> int:
        return len(self.truth)


def looks_like(path: str, head: bytes) -> bool:
    """Whether a file is one of predictions, judged by its ending and its first bytes.

    It takes a column of truths and one of predictions, so that a history of losses is none.
    """
    names = _header(path, head)
    return bool(_named(names, _TRUTH) and _named(names, _PREDICTION))


def read(
    path: str, stream: BinaryIO, warnings: Warnings, columns: Columns | None = None
) -> Predictions:
    """All examples. Raises `UnreadableError` where they can't be had complete and consistent."""
    declared = columns or Columns()
    data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise UnreadableError(f"is larger than {MOST_BYTES >> 20} MiB; examples aren't compared.")
    try:
        lines = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8 (byte {error.start}).") from None
    names, rows = _rows(path, lines)
    found = _columns(names, declared)
    return _predictions(found, rows, warnings)


def _header(path: str, head: bytes) -> list[str]:
    ending = PurePosixPath(path).suffix.lower()
    if ending not in ENDINGS:
        return []
    first = head.decode("utf-8-sig", "replace").split("\n", 1)[0].rstrip("\r")
    if ending in (".csv", ".tsv"):
        try:
            return next(csv.reader([first], delimiter="\t" if ending == ".tsv" else ","), [])
        except csv.Error:
            return []
    try:
        record = json.loads(first)
    except (ValueError, RecursionError):
        return []
    return list(_flat(record)) if isinstance(record, dict) else []


def _columns(names: Sequence[str], declared: Columns) -> Columns:
    for what in ("truth", "prediction", "score", "id", "group"):
        name = getattr(declared, what)
        if name and name not in names:
            raise UnreadableError(f"has no column {name}, which predictions names as {what}.")
    for name in declared.slices:
        if name not in names:
            raise UnreadableError(f"has no column {name}, which predictions names as a slice.")
    truth = declared.truth or _named(names, _TRUTH)
    rest = [name for name in names if name != truth]
    found = Columns(
        truth=truth,
        prediction=declared.prediction or _named(rest, _PREDICTION),
        score=declared.score or _named(rest, _SCORE),
        id=declared.id or _named(rest, _ID),
        group=declared.group or _named(rest, _GROUP),
        slices=declared.slices or tuple(name for name in rest if _is_slice(name))[:MOST_SLICES],
        positive=declared.positive,
        task=declared.task,
    )
    if not found.truth:
        raise UnreadableError("has no column of truths. Name it: predictions: {FILE: {truth: …}}.")
    if not (found.prediction or found.score):
        raise UnreadableError(
            "has no column of predictions. Name it: predictions: {FILE: {prediction: …}}."
        )
    return found


def _named(names: Iterable[str], wanted: str) -> str:
    """The column that is called so; the earlier a name stands in the list, the better."""
    by_name = {name.strip().lower().replace(" ", "_"): name for name in reversed(list(names))}
    return next((by_name[word] for word in wanted.split() if word in by_name), "")


def _is_slice(name: str) -> bool:
    lower = name.lower()
    return any(lower == word or lower.startswith((f"{word}_", f"{word}.")) for word in _SLICES) or (
        lower.startswith("slices.")
    )


def _rows(path: str, lines: str) -> tuple[list[str], Iterator[tuple[int, Mapping[str, str]]]]:
    """The columns' names, and each row with its line."""
    ending = PurePosixPath(path).suffix.lower()
    if ending not in ENDINGS:
        raise UnreadableError(f"predictions are read from {', '.join(ENDINGS)}.")
    if ending in (".csv", ".tsv"):
        comma = "\t" if ending == ".tsv" else ","
        table = csv.reader(io.StringIO(lines, newline=""), delimiter=comma)
        try:
            names = next(table, [])
        except csv.Error as error:
            raise UnreadableError(f"can't be read as a table: {error}.") from None
        if len(set(names)) != len(names):
            raise UnreadableError("names a column twice.")
        return names, _cells(table, names)
    records = _records(lines)
    first = next(records, None)
    if first is None:
        return [], iter(())
    return list(first[1]), _chained(first, records)


def _cells(table: Iterable[list[str]], names: list[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        for number, cells in enumerate(table, 2):
            if not cells:
                continue
            if len(cells) != len(names):
                raise UnreadableError(
                    f"row {number} has {len(cells)} cells instead of {len(names)}; is it cut off?"
                )
            yield number, dict(zip(names, cells, strict=True))
    except csv.Error as error:
        raise UnreadableError(f"can't be read as a table: {error}.") from None


def _records(lines: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    for number, line in enumerate(lines.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise UnreadableError(f"line {number} is not JSON; is it cut off?") from None
        if not isinstance(record, dict):
            raise UnreadableError(f"line {number} is not an object.")
        yield number, _flat(record)


def _chained(
    first: tuple[int, Mapping[str, str]], rest: Iterator[tuple[int, Mapping[str, str]]]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    yield first
    yield from rest


def _flat(record: Mapping[str, object]) -> dict[str, str]:
    """The object's scalars as text; of `slices: {…}` also what is in it."""
    found: dict[str, str] = {}
    for name, value in record.items():
        if isinstance(value, dict) and name == "slices":
            found.update({f"slices.{key}": _text(inner) for key, inner in value.items()})
        elif not isinstance(value, (dict, list)):
            found[name] = _text(value)
    return found


def _text(value: object) -> str:
    if value is None:
        return ""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _predictions(
    columns: Columns, rows: Iterator[tuple[int, Mapping[str, str]]], warnings: Warnings
) -> Predictions:
    wanted = (columns.truth, columns.prediction, columns.score, columns.id, columns.group)
    names = [name for name in dict.fromkeys((*wanted, *columns.slices)) if name]
    cells: dict[str, list[str]] = {name: [] for name in names}
    for number, row in rows:
        if len(cells[columns.truth]) >= MOST_EXAMPLES:
            raise UnreadableError(
                f"holds more than {MOST_EXAMPLES:,} examples; they aren't compared one by one."
            )
        for name in names:
            value = row.get(name)
            if value is None or (not value and name in (columns.truth, columns.prediction)):
                raise UnreadableError(f"row {number} has no {text(name, MOST_TEXT)}.")
            cells[name].append(value if len(value) <= MOST_TEXT else text(value, MOST_TEXT))
    if not cells[columns.truth]:
        raise UnreadableError("holds no examples.")
    truth = tuple(map(_canonical, cells[columns.truth]))
    prediction = tuple(map(_canonical, cells[columns.prediction])) if columns.prediction else None
    return Predictions(
        truth=truth,
        prediction=prediction,
        score=_scores(cells[columns.score], columns.score, warnings) if columns.score else None,
        ids=_ids(cells[columns.id], columns.id, warnings) if columns.id else None,
        groups=tuple(cells[columns.group]) if columns.group else None,
        slices={name.removeprefix("slices."): tuple(cells[name]) for name in columns.slices},
        positive=_canonical(columns.positive) if columns.positive else "",
        task=columns.task or _task(truth, prediction),
    )


def _canonical(value: str) -> str:
    """One text for what is the same label: 1, 1.0 and "1 "; True and true."""
    value = value.strip()
    if value.lower() in ("true", "false"):
        return value.lower()
    if value.endswith(".0") and value[:-2].lstrip("-").isdigit():
        return value[:-2]
    return value


def _scores(cells: list[str], name: str, warnings: Warnings) -> tuple[float, ...] | None:
    numbers = [_number(cell) for cell in cells]
    bad = sum(number is None for number in numbers)
    if bad:
        warnings.add(f"{text(name, 80)} isn't a number in {bad:,} rows: no scores are compared.")
        return None
    return tuple(number for number in numbers if number is not None)


def _ids(cells: list[str], name: str, warnings: Warnings) -> tuple[str, ...] | None:
    if len(set(cells)) != len(cells):
        warnings.add(f"{text(name, 80)} names an example twice: rows are joined by their order.")
        return None
    return tuple(cells)


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _task(truth: Sequence[str], prediction: Sequence[str] | None) -> Task:
    """Regression where all are numbers and some aren't whole, as classes are."""
    whole = True
    for value in (*truth, *(prediction or ())):
        try:
            number = float(value)
        except ValueError:
            return "classification"
        # a NaN among numbers is one that went wrong, and says nothing of what they are
        whole = whole and (not math.isfinite(number) or number == int(number))
    return "classification" if whole else "regression"
