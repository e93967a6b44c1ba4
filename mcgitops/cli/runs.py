"""`mcgitops runs`."""

from __future__ import annotations

import fnmatch
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

import click

from mcgitops.cli import complete
from mcgitops.cli.app import App

if TYPE_CHECKING:
    from mcgitops.cli.where import Names, Read
    from mcgitops.metrics.values import Scalar
    from mcgitops.store.index import IndexedRun
    from mcgitops.store.records import RunRecord

HEADLINES = 3
COLUMNS = ("stage", "run", "when", "state", "combination", "took", "metrics", "commit")


@click.command(name="runs")
@click.argument("stage", default="", shell_complete=complete.stages)
@click.option(
    "-w", "--where", "conditions", multiple=True, metavar="CONDITION",
    help="Only runs that fulfil it, such as 'accuracy>0.9' or state=failed; all, where repeated.",
    shell_complete=complete.names,
)  # fmt: skip
@click.option(
    "--since", default="", metavar="TIME",
    help="Only those started then or later: 2026-05-01, 2026-05-01T12:00, 7d.",
)  # fmt: skip
@click.option("--until", default="", metavar="TIME", help="Only those started up to then.")
@click.option(
    "--sort", default="", metavar="NAME", shell_complete=complete.names,
    help="Sort by it: the best first where it has a direction, else the largest. "
    "Default: the newest first.",
)  # fmt: skip
@click.option("--reverse", is_flag=True, help="The other way round.")
@click.option(
    "-c", "--columns", default="", metavar="NAMES", shell_complete=complete.names,
    help="What is listed, with commas: fields, variables, metrics, params.",
)  # fmt: skip
@click.option(
    "-n", "--limit", type=click.IntRange(min=0), default=20, show_default=True,
    help="List at most so many; 0 for all.",
)  # fmt: skip
@click.option("--local", is_flag=True, help="Look only into the local store.")
@click.option(
    "--refresh", is_flag=True,
    help="List a bucket anew, rather than ask its journal for what came since. That is done by "
    "itself where the last time is ten minutes ago.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the whole records as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all values, or --columns, as CSV.")
