"""`mcgitops compare`: runs or revisions, side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from mcgitops.cli import complete
from mcgitops.cli.app import App
from mcgitops.deferred import dataclass

if TYPE_CHECKING:
    from mcgitops.compare.model import RunView
    from mcgitops.compare.table import Cell, Line
    from mcgitops.metrics.values import Scalar
    from mcgitops.store.records import RunRecord
    from mcgitops.store.store import Store

SHORTEST = 4
NUMBER = r"[+−]?[0-9][0-9.,]*(e[+−][0-9]+)?"
HEADINGS = {
    "variables": "variable", "metrics": "metric", "params": "param", "resources": "resource",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """One side: a run, or a commit with its runs."""

    name: str
    kind: str  # "run" or "revision"
    commit: str
    records: tuple[RunRecord, ...]


@click.command(name="compare")
@click.argument(
    "names", nargs=-1, required=True, metavar="A B [C]...", shell_complete=complete.runs
)
@click.option(
    "--stage", default="", help="Only the runs of this stage.", shell_complete=complete.stages
)
@click.option("--all", "everything", is_flag=True, help="Also what is the same on all sides.")
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print it as CSV.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print it as a Markdown table.")
@click.pass_obj
def command(
    app: App,
    names: tuple[str, ...],
    stage: str,
    everything: bool,
    as_json: bool,
    as_csv: bool,
    as_markdown: bool,
) -> None:
    """Show runs or revisions side by side.

    Each of A B C is a run, by the beginning of its fingerprint (four digits or more), or a revision
    of git, which stands for all the runs that its commit has. Only what differs is listed. Numbers
    of several runs are a mean and a standard deviation; changes are against A. Nothing is judged:
    mcgitops report does that.
    """
    from mcgitops.cli.listing import goals
    from mcgitops.compare import table
    from mcgitops.errors import UsageError

    if len(names) < 2:
        raise UsageError("One name alone compares with nothing.", "Name two or more.")
    if stage:
        _check_stage(app, stage)
    columns = _Finder(app, stage).columns(names)
    views = [[_view(record) for record in column.records] for column in columns]
    by_stage = any(column.kind == "revision" for column in columns)
    found = table.lines(views, by_stage=by_stage, rules=goals(app))
    shown = [line for line in found if everything or line.differs]
    if as_json:
        click.echo(_json(app, columns, shown))
    elif as_csv:
        click.echo(_csv(columns, shown), nl=False)
    elif as_markdown:
        click.echo(_markdown(columns, shown, len(found) - len(shown)))
    else:
        click.echo(_text(columns, shown, len(found) - len(shown)))


def _check_stage(app: App, stage: str) -> None:
    from mcgitops.errors import UsageError

    names = [service.name for service in app.project.stages]
    if stage not in names:
        import difflib

        near = difflib.get_close_matches(stage, names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Stages: {', '.join(names) or 'none'}."
        raise UsageError(f"There is no stage {stage}.", hint)


class _Finder:
    """Looks names up: the local store first, since it needs no network."""

    def __init__(self, app: App, stage: str) -> None:
        self._app = app
        self._stage = stage
        self._project = app.project.name
        self._stores: list[Store] = list(dict.fromkeys((app.local_store, app.store)))

    def columns(self, names: Sequence[str]) -> list[Column]:
        return [self._column(name) for name in names]

    def _column(self, name: str) -> Column:
        from mcgitops.errors import UsageError
        from mcgitops.facts import git

        is_revision = git.exists(self._app.project.folder, name)
        runs = self._runs(name) if re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}", name) else {}
        if is_revision and runs:
            raise UsageError(f"{name} is both a revision and a run.", "Write more of its digits.")
        if is_revision:
            return self._revision(name)
        if len(runs) > 1:
            shown = ", ".join(fingerprint[:16] for fingerprint in sorted(runs)[:5])
            raise UsageError(f"{name} begins {len(runs)} runs: {shown}.", "Write more.")
        if not runs:
            raise UsageError(
                f"{name!r} is neither a revision here nor a run in {self._stores[-1].url}.",
                "mcgitops runs lists the runs.",
            )
        ((fingerprint, record),) = runs.items()
        return Column(fingerprint[:12], "run", record.commit, (record,))

    def _runs(self, prefix: str) -> dict[str, RunRecord]:
        """The runs that begin so, by fingerprint: the one that succeeded, else the newest try."""
        for store in self._stores:
            found: dict[str, RunRecord] = {}
            for record in store.find(self._project, prefix):
                if self._stage and record.stage != self._stage:
                    continue
                known = found.setdefault(record.fingerprint, record)
                if record.state == "succeeded" != known.state:
                    found[record.fingerprint] = record
            if found:
                return found
        return {}

    def _revision(self, name: str) -> Column:
        from mcgitops.errors import UsageError
        from mcgitops.facts import git

        sha = git.resolve(self._app.project.folder, name)
        records: list[RunRecord] = []
        for stage in self._app.project.stages:
            if self._stage and stage.name != self._stage:
                continue
            for store in self._stores:
                commit = store.commit(sha, self._project, stage.name)
                if commit is not None:
                    records += [self._run(stage.name, one) for one in commit.runs]
                    break
        if not records:
            of = f" of {self._stage}" if self._stage else ""
            raise UsageError(
                f"{name} has no runs{of} in {self._stores[-1].url}.",
                "Train it, pull its runs, or name another revision.",
            )
        return Column(name, "revision", sha, tuple(records))

    def _run(self, stage: str, fingerprint: str) -> RunRecord:
        *others, last = self._stores
        for store in others:
            if (found := store.run(self._project, stage, fingerprint)) is not None:
                return found
        return last.existing_run(self._project, stage, fingerprint)


def _view(record: RunRecord) -> RunView:
    from mcgitops.compare.model import Artifact, RunView

    return RunView(
        stage=record.stage,
        fingerprint=record.fingerprint,
        state=record.state,
        matrix=record.matrix,
        replicate=record.replicate,
        metrics=record.metrics,
        params=record.params,
        wall_seconds=record.resources.wall_seconds,
        cpu_seconds=record.resources.cpu_seconds,
        peak_memory_bytes=record.resources.peak_memory_bytes,
        image_size=record.image.size,
        outputs=tuple(Artifact(f.path, f.digest, f.size) for f in record.outputs),
    )


# views


def _heads(columns: Sequence[Column]) -> list[str]:
    """What stands above each column: the name, and what it is."""
    found = []
    for column in columns:
        if column.kind == "revision":
            told = column.commit[:12] if not column.commit.startswith(column.name) else ""
        else:
            (record,) = column.records
            good = record.state == "succeeded"
            told = record.stage if good else f"{record.stage}, {record.state}"
        found.append(f"{column.name} ({told})" if told else column.name)
    return found


def _cells(line: Line) -> list[str]:
    """The values as people read them; changes against the first side that has numbers."""
    from mcgitops.compare import numbers
    from mcgitops.compare.table import numbers_of
    from mcgitops.report import words

    samples = [numbers_of(cell) for cell in line.cells]
    first = samples[0]
    if line.section in ("params", "variables"):
        return [words.values(cell) if cell else "–" for cell in line.cells]
    other = next((one for one in samples[1:] if one is not None), None)
    found = []
    for number, (cell, one) in enumerate(zip(line.cells, samples, strict=True)):
        if one is None:
            found.append(words.values(cell) if cell else "–")
            continue
        difference = one.mean - first.mean if first is not None and number else None
        if line.unit:
            show = numbers.size if line.unit == "bytes" else numbers.duration
            text, moved = show(one.mean), ""
            if difference and re.search("[1-9]", shown := show(difference)):
                moved = numbers.signed(shown, difference)
        elif number == 0 or first is None:
            mean = other.mean if other is not None else None
            text, moved = numbers.row(one.mean, mean, _minus(mean, one.mean))[0], ""
        else:
            _, text, moved = numbers.row(first.mean, one.mean, difference)
        if one.sd and not line.unit:
            text += f" ± {numbers.deviation(one.sd, text)}"
        found.append(f"{text} ({moved})" if moved and difference else text)
    return found


def _minus(a: float | None, b: float) -> float | None:
    return None if a is None else a - b


def _label(line: Line) -> str:
    from mcgitops.report import words

    return " ".join(part for part in (line.label, words.ARROWS[line.direction]) if part)


def _groups(shown: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """The lines by section, stage and variant, each with a title."""
    found: dict[tuple[str, str, str], list[Line]] = {}
    for line in shown:
        found.setdefault((line.section, line.stage, line.variant), []).append(line)
    return [
        (" ".join(part for part in (HEADINGS[key[0]], *key[1:]) if part), group)
        for key, group in found.items()
    ]


def _same(count: int) -> str:
    from mcgitops.report import words

    return f"{words.count(count, 'value')} the same on all sides: --all" if count else ""


def _text(columns: Sequence[Column], shown: Sequence[Line], same: int) -> str:
    from mcgitops.cli.listing import table
    from mcgitops.report.escape import clean

    rows: list[list[str]] = []
    heads = [clean(head, 40) for head in _heads(columns)]
    for title, group in _groups(shown):
        rows += [[""]] if rows else []
        rows.append([f"{clean(title, 80)}:"])
        rows += [
            [clean(_label(line), 60), *(clean(cell, 60) for cell in _cells(line))] for line in group
        ]
    if not rows:
        return " ".join(("Nothing differs.", _same(same))).rstrip()
    text = "\n".join(line.rstrip() for line in table(rows, ["", *heads]).splitlines())
    return f"{text}\n\n{_same(same)}" if same else text


def _markdown(columns: Sequence[Column], shown: Sequence[Line], same: int) -> str:
    from mcgitops.report.escape import plain
    from mcgitops.report.pipes import pipe

    heads = [plain(head, 40) for head in _heads(columns)]
    parts = []
    for title, group in _groups(shown):
        rows = [
            [_markdown_label(line), *(_markdown_cell(cell) for cell in _cells(line))]
            for line in group
        ]
        parts.append(pipe([plain(title, 80), *heads], rows, ["left", *(["right"] * len(columns))]))
    parts = parts or ["Nothing differs."]
    return "\n\n".join([*parts, *([_same(same).partition(":")[0] + "."] if same else [])])


def _markdown_label(line: Line) -> str:
    from mcgitops.report import words
    from mcgitops.report.escape import plain

    return f"{plain(line.label, 60)} {words.ARROWS[line.direction]}".rstrip()


def _markdown_cell(text: str) -> str:
    from mcgitops.report.escape import ours, plain

    unit = "( ?[A-Za-z]+( [0-9]+ [a-z]+)?)?"  # 11.2 MB, 2 min 6 s
    is_number = re.fullmatch(rf"–|{NUMBER}{unit}( ± {NUMBER})?( \({NUMBER}{unit}\))?", text)
    return ours(text) if is_number else plain(text, 60)


def _json(app: App, columns: Sequence[Column], shown: Sequence[Line]) -> str:
    from mcgitops.cli.listing import json_text
    from mcgitops.compare.table import SECTIONS, numbers_of
    from mcgitops.report.json_view import to_data

    def side(cell: Cell) -> dict[str, Any]:
        found = numbers_of(cell)
        return {
            "values": list(cell),
            "mean": found.mean if found else None,
            "sd": found.sd if found else None,
        }

    data: dict[str, Any] = {
        "project": app.project.name,
        "sides": [
            {
                "name": column.name,
                "kind": column.kind,
                "commit": column.commit,
                "runs": [record.fingerprint for record in column.records],
            }
            for column in columns
        ],
    }
    for section in SECTIONS:
        data[section] = [
            {
                "stage": line.stage,
                "variant": line.variant,
                "name": line.label,
                "unit": line.unit,
                "direction": line.direction,
                "differs": line.differs,
                "sides": [side(cell) for cell in line.cells],
            }
            for line in shown
            if line.section == section
        ]
    return json_text(to_data(data))


def _csv(columns: Sequence[Column], shown: Sequence[Line]) -> str:
    from mcgitops.cli.listing import csv_text
    from mcgitops.compare.table import numbers_of

    several = any(len(cell) > 1 for line in shown for cell in line.cells)
    heads = ["kind", "stage", "variant", "name"]
    for column in columns:
        heads += (
            [column.name, f"{column.name} sd", f"{column.name} n"] if several else [column.name]
        )
    rows = []
    for line in shown:
        row: list[Scalar] = [HEADINGS[line.section], line.stage, line.variant, line.label]
        for cell in line.cells:
            found = numbers_of(cell)
            value: Scalar = found.mean if found and len(cell) > 1 else _only(cell)
            row += [value, found.sd if found else None, len(cell)] if several else [value]
        rows.append(row)
    return csv_text(heads, rows)


def _only(cell: Cell) -> Scalar:
    from mcgitops.report import words

    if not cell:
        return None
    return cell[0] if len(cell) == 1 else words.values(cell)
