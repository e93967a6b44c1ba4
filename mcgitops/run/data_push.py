"""Brings pinned data to the project's store, and says which objects pins need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mcgitops.errors import StoreError, UsageError
from mcgitops.facts import pins as found_pins
from mcgitops.project.model import STATE_FOLDER
from mcgitops.project.pin import read_manifest
from mcgitops.run.data import LARGEST_MANIFEST, Data, bytes_in_words
from mcgitops.run.data_add import added
from mcgitops.run.workspace import Workspace
from mcgitops.store.store import Store
from mcgitops.store.sync import Pushed
from mcgitops.store.transfer import OnProgress, copy_objects


@dataclass(frozen=True)
class PushedData:
    """What a push of data moved, and pins of which only another machine has the data."""

    pins: int = 0
    objects: int = 0
    size: int = 0
    elsewhere: tuple[str, ...] = ()

    @property
    def in_words(self) -> str:
        """`1,200 files (73.4 MB)`."""
        noun = "file" if self.objects == 1 else "files"
        return f"{self.objects:,} {noun} ({bytes_in_words(self.size)})"


def unpushed(workspace: Workspace) -> bool:
    """Whether something that was pinned here was not given to the project's store yet."""
    if workspace.remote is None:
        return False
    return not _given(workspace, workspace.remote).read().issuperset(added(workspace.folder))


def push(
    workspace: Workspace, *, again: bool = False, progress: OnProgress | None = None
) -> PushedData:
    """Copy the data of all that was pinned here, and of the present pins, to the project's store.

    Files first, the manifest last: whoever finds that finds all of it. What the store was given
    before is not asked about, unless `again`.
    """
    remote, local = workspace.remote, workspace.local
    if remote is None:
        return PushedData()
    note = _given(workspace, remote)
    given = set() if again else note.read()
    present = {pin.digest: pin.path for pin in Data(workspace).pins}
    wanted = [
        digest
        for digest in dict.fromkeys((*added(workspace.folder), *present))
        if digest not in given
    ]
    if not wanted:
        return PushedData()
    here = set(wanted) - local.missing(wanted)
    there = set(wanted) - remote.missing(wanted)
    elsewhere = tuple(
        present[digest] for digest in wanted if digest not in here | there and digest in present
    )
    moved = size = 0
    done: list[str] = []
    for digest in wanted:
        if digest in there and not again:
            done.append(digest)
        elif digest in here:
            sizes = _sizes(local, digest)
            lacking = remote.missing(sizes)
            if lost := local.missing(lacking):
                if digest in present:
                    raise StoreError(
                        f"{len(lost)} files of {present[digest]} are neither in {local.url} nor in "
                        f"{remote.url}.",
                        f"Pin it again: mcgitops data add {present[digest]}",
                    )
                continue  # an earlier state, whose content is gone
            copy_objects(local, remote, {d: sizes[d] for d in lacking}, progress)
            if remote.missing([digest]):
                remote.put_bytes(local.read_bytes(digest, LARGEST_MANIFEST))
            done.append(digest)
            moved += len(lacking)
            size += sum(sizes[d] for d in lacking)
    if done:
        note.write(sorted({*note.read(), *done}))
    return PushedData(len(done), moved, size, elsewhere)


def is_pushed(workspace: Workspace, digest: str) -> bool:
    """Whether the project's store has a pin's data; asks it where that isn't noted."""
    if workspace.remote is None:
        return not workspace.local.missing([digest])
    if digest in _given(workspace, workspace.remote).read():
        return True
    return not workspace.remote.missing([digest])


def pinned(
    folder: Path, stores: Iterable[Store], *, history: bool = True
) -> tuple[frozenset[str], frozenset[str]]:
    """The digests that pins need: what must not be collected as garbage.

    Of all branches, tags and stashes of this clone with their history (or only as they are now),
    of the working tree, and of what was pinned here and perhaps not committed. The second set holds
    manifests that none of the stores has, so that what they need isn't known.

    A shallow clone knows only its own commits' pins. Manifests that can't be read are an error.
    """
    manifests = {pin.digest for pin in found_pins.everywhere(folder, history=history)}
    manifests |= {pin.digest for pin in found_pins.read(folder, found_pins.names(folder))}
    manifests |= set(added(folder))
    needed: set[str] = set(manifests)
    unknown: set[str] = set(manifests)
    for store in stores:
        for digest in unknown - store.missing(unknown):
            needed |= _sizes(store, digest).keys()
            unknown.discard(digest)
    return frozenset(needed), frozenset(unknown)


def _sizes(store: Store, manifest: str) -> dict[str, int]:
    """The objects that a manifest names: digest → size in bytes."""
    try:
        entries = read_manifest(store.read_bytes(manifest, LARGEST_MANIFEST)).entries
    except ValueError:
        raise UsageError(
            f"{manifest} is no manifest of data.", "Pin the data again: mcgitops data add."
        ) from None
    return {e.digest: e.size for e in entries if e.digest.startswith("sha256:")}


def _given(workspace: Workspace, remote: Store) -> Pushed:
    return Pushed(workspace.folder / STATE_FOLDER / "cache" / "data", remote.url)
