"""DVC: a `dvc.yaml` names the parameters and plots among a stage's files, and how plots are drawn.

Metrics that it names need no help: they are read like all others. Its paths are relative to its
folder, or to a stage's `wdir`. Format: DVC 3, "dvc.yaml files" and "Plot templates" in its
reference.
"""

from __future__ import annotations

import itertools
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from mcgitops.deferred import dataclass
from mcgitops.metrics import readers
from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, matching
from mcgitops.metrics.formats import table_file
from mcgitops.metrics.formats.dvclive import SERIES
from mcgitops.metrics.formats.parsed import counted, loaded, over, rows_in
from mcgitops.metrics.formats.series import Row, from_rows, number
from mcgitops.metrics.values import (
    Findings,
    Matrix,
    Plot,
    Scalar,
    UnreadableError,
    Warnings,
    text,
)

_TABLES = (".csv", ".tsv")
_READ = (*_TABLES, ".json", ".yaml", ".yml")
_MAX_PLOTS = 200
_MAX_ROWS = 1_000_000
"""Rows of a confusion plot's file that are counted."""


@dataclass(frozen=True)
class PlotSpec:
    """A plot of `dvc.yaml`: `ys` are (file, column), the column "" being the last one."""

    name: str
    ys: tuple[tuple[str, str], ...]
    xs: tuple[tuple[str, str], ...] = ()
    template: str = ""


@dataclass(frozen=True)
class Declared:
    """What a `dvc.yaml` names, with paths like those of the files beside it."""

    metrics: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    plots: tuple[PlotSpec, ...] = ()


def claims(files: Files) -> Iterator[Claim]:
    """Each `dvc.yaml` with the params and plots that it names; metrics stay with other readers."""
    for path in matching(files, "dvc.yaml"):
        try:
            found = declared(path, loaded(files, path, Warnings()), Warnings())
        except (UnreadableError, OSError):
            yield Claim(path, (path,))  # reading it says what is wrong
            continue
        drawn = [file for spec in found.plots for file, _ in (*spec.ys, *spec.xs)]
        named = (*found.params, *(file for name in drawn for file in _below(files, name)))
        yield Claim(path, tuple(dict.fromkeys((path, *(p for p in named if p in files.sizes)))))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """Params, plots and confusion matrices; the metrics of a file that is both."""
    found = declared(claim.source, loaded(files, claim.source, warnings), warnings)
    params: dict[str, dict[str, Scalar]] = {}
    metrics: dict[str, dict[str, Scalar]] = {}
    for paths, values in ((found.params, params), (found.metrics, metrics)):
        for path in paths:
            if path in files.sizes:
                with files.open(path) as stream:
                    reading = readers.read(path, stream)
                values[path] = dict(reading.values)
                for sentence in reading.warnings:
                    warnings.add(sentence)
    plots: list[Plot] = []
    matrices: dict[str, Matrix] = {}
    for spec in found.plots:
        for one in _expanded(files, spec):
            try:
                if one.template.startswith("confusion"):
                    matrix = _matrix(files, one, warnings)
                    if matrix.source in matrices:
                        matrix = replace(matrix, source=f"{matrix.source} ({one.name})")
                    matrices[matrix.source] = matrix
                else:
                    plots += _curves(files, one, warnings)
            except (UnreadableError, OSError) as error:
                warnings.add(f"the plot {one.name[:200]} {error}")
    return Findings(metrics, params, tuple(plots), (), tuple(matrices.values()))


def declared(path: str, data: Any, warnings: Warnings) -> Declared:
    """What the loaded `dvc.yaml` at `path` names."""
    if not isinstance(data, Mapping):
        raise UnreadableError("is no dvc.yaml: it holds no mapping.")
    home = posixpath.dirname(path)
    metrics: dict[str, None] = {}
    params: dict[str, None] = {}
    plots: list[PlotSpec] = []
    open_ = False
    stages = data.get("stages")
    sections: list[tuple[str, Mapping[Any, Any]]] = [(home, data)]
    for stage in stages.values() if isinstance(stages, Mapping) else ():
        if not isinstance(stage, Mapping):
            continue
        if "do" in stage or "matrix" in stage:
            open_ = True  # one of several: its paths have variables
            continue
        sections.append((posixpath.join(home, str(stage.get("wdir") or "")), stage))
    for folder, section in sections:
        is_stage = section is not data
        for key, _ in _items(section.get("metrics")):
            metrics[_joined(folder, key)] = None
        for key, options in _items(section.get("params")):
            # a stage's entries are names in params.yaml, unless they have names below them
            if not is_stage or options is not None:
                params[_joined(folder, key)] = None
            else:
                params[_joined(folder, "params.yaml")] = None
        for key, options in _items(section.get("plots")):
            plots.append(_plot(folder, key, options))
    names = [*metrics, *params, *(file for spec in plots for file, _ in (*spec.ys, *spec.xs))]
    if open_ or any("${" in name for name in names):
        warnings.add("names paths with variables (${…}, foreach, matrix); those are left out.")
    drawn = [s for s in plots if not any("${" in file for file, _ in (*s.ys, *s.xs))]
    if len(drawn) > _MAX_PLOTS:
        warnings.add(f"names more than {_MAX_PLOTS} plots; the rest is left out.")
    return Declared(
        tuple(name for name in metrics if "${" not in name),
        tuple(name for name in params if "${" not in name),
        tuple(drawn[:_MAX_PLOTS]),
    )


