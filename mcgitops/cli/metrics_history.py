"""`mcgitops metrics history`: one metric over commits, or over time."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from mcgitops.cli import complete
from mcgitops.cli.app import App
from mcgitops.deferred import dataclass

if TYPE_CHECKING:
    from mcgitops.cli.where import Condition, Names, Read
    from mcgitops.compare.model import Direction
    from mcgitops.compare.statistics import Sample
    from mcgitops.store.index import Head, IndexedRun, RunIndex
    from mcgitops.store.store import Store

COMMITS = 50_000
"""How far back commits are looked at."""
CHUNK = 100
NARROW = 60
SPARK = 60
MOST_SERIES = 8


@dataclass(frozen=True)
class Point:
    """A metric at one commit, over its replicates, or of one run. Values that are numbers."""

    when: datetime
    commit: str
    dirty: bool
    runs: tuple[str, ...]  # fingerprints
    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """NaN where one of the values is."""
        return self._sample.mean

    @property
    def sd(self) -> float | None:
        """The sample's standard deviation; None of a single run."""
        return self._sample.sd

    @cached_property
    def _sample(self) -> Sample:
        from mcgitops.compare.statistics import sample

        return sample(self.values)

    @property
    def label(self) -> str:
        """The commit in brief, else the day."""
        if self.commit:
            return self.commit[:7] + ("+" if self.dirty else "")
        return f"{self.when.astimezone():%Y-%m-%d}"


@dataclass
class Series:
    """A metric of one stage and variant; points oldest first."""

    stage: str
    variant: str
    direction: Direction
    points: list[Point] = field(default_factory=list)


@click.command(name="history")
@click.argument("metric", shell_complete=complete.metrics)
@click.option(
    "--stage", default="", help="Only of this stage.", shell_complete=complete.stages
)  # fmt: skip
@click.option(
    "--variant", default="", metavar="NAME=VALUE",
    help="Only of this combination of the matrix, such as MODEL=rf.",
)  # fmt: skip
@click.option(
    "--branch", default="HEAD", show_default=True, metavar="REV",
    help="The commits of this branch, each with its first parent.",
)  # fmt: skip
@click.option(
    "--by", type=click.Choice(("commit", "time")), default=None,
    help="A point a commit, or a point a run in the order of time, those of other branches and of "
    "uncommitted changes too. Default: commit, outside of git time.",
)  # fmt: skip
@click.option(
    "-w", "--where", "conditions", multiple=True, metavar="CONDITION",
    help="Only runs that fulfil it, as `mcgitops runs` knows them; all, where repeated.",
    shell_complete=complete.names,
)  # fmt: skip
@click.option(
    "--since", default="", metavar="TIME",
    help="Only runs started then or later: 2026-05-01, 2026-05-01T12:00, 7d.",
)  # fmt: skip
@click.option("--until", default="", metavar="TIME", help="Only runs started up to then.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0), default=50, show_default=True,
    help="The newest so many points; 0 for all.",
)  # fmt: skip
@click.option("--plot", is_flag=True, help="Draw the chart even where no terminal is.")
@click.option("--local", is_flag=True, help="Look only into the local store.")
@click.option(
    "--refresh", is_flag=True,
    help="List a bucket anew, rather than ask its journal for what came since. That is done by "
    "itself where the last time is ten minutes ago.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the points as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the points as CSV.")
