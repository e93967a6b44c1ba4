"""CSV and TSV, read as a stream: a history, whose last row is the result, or a table of one row.

Rows may be sparse, as some loggers write them: the last value of each column counts.
"""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from mcgitops.metrics.formats.content import UNENDED
from mcgitops.metrics.formats.series import Row, from_rows
from mcgitops.metrics.values import MAX_TEXT, Plot, Scalar, UnreadableError, Warnings, text

MAX_COLUMNS = 5_000


def values(path: str, stream: BinaryIO, warnings: Warnings) -> dict[str, Scalar]:
    """The last value of each numeric column; of a table with one row also its text."""
    with rows_of(path, stream, warnings) as (header, rows):
        first: list[str] = [""] * len(header)
        last: list[str] = [""] * len(header)
        count = 0
        for row in rows:
            count += 1
            if "" not in row:
                last = row
                if not first[0]:
                    first = [old or new for old, new in zip(first, row, strict=True)]
                continue
            last = [new or old for old, new in zip(last, row, strict=True)]
            first = [old or new for old, new in zip(first, row, strict=True)]
    if not count:
        raise UnreadableError("has a header and no rows.")
    found: dict[str, Scalar] = {}
    for name, start, end in zip(header, first, last, strict=True):
        value = _number(end)
        if value is not None:
            found[name] = value
        elif end and _number(start) is not None:
            warnings.add(f"the last value of {name}, {end[:40]!r}, is not a number.")
        elif end and count == 1:
            found[name] = text(end, MAX_TEXT)
    if not found:
        warnings.add("has no column of numbers.")
    return found


def plot(path: str, stream: BinaryIO, warnings: Warnings) -> Plot:
    """Each numeric column as a series."""
    with rows_of(path, stream, warnings) as (header, rows):
        return from_rows(path, header, (numbers(header, row) for row in rows), warnings)


@contextmanager
def rows_of(
    path: str, stream: BinaryIO, warnings: Warnings
) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
    """The header, and the rows as lists of the header's length."""
    reader = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        delimiter = "\t" if path.lower().endswith(".tsv") else ","
        physical = _Lines(reader)
        lines = csv.reader(physical, delimiter=delimiter)
        header = _header(next(lines, None), warnings)
        yield header, _whole(header, lines, physical, warnings)
    except csv.Error as error:
        raise UnreadableError(f"is not valid CSV: {error}.") from None
    except UnicodeDecodeError:
        raise UnreadableError("is not UTF-8 text.") from None
    finally:
        reader.detach()  # the stream is the caller's


class _Lines:
    """The lines of a file, and whether the last of several lacks its end."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = lines
        self.cut = False

    def __iter__(self) -> Iterator[str]:
        line = "\n"
        for line in self._lines:
            yield line
        self.cut = not line.endswith(("\n", "\r"))


def _header(row: list[str] | None, warnings: Warnings) -> list[str]:
    if not row or not any(cell.strip() for cell in row):
        raise UnreadableError("is empty.")
    if len(row) > MAX_COLUMNS:
        raise UnreadableError(f"has more than {MAX_COLUMNS} columns.")
    if all(_number(cell) is not None for cell in row):
        raise UnreadableError("has no header row: its first row holds only numbers.")
    names: list[str] = []
    for index, cell in enumerate(row, 1):
        name = text(cell.strip(), 200) or f"column{index}"
        if name in names:
            warnings.add(f"the column {name} occurs more than once; the last one counts.")
        names.append(name)
    return names


def _whole(
    header: list[str], lines: Iterator[list[str]], physical: _Lines, warnings: Warnings
) -> Iterator[list[str]]:
    width = len(header)
    pending: list[str] | None = None  # a short row is fine, unless it is the last
    for row in itertools.filterfalse(_is_blank, lines):
        if pending is not None:
            yield pending
            pending = None
        if len(row) == width:
            yield row
        elif len(row) > width:
            warnings.add("has rows with more cells than the header; the surplus is left out.")
            yield row[:width]
        else:
            pending = row + [""] * (width - len(row))
    if pending is not None:
        warnings.add(
            "its last row is shorter than the header, as if cut off; the row before counts."
        )
    elif physical.cut:
        warnings.add(UNENDED)


def _is_blank(row: list[str]) -> bool:
    return not row or row == [""]


def numbers(header: list[str], row: list[str]) -> Row:
    """A row by column; None where a cell is no number."""
    return {name: _number(cell) for name, cell in zip(header, row, strict=True)}


def _number(cell: str) -> int | float | None:
    cell = cell.strip()
    if not cell or "_" in cell:  # Python would read 1_000; no file means that
        return None
    try:
        return int(cell) if cell.lstrip("+-").isdigit() and len(cell) < 300 else float(cell)
    except ValueError:
        return None
