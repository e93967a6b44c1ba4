"""Copying records and what they refer to from one store to another: `push` and `pull`.

Objects go first, records last, so a record in a store never refers to something that isn't there.
What the target has is not sent again: an interrupted copy goes on where it was, and a second copy
moves nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from mcgitops.deferred import dataclass
from mcgitops.store import layout
from mcgitops.store.backend import Stopped
from mcgitops.store.bulk import send_packed, take_packed
from mcgitops.store.objects import SMALL
from mcgitops.store.records import (
    CommitRecord,
    DeploymentRecord,
    FileRef,
    Record,
    ReleaseRecord,
    RunRecord,
)
from mcgitops.store.store import Store, key_of, pins_the_same
from mcgitops.store.threads import THREADS, each

if TYPE_CHECKING:
    from mcgitops.store.large import Beside


YOUNG = 60
"""Seconds, within which no garbage collection takes what was written for something old."""


@dataclass(frozen=True)
class Progress:
    """How far a copy is. Bytes of objects that were not there before."""

    bytes_done: int
    bytes_total: int
    objects_done: int
    objects_total: int


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class CopyResult:
    """What a copy moved, and what was there already."""

    records: int = 0
    records_there: int = 0
    objects: int = 0
    objects_there: int = 0
    bytes: int = 0
    conflicts: tuple[str, ...] = ()  # releases that are others there; those stay


def copy_runs(
    source: Store,
    target: Store,
    records: Iterable[RunRecord],
    *,
    progress: OnProgress | None = None,
) -> CopyResult:
    """Copy runs with all their files."""
    return copy_records(source, target, records, progress=progress)


def copy_records(
    source: Store,
    target: Store,
    records: Iterable[Record],
    *,
    progress: OnProgress | None = None,
    beside: Beside | None = None,
) -> CopyResult:
    """Copy records of any kind with all the objects that they refer to.

    beside: files that are to be filled with the bytes of objects which are fetched.
    """
    everything = list(records)
    sizes = {file.digest: file.size for record in everything for file in references(record)}
    images = {digest for record in everything for digest in image_objects(record)}
    wanted, keys = sizes.keys() | images, [key_of(record) for record in everything]
    target.objects.claim(wanted, keys)
    # How large an image's layer is, is only asked where it is to be sent: the source may lack it.
    asked = {**dict.fromkeys(images, SMALL + 1), **sizes}
    missing = lost = target.objects.to_send(asked)
    while lost:
        sizes |= {digest: source.objects.size(digest) for digest in images & lost}
        lacking = {key: size for key, size in sizes.items() if key in lost}
        began = time.monotonic()
        _copy(source, target, lacking, progress, beside)
        # Time has passed: a garbage collection may have marked what was there then. (In a folder
        # what was just written is as young as it can be.)
        is_young = target.is_local and time.monotonic() - began < YOUNG
        known = wanted - lost if is_young else wanted
        lost = target.objects.to_send(asked) if target.objects.claim(known, keys) else set()
    if not target.is_local:
        target.objects.catalogue.announce(keys)
    created: list[Record] = []
    there = 0
    as_it_is = source if source.is_local else None  # else it would be fetched a second time

    def add(record: Record) -> bool:
        return target.add(record, as_it_is)

    # Runs before what points at them: commits and releases.
    for kinds in ((RunRecord,), (CommitRecord,), (ReleaseRecord,), (DeploymentRecord,)):
        chosen = [record for record in everything if isinstance(record, kinds)]
        written = each(add, chosen, 1 if target.is_local else THREADS)
        created += [record for record, new in zip(chosen, written, strict=True) if new]
        there += written.count(False)
    if not target.is_local:
        target.objects.catalogue.say(map(key_of, created))
    releases = (record for record in everything if isinstance(record, ReleaseRecord))
    return CopyResult(
        records=len(created),
        records_there=there,
        objects=len(missing),
        objects_there=len(wanted) - len(missing),
        bytes=sum(sizes[digest] for digest in missing),
        conflicts=tuple(ours.name for ours in releases if _is_another(target, ours)),
    )


def copy_objects(
    source: Store,
    target: Store,
    sizes: Mapping[str, int],
    progress: OnProgress | None = None,
    beside: Beside | None = None,
) -> None:
    """Copy objects, digest → size in bytes, that the target lacks; nobody asks it again.

    beside: files that are to be filled with the bytes of objects which are fetched.
    """
    _copy(source, target, sizes, progress, beside)
    if not target.is_local:
        target.objects.catalogue.say()


def _copy(
    source: Store,
    target: Store,
    sizes: Mapping[str, int],
    progress: OnProgress | None = None,
    beside: Beside | None = None,
) -> None:
    counter = _Counter(sum(sizes.values()), len(sizes), progress)
    done = send_packed(source.objects, target.objects, sizes, counter)
    done |= take_packed(source.objects, target.objects, sizes, counter)
    if target.is_local and not source.is_local:
        from mcgitops.store.large import take_large

        left = {digest: size for digest, size in sizes.items() if digest not in done}
        done |= take_large(source.objects, target.objects, left, counter, beside)

    def copy(digest: str) -> None:
        target.objects.copy_from(source.objects, digest, sizes[digest], counter.add)
        counter.finish()

    # The largest first, so that they don't come last and alone.
    rest = sorted(sizes.keys() - done, key=lambda digest: -sizes[digest])
    each(copy, rest, THREADS, counter.stop)


def references(record: Record) -> tuple[FileRef, ...]:
    """All files that a record refers to."""
    if isinstance(record, RunRecord):
        log = (record.log,) if record.log else ()
        return (*record.files, *record.manifests, *log)
    if isinstance(record, ReleaseRecord):
        return (*record.artifacts, record.compose, *record.files)
    return ()


def run_keys(record: Record) -> tuple[str, ...]:
    """The keys of the runs that a record names: a commit's, a release's, those that a run read."""
    if isinstance(record, CommitRecord):
        named = [(record.stage, one) for one in dict.fromkeys((*record.runs, record.selected))]
    elif isinstance(record, ReleaseRecord):
        named = list(record.runs.items())
    elif isinstance(record, RunRecord):
        named = list(record.upstream.items())
    else:
        return ()
    return tuple(layout.run_key(record.project, stage, fingerprint) for stage, fingerprint in named)


def image_objects(record: Record) -> tuple[str, ...]:
    """The objects of a release's images: their configurations and layers, by digest."""
    if not isinstance(record, ReleaseRecord):
        return ()
    return tuple(
        digest
        for image in record.images
        if not image.repo_digest  # else it comes from a registry
        for digest in (image.config_digest, *image.diff_ids)
    )


def _is_another(target: Store, ours: ReleaseRecord) -> bool:
    there = target.release(ours.project, ours.name)
    return there is not None and not pins_the_same(there, ours)


class _Counter:
    """Counts over all threads and tells the callback, one call at a time."""

    def __init__(self, total: int, objects: int, told: OnProgress | None) -> None:
        self._lock = threading.Lock()
        self._told = told
        self._total = total
        self._objects = objects
        self._bytes = 0
        self._finished = 0
        self._stopped = False

    def stop(self) -> None:
        """Let the copies that run end at their next piece, leaving nothing behind."""
        self._stopped = True

    def add(self, count: int) -> None:
        """Some bytes more."""
        if self._stopped:
            raise Stopped("The copy was stopped.", "Run the same again: it goes on there.")
        with self._lock:
            self._bytes += count
            self._tell()

    def finish(self, count: int = 1) -> None:
        """So many objects more."""
        with self._lock:
            self._finished += count
            self._tell()

    def _tell(self) -> None:
        if self._told is not None:
            # what was harmed on its way moves twice, and is no more for that
            done = min(self._bytes, self._total)
            self._told(Progress(done, self._total, self._finished, self._objects))
