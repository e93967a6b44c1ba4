"""What the verbs about history share: the index with its progress, columns, tables and CSV."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from mcgitops.cli import where
from mcgitops.cli.app import App

if TYPE_CHECKING:
    from mcgitops.compare.model import MetricRule
    from mcgitops.store.index import IndexedRun, OnProgress, RunIndex
    from mcgitops.store.records import RunRecord, Scalar
    from mcgitops.store.store import Store

QUIET_SECONDS = 1.0
LINE_SECONDS = 5.0
MOST_UNREADABLE = 3


def open_index(app: App, store: Store, *, refresh: bool = False) -> RunIndex:
    """The index of a store's runs; it says on standard error how far it is where that takes long.

    refresh: list a bucket in any case, rather than only ask its journal for what is new.
    It lies with the project's other caches, hidden from git as they are.
    """
    from mcgitops.store.index import RunIndex

    state = app.project.folder / ".mcgitops"
    return RunIndex(store, state / "cache", _progress(app, store.url), refresh=refresh)


def goals(app: App) -> tuple[MetricRule, ...]:
    """What the project's file says of which way its metrics are better."""
    from mcgitops.compare.model import MetricRule

    return tuple(MetricRule(key, spec.goal) for key, spec in app.project.spec.metrics.items())


def say_unreadable(index: RunIndex) -> None:
    """Name the records that were left out, on standard error."""
    for sentence in index.unreadable[:MOST_UNREADABLE]:
        click.echo(f"Left out: {sentence}", err=True)
    if (more := len(index.unreadable) - MOST_UNREADABLE) > 0:
        click.echo(f"Left out: {more} more.", err=True)


def _progress(app: App, url: str) -> OnProgress:
    began = time.monotonic()
    said = 0.0

    def told(done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        text = f"Reading the records of {url}: {done:,} of {total:,}"
        if app.is_terminal:
            if said or (done < total and now - began > QUIET_SECONDS):
                said = now
                click.echo(f"\r{text}" + ("\n" if done == total else ""), err=True, nl=False)
        elif done < total and now - began > QUIET_SECONDS and now - said > LINE_SECONDS:
            said = now
            click.echo(text, err=True)

    return told


def whole(store: Store, runs: Sequence[IndexedRun]) -> list[RunRecord]:
    """The records themselves."""
    from mcgitops.store.records import RunRecord
    from mcgitops.store.threads import THREADS, each

    found = each(lambda run: store.record_at(run.key), runs, 1 if store.is_local else THREADS)
    return [record for record in found if isinstance(record, RunRecord)]


def cell(name: str, value: Scalar) -> str:
    """A value of a column as people read it, safe to print."""
    from mcgitops.compare import numbers
    from mcgitops.report import words
    from mcgitops.report.escape import clean

    if name in ("run", "commit") and isinstance(value, str):
        return clean(value[:12])
    if name == "when" and isinstance(value, str):
        return f"{datetime.fromisoformat(value).astimezone():%Y-%m-%d %H:%M}"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if name in where.SECONDS:
            return numbers.duration(value)
        if name in where.BYTES:
            return numbers.size(value)
    return clean(words.value(value), 40)


def table(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    """Columns with two spaces between them, as wide on a screen as what is in them.

    A row may end early. No function of ours for each cell: there may be tens of thousands.
    """
    from itertools import zip_longest

    from mcgitops.report.layout import width

    columns = []
    for column in zip_longest(headers, *rows, fillvalue=""):
        taken = [len(cell) if cell.isascii() else width(cell) for cell in column]
        most = max(taken[0] + 2, *taken)  # a header that is the widest stands apart
        columns.append([c + " " * (most - n) for c, n in zip(column, taken, strict=True)])
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))


def csv_text(headers: Sequence[str], rows: Iterable[Sequence[Scalar]]) -> str:
    """CSV (RFC 4180, but lines end as they do here). Numbers exactly; None is an empty cell."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([_raw(name) for name in headers])
    writer.writerows([_raw(value) for value in row] for row in rows)
    return out.getvalue()


def _raw(value: Scalar) -> str:
    from mcgitops.report.escape import spreadsheet

    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return spreadsheet(value) if isinstance(value, str) else repr(value)


def json_text(data: Any) -> str:
    """JSON as the other verbs print it."""
    import json

    from mcgitops.report.escape import writable

    return writable(json.dumps(data, indent=2, ensure_ascii=False))
