"""Brings pinned data to the project's store, and says which objects pins need."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mcgitops.deferred import dataclass
from mcgitops.errors import UsageError
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
    there = set(wanted) - here - remote.missing(set(wanted) - here)
    elsewhere = [digest for digest in wanted if digest not in here | there]
    done = list(there)
    objects = size = 0
    for digest in (digest for digest in wanted if digest in here):
        sizes = _sizes(local, digest)
        try:
            sent = _send(local, remote, digest, sizes, progress)
        except _NotHere:
            elsewhere.append(digest)
            continue
        done.append(digest)
        objects += len(sent)
        size += sum(sizes[one] for one in sent)
    if done:
        note.write(sorted({*note.read(), *done}))
    paths = tuple(present[digest] for digest in elsewhere if digest in present)
    return PushedData(len(done), objects, size, paths)


class _NotHere(Exception):
    """A part of the content is neither here nor in the project's store."""


def _send(
    local: Store, remote: Store, manifest: str, sizes: dict[str, int], progress: OnProgress | None
) -> set[str]:
    """Send what the store lacks of one pin, the manifest last; gives the files that were sent."""
    remote.objects.claim([manifest, *sizes])
    sent: set[str] = set()
    lacking = remote.objects.to_send(sizes)
    while lacking:
        # it may lie there on its own though no pack is known to have it
        if (lost := local.missing(lacking)) and remote.missing(lost):
            raise _NotHere
        given = lacking - lost
        # in order: so what an interrupted push has sent is recognised
        copy_objects(local, remote, {d: sizes[d] for d in sizes if d in given}, progress)
        sent |= given
        # time has passed: a garbage collection may have marked what was there then
        again = remote.objects.claim([manifest, *sizes])
        lacking = remote.objects.to_send(sizes) if again else set()
    remote.put_bytes(local.read_bytes(manifest, LARGEST_MANIFEST))
    return sent


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
