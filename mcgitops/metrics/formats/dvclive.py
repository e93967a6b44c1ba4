"""dvclive's folder: `metrics.json`, `params.yaml`, `plots/metrics/**.tsv`, `plots/sklearn/*.json`.

Only the files' places tell that they are its own; no `dvc.yaml` is needed, but see `dvc`.
Format: dvclive 3, `Live` and `dvclive.plots`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files
from mcgitops.metrics.formats import table_file
from mcgitops.metrics.formats.parsed import counted, loaded, over, rows_in
from mcgitops.metrics.formats.series import number
from mcgitops.metrics.values import Findings, Plot, UnreadableError, Warnings, flatten

SERIES = "/plots/metrics/"
_SKLEARN = "/plots/sklearn/"
_CURVES = (("fpr", "tpr"), ("fpr", "fnr"), ("recall", "precision"), ("prob_pred", "prob_true"))
"""The columns of scikit-learn's curves, x and y, as `log_sklearn_plot` writes them."""


def claims(files: Files) -> Iterator[Claim]:
    """Each file by itself, so that a warning names it."""
    homes: set[str] = set()
    for path in files.sizes:
        for part in (SERIES, _SKLEARN):
            home, found, rest = f"/{path}".partition(part)
            if found and rest and path.endswith(".tsv" if part == SERIES else ".json"):
                homes.add(home[1:])
                yield Claim(path, (path,))
    for path in files.sizes:
        place = PurePosixPath(path)
        home = "" if place.parent == PurePosixPath(".") else str(place.parent)
        if place.name in ("metrics.json", "params.yaml") and (
            home in homes or place.parent.name == "dvclive"
        ):
            yield Claim(path, (path,))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """Metrics as dvclive nests them, params, and a chart for each metric."""
    path = claim.source
    if path.endswith(".tsv"):
        return Findings(plots=(_history(files, path, warnings),))
    data = loaded(files, path, warnings)
    name = PurePosixPath(path).name
    if _SKLEARN in f"/{path}":
        return _sklearn(path, data, warnings)
    values = flatten(data, warnings, root=PurePosixPath(path).stem)
    return (
        Findings(params={path: values})
        if name == "params.yaml"
        else Findings(metrics={path: values})
    )


def _history(files: Files, path: str, warnings: Warnings) -> Plot:
    """`step<TAB>name`; the series is called what the metric is called in `metrics.json`."""
    with files.open(path) as stream:
        plot = table_file.plot(path, stream, warnings)
    metric = f"/{path}".partition(SERIES)[2].removesuffix(".tsv").replace("/", ".")
    last = metric.rpartition(".")[2]
    named = {
        metric if series == last else f"{metric}.{series}": points
        for series, points in plot.series.items()
        if series != "timestamp"
    }
    return replace(plot, series=named)


def _sklearn(path: str, data: object, warnings: Warnings) -> Findings:
    rows = rows_in(data)
    if not rows:
        raise UnreadableError("holds no rows to draw.")
    columns = rows[0].keys()
    if {"actual", "predicted"} <= columns:
        pairs = ((row.get("actual"), row.get("predicted")) for row in rows)
        return Findings(matrices=(counted(path, pairs, warnings),))
    for x, y in _CURVES:
        if {x, y} <= columns:
            numbers: Iterator[Mapping[str, float | None]] = (
                {key: number(row.get(key)) for key in (x, y)} for row in rows
            )
            return Findings(plots=(over(path, x, (y,), numbers, warnings),))
    raise UnreadableError(f"has columns that aren't known: {', '.join(map(str, columns))[:200]}.")
