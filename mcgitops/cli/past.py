"""The earlier values of a report's metrics on the base's branch, out of the store's index."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from mcgitops.compare.model import MetricChange, MetricHistory, Side, assignments
from mcgitops.compare.statistics import sample
from mcgitops.errors import StoreError
from mcgitops.facts import git
from mcgitops.report.past import LEAST, WIDTH

if TYPE_CHECKING:
    from mcgitops.cli.evidence import Evidence
    from mcgitops.store.index import IndexedRun, RunIndex

LOOKBACK = 50
"""Commits of the base's branch that are looked at."""
MOST_METRICS = 60
"""The first ones of a report: those that people see."""
MOST_RUNS = 60
MOST_VALUES = 50_000
"""Of all runs that are read: of those with thousands of metrics only a few are."""
Place = tuple[str, str, str]
"""Variant, file and name."""


def history(
    evidence: Evidence, base: Side | None, changes: Sequence[MetricChange]
) -> tuple[MetricHistory, ...]:
    """The past of the metrics that changed; of those without one nothing.

    Commits with the same runs count once. A store that doesn't answer gives no history: a report
    doesn't fail for want of it.
    """
    shown = [
        change
        for change in changes
        if change.is_changed and change.base_mean is not None and math.isfinite(change.base_mean)
    ][:MOST_METRICS]
    if base is None or not base.commit or not shown:
        return ()
    folder = evidence.app.project.folder
    commits = git.first_parents(folder, base.commit, LOOKBACK)[1:]
    if len(commits) + 1 < LEAST:
        return ()
    from mcgitops.store.index import RunIndex

    name = evidence.app.project.name
    local, *_, last = (*evidence.stores, evidence.app.store)
    # where this machine has the base's runs, a bucket needn't have been asked for anything
    is_here = any(local.commit(base.commit, name, stage) for stage in {c.stage for c in shown})
    index = RunIndex(local if is_here else last, folder / ".mcgitops" / "cache")
    most = max(min(MOST_RUNS, MOST_VALUES // len(changes)), LEAST)
    try:
        there = index.commit_ids()
        known = [sha for sha in commits if sha in there]
        found: list[MetricHistory] = []
        for stage in dict.fromkeys(change.stage for change in shown):
            own = [change for change in shown if change.stage == stage]
            found += _of_stage(name, index, base, known, stage, own, most)
    except StoreError:
        return ()
    return tuple(found)


def _of_stage(
    project: str,
    index: RunIndex,
    base: Side,
    commits: Sequence[str],
    stage: str,
    changes: Sequence[MetricChange],
    most: int,
) -> Iterator[MetricHistory]:
    """The newest commit first, until there are enough values, or enough was read."""
    records = index.commits(project, [(sha, stage) for sha in commits])
    last = frozenset(run.fingerprint for run in base.runs if run.stage == stage)
    chosen: list[tuple[str, frozenset[str]]] = []
    count = 0
    for sha in commits:
        runs = frozenset(records.get((sha, stage), ()))
        if not runs or runs == last:
            continue
        last, count = runs, count + len(runs)
        if count > most or len(chosen) == WIDTH - 1:
            break
        chosen.append((sha, runs))
    names = dict.fromkeys((stage, one) for _, runs in chosen for one in sorted(runs))
    there = index.named(project, list(names))
    means: dict[Place, list[tuple[float, str]]] = {}
    places = [(change.variant, change.file, change.name) for change in changes]
    for sha, runs in chosen:
        own = [there[stage, one] for one in sorted(runs) if (stage, one) in there]
        for place, mean in _means(own, places):
            means.setdefault(place, []).append((mean, sha))
    for change, place in zip(changes, places, strict=True):
        past = means.get(place, [])[::-1]
        if len(past) + 1 < LEAST or change.base_mean is None:
            continue
        yield MetricHistory(
            stage,
            *place,
            (*(mean for mean, _ in past), change.base_mean),
            (*(sha for _, sha in past), base.commit),
        )


def _means(runs: Sequence[IndexedRun], places: Iterable[Place]) -> Iterator[tuple[Place, float]]:
    """Of each metric over a commit's runs, where they are numbers."""
    by_variant: dict[str, list[IndexedRun]] = {}
    for run in runs:
        by_variant.setdefault(assignments(run.matrix), []).append(run)
    for variant, file, name in places:
        values = (run.metrics.get(file, {}).get(name) for run in by_variant.get(variant, ()))
        numbers = [
            float(value)
            for value in values
            if isinstance(value, (int, float))
            and not isinstance(value, bool)
            and abs(value) < 1e300  # nor NaN, nor what no float holds
        ]
        if numbers:
            yield (variant, file, name), sample(numbers).mean
