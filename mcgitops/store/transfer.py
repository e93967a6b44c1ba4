"""Copying records and what they refer to from one store to another: `push` and `pull`.

Objects go first, records last, so a record in a store never refers to something that isn't there.
What the target has is not sent again: an interrupted copy goes on where it was, and a second copy
moves nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from mcgitops.errors import StoreError
from mcgitops.store.records import (
    CommitRecord,
    DeploymentRecord,
    FileRef,
    Record,
    ReleaseRecord,
    RunRecord,
)
from mcgitops.store.store import Store, pins_the_same
from mcgitops.store.threads import THREADS, each


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
) -> CopyResult:
    """Copy records of any kind with all the objects that they refer to."""
    everything = list(records)
    sizes = {file.digest: file.size for record in everything for file in references(record)}
    images = {digest for record in everything for digest in image_objects(record)}
    missing = target.missing(sizes.keys() | images)
    sizes |= {digest: source.objects.size(digest) for digest in images & missing}
    copy_objects(source, target, {digest: sizes[digest] for digest in missing}, progress)
    created: list[bool] = []
    # Runs before what points at them: commits and releases.
    for kinds in ((RunRecord,), (CommitRecord,), (ReleaseRecord,), (DeploymentRecord,)):
        chosen = [record for record in everything if isinstance(record, kinds)]
        created += each(target.add, chosen, 1 if target.is_local else THREADS)
    releases = (record for record in everything if isinstance(record, ReleaseRecord))
    return CopyResult(
        records=created.count(True),
        records_there=created.count(False),
        objects=len(missing),
        objects_there=len(sizes.keys() | images) - len(missing),
        bytes=sum(sizes[digest] for digest in missing),
        conflicts=tuple(ours.name for ours in releases if _is_another(target, ours)),
    )


def copy_objects(
    source: Store, target: Store, sizes: Mapping[str, int], progress: OnProgress | None = None
) -> None:
    """Copy objects, digest → size in bytes, that the target lacks; nobody asks it again."""
    counter = _Counter(sum(sizes.values()), len(sizes), progress)

    def copy(digest: str) -> None:
        target.objects.copy_from(source.objects, digest, sizes[digest], counter.add)
        counter.finish()

    # The largest first, so that they don't come last and alone.
    each(copy, sorted(sizes, key=lambda digest: -sizes[digest]), THREADS, counter.stop)


def references(record: Record) -> tuple[FileRef, ...]:
    """All files that a record refers to."""
    if isinstance(record, RunRecord):
        log = (record.log,) if record.log else ()
        return (*record.files, *record.manifests, *log)
    if isinstance(record, ReleaseRecord):
        return (*record.artifacts, record.compose, *record.files)
    return ()


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
            raise StoreError("The copy was stopped.", "Run the same again: it goes on there.")
        with self._lock:
            self._bytes += count
            self._tell()

    def finish(self) -> None:
        """One object more."""
        with self._lock:
            self._finished += 1
            self._tell()

    def _tell(self) -> None:
        if self._told is not None:
            self._told(Progress(self._bytes, self._total, self._finished, self._objects))
