"""The values that a reader gives: scalars by flattened name, series for plots, and warnings.

`flatten` turns nested data into `a.b.0` names within fixed bounds, so that no file, however deep,
long or self-referring, costs more than a moment.
"""

from __future__ import annotations

import datetime
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

from mcgitops.deferred import dataclass

Scalar = bool | int | float | str | None
"""A value as the script wrote it. A boolean is not a number."""

MAX_VALUES = 100_000
"""Values that are kept of one file."""
MAX_DEPTH = 32
MAX_LIST = 32
"""A longer list is summarised: nobody compares element 517."""
MAX_TEXT = 500
MAX_NAME = 200
MAX_WARNINGS = 20
MAX_DIGITS = 300
"""An integer with more digits is beyond any float, and is kept as text."""

X_NAMES = ("step", "epoch", "iteration")
"""The columns that number a history's rows, in order of preference."""


@dataclass(frozen=True)
class Reading:
    """What a file holds: flattened name → value, and a sentence for each thing that is wrong."""

    values: Mapping[str, Scalar] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plot:
    """Series over one x axis. `x` is that axis' name; a series has None where it has no value."""

    name: str
    x: str
    xs: tuple[float, ...]
    series: Mapping[str, tuple[float | None, ...]]


@dataclass(frozen=True)
class PlotReading:
    """A plot, or None and the reason."""

    plot: Plot | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ClassRow:
    """One class (or slice, or average) of a classifier's report. `support`: its examples."""

    name: str
    values: Mapping[str, float]
    support: float | None = None


@dataclass(frozen=True)
class ClassTable:
    """Metrics by class, as a classification report has them. `source` is the file."""

    source: str
    rows: tuple[ClassRow, ...]


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix: `counts[i][j]` examples of class `labels[i]` were taken for `labels[j]`.

    Counts may be shares (a normalised matrix), so they are floats.
    """

    source: str
    labels: tuple[str, ...]
    counts: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Check:
    """A test that another tool judged, such as one of Evidently's: it gates like a bound of ours.

    state: "error" is a test that couldn't be judged, which is not a pass.
    """

    source: str
    name: str
    state: Literal["passed", "failed", "warned", "error", "skipped"]
    text: str = ""


@dataclass(frozen=True)
class Findings:
    """All that the readers found in a run's files. Keys of `metrics` and `params`: the source."""

    metrics: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()
    tables: tuple[ClassTable, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()


class UnreadableError(Exception):
    """Raised by a format: the file can't be understood. The text continues `FILE: `."""


class Warnings:
    """Collects sentences; after `MAX_WARNINGS` it only counts."""

    def __init__(self) -> None:
        self._sentences: list[str] = []
        self._more = 0

    def add(self, sentence: str) -> None:
        """Note one."""
        if len(self._sentences) < MAX_WARNINGS:
            self._sentences.append(sentence)
        else:
            self._more += 1

    def all(self) -> tuple[str, ...]:
        """What was noted, the surplus as one sentence."""
        if not self._more:
            return tuple(self._sentences)
        return (*self._sentences, f"{self._more} more of the kind.")


def flatten(data: Any, warnings: Warnings, *, root: str = "value") -> dict[str, Scalar]:
    """Nested mappings and lists as `name → scalar`; a bare scalar gets the name `root`."""
    values: dict[str, Scalar] = {}
    if not isinstance(data, (Mapping, list, tuple)):
        data = {root: data}
    for name, raw in _walk(data, "", 0, warnings, _Budget()):
        if len(values) >= MAX_VALUES:
            warnings.add(f"holds more than {MAX_VALUES} values; the rest is left out.")
            break
        if name in values:
            warnings.add(f"{name} occurs more than once; the last one counts.")
        values[name] = scalar(raw, name, warnings)
    return values


def scalar(raw: Any, name: str, warnings: Warnings) -> Scalar:
    """One value, made harmless: huge integers and long texts are cut, dates become text."""
    if raw is None or isinstance(raw, (bool, float)):
        return raw
    if isinstance(raw, int):
        if abs(raw) < 10**MAX_DIGITS:
            return int(raw)
        warnings.add(f"{name} is an integer with over {MAX_DIGITS} digits; it is kept as text.")
        return f"an integer of {raw.bit_length()} bits"
    if isinstance(raw, str):
        return text(raw, MAX_TEXT)
    if isinstance(raw, (datetime.date, datetime.time)):  # a datetime is a date
        return raw.isoformat()
    if isinstance(raw, bytes):
        return f"{len(raw)} bytes"
    return text(str(raw), MAX_TEXT)


def text(value: str, limit: int) -> str:
    """Text that can be stored as UTF-8; a long one is cut and tells itself apart by a digest."""
    value = value.encode("utf-8", "replace").decode("utf-8")  # lone surrogates
    if len(value) <= limit:
        return value
    digest = hashlib.sha256(value.encode()).hexdigest()[:8]
    return f"{value[: limit - 40]}… ({len(value)} characters, sha256 {digest})"


class _Budget:
    """How many nodes may still be looked at: stops what refers to itself over and over."""

    def __init__(self) -> None:
        self.left = 4 * MAX_VALUES


def _walk(
    data: Any, prefix: str, depth: int, warnings: Warnings, budget: _Budget
) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH:
        warnings.add(f"{prefix[:80]} is nested deeper than {MAX_DEPTH} levels; it is left out.")
        return
    for key, value in _children(data, prefix, warnings):
        budget.left -= 1
        if budget.left <= 0:
            if budget.left == 0:
                warnings.add("is larger than what is read of one file; the rest is left out.")
            return
        name = text(f"{prefix}.{key}" if prefix else key, MAX_NAME)
        if isinstance(value, (Mapping, list, tuple)):
            yield from _walk(value, name, depth + 1, warnings, budget)
        else:
            yield name, value


def _children(data: Any, prefix: str, warnings: Warnings) -> Iterator[tuple[str, Any]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield _key(key), value
    elif len(data) <= MAX_LIST:
        for index, value in enumerate(data):
            yield str(index), value
    else:
        yield from _summary(data)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key or '""'
    if isinstance(key, bool) or key is None:
        return {True: "true", False: "false", None: "null"}[key]
    return str(key)


def _summary(items: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """A long list in a few words; of numbers also the ends and the extremes."""
    yield "count", len(items)
    numbers = [i for i in items if isinstance(i, (int, float)) and not isinstance(i, bool)]
    if len(numbers) == len(items):
        finite = [number for number in numbers if math.isfinite(_as_float(number))]
        yield "first", numbers[0]
        yield "last", numbers[-1]
        if finite:
            yield "min", min(finite)
            yield "max", max(finite)
        if len(finite) < len(items):
            yield "not_finite", len(items) - len(finite)


def _as_float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf
