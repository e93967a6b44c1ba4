"""Lightning's CSVLogger: `version_*/metrics.csv` with sparse rows, and `hparams.yaml` beside it.

Training and validation write a row each for the same step; a chart has them as one.
Format: lightning 2, `lightning.fabric.loggers.csv_logs`.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import PurePosixPath

from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head, matching
from mcgitops.metrics.formats import table_file
from mcgitops.metrics.formats.parsed import loaded
from mcgitops.metrics.formats.series import Row, from_rows
from mcgitops.metrics.values import Findings, Plot, UnreadableError, Warnings, flatten


def claims(files: Files) -> Iterator[Claim]:
    """Each file by itself: those of a `version_*` folder, or both beside each other."""
    for path in matching(files, "metrics.csv", "hparams.yaml"):
        place = PurePosixPath(path)
        other = "hparams.yaml" if place.name == "metrics.csv" else "metrics.csv"
        if (
            fnmatch.fnmatchcase(place.parent.name, "version_*")
            or str(place.with_name(other)) in files.sizes
        ) and (place.name == "hparams.yaml" or _is_history(files, path)):
            yield Claim(path, (path,))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """The last value of each column, and charts over steps; or hyperparameters."""
    path = claim.source
    if path.endswith(".yaml"):
        values = flatten(loaded(files, path, warnings) or {}, warnings, root="hparams")
        return Findings(params={path: values})
    with files.open(path) as stream:
        last = table_file.values(path, stream, warnings)
    with files.open(path) as stream, table_file.rows_of(path, stream, Warnings()) as (header, rows):
        merged = _by_step(table_file.numbers(header, row) for row in rows)
        plots: tuple[Plot, ...] = ()
        with suppress(UnreadableError):  # values at the end only
            plots = (from_rows(path, header, merged, warnings),)
    return Findings(metrics={path: last}, plots=plots)


def _is_history(files: Files, path: str) -> bool:
    first = head(files, path).partition(b"\n")[0].strip().split(b",")
    return b"step" in first


def _by_step(rows: Iterable[Row]) -> Iterator[Row]:
    """Neighbours with the same step as one row."""
    current: dict[str, float | None] = {}
    for row in rows:
        if current and row.get("step") != current.get("step"):
            yield current
            current = {}
        current.update({key: value for key, value in row.items() if value is not None})
    if current:
        yield current
