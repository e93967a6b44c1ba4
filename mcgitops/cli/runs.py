"""`mcgitops runs`."""

from __future__ import annotations

import difflib
import fnmatch
import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App

if TYPE_CHECKING:
    from mcgitops.metrics.values import Scalar
    from mcgitops.store.records import RunRecord
    from mcgitops.store.store import Store

HEADLINES = 3


@click.command(name="runs")
@click.argument("stage", default="")
@click.option(
    "-n", "--limit", type=click.IntRange(min=0), default=20, show_default=True,
    help="List at most so many; 0 for all.",
)  # fmt: skip
@click.option("--local", is_flag=True, help="Look only into the local store.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole records as JSON.")
@click.pass_obj
def command(app: App, stage: str, limit: int, local: bool, as_json: bool) -> None:
    """List the runs that the store has.

    The newest first; of one STAGE where it is named. Runs that failed are listed, too.
    """
    store = app.local_store if local else app.store
    records = list(itertools.islice(_newest(store, app.project.name, stage), limit or None))
    if as_json:
        click.echo(_json(records))
        return
    if not records:
        _check_stage(app, stage)
        click.echo(f"{store.url} has no runs of {stage or app.project.name}.")
        return
    from tabulate import tabulate

    click.echo(
        tabulate(
            [_row(record, list(app.project.spec.metrics)) for record in records],
            headers=("stage", "run", "when", "state", "combination", "took", "metrics", "commit"),
            tablefmt="plain",
            disable_numparse=True,
        )
    )


def _newest(store: Store, project: str, stage: str) -> Iterator[RunRecord]:
    both = (store.runs(project, stage), store.attempts(project, stage))
    return heapq.merge(*both, key=lambda record: record.started, reverse=True)


def _json(records: Iterable[RunRecord]) -> str:
    import json

    return json.dumps([record.model_dump(mode="json") for record in records], indent=2)


def _check_stage(app: App, stage: str) -> None:
    from mcgitops.errors import UsageError

    names = [service.name for service in app.project.stages]
    if stage and stage not in names:
        near = difflib.get_close_matches(stage, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Stages: {', '.join(names) or 'none'}."
        raise UsageError(f"There is no stage {stage}, and no run of one.", hint)


def _row(record: RunRecord, patterns: list[str]) -> tuple[str, ...]:
    from mcgitops.compare import numbers
    from mcgitops.report.escape import clean

    cells = (
        record.stage,
        record.fingerprint[:12],
        f"{record.started.astimezone():%Y-%m-%d %H:%M}",
        record.state,
        " ".join(f"{name}={value}" for name, value in combination(record).items()),
        numbers.duration(record.resources.wall_seconds),
        "  ".join(f"{name} {value}" for name, value in headlines(record, patterns)),
        commit(record),
    )
    return tuple(clean(cell) for cell in cells)


def combination(record: RunRecord) -> dict[str, str]:
    """The variables of the run's matrix and replicate."""
    return {**record.matrix, **record.replicate}


def commit(record: RunRecord) -> str:
    """Twelve digits, and whether there was more than the commit."""
    return record.commit[:12] + ("+" if record.dirty and record.commit else "")


def headlines(record: RunRecord, patterns: list[str]) -> list[tuple[str, str]]:
    """The few metrics that a list shows: those that the file names, else the first."""
    from mcgitops.report.escape import clean

    named = list(flat(record.metrics))
    chosen = [
        item
        for item in named
        if any(fnmatch.fnmatchcase(part, p) for p in patterns for part in (item[0], item[1]))
    ]
    return [
        (clean(label, 40), clean(shown(value), 24))
        for label, _, value in (chosen or named)[:HEADLINES]
    ]


def flat(files: dict[str, dict[str, Scalar]]) -> Iterator[tuple[str, str, Scalar]]:
    """Label, name and value: the label is the bare name where only one file has it."""
    counts = Counter(name for values in files.values() for name in values)
    for file, values in files.items():
        for name, value in values.items():
            yield (name if counts[name] == 1 else f"{file}:{name}"), name, value


def shown(value: Scalar) -> str:
    """A value as people read it."""
    from mcgitops.report import words

    return words.value(value)
