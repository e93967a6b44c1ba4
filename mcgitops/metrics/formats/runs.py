"""What trackers of runs have in common: several runs in one place, each with metrics and histories.

A run's name stands before its metrics' names only where there is more than one run. Histories are
thinned while they are read, so that memory stays bounded whatever their length.
"""

from __future__ import annotations

import math
import posixpath
import re
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import field

from mcgitops.deferred import dataclass
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


class Keeper:
    """Says which histories are kept as curves: the first `MAX_SERIES` with more than one point."""

    def __init__(self) -> None:
        self.refused = 0
        self._left = MAX_SERIES

    def take(self) -> bool:
        """Whether one more may be kept."""
        if not self._left:
            self.refused += 1
            return False
        self._left -= 1
        return True


class History:
    """One series in the order of its points: every k-th is kept, k doubling, and the last."""

    __slots__ = ("_keeper", "_skip", "_stride", "_xs", "_ys", "count", "last", "step")

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self._stride = 1
        self._skip = 0  # points to leave out before the next that is kept
        self._xs = array("d")
        self._ys = array("d")
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
        if self.count == 2 and not self._keeper.take():
            self._skip = sys.maxsize
            return
        self._xs.append(step)
        self._ys.append(value)
        self._skip = self._stride - 1
        if len(self._xs) > 2 * MAX_POINTS:  # an odd number, so that the last one stays
            del self._xs[1::2], self._ys[1::2]
            self._stride *= 2
            self._skip = self._stride - 1

    @property
    def is_kept(self) -> bool:
        """Whether it is to be drawn."""
        return len(self._xs) > 1

    def points(self, most: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """What was kept, as x and y: about `most` points, or twice as many."""
        every = 1
        while len(self._xs) // every > 2 * most:
            every *= 2
        xs, ys = list(self._xs[::every]), list(self._ys[::every])
        is_last_among_them = self._skip == self._stride - 1 and (len(self._xs) - 1) % every == 0
        if not is_last_among_them:
            xs.append(self.step)
            ys.append(self.last)
        return tuple(xs), tuple(ys)


@dataclass
class Run:
    """One run as a tracker kept it. Keys of `histories` are metrics' names."""

    name: str
    metrics: dict[str, Scalar] = field(default_factory=dict)
    params: dict[str, Scalar] = field(default_factory=dict)
    histories: dict[str, History] = field(default_factory=dict)


def findings(
    source: str, runs: Sequence[Run], keeper: Keeper, x: str, warnings: Warnings
) -> Findings:
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
            if history.is_kept
        }
    if keeper.refused:
        warnings.add(
            f"holds {keeper.refused} histories more than the {MAX_SERIES} that are kept as curves."
        )
    return Findings(
        {source: _bounded(metrics, "metrics", warnings)} if metrics else {},
        {source: _bounded(params, "params", warnings)} if params else {},
        tuple(_plots(source, histories, x)),
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


def _plots(source: str, histories: dict[str, History], x: str) -> Iterable[Plot]:
    most = max(LEAST_POINTS, min(MAX_POINTS, MAX_CELLS // max(1, len(histories))))
    for name, history in histories.items():
        xs, ys = history.points(most)
        yield Plot(f"{source}/{name}", x, xs, {name: ys})
