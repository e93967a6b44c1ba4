"""`mcgitops verify`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from typing import TYPE_CHECKING

import click

from mcgitops.cli.app import App
from mcgitops.cli.interrupt import ended_soon
from mcgitops.deferred import dataclass
from mcgitops.report.escape import clean

if TYPE_CHECKING:
    from mcgitops.project.pin import Joined
    from mcgitops.run.dvc import State
    from mcgitops.run.produced import Produced
    from mcgitops.store.store import Store
    from mcgitops.store.verify import Finding, Verified

MOST = 20
MOST_CONCERNED = 5
Edits = dict[str, list[str]]
"""Paths that were `added`, `removed` and `changed`."""


@click.command(name="verify")
@click.option(
    "--store", "url", default="", metavar="URL",
    help='Only this store: a URL, or "local" for the one in .mcgitops.',
)  # fmt: skip
@click.option("--repair", is_flag=True, help="Take good copies from wherever they are.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
@ended_soon()
def command(app: App, url: str, repair: bool, as_json: bool) -> int:
    """Read all that the stores hold; name what is damaged, and mend it.

    Of the local store and the project's: what is damaged or missing, and which runs, commits,
    releases and paths it concerns. --repair takes good copies from the other store or from the
    project folder's own files; what is damaged is set aside, never removed. Of the project folder:
    files that are neither what the selected runs of the commit produced nor another run's, or not
    what is pinned; --repair leaves them as they are. Exit 1 where anything isn't as it should be
    and wasn't repaired. With --store the folder isn't looked at.
    """
    from mcgitops.cli.gc import Steps, opened
    from mcgitops.run.produced import Produced
    from mcgitops.store.verify import verify

    if repair:
        from mcgitops.forge.event import refuse_privileged

        refuse_privileged(app.environ)
    stores = [opened(app, url)] if url else _stores(app)
    every = [
        *stores,
        *(store for store in _stores(app) if store.url not in {s.url for s in stores}),
    ]
    pinned = _pinned(app)
    told = Steps(app)
    results = []
    for store in stores:
        others = [other for other in every if other is not store]
        # what is in none of the stores is looked for in the project's
        needed = pinned if store.url == app.store.url else {}
        beside = others if store.is_local else ()
        result = verify(store, beside=beside, pinned=needed, named=pinned, told=told)
        if repair and result.findings:
            from mcgitops.store.repair import repair as mend

            result = mend(store, result, others, app.project.folder, told)
        results.append(result)
    told.end()
    here = looked(app, every) if not url else Folder(Produced())
    is_sound = here.is_sound and all(one.is_sound for one in results)
    if as_json:
        shown = {"stores": [data(one) for one in results], **here.as_json, "sound": is_sound}
        click.echo(json.dumps(shown, indent=2))
    else:
        for one in results:
            click.echo(text(one, repair=repair))
        for line in here.lines():
            click.echo(line)
    return 0 if is_sound else 1


@dataclass(frozen=True)
class Folder:
    """What was found in the project folder: of runs, of pins, of what DVC tracks."""

    produced: Produced
    pinned: Mapping[str, Edits] = field(default_factory=dict)
    tracked: Mapping[str, Edits] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether it is as runs made it, and as it is pinned and tracked."""
        return self.produced.is_sound and not self.pinned and not self.tracked

    @property
    def as_json(self) -> dict[str, object]:
        """The same for programs."""
        of_run = self.produced
        return {
            "changed": list(of_run.changed),
            "missing": list(of_run.missing),
            "other_runs": list(of_run.others),
            "concerns": of_run.changed | of_run.missing | of_run.others,
            "extra": list(of_run.extra),
            "data": dict(self.pinned),
            "dvc": dict(self.tracked),
        }

    def lines(self) -> Iterator[str]:
        """For people, with what helps."""
        of_run = self.produced
        if of_run.changed:
            yield (
                "Changed in the project folder since the commit's runs, and in no store: "
                f"{_some(_named(of_run.changed))}. mcgitops pull --force brings back what the runs "
                "produced."
            )
        if of_run.missing:
            yield (
                f"Missing in the project folder: {_some(_named(of_run.missing))}. mcgitops pull "
                "brings it back."
            )
        if of_run.others:
            yield (
                "Another run's than the commit's in the project folder: "
                f"{_some(_named(of_run.others))}. mcgitops pull brings the commit's."
            )
        if of_run.extra:
            yield (
                "In folders of outputs, though no run made it: "
                f"{_some([clean(path) for path in of_run.extra])}. Move it away if nobody needs it "
                "there."
            )
        for path, edits in self.pinned.items():
            yield (
                f"{clean(path)} isn't as it is pinned: {_some(_signed(edits))}. "
                "mcgitops data add pins it as it is here; mcgitops data pull --force brings back "
                "what is pinned."
            )
        for path, edits in self.tracked.items():
            said = f": {_some(names)}" if (names := _signed(edits)) else ""
            yield (
                f"{clean(path)} isn't as DVC tracks it{said}. dvc add takes it up, dvc checkout "
                "goes back."
            )


def looked(app: App, stores: Sequence[Store]) -> Folder:
    """Read what the folder holds of the commit's runs, and of data."""
    from mcgitops.run.produced import look

    return Folder(look(app.project, stores), *changed_data(app))


