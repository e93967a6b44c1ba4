"""Chooses the format of a file and reads it: `read`, `read_params`, `read_plot`.

A format is a module in `mcgitops.metrics.formats` that follows `Format`; it is imported when the
first file of its kind is read.
"""

from __future__ import annotations

import fnmatch
import importlib
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import BinaryIO, Protocol, cast

from mcgitops.metrics.formats.content import UNENDED
from mcgitops.metrics.values import Plot, PlotReading, Reading, Scalar, UnreadableError, Warnings


class Format(Protocol):
    """One kind of file. Both methods raise `UnreadableError` where the file can't be understood."""

    def values(self, path: str, stream: BinaryIO, warnings: Warnings) -> dict[str, Scalar]:
        """The file's values by flattened name."""
        ...

    def plot(self, path: str, stream: BinaryIO, warnings: Warnings) -> Plot:
        """The file's series."""
        ...


ENDINGS: dict[str, str] = {
    # ending: module in mcgitops.metrics.formats
    ".json": "json_file",
    ".yaml": "yaml_file",
    ".yml": "yaml_file",
    ".toml": "toml_file",
    ".csv": "table_file",
    ".tsv": "table_file",
}


def read(path: str, stream: BinaryIO) -> Reading:
    """The metrics in a file; never raises for what is in it. `path` names it in warnings."""
    warnings = Warnings()
    try:
        values = _format(path).values(path, stream, warnings)
    except UnreadableError as error:
        warnings.add(str(error))
        values = {}
    except OSError as error:
        warnings.add(f"can't be read: {error.strerror or error}.")
        values = {}
    else:
        if not values and not warnings.all():
            warnings.add("holds no values.")
    return Reading(values, _named(path, warnings))


def read_params(path: str, stream: BinaryIO, keys: Iterable[str] | None = None) -> Reading:
    """The parameters in a file; `keys` (shell patterns on flattened names) keep only those."""
    reading = read(path, stream)
    # people write these, and an editor may leave the last line without an end
    said = tuple(text for text in reading.warnings if not text.endswith(UNENDED))
    reading = Reading(reading.values, said)
    if keys is None:
        return reading
    wanted = tuple(keys)
    kept = {
        name: value
        for name, value in reading.values.items()
        if any(_under(name, pattern) for pattern in wanted)
    }
    lost = tuple(
        f"{path}: has no parameter {pattern}."
        for pattern in wanted
        if not any(_under(name, pattern) for name in kept)
    )
    return Reading(kept, (*reading.warnings, *lost))


def read_plot(path: str, stream: BinaryIO) -> PlotReading:
    """The series in a file; never raises for what is in it."""
    warnings = Warnings()
    try:
        plot: Plot | None = _format(path).plot(path, stream, warnings)
    except UnreadableError as error:
        warnings.add(str(error))
        plot = None
    except OSError as error:
        warnings.add(f"can't be read: {error.strerror or error}.")
        plot = None
    return PlotReading(plot, _named(path, warnings))


def _format(path: str) -> Format:
    ending = PurePosixPath(path).suffix.lower()
    module = ENDINGS.get(ending)
    if module is None:
        known = ", ".join(sorted(ENDINGS))
        kind = f"the ending {ending} is" if ending else "a file without an ending is"
        raise UnreadableError(f"{kind} not known. Known: {known}.")
    return cast(Format, importlib.import_module(f"mcgitops.metrics.formats.{module}"))


def _under(name: str, pattern: str) -> bool:
    return name == pattern or name.startswith(f"{pattern}.") or fnmatch.fnmatchcase(name, pattern)


def _named(path: str, warnings: Warnings) -> tuple[str, ...]:
    return tuple(f"{path}: {sentence}" for sentence in warnings.all())
