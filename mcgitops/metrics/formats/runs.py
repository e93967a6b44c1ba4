"""What trackers of runs have in common: several runs in one place, each with metrics and histories.

A run's name stands before its metrics' names only where there is more than one run. Histories are
thinned while they are read, so that memory stays bounded whatever their length.
"""

from __future__ import annotations

import math
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from mcgitops.metrics.formats.series import LEAST_POINTS, MAX_CELLS, MAX_POINTS, MAX_SERIES
from mcgitops.metrics.values import (
    MAX_NAME,
    MAX_VALUES,
    Findings,
    Plot,
    Scalar,
    Warnings,
    text,
)

MAX_RUNS = 1_000
"""Runs that are read of one place."""

_TIME = re.compile(r"\d{8}|\d{4}-\d{2}-\d{2}|[A-Z][a-z]{2}\d{2}_\d{2}-\d{2}-\d{2}")


class History:
    """One series in the order of its points: every k-th is kept, k doubling, and the last."""

    __slots__ = ("_most", "_skip", "_stride", "_xs", "_ys", "count", "last", "step")

    def __init__(self, most: int = MAX_POINTS) -> None:
        self._most = 2 * most
        self._stride = 1
        self._skip = 0  # points to leave out before the next that is kept
        self._xs: list[float] = []
        self._ys: list[float] = []
        self.count = 0
        self.step = 0.0
        self.last = math.nan

    def add(self, step: float, value: float) -> None:
        """The next point."""
        self.count += 1
        self.step = step
        self.last = value
        if self._skip:
            self._skip -= 1
            return
        self._xs.append(step)
        self._ys.append(value)
        self._skip = self._stride - 1
        if len(self._xs) > self._most:
            self._thin()

    def _thin(self) -> None:
        # the number of points is odd, so the last of them stays
        if len(self._xs) % 2 == 0:
            self._skip += self._stride
        del self._xs[1::2], self._ys[1::2]
        self._stride *= 2
        self._skip = self._stride - 1

    def points(self, most: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What was kept, as x and y; at most about twice `most` points."""
        every = 1
        while len(self._xs) // every > 2 * most:
            every *= 2
        xs, ys = self._xs[::every], self._ys[::every]
        # the last is always there, though the stride may have passed it by
        if (len(self._xs) - 1) % every or self._skip != self._stride - 1:
            xs, ys = [*xs, self.step], [*ys, self.last]
        return tuple(map(float, xs)), tuple(map(float, ys))


@dataclass
class Run:
    """One run as a tracker kept it. Keys of `histories` are metrics' names."""

    name: str
    metrics: dict[str, Scalar] = field(default_factory=dict)
    params: dict[str, Scalar] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)


def findings(source: str, runs: Sequence[Run], x: str, warnings: Warnings) -> Findings:
    """Runs as one source's metrics, params and plots, in the order given. `x` names the axis."""
    if len(runs) > MAX_RUNS:
        warnings.add(f"holds {len(runs)} runs; the first {MAX_RUNS} are read.")
        runs = runs[:MAX_RUNS]
    metrics: dict[str, Scalar] = {}
    params: dict[str, Scalar] = {}
    histories: dict[str, History] = {}
    names = distinct(run.name for run in runs)
    for name, run in zip(names, runs, strict=True):
        prefix = f"{name}/" if len(runs) > 1 else ""
        metrics |= {text(f"{prefix}{key}", MAX_NAME): value for key, value in run.metrics.items()}
        params |= {text(f"{prefix}{key}", MAX_NAME): value for key, value in run.params.items()}
        histories |= {
            text(f"{prefix}{key}", MAX_NAME): history
            for key, history in run.histories.items()
            if history.count > 1
        }
    return Findings(
        {source: _bounded(metrics, "metrics", warnings)} if metrics else {},
        {source: _bounded(params, "params", warnings)} if params else {},
        tuple(_plots(source, histories, x, warnings)),
    )


def distinct(names: Iterable[str]) -> list[str]:
    """The names, later ones of the same name numbered: `a`, `a 2`; no name is `run 1`, …"""
    found: dict[str, None] = {}
    for index, name in enumerate(names, 1):
        wanted = base = name.strip() or f"run {index}"
        number = 1
        while wanted in found:
            number += 1
            wanted = f"{base} {number}"
        found[wanted] = None
    return list(found)


def lasting(folder: str) -> str:
    """The folder without what the time of its making gave it: `runs/Nov21_16-34-56_x` → `runs`.

    A source keeps its name from one training to the next, or nothing could be compared.
    """
    kept: list[str] = []
    for part in folder.split("/"):
        if _TIME.search(part):
            break
        kept.append(part)
    return "/".join(kept) or folder


def common_folder(paths: Iterable[str]) -> str:
    """The deepest folder that holds all these files; "" is the project folder."""
    return posixpath.commonpath([posixpath.dirname(path) for path in paths])


def _bounded(values: dict[str, Scalar], what: str, warnings: Warnings) -> dict[str, Scalar]:
    if len(values) <= MAX_VALUES:
        return values
    warnings.add(f"holds more than {MAX_VALUES} {what}; the rest is left out.")
    return dict(list(values.items())[:MAX_VALUES])


def _plots(
    source: str, histories: dict[str, History], x: str, warnings: Warnings
) -> Iterable[Plot]:
    if len(histories) > MAX_SERIES:
        warnings.add(f"holds {len(histories)} histories; {MAX_SERIES} are kept as curves.")
    kept = list(histories.items())[:MAX_SERIES]
    most = max(LEAST_POINTS, min(MAX_POINTS, MAX_CELLS // max(1, len(kept))))
    for name, history in kept:
        xs, ys = history.points(most)
        yield Plot(f"{source}/{name}", x, xs, {name: ys})