def changed_data(app: App) -> tuple[dict[str, Edits], dict[str, Edits]]:
    """What isn't as it is pinned, and as DVC tracks it, of what is here: every byte is read.

    Plans and pulls go by each file's `stat`. Where a byte differs and they wouldn't see it, all
    that is known of files is forgotten, so that they read them as well.
    """
    from mcgitops.errors import StoreError
    from mcgitops.facts.index import Unknowing
    from mcgitops.run.workspace import Workspace

    space = app.workspace
    reading = Workspace(space.project, space.local, space.remote)
    reading.index = Unknowing()
    found: dict[str, Edits] = {}
    for pin in reading.data.pins:
        with suppress(StoreError):  # nobody knows what is pinned: the store's findings name that
            if reading.data.edits(pin):
                found[pin.path] = _edits(reading.data.joined(pin))
                if _edits(space.data.joined(pin)) != found[pin.path]:
                    space.index.clear()
    tracked: dict[str, Edits] = {}
    for out in reading.data.outs:
        state = reading.data.dvc.state(out)
        if not state.counts:
            tracked[out.path] = _edits(state)
            if _edits(space.data.dvc.state(out)) != tracked[out.path]:
                space.index.clear()
    return found, tracked


def _edits(state: Joined | State) -> Edits:
    return {
        "added": list(state.added),
        "removed": list(state.removed),
        "changed": list(state.changed),
    }


def _named(changed: Mapping[str, str]) -> list[str]:
    return [f"{clean(path)} ({label})" for path, label in changed.items()]


def _signed(edits: Edits) -> list[str]:
    signs = {"added": "+", "removed": "-", "changed": "~"}
    return [f"{signs[what]} {clean(path)}" for what, paths in edits.items() for path in paths]


def text(one: Verified, *, repair: bool) -> str:
    """What was found in a store, for people."""
    from mcgitops.compare import numbers

    packs = f" in {one.packs} packs and alone" if one.packs else ""
    lines = [
        f"{one.url}: {one.records} records, {one.objects} files{packs}, "
        f"{numbers.size(one.size)} read."
    ]
    if not one.findings:
        return lines[0] + " All is as it was written."
    for finding in one.findings[:MOST]:
        lines += _lines(finding)
    if (more := len(one.findings) - MOST) > 0:
        lines.append(f"  And {more} more: --json names all.")
    left = sum(not finding.repaired for finding in one.findings)
    if left and not repair:
        wrong = "One thing is" if left == 1 else f"{left} things are"
        lines.append(f"{wrong} wrong. mcgitops verify --repair takes good copies.")
    elif left:
        wrong = "One thing" if left == 1 else f"{left} things"
        lines.append(f"{wrong} could not be repaired.")
    else:
        lines.append("Everything was repaired.")
    return "\n".join(lines)


def data(one: Verified) -> dict[str, object]:
    """For `--json`. Sizes in bytes."""
    return {
        "store": one.url,
        "sound": one.is_sound,
        "records": one.records,
        "objects": one.objects,
        "packs": one.packs,
        "bytes_read": one.size,
        "findings": [
            {
                "kind": finding.kind,
                "key": finding.key,
                "digest": finding.digest or None,
                "message": finding.message,
                "concerns": list(finding.concerns),
                "paths": list(finding.paths),
                "repaired": finding.repaired or None,
                "remedy": finding.remedy or None,
            }
            for finding in one.findings
        ],
    }


def _lines(finding: Finding) -> list[str]:
    lines = [f"  {clean(finding.message, 400)}"]
    if finding.concerns:
        lines.append(f"    Concerns {clean(_some(finding.concerns), 600)}.")
    if finding.repaired:
        lines.append(f"    Repaired: {clean(finding.repaired, 300)}.")
    elif finding.remedy:
        lines.append(f"    {clean(finding.remedy, 600)}")
    return lines


def _some(names: Sequence[str]) -> str:
    shown = "; ".join(names[:MOST_CONCERNED])
    more = len(names) - MOST_CONCERNED
    return f"{shown} and {more} more" if more > 0 else shown


def _stores(app: App) -> list[Store]:
    if app.store is app.local_store:
        return [app.store]
    local = app.local_store
    # a folder that nobody made yet holds nothing
    return [app.store, local] if local.path is not None and local.path.is_dir() else [app.store]


def _pinned(app: App) -> dict[str, list[str]]:
    """What pinned data needs, as far as its manifests can be read: digest → paths in the folder."""
    import posixpath

    from mcgitops.errors import McgitopsError
    from mcgitops.facts import pins
    from mcgitops.project.pin import read_manifest
    from mcgitops.run.data import LARGEST_MANIFEST
    from mcgitops.run.data_push import pinned

    folder = app.project.folder
    stores = [app.store] if app.store is app.local_store else [app.store, app.local_store]
    present = pins.read(folder, pins.names(folder))
    found: dict[str, list[str]] = {pin.digest: [] for pin in present}
    with suppress(McgitopsError):  # of a manifest that is damaged: reading the store names it
        found |= {digest: [] for digest in pinned(folder, stores)[0]}
    for pin in present:
        for store in stores:
            try:
                entries = read_manifest(store.read_bytes(pin.digest, LARGEST_MANIFEST)).entries
            except (McgitopsError, ValueError):
                continue
            for one in entries:
                found.setdefault(one.digest, []).append(posixpath.join(pin.base, one.path))
            break
    return {digest: paths for digest, paths in found.items() if digest.startswith("sha256:")}