def _items(section: Any) -> Iterator[tuple[str, Any]]:
    """The entries of a list of names and of mappings, or of a mapping; options may be None."""
    entries = section if isinstance(section, list) else [section]
    for entry in entries:
        if isinstance(entry, str):
            yield entry, None
        elif isinstance(entry, Mapping):
            for key, options in entry.items():
                yield str(key), options if options is not None else {}


def _joined(folder: str, path: str) -> str:
    return posixpath.normpath(posixpath.join(folder, path))


def _plot(folder: str, key: str, options: Any) -> PlotSpec:
    options = options if isinstance(options, Mapping) else {}
    y, x = options.get("y"), options.get("x")
    if isinstance(y, Mapping):
        ys = [
            (_joined(folder, str(file)), str(column))
            for file, columns in y.items()
            for column in (columns if isinstance(columns, list) else [columns])
        ]
    else:
        file = _joined(folder, key)
        columns = y if isinstance(y, list) else [y if y is not None else ""]
        ys = [(file, str(column)) for column in columns]
    if isinstance(x, Mapping):
        xs = [(_joined(folder, str(file)), str(column)) for file, column in x.items()]
    else:
        xs = [(file, str(x)) for file in dict.fromkeys(f for f, _ in ys)] if x is not None else []
    title = options.get("title")
    name = text(str(title), 200) if title else _joined(folder, key)
    return PlotSpec(name, tuple(ys), tuple(xs), str(options.get("template") or ""))


def _below(files: Files, name: str) -> list[str]:
    """The file of this name, or those in the folder; not dvclive's histories, which it names."""
    if name in files.sizes:
        return [name]
    return [
        path
        for path in files.sizes
        if path.startswith(f"{name}/") and not (SERIES in f"/{path}" and path.endswith(".tsv"))
    ]


def _expanded(files: Files, spec: PlotSpec) -> Iterator[PlotSpec]:
    """One for each file, where the plot names a folder; nothing for pictures, and for no file."""
    for file in dict.fromkeys(file for file, _ in spec.ys):
        if file in files.sizes:
            if PurePosixPath(file).suffix.lower() in _READ:
                yield spec
            return
        for path in _below(files, file):
            if PurePosixPath(path).suffix.lower() in _READ:
                ys = tuple((path, column) for _, column in spec.ys)
                xs = tuple((path, column) for _, column in spec.xs)
                yield replace(spec, name=path, ys=ys, xs=xs)


def _curves(files: Files, spec: PlotSpec, warnings: Warnings) -> Iterator[Plot]:
    """A chart for each file of the plot, over its x column or the number of the row."""
    x_of = dict(spec.xs)
    several = len({file for file, _ in spec.ys}) > 1
    for file in dict.fromkeys(file for file, _ in spec.ys):
        if file not in files.sizes:
            continue
        wanted = [column for name, column in spec.ys if name == file]
        with _rows(files, file, warnings) as (columns, rows):
            wanted = [column or _last(columns, x_of.get(file)) for column in wanted]
            if missing := [column for column in wanted if column not in columns]:
                raise UnreadableError(f"needs {missing[0][:80]}, which {file} doesn't have.")
            name = f"{spec.name} ({file})" if several else spec.name
            x = x_of.get(file) or (spec.xs[0][1] if spec.xs and not several else "")
            if x:
                if x not in columns:
                    raise UnreadableError(f"needs {x[:80]}, which {file} doesn't have.")
                yield over(name, x, [c for c in wanted if c != x], rows, warnings)
            else:
                kept = ({column: row.get(column) for column in wanted} for row in rows)
                yield from_rows(name, wanted, kept, warnings)


def _last(columns: Iterable[str], x: str | None) -> str:
    """The last column, which is what DVC draws where nothing is said."""
    return next((c for c in reversed(list(columns)) if c != x), "")


def _matrix(files: Files, spec: PlotSpec, warnings: Warnings) -> Matrix:
    """Pairs of the true class (x) and the predicted one (y) as a matrix."""
    file, guess = spec.ys[0]
    truth = dict(spec.xs).get(file, "")
    with _cells(files, file, warnings) as (columns, rows):
        for column in (truth, guess):
            if column not in columns:
                raise UnreadableError(
                    f"needs the column {column[:80]!r} of {file}, which it doesn't have."
                )
        pairs = ((row.get(truth), row.get(guess)) for row in rows)
        whole = (pair for pair in pairs if None not in pair)
        return counted(file, itertools.islice(whole, _MAX_ROWS), warnings)


@contextmanager
def _rows(files: Files, path: str, warnings: Warnings) -> Iterator[tuple[list[str], Iterator[Row]]]:
    """The columns of a plot's file, and its rows as numbers."""
    if not path.lower().endswith(_TABLES):
        with _cells(files, path, warnings) as (columns, cells):
            yield columns, ({key: number(cell) for key, cell in row.items()} for row in cells)
        return
    with files.open(path) as stream, table_file.rows_of(path, stream, warnings) as (header, rows):
        yield header, (table_file.numbers(header, row) for row in rows)


@contextmanager
def _cells(
    files: Files, path: str, warnings: Warnings
) -> Iterator[tuple[list[str], Iterator[Mapping[str, Any]]]]:
    """The columns of a plot's file, and its rows as they are."""
    if path.lower().endswith(_TABLES):
        with files.open(path) as stream, table_file.rows_of(path, stream, warnings) as found:
            header, lines = found
            yield header, (dict(zip(header, line, strict=True)) for line in lines)
        return
    rows = rows_in(loaded(files, path, warnings))
    if rows is None:
        raise UnreadableError(f"needs rows, and {path} has none.")
    yield list(dict.fromkeys(str(key) for row in rows for key in row)), iter(rows)
