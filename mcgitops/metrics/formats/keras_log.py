"""Keras' CSVLogger under the name that its documentation uses, `training.log`: CSV with `epoch`.

Under a name that ends in .csv it is read like any other CSV history. Format: Keras 3, `CSVLogger`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head, matching
from mcgitops.metrics.formats import table_file
from mcgitops.metrics.values import Findings, Plot, UnreadableError, Warnings


def claims(files: Files) -> Iterator[Claim]:
    """A log whose first line is the header of a history."""
    for path in matching(files, "*.log"):
        columns = head(files, path).partition(b"\n")[0].strip().split(b",")
        if columns[0] == b"epoch" and len(columns) > 1:
            yield Claim(path, (path,))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """The last value of each column, and a chart over epochs."""
    path = claim.source
    with files.open(path) as stream:
        values = table_file.values(path, stream, warnings)
    plots: tuple[Plot, ...] = ()
    with suppress(UnreadableError), files.open(path) as stream:  # values at the end only
        plots = (table_file.plot(path, stream, Warnings()),)
    return Findings(metrics={path: values}, plots=plots)
