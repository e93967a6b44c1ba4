"""`mcgitops show`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App

if TYPE_CHECKING:
    from mcgitops.store.records import FileRef, ReleaseRecord, RunRecord

SHORTEST = 4


@click.command(name="show")
@click.argument("name", metavar="RUN|RELEASE")
@click.option("--json", "as_json", is_flag=True, help="Print the record as JSON.")
@click.pass_obj
def command(app: App, name: str, as_json: bool) -> None:
    """Show one run or release in full.

    A run is named by the beginning of its fingerprint (four digits or more), a release by its name.
    """
    record = _find(app, name)
    if as_json:
        click.echo(record.model_dump_json(indent=2))
        return
    from mcgitops.report.escape import clean
    from mcgitops.store.records import RunRecord

    lines = _run(record) if isinstance(record, RunRecord) else _release(record)
    for label, text in lines:
        click.echo(f"{clean(label, 40):<14}{clean(text, 2000)}".rstrip())


def _find(app: App, name: str) -> RunRecord | ReleaseRecord:
    """The local store is asked first: it needs no network."""
    from mcgitops.errors import UsageError

    is_prefix = bool(re.fullmatch(rf"[0-9a-f]{{{SHORTEST},64}}", name))
    for store in dict.fromkeys((app.local_store, app.store)):
        if name and (release := store.release(app.project.name, name)) is not None:
            return release
        runs = store.find(app.project.name, name) if is_prefix else []
        fingerprints = sorted({run.fingerprint for run in runs})
        if len(fingerprints) > 1:
            shown = ", ".join(fingerprint[:16] for fingerprint in fingerprints[:5])
            raise UsageError(f"{name} begins {len(fingerprints)} runs: {shown}.", "Write more.")
        if runs:
            # The run that succeeded, where there were failed attempts at it; else the newest.
            return next((run for run in runs if run.state == "succeeded"), runs[0])
    raise UsageError(
        f"No run or release {name!r} in {app.store.url}.",
        "mcgitops runs lists the runs." if len(name) >= SHORTEST else "Write four digits or more.",
    )


def _run(record: RunRecord) -> Iterator[tuple[str, str]]:
    from mcgitops.cli.runs import combination, flat, shown
    from mcgitops.compare import numbers

    yield "run", record.fingerprint
    yield "stage", f"{record.stage} of {record.project}"
    code = "" if record.exit_code is None else f", exit code {record.exit_code}"
    yield "state", record.state + (code if record.state != "succeeded" else "")
    yield "started", f"{record.started.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    if record.commit:
        yield "commit", record.commit + (" with uncommitted changes" if record.dirty else "")
    for name, value in combination(record).items():
        yield "variable", f"{name}={value}"
    yield "image", " ".join(part for part in (record.image.reference, record.image.digest) if part)
    if record.image.size is not None:
        yield "image size", numbers.size(record.image.size)
    cost = record.resources
    if cost.wall_seconds is not None:
        yield "took", numbers.duration(cost.wall_seconds)
    if cost.cpu_seconds is not None:
        yield "CPU time", numbers.duration(cost.cpu_seconds)
    if cost.peak_memory_bytes is not None:
        sampled = " (sampled)" if cost.peak_memory_sampled else ""
        yield "peak memory", numbers.size(cost.peak_memory_bytes) + sampled
    for label, _, metric in flat(record.metrics):
        yield "metric", f"{label} {shown(metric)}"
    for label, _, param in flat(record.params):
        yield "param", f"{label} {shown(param)}"
    for kind, files in (
        ("output", record.outputs),
        ("metric file", record.metric_files),
        ("plot", record.plots),
        ("predictions", record.predictions),
    ):
        for file in files:
            yield kind, _file(file)
    if record.log:
        yield "log", _file(record.log)
    for stage, fingerprint in record.upstream.items():
        yield "upstream", f"{stage} {fingerprint}"
    for name, value in record.facts.items():
        yield "fact", f"{name} {value}"
    for warning in record.warnings:
        yield "warning", warning
    for line in record.log_tail:
        yield "said", line


def _release(record: ReleaseRecord) -> Iterator[tuple[str, str]]:
    from mcgitops.compare import numbers

    yield "release", f"{record.name} of {record.project}"
    yield "commit", record.commit
    yield "created", f"{record.created.astimezone():%Y-%m-%d %H:%M:%S %Z}"
    for stage, fingerprint in record.runs.items():
        yield "run", f"{stage} {fingerprint}"
    for file in record.artifacts:
        yield "artifact", _file(file)
    for image in record.images:
        size = numbers.size(image.size)
        yield "image", f"{image.service} {image.reference} {image.config_digest} {size}"
    yield "compose", _file(record.compose)
    for file in record.files:
        yield "file", _file(file)


def _file(file: FileRef) -> str:
    from mcgitops.compare import numbers

    return f"{file.path} {numbers.size(file.size)} {file.digest}"