@click.pass_obj
def history(
    app: App,
    metric: str,
    stage: str,
    variant: str,
    branch: str,
    by: str | None,
    conditions: tuple[str, ...],
    since: str,
    until: str,
    limit: int,
    plot: bool,
    local: bool,
    refresh: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show how a metric went, over commits or over time.

    At each commit the mean of its replicates, and the range from the smallest to the largest. On a
    terminal as a chart; where it is narrow, or there is none, as a line of bars.
    """
    from mcgitops.cli.listing import open_index, say_unreadable
    from mcgitops.cli.where import condition
    from mcgitops.errors import UsageError
    from mcgitops.facts import git

    wanted = [condition(text) for text in conditions]
    store = app.local_store if local else app.store
    index = open_index(app, store, refresh=refresh)
    heads = index.heads(app.project.name, stage, attempts=False)
    if heads and (wanted or since or until):
        heads = _chosen(app, index, heads, since, until, wanted)
    commits = [] if by == "time" else git.first_parents(app.project.folder, branch, COMMITS)
    if by == "commit" or (branch != "HEAD" and by != "time"):
        git.resolve(app.project.folder, branch)  # says what is wrong with it
    by = by or ("commit" if commits else "time")
    found = (
        _by_commit(app, store, index, heads, commits, stage)
        if by == "commit"
        else _by_time(index, heads)
    )
    series = _series(app, found, metric, variant, limit)
    say_unreadable(index)
    if not series:
        of = f"{stage or app.project.name}"
        if not heads:
            raise UsageError(f"{store.url} has no runs of {of}.", "Train, or pull runs.")
        _explain(index, heads, metric, variant, by, branch)
    if as_json:
        click.echo(_json(app, metric, by, branch, series))
    elif as_csv:
        click.echo(_csv(series), nl=False)
    else:
        for number, one in enumerate(series[:MOST_SERIES]):
            click.echo("\n" * (number > 0) + _text(one, metric, by, branch, plot))
        if len(series) > MOST_SERIES:
            more = len(series) - MOST_SERIES
            click.echo(f"\n{more} more combinations: name one with --stage and --variant.")


def _chosen(
    app: App,
    index: RunIndex,
    heads: list[Head],
    since: str,
    until: str,
    conditions: Sequence[Condition],
) -> list[Head]:
    """Those that fulfil what was asked for; an error where none does."""
    from mcgitops.cli.filters import fulfilling, within
    from mcgitops.cli.where import Names
    from mcgitops.errors import UsageError

    heads, conditions = within(app, heads, since, until, conditions)
    if heads and conditions:
        runs = index.runs(heads)
        kept = {run.key for run in fulfilling(runs, conditions, Names(runs))}
        heads = [head for head in heads if head.key in kept]
    if not heads:
        raise UsageError(
            "No run fulfils what --where, --since and --until ask for.",
            "mcgitops runs takes the same options, and lists what there is.",
        )
    return heads


# what there is

Shape = tuple[tuple[str, tuple[str, ...]], ...]
"""The files of a run's metrics, and the names in each."""
Group = tuple[str, list["IndexedRun"]]
"""A commit ("" for a run by itself), and runs of it."""


def _by_commit(
    app: App,
    store: Store,
    index: RunIndex,
    heads: Sequence[Head],
    commits: Sequence[str],
    stage: str,
) -> Iterator[Group]:
    """The runs of commits, as the commits' records name them; newest first."""
    stages = [stage] if stage else sorted({head.stage for head in heads})
    by_name = {(head.stage, head.fingerprint): head for head in heads}
    there = index.commit_ids()
    known = [sha for sha in commits if sha in there]
    for start in range(0, len(known), CHUNK):
        chunk = known[start : start + CHUNK]
        records = index.commits(app.project.name, [(sha, name) for sha in chunk for name in stages])
        wanted = [
            [by_name[name, fp] for name in stages for fp in records.get((sha, name), ())
             if (name, fp) in by_name]
            for sha in chunk
        ]  # fmt: skip
        runs = {run.key: run for run in index.runs([head for group in wanted for head in group])}
        for sha, group in zip(chunk, wanted, strict=True):
            if group:
                yield sha, [runs[head.key] for head in group if head.key in runs]


def _shape(run: IndexedRun) -> Shape:
    return tuple((file, tuple(values)) for file, values in run.metrics.items())


def _by_time(index: RunIndex, heads: Sequence[Head]) -> Iterator[Group]:
    for start in range(0, len(heads), CHUNK):
        for run in index.runs(heads[start : start + CHUNK]):
            yield "", [run]


def _series(
    app: App, groups: Iterator[Group], metric: str, variant: str, limit: int
) -> list[Series]:
    """The points of each stage and variant that has the metric, until there are enough of them."""
    from mcgitops.cli.listing import goals
    from mcgitops.cli.where import Names, as_number
    from mcgitops.compare.direction import direction
    from mcgitops.compare.model import assignments
    from mcgitops.compare.rules import Rules

    wanted = _variant(variant)
    rules = Rules(goals(app))
    found: dict[tuple[str, str], Series] = {}
    count = 0
    readers: dict[frozenset[Shape], Read | None] = {}
    for sha, runs in groups:
        shapes = frozenset(_shape(run) for run in runs)
        if shapes not in readers:  # runs with the same metrics are looked at once
            names = Names(runs)
            named = f"metric:{metric.removeprefix('metric:')}"
            readers[shapes] = names.reader(named, "METRIC") if names.is_metric(metric) else None
        if (read := readers[shapes]) is None:
            continue
        values: dict[tuple[str, str], list[tuple[IndexedRun, float]]] = {}
        for run in runs:
            if any(run.matrix.get(name) != value for name, value in wanted.items()):
                continue
            number = as_number(_read(read, run))
            if number is not None:
                place = (run.stage, assignments(run.matrix))
                values.setdefault(place, []).append((run, number))
        for place, pairs in values.items():
            if place not in found:
                rule, _ = rules.find(place[0], "", metric)
                bare = metric.rpartition(":")[2]
                found[place] = Series(*place, direction(bare, rule.goal if rule else None))
            first = pairs[0][0]
            found[place].points.append(
                Point(
                    when=max(run.started for run, _ in pairs),
                    commit=sha or first.commit,
                    dirty=not sha and first.dirty,
                    runs=tuple(run.fingerprint for run, _ in pairs),
                    values=tuple(number for _, number in pairs),
                )
            )
        count += bool(values)
        if limit and count >= limit:
            break
    for one in found.values():
        one.points.reverse()
    return sorted(found.values(), key=lambda one: (one.stage, one.variant))


def _variant(text: str) -> dict[str, str]:
    from mcgitops.errors import UsageError

    found = {}
    for part in text.split():
        name, separator, value = part.partition("=")
        if not (separator and name):
            raise UsageError(f"--variant {text!r} names no value.", "Write NAME=VALUE.")
        found[name] = value
    return found


def _read(read: Read, run: IndexedRun) -> Any:
    try:
        return read(run)
    except KeyError:
        return None


def _explain(
    index: RunIndex, heads: Sequence[Head], metric: str, variant: str, by: str, branch: str
) -> None:
    """Raise the reason why there is nothing to show."""
    from mcgitops.cli.where import Names
    from mcgitops.errors import UsageError
    from mcgitops.report.escape import clean

    names: Names = Names(index.runs(heads))
    if not names.is_metric(metric):
        import difflib

        known = names.labels("metric")
        near = difflib.get_close_matches(metric, known, n=3)
        listed = ", ".join(known[:8]) + (f" and {len(known) - 8} more" if len(known) > 8 else "")
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {listed or 'none'}."
        raise UsageError(f"No run has a metric {clean(metric, 80)!r}.", clean(hint, 400))
    if variant:
        shown = sorted({" ".join(f"{k}={v}" for k, v in run.matrix.items())
                        for run in index.runs(heads)} - {""})  # fmt: skip
        hint = f"There are: {', '.join(shown[:8])}." if shown else "The runs have no matrix."
        raise UsageError(f"No run of {clean(variant, 80)} has {clean(metric, 80)}.", clean(hint))
    if by == "commit":
        raise UsageError(
            f"No commit of {branch} has a run with {clean(metric, 80)} as a number.",
            "Name another --branch, or see all runs: --by time.",
        )
    raise UsageError(f"{clean(metric, 80)} is never a number.", "mcgitops runs lists its values.")


# views


def _text(one: Series, metric: str, by: str, branch: str, force: bool) -> str:
    from mcgitops.cli.report import width
    from mcgitops.report import plot, words
    from mcgitops.report.escape import clean

    points = one.points
    name = " ".join(part for part in (clean(metric, 60), words.ARROWS[one.direction]) if part)
    what = words.count(len(points), "commit") if by == "commit" else words.count(len(points), "run")
    place = f"{clean(branch, 60)}, {what}" if by == "commit" else what
    lines = [
        " · ".join(part for part in (name, clean(one.stage), clean(one.variant), place) if part)
    ]
    columns = width()
    drawn: list[str] = []
    if force or (sys.stdout.isatty() and columns >= NARROW):
        drawn = plot.plot(
            [
                plot.Point(
                    at=float(number) if by == "commit" else point.when.timestamp(),
                    mean=point.mean, low=min(point.values), high=max(point.values),
                )
                for number, point in enumerate(points)
            ],
            width=max(columns - 1, NARROW),
            first=_end(points[0], by), last=_end(points[-1], by) if len(points) > 1 else "",
        )  # fmt: skip
    lines += drawn or [_spark(points, min(columns, SPARK))]
    return "\n".join([*lines, *_summary(one)])


def _end(point: Point, by: str) -> str:
    if by == "commit":
        return point.label
    return f"{point.when.astimezone():%Y-%m-%d %H:%M}"


def _spark(points: Sequence[Point], columns: int) -> str:
    from mcgitops.report.spark import sparkline

    means = [point.mean for point in points]
    finite = [mean for mean in means if math.isfinite(mean)]
    return sparkline(means, min(finite, default=0.0), max(finite, default=0.0), columns)


def _summary(one: Series) -> Iterator[str]:
    """Where it is now, where it was best and worst."""
    from mcgitops.compare import numbers

    def said(word: str, point: Point) -> str:
        text = numbers.plain(point.mean, 5)
        if point.sd:
            text += f" ± {numbers.deviation(point.sd, text)}"
        count = f", {len(point.values)} runs" if len(point.values) > 1 else ""
        return f"{word:<8}{text}  {point.label}, {point.when.astimezone():%Y-%m-%d}{count}"

    finite = [point for point in one.points if math.isfinite(point.mean)]
    yield said("newest", one.points[-1])
    if len(finite) < 2:
        return
    low = min(finite, key=lambda point: point.mean)
    high = max(finite, key=lambda point: point.mean)
    words = {"higher": ("best", "worst"), "lower": ("worst", "best"), "": ("largest", "smallest")}
    for word, point in sorted(zip(words[one.direction], (high, low), strict=True)):
        yield said(word, point)


def _json(app: App, metric: str, by: str, branch: str, series: Sequence[Series]) -> str:
    from mcgitops.cli.listing import json_text
    from mcgitops.report.json_view import to_data

    return json_text(
        to_data(
            {
                "project": app.project.name,
                "metric": metric,
                "by": by,
                "branch": branch if by == "commit" else None,
                "series": [
                    {
                        "stage": one.stage,
                        "variant": one.variant,
                        "direction": one.direction,
                        "points": [
                            {
                                "commit": point.commit,
                                "dirty": point.dirty,
                                "when": point.when.isoformat(),
                                "mean": point.mean,
                                "sd": point.sd,
                                "min": min(point.values),
                                "max": max(point.values),
                                "values": list(point.values),
                                "runs": list(point.runs),
                            }
                            for point in one.points
                        ],
                    }
                    for one in series
                ],
            }
        )
    )


def _csv(series: Sequence[Series]) -> str:
    from mcgitops.cli.listing import csv_text

    heads = ["stage", "variant", "commit", "dirty", "when", "n", "mean", "sd", "min", "max"]
    rows = [
        [
            one.stage, one.variant, point.commit, point.dirty, point.when.isoformat(),
            len(point.values), point.mean, point.sd, min(point.values), max(point.values),
        ]
        for one in series
        for point in one.points
    ]  # fmt: skip
    return csv_text(heads, rows)
