"""`mcgitops gc`."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App
from mcgitops.cli.interrupt import ended_soon

if TYPE_CHECKING:
    from mcgitops.store.gc import Swept
    from mcgitops.store.reach import Item, Plan, Roots
    from mcgitops.store.store import Store

BUCKET_GRACE, FOLDER_GRACE = "14d", "2d"
DAY = 86_400
WORDS = {
    "runs": ("run", "runs"),
    "attempts": ("failed run", "failed runs"),
    "commits": ("record of a commit", "records of commits"),
    "reports": ("report", "reports"),
    "objects": ("file", "files"),
    "packs": ("pack of files", "packs of files"),
}
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?\Z")


def seconds_of(text: str) -> int | None:
    """`14d`, `36h`, `1d12h`, `0` in seconds; None for what is none."""
    match = _DURATION.match(text)
    if text == "0":
        return 0
    if not text or match is None:
        return None
    parts = zip(match.groups(), (DAY, 3600, 60, 1), strict=True)
    return sum(int(number or 0) * unit for number, unit in parts)


def _duration(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    seconds = seconds_of(value)
    if seconds is None or seconds > 36_500 * DAY:
        raise click.BadParameter(f"{value!r} is no duration. Write 14d, 36h or 0.", ctx, param)
    return seconds


@click.command(name="gc")
@click.option(
    "--store", "url", default="", metavar="URL",
    help='Another store than the project\'s: a URL, or "local" for the one in .mcgitops.',
)  # fmt: skip
@click.option(
    "--keep-runs", type=click.IntRange(0), default=50, show_default=True, metavar="N",
    help="Keep so many of the newest runs of each stage.",
)  # fmt: skip
@click.option(
    "--history", type=click.IntRange(1), default=50, show_default=True, metavar="N",
    help="Keep the runs of so many commits of each branch.",
)  # fmt: skip
@click.option(
    "--grace", callback=_duration, metavar="DURATION",
    help="Keep what was unneeded for less long. Default: 14d, in a folder 2d.",
)  # fmt: skip
@click.option("--offline", is_flag=True, help="Don't ask the remote which branches it has.")
@click.option("--dry-run", is_flag=True, help="Show what would go, and change nothing.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
@ended_soon()
def command(
    app: App, url: str, keep_runs: int, history: int, grace: int | None, offline: bool,
    dry_run: bool, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Remove from the store what nothing needs any more.

    Kept are releases with all that they refer to, what was deployed, the runs of branches, tags and
    open pull requests, the last runs of each stage, pinned data, records of other projects, and
    everything within the grace period. In a bucket what is unneeded is marked first, and goes when
    it has been marked for the grace period. Pushes and trainings may go on meanwhile.
    """
    from mcgitops.errors import UsageError
    from mcgitops.forge.event import refuse_privileged
    from mcgitops.store import gc

    refuse_privileged(app.environ)
    store = opened(app, url)
    if grace is None:
        grace = seconds_of(FOLDER_GRACE if store.is_local else BUCKET_GRACE) or 0
    roots, notes = roots_of(app, store, keep_runs, history, offline=offline)
    told = Steps(app)
    facts = gc.look(store, told=told)
    if roots.commits == frozenset() and any(
        record.kind == "commits" and record.project == roots.project
        for record in facts.survey.records
    ):
        raise UsageError(
            f"{store.url} has runs of commits, and this folder is in no git repository.",
            "Run gc where the project's repository is: its branches say what is needed.",
        )
    plan = gc.plan(store, facts, roots, grace)
    trim = gc.trimmable(store, grace)
    if not as_json:
        click.echo(text(store, plan, grace, facts.now, trim))
        for note in notes:
            click.echo(note, err=True)
    swept = None
    if not dry_run and (plan.remove or plan.mark or plan.cancel or plan.rewrite):
        if plan.remove and not yes:
            if as_json or not sys.stdin.isatty():
                raise UsageError(
                    "Nobody is there to answer.", "Add --yes to remove it, or --dry-run to look."
                )
            if not click.confirm("Remove it?"):
                return
        swept = gc.collect(store, plan, facts, roots, grace, told)
        _forget(app, store, swept)
        if not as_json:
            click.echo(done(swept))
    elif not dry_run:
        swept = gc.collect(store, plan, facts, roots, grace, told)  # what a killed one left
        if not as_json and (swept.trimmed or swept.put_back):
            click.echo(done(swept))
    if as_json:
        click.echo(json.dumps(data(store, plan, swept, grace, notes, trim), indent=2))


def _forget(app: App, store: Store, swept: Swept) -> None:
    """This clone no longer takes it for pushed."""
    from mcgitops.run.workspace import Workspace
    from mcgitops.store.sync import Pushed

    note = Pushed(Workspace(app.project, app.local_store).state / "cache", store.url)
    known = note.read()
    if known and (gone := {item.key for item in swept.removed} & known):
        note.write(sorted(known - gone))


def opened(app: App, url: str) -> Store:
    """The project's store, the local one, or another."""
    from mcgitops.errors import UsageError
    from mcgitops.project.store_url import check_store_url
    from mcgitops.store.store import open_store

    if not url:
        return app.store
    if url == "local":
        return app.local_store
    try:
        check_store_url(url)
    except ValueError as error:
        raise UsageError(f"--store: {error}") from None
    if "://" not in url:
        url = str((app.project.folder / url).resolve())
    return open_store(url, app.project.folder / ".mcgitops" / "cache" / "records")