@click.pass_obj
def command(
    app: App,
    stage: str,
    conditions: tuple[str, ...],
    since: str,
    until: str,
    sort: str,
    reverse: bool,
    columns: str,
    limit: int,
    local: bool,
    refresh: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """List the runs that the store has.

    The newest first; of one STAGE where it is named. Runs that failed are listed, too.

    A condition is NAME, one of = != < <= > >= ~ (a shell pattern), and a value. Names are stage,
    run, when, state, exit_code, commit, branch, dirty, took, cpu, memory, image_size and
    outputs_size (seconds and bytes), variables of matrix and replicates, metrics and params. Where
    a name means several things, write metric:NAME, param:NAME, variable:NAME or FILE:NAME. branch
    takes a range, too: branch=main..HEAD.
    """
    from mcgitops.cli.filters import fulfilling, within
    from mcgitops.cli.listing import csv_text, json_text, open_index, say_unreadable, whole
    from mcgitops.cli.where import Names, condition

    wanted = [condition(text) for text in conditions]
    store = app.local_store if local else app.store
    index = open_index(app, store, refresh=refresh)
    heads = index.heads(app.project.name, stage)
    if not heads:
        _check_stage(app, stage)
    heads, wanted = within(app, heads, since, until, wanted)
    names: Names | None = None
    by_value = bool(wanted or sort or columns)
    if not by_value:  # only what is shown is looked at
        heads = heads[::-1] if reverse else heads
        heads = heads[: limit or None]
    runs = index.runs(heads)
    if by_value or as_csv:
        names = Names(runs)
    if names is not None and runs:
        runs = fulfilling(runs, wanted, names)
        if sort:
            runs = _sorted(app, runs, sort, reverse, names)
        elif by_value and reverse:
            runs.reverse()
        runs = runs[: limit or None]
    say_unreadable(index)
    if as_json:
        click.echo(json_text([one.model_dump(mode="json") for one in whole(store, runs)]))
        return
    if as_csv:
        chosen = _csv_columns(runs, columns, names)
        rows = ([_read(read, run) for _, read in chosen] for run in runs)
        click.echo(csv_text([name for name, _ in chosen], rows), nl=False)
        return
    if not runs:
        what = "such runs" if conditions or since or until else "runs"
        click.echo(f"{store.url} has no {what} of {stage or app.project.name}.")
        return
    click.echo(_table(app, runs, columns, [*(one.name for one in wanted), sort], names))


def _sorted(
    app: App, runs: list[IndexedRun], name: str, reverse: bool, names: Names
) -> list[IndexedRun]:
    """By a value: the best first, else the largest; texts by the alphabet. Who lacks it is last."""
    import math

    from mcgitops.cli.listing import goals
    from mcgitops.cli.where import as_number
    from mcgitops.compare.direction import direction
    from mcgitops.compare.rules import Rules

    read = names.reader(name, "--sort")
    bare = name.rpartition(":")[2]
    rule, _ = Rules(goals(app)).find(runs[0].stage if runs else "", "", bare)
    lower = names.is_metric(name) and direction(bare, rule.goal if rule else None) == "lower"
    numbered: list[tuple[float, IndexedRun]] = []
    texts: list[tuple[str, IndexedRun]] = []
    without = []
    for run in runs:
        value = _read(read, run)
        number = as_number(value)
        if number is not None and not math.isnan(number):
            numbered.append((number, run))
        elif isinstance(value, str):
            texts.append((value, run))
        else:
            without.append(run)
    numbered.sort(key=lambda pair: pair[0], reverse=lower == reverse)
    texts.sort(key=lambda pair: pair[0], reverse=reverse)
    return [*(run for _, run in numbered), *(run for _, run in texts), *without]


def _read(read: Read, run: IndexedRun) -> Scalar:
    try:
        return read(run)
    except KeyError:
        return None


def _chosen(columns: str, names: Names) -> list[tuple[str, Read]]:
    wanted = [name for part in columns.split(",") if (name := part.strip())]
    return [(name, names.reader(name, "--columns")) for name in wanted]


def _csv_columns(
    runs: Sequence[IndexedRun], columns: str, names: Names | None
) -> list[tuple[str, Read]]:
    """All that is known of the runs, or what is asked for."""
    from mcgitops.cli.where import FIELDS

    if names is None or not runs:
        return list(FIELDS.items())
    if columns:
        return _chosen(columns, names)
    found = list(FIELDS.items())
    for kind, labels in (
        ("variable", names.variables),
        ("metric", names.labels("metric")),
        ("param", names.labels("param")),
    ):
        found += [(n, names.reader(n, "--csv")) for n in (f"{kind}:{label}" for label in labels)]
    return found


def _table(
    app: App, runs: Sequence[IndexedRun], columns: str, used: Sequence[str], names: Names | None
) -> str:
    from mcgitops.cli.listing import cell, table
    from mcgitops.cli.where import FIELDS
    from mcgitops.report.escape import clean

    if columns and names is not None:
        chosen = _chosen(columns, names)
        rows = [[_shown(cell, name, read, run) for name, read in chosen] for run in runs]
        return table(rows, [clean(name, 40) for name, _ in chosen])
    patterns = list(app.project.spec.metrics)
    there = {*FIELDS, *runs[0].variables, *(label for label, _ in headlines(runs[0], patterns))}
    extra = [name for name in dict.fromkeys(used) if name and name not in there]
    more = [(name, names.reader(name, "--where")) for name in extra] if names is not None else []
    rows = []
    for run in runs:
        *cells, last = _row(run, patterns)
        rows.append([*cells, *(_shown(cell, name, read, run) for name, read in more), last])
    *headers, last = COLUMNS
    return table(rows, [*headers, *(clean(name, 40) for name, _ in more), last])


def _shown(cell: Callable[[str, Scalar], str], name: str, read: Read, run: IndexedRun) -> str:
    try:
        return cell(name, read(run))
    except KeyError:
        return ""


def _check_stage(app: App, stage: str) -> None:
    from mcgitops.errors import UsageError

    names = [service.name for service in app.project.stages]
    if stage and stage not in names:
        import difflib

        near = difflib.get_close_matches(stage, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Stages: {', '.join(names) or 'none'}."
        raise UsageError(f"There is no stage {stage}, and no run of one.", hint)


def _row(run: IndexedRun, patterns: list[str]) -> tuple[str, ...]:
    from mcgitops.compare import numbers
    from mcgitops.report.escape import clean

    cells = (
        run.stage,
        run.fingerprint[:12],
        f"{run.started.astimezone():%Y-%m-%d %H:%M}",
        run.state,
        " ".join(f"{name}={value}" for name, value in run.variables.items()),
        numbers.duration(run.wall_seconds),
        "  ".join(f"{name} {value}" for name, value in headlines(run, patterns)),
        commit(run),
    )
    return tuple(clean(cell) for cell in cells)


def combination(record: RunRecord) -> dict[str, str]:
    """The variables of the run's matrix and replicate."""
    return {**record.matrix, **record.replicate}


def commit(run: IndexedRun | RunRecord) -> str:
    """Twelve digits, and whether there was more than the commit."""
    return run.commit[:12] + ("+" if run.dirty and run.commit else "")


def headlines(run: IndexedRun | RunRecord, patterns: list[str]) -> list[tuple[str, str]]:
    """The few metrics that a list shows: those that the file names, else the first."""
    from mcgitops.report.escape import clean

    shape = tuple((file, tuple(values)) for file, values in run.metrics.items())
    return [
        (label, clean(shown(run.metrics[file][name]), 24))
        for label, file, name in _headlines(shape, tuple(patterns))
    ]


@lru_cache(maxsize=256)
def _headlines(
    shape: tuple[tuple[str, tuple[str, ...]], ...], patterns: tuple[str, ...]
) -> tuple[tuple[str, str, str], ...]:
    """Label, file and name of those metrics; thousands of runs have the same ones."""
    from mcgitops.report.escape import clean

    counts = Counter(name for _, names in shape for name in names)
    named = [
        (name if counts[name] == 1 else f"{file}:{name}", file, name)
        for file, names in shape
        for name in names
    ]
    chosen = [
        item
        for item in named
        if any(fnmatch.fnmatchcase(part, p) for p in patterns for part in (item[0], item[2]))
    ]
    first = (chosen or named)[:HEADLINES]
    return tuple((clean(label, 40), file, name) for label, file, name in first)


def flat(files: Mapping[str, Mapping[str, Scalar]]) -> Iterator[tuple[str, str, Scalar]]:
    """Label, name and value: the label is the bare name where only one file has it."""
    counts = Counter(name for values in files.values() for name in values)
    for file, values in files.items():
        for name, value in values.items():
            yield (name if counts[name] == 1 else f"{file}:{name}"), name, value


def shown(value: Scalar) -> str:
    """A value as people read it."""
    from mcgitops.report import words

    return words.value(value)
