"""What `push` and `pull` show: a bar on a terminal, plain lines elsewhere, only for long ones."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from mcgitops.cli.app import App
from mcgitops.cli.interrupt import ended_soon
from mcgitops.compare import numbers
from mcgitops.store.transfer import CopyResult, OnProgress, Progress

QUIET_SECONDS = 1.0
LINE_SECONDS = 10.0


@contextmanager
def shown(app: App, word: str) -> Iterator[OnProgress]:
    """Shows how far a transfer is, on standard error. Ctrl-C ends it soon."""
    with ended_soon():
        if app.is_terminal:
            with _bar(word) as told:
                yield told
        else:
            yield _Lines(word)


def summary(result: CopyResult) -> dict[str, Any]:
    """A transfer's result for `--json`."""
    return {
        "records": result.records,
        "records_there": result.records_there,
        "objects": result.objects,
        "objects_there": result.objects_there,
        "bytes": result.bytes,
        "conflicts": result.conflicts,
    }


def sentence(result: CopyResult) -> str:
    """`3 records and 4 files (12.3 MB)`."""
    records = f"{result.records} {'record' if result.records == 1 else 'records'}"
    files = f"{result.objects} {'file' if result.objects == 1 else 'files'}"
    return f"{records} and {files} ({numbers.size(result.bytes)})"


class _Lines:
    """A line every few seconds, for logs."""

    def __init__(self, word: str) -> None:
        self._word = word
        self._started = time.monotonic()
        self._next = self._started + LINE_SECONDS

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LINE_SECONDS
        rate = progress.bytes_done / (now - self._started)
        left = (progress.bytes_total - progress.bytes_done) / rate if rate else None
        click.echo(
            f"{self._word} {numbers.size(progress.bytes_done)} of "
            f"{numbers.size(progress.bytes_total)}, {progress.objects_done} of "
            f"{progress.objects_total} files, {numbers.size(rate)}/s"
            + (f", {numbers.duration(left)} left" if left else ""),
            err=True,
        )


@contextmanager
def _bar(word: str) -> Iterator[OnProgress]:
    """A bar with rate and time left, shown once the transfer has taken a moment."""
    started = time.monotonic()
    bar: Any = None
    task: Any = None

    def told(progress: Progress) -> None:
        nonlocal bar, task
        if bar is None:
            if time.monotonic() - started < QUIET_SECONDS:
                return
            from rich import progress as rich_progress
            from rich.console import Console

            bar = rich_progress.Progress(
                rich_progress.TextColumn(word),
                rich_progress.BarColumn(),
                rich_progress.DownloadColumn(),
                rich_progress.TransferSpeedColumn(),
                rich_progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            bar.start()
            task = bar.add_task(word, total=progress.bytes_total)
        bar.update(task, completed=progress.bytes_done)

    try:
        yield told
    finally:
        if bar is not None:
            bar.stop()