def roots_of(
    app: App, store: Store, keep_runs: int, history: int, *, offline: bool
) -> tuple[Roots, tuple[str, ...]]:
    """What is to be kept, from git; and what could not be asked."""
    from mcgitops.facts.refs import needed
    from mcgitops.run.data_push import pinned
    from mcgitops.store.reach import Roots

    found = needed(app.project.folder, history, offline=offline)
    stores = [store] if store is app.local_store else [store, app.local_store]
    digests, unknown = pinned(app.project.folder, stores)
    notes = found.notes
    if unknown:
        notes += (
            f"{len(unknown)} pinned manifests are in none of the stores, so nobody knows which "
            "files they name: files that no record names are kept.",
        )
    roots = Roots(app.project.name, found.commits, digests, keep_runs, orphans=bool(unknown))
    return roots, notes


class Steps:
    """Says on standard error how far it is, where that takes long."""

    def __init__(self, app: App, quiet: float = 2.0) -> None:
        self._terminal = app.is_terminal
        self._next = time.monotonic() + quiet
        self._pause = 0.2 if self._terminal else 10.0
        self._open = False

    def __call__(self, what: str, done: int, total: int) -> None:
        """`what` is being done, `done` of `total` (0: nobody knows)."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self._pause
        line = f"{what}: {done:,} of {total:,}" if total else f"{what}: {done:,}"
        click.echo(f"\r\x1b[K{line}" if self._terminal else line, err=True, nl=not self._terminal)
        self._open = self._terminal

    def end(self) -> None:
        """The last line on a terminal is done."""
        if self._open:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._open = False


def text(store: Store, plan: Plan, grace: float, now: float, trim: int = 0) -> str:
    """What would be done, for people. trim: so many entries of the journal would go."""
    from mcgitops.compare import numbers

    lines = [
        f"{store.url}: {len(plan.kept)} records and {plan.kept_objects} files "
        f"({numbers.size(plan.kept_size)}) are needed."
    ]
    if plan.remove:
        lines.append(f"Can go now: {counted(plan.remove)}.")
    if plan.rewrite:
        lines.append(f"Packs of which most is unneeded, to be written anew: {len(plan.rewrite)}.")
    if plan.mark:
        day = datetime.fromtimestamp(now + grace, UTC)
        lines.append(
            f"Unneeded, to be marked now: {counted(plan.mark)}. It can go from "
            f"{day:%Y-%m-%d %H:%M} UTC on, unless somebody needs it by then."
        )
    if plan.waiting:
        when = min(item.since + grace for item in plan.waiting if item.since is not None)
        day = datetime.fromtimestamp(when, UTC)
        lines.append(
            f"Unneeded, within the grace period: {counted(plan.waiting)}. The first of it can go "
            f"from {day:%Y-%m-%d %H:%M} UTC on."
        )
    if len(lines) == 1:
        lines.append("Nothing is unneeded.")
    if trim:
        lines.append(f"The journal is to be trimmed by {trim} entries, which are kept together.")
    return "\n".join(lines)


def done(swept: Swept) -> str:
    """What was done, for people."""
    said = [f"Removed {counted(swept.removed)}."] if swept.removed else []
    if swept.put_back:
        said.append(f"Kept after all, as somebody came to need it: {len(swept.put_back)}.")
    if swept.rewritten:
        said.append(f"Wrote {len(swept.rewritten)} packs anew.")
    if swept.marked:
        said.append(f"Marked {counted(swept.marked)}.")
    if swept.trimmed:
        said.append(f"Trimmed the journal by {swept.trimmed} entries, which are kept together.")
    return "\n".join(said) or "Nothing was removed."


def counted(items: Sequence[Item]) -> str:
    """`2 runs, 3 files (1.2 MB)`."""
    from mcgitops.compare import numbers

    kinds = Counter(item.kind for item in items)
    parts = [
        f"{kinds[kind]} {words[kinds[kind] != 1]}" for kind, words in WORDS.items() if kinds[kind]
    ]
    return f"{', '.join(parts)} ({numbers.size(sum(item.size for item in items))})"


def data(
    store: Store,
    plan: Plan,
    swept: Swept | None,
    grace: float,
    notes: Sequence[str],
    trim: int = 0,
) -> dict[str, object]:
    """For `--json`. Sizes in bytes, times in seconds since 1970."""

    def listed(items: Sequence[Item]) -> list[dict[str, object]]:
        return [
            {"key": one.key, "kind": one.kind, "size": one.size, "since": one.since}
            for one in items
        ]

    return {
        "store": store.url,
        "grace_seconds": grace,
        "kept": {"records": len(plan.kept), "objects": plan.kept_objects, "size": plan.kept_size},
        "reasons": dict(sorted(Counter(plan.kept.values()).items())),
        "remove": listed(plan.remove),
        "mark": listed(plan.mark),
        "waiting": listed(plan.waiting),
        "rewrite": [place.key for place, _ in plan.rewrite],
        "trim": trim,
        "done": None
        if swept is None
        else {
            "removed": [item.key for item in swept.removed],
            "freed": swept.size,
            "marked": [item.key for item in swept.marked],
            "put_back": list(swept.put_back),
            "rewritten": list(swept.rewritten),
            "trimmed": swept.trimmed,
        },
        "notes": list(notes),
    }
