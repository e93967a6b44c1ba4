"""Puts right what `verify` found: good copies are taken from wherever they are.

They come from another copy in the same store, from the trash of an interrupted garbage collection,
from other stores, or from the project folder's own files, by digest. Everything is written whole
before anything is taken away, and nothing is removed: what is damaged is set aside below
`damaged/`, so that the key is free for a good copy, whoever brings it. So a repair may be killed at
any moment, and done again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from mcgitops.errors import StoreError
from mcgitops.store import journal, layout, packs
from mcgitops.store.inventory import Inventory
from mcgitops.store.objects import SMALL, hashed
from mcgitops.store.records import is_inside
from mcgitops.store.store import Store
from mcgitops.store.streams import VerifyingReader
from mcgitops.store.survey import Noted
from mcgitops.store.transfer import copy_objects, copy_records
from mcgitops.store.verify import Finding, Verified

DAMAGED = "damaged/"
TRASH = "trash/"
MOST_SAID = 5
MANY = 8
"""Objects that one source has, from which on they are brought together."""

OnStep = Callable[[str, int, int], None]
Copy = Callable[[], AbstractContextManager[BinaryIO]]
"""Opens what may be a copy of an object."""


def repair(
    store: Store,
    verified: Verified,
    sources: Sequence[Store] = (),
    folder: Path | None = None,
    told: OnStep | None = None,
) -> Verified:
    """Repair what can be. Gives the findings, with how each was repaired or what else helps."""
    work = _Repair(store, verified, sources, folder)
    work.take_back_packs({one.digest for one in verified.findings if one.digest})
    work.take_over()
    order = ("object", "pack", "index", "record", "run", "journal", "mark")
    done: dict[int, Finding] = {}
    todo = sorted(
        (number for number, one in enumerate(verified.findings) if one.kind in order),
        key=lambda number: order.index(verified.findings[number].kind),
    )
    for count, number in enumerate(todo, 1):
        done[number] = work.one(verified.findings[number])
        if told is not None:
            told("Repairing", count, len(todo))
    work.set_packs_aside()
    work.set_runs_aside()
    store.objects.catalogue.list_all()
    findings = [work.helped(done.get(number, one)) for number, one in enumerate(verified.findings)]
    return replace(verified, findings=tuple(findings))


class _Repair:
    def __init__(
        self, store: Store, verified: Verified, sources: Sequence[Store], folder: Path | None
    ) -> None:
        self._store = store
        self._sources = sources
        self._folder = folder
        self._there: Inventory = verified.inventory or Inventory((), (), (), {}, {}, ())
        self._records = verified.survey.by_key()
        self._bad_packs = {
            one.key
            for one in verified.findings
            if one.kind in ("object", "pack") and one.key in self._there.indexes
        }
        self._objects = [one for one in verified.findings if one.kind == "object"]
        self._sizes = sizes_of(self._objects, verified.survey.records)
        self._absent: list[set[str]] = []  # of each source: what it was asked for, and lacks
        self._brought: set[str] = set()  # digests that were taken over with many others
        self._lost: set[str] = set()  # digests of which no good copy was found
        self._aside: set[str] = set()  # keys of runs that are to be trained again
        self._gone: list[str] = []  # keys that the journal is to be told of
        self._journal_said = False  # what there is, in an entry that was written anew
        self._back: set[str] = set()  # digests that came back with a pack out of the trash
        self._trash = {
            entry.key.split("/", 2)[2]: entry.key
            for entry in store.backend.entries(TRASH)
            if entry.key.count("/") >= 2
        }

    def take_back_packs(self, digests: set[str]) -> None:
        """Packs that an interrupted collection left in the trash, and that hold one of these."""
        for key, place in sorted(self._trash.items()):
            name = layout.pack_of(key)
            value = self._store.backend.get(place, packs.LARGEST_INDEX) if name else None
            if value is None:
                continue
            try:
                index = packs.PackIndex.decoded(value, place)
            except StoreError:
                continue
            held = {member.digest for member in index} & digests
            if held:
                pack = key.removesuffix(".index")
                self._from_trash(pack)  # unless it is still in its place
                self._from_trash(key)
                self._back |= held

    def take_over(self) -> None:
        """Bring small objects from the other stores, many at once, where many are missing.

        Those that a source has damaged, or hasn't, are looked for one by one afterwards.
        """
        wanted = {one.digest for one in self._objects} - self._back
        self._absent = [source.missing(wanted) for source in self._sources]
        damaged = {place.key for place in self._there.places if not self._store.is_local}
        lacking = [
            one.digest
            for one in self._objects
            if one.digest in wanted
            and one.key == layout.object_key(one.digest)
            and one.key not in damaged  # a copy in a pack wouldn't make it good
        ]
        for source, absent in zip(self._sources, self._absent, strict=True):
            there = [one for one in lacking if one not in absent and one not in self._brought]
            if len(there) < MANY:
                continue
            with suppress(StoreError):
                sizes = {one: self._sizes[one] or source.size(one) for one in there}
                small = {one: size for one, size in sizes.items() if size <= SMALL}
                copy_objects(source, self._store, small)
                self._brought |= small.keys()

    def one(self, finding: Finding) -> Finding:
        """Repair one thing."""
        repaired = {
            "object": self._object,
            "pack": self._pack,
            "index": self._index,
            "record": self._record,
            "run": self._run,
            "journal": self._journal,
            "mark": self._mark,
        }[finding.kind](finding)
        return replace(finding, repaired=repaired)

    def helped(self, finding: Finding) -> Finding:
        """The finding with what helps where it wasn't repaired."""
        if finding.repaired:
            return finding
        if finding.kind == "strange":
            return replace(finding, remedy="Remove it if nobody needs it.")
        if finding.kind == "newer":
            return replace(finding, remedy="Upgrade mcgitops.")
        return replace(finding, remedy=_again(finding, self._records))

    def set_packs_aside(self) -> None:
        """Take the good members out of damaged packs, then move those away from the readers."""
        for key in sorted(self._bad_packs):
            for member in self._there.indexes[key]:
                if member.digest in self._lost:
                    continue
                alone = layout.object_key(member.digest)
                if self._store.backend.missing([alone]):
                    self._restored(member.digest, member.size, ())
            self._set_aside(f"{key}.index")
            self._set_aside(key)

    def set_runs_aside(self) -> None:
        """Runs that lost a file are no cached runs any more: the next training makes them again."""
        for key in sorted(self._aside):
            self._set_aside(key)
        gone = sorted({*self._gone, *self._aside, *self._bad_packs})
        if gone and journal.Journal(self._store.backend).begun():
            self._store.objects.catalogue.say(gone=gone)

    # kind by kind; each gives how it was repaired, "" where it wasn't

    def _object(self, finding: Finding) -> str:
        size = self._size_of(finding)
        if finding.digest in self._back:
            return "taken back from the trash"
        if finding.digest in self._brought:
            return "a good copy was put back"
        if self._restored(finding.digest, size, finding.paths):
            return "a good copy was put back"
        if not finding.concerns:
            if finding.key == layout.object_key(finding.digest):
                self._set_aside(finding.key)
            return "it was set aside: nothing names it"
        self._lost.add(finding.digest)
        if finding.key == layout.object_key(finding.digest):
            self._set_aside(finding.key)
        self._aside |= {key for key in finding.runs if key.startswith(("runs/", "attempts/"))}
        return ""

    def _pack(self, finding: Finding) -> str:
        if finding.key in self._there.indexes:
            return "its good files were taken over, and it was set aside"
        self._gone.append(finding.key)
        return "noted as gone; what was in it is named by itself"

    def _index(self, finding: Finding) -> str:
        key = finding.key.removesuffix(".index")
        backend = self._store.backend
        size = backend.size(key)
        if size is not None:
            try:
                index = packs.index_of(
                    lambda offset, length: backend.read_range(key, offset, length), size, key
                )
                self._whole(key)
            except StoreError:
                self._set_aside(finding.key)
                self._set_aside(key)
                self._gone.append(key)
                return "an unreadable pack was set aside; what was in it is named by itself"
            value = index.encoded()
            backend.put_stream(finding.key, io.BytesIO(value), len(value))
            return "made anew from the pack"
        self._set_aside(finding.key)
        self._gone.append(key)
        return "it was set aside: its pack is gone"

    def _whole(self, key: str) -> None:
        """Raise where a pack isn't what its name says."""
        opened = self._store.backend.open(key)
        if opened is None:
            raise StoreError(f"{key} is gone.")
        with opened as stream:
            digest, _ = hashed(stream)
        if digest != f"sha256:{key.rpartition('/')[2]}":
            raise StoreError(f"{key} is damaged.")

    def _record(self, finding: Finding) -> str:
        for source in self._sources:
            value = source.backend.get(finding.key)
            if value is None:
                continue
            try:
                record = source.decoded(finding.key, value)
                copy_records(source, self._store, [record])  # its objects; the key is taken
            except StoreError:
                continue
            self._store.backend.put_stream(finding.key, io.BytesIO(value), len(value))
            return f"taken from {source.url}"
        if self._from_trash(finding.key):
            return "taken back from the trash"
        if finding.key not in self._records:  # else it can be read, but says what isn't so
            self._set_aside(finding.key)
            self._gone.append(finding.key)
        return ""

    def _run(self, finding: Finding) -> str:
        if self._from_trash(finding.key):
            return "taken back from the trash"
        for source in self._sources:
            try:
                record = source.record_at(finding.key)
                if record is not None:
                    copy_records(source, self._store, [record])
                    return f"taken from {source.url}"
            except StoreError:
                continue
        return ""

    def _journal(self, finding: Finding) -> str:
        """Spans are made of entries; what is in neither is made of what the store holds, once."""
        backend, span = self._store.backend, journal.span_at(finding.key)
        if span is not None:
            first, length = span
            below = [layout.journal_key(first + number) for number in range(journal.SPAN)]
            if length != journal.SPAN or len(backend.missing(below)) < len(below):
                self._set_aside(finding.key)
                return "it was set aside: entries say the same"
        every = journal.Entry()
        if not self._journal_said:
            self._journal_said = True
            packs_there = [key.rpartition("/")[2] for key in self._there.indexes]
            every = journal.Entry(tuple(packs_there), tuple(self._records))
        if span is None:
            value = journal.entry_of(every.packs, every.records)
        else:  # its entries were trimmed
            value = journal.span_of([every, *[journal.Entry()] * (journal.SPAN - 1)])
        backend.put_stream(finding.key, io.BytesIO(value), len(value))
        return "written anew, with all that is in the store"

    def _mark(self, finding: Finding) -> str:
        self._set_aside(finding.key)
        return "it was set aside: what it marked is marked again when it is found unneeded"

    # good copies

    def _restored(self, digest: str, size: int, paths: Sequence[str]) -> bool:
        """Write a good copy of an object under its own key; False where there is none.

        Each copy is read to its end before it is believed.
        """
        for opened in self._copies(digest, paths):
            # harmed on its way, perhaps: it is asked once more before it counts as no good copy
            if _is_good(opened, digest) or _is_good(opened, digest):
                with opened() as stream:
                    complaint = StoreError(f"{digest} changed while it was read.", "Try again.")
                    whole = cast("BinaryIO", VerifyingReader(stream, digest, complaint))
                    self._store.backend.put_stream(layout.object_key(digest), whole, size)
                return True
        return False

    def _copies(self, digest: str, paths: Sequence[str]) -> Iterator[Copy]:
        """Everything that may be a copy of an object, unverified."""
        key, backend = layout.object_key(digest), self._store.backend
        for place in (key, self._trash.get(key)):
            if place is not None and not backend.missing([place]):
                yield partial(_opened, self._store, place)
        for pack, index in self._there.indexes.items():
            member = index.find(digest)
            if member is None:
                continue
            stored = backend.read_range(pack, member.offset, member.stored)
            try:
                value = packs.content_of(member, stored or b"", pack)
            except StoreError:
                continue
            yield partial(io.BytesIO, value)
        asked = self._absent if digest in self._sizes else [None] * len(self._sources)
        for source, absent in zip(self._sources, asked, strict=True):
            lacks = digest in absent if absent is not None else bool(source.missing([digest]))
            if not lacks:
                yield partial(source.open_object, digest)
        if self._folder is not None:
            for path in paths:
                file = self._folder / path
                if is_inside(path) and file.is_file():
                    yield cast("Copy", partial(file.open, "rb"))

    def _from_trash(self, key: str) -> bool:
        place = self._trash.get(key)
        return place is not None and self._store.backend.move(place, key)

    def _set_aside(self, key: str) -> None:
        self._store.backend.move(key, f"{DAMAGED}{key}")

    def _size_of(self, finding: Finding) -> int:
        """How many bytes an object has, as far as records and indexes know."""
        if (said := self._sizes.get(finding.digest)) is not None:
            return said
        for index in self._there.indexes.values():
            if (member := index.find(finding.digest)) is not None:
                return member.size
        return self._store.backend.size(layout.object_key(finding.digest)) or 0


def sizes_of(findings: Iterable[Finding], records: Iterable[Noted]) -> dict[str, int | None]:
    """How many bytes these objects have, as far as records say: there may be a million of each."""
    found: dict[str, int | None] = {one.digest: None for one in findings}
    for record in records:
        for digest, size, _ in record.files:
            if digest in found and found[digest] is None:
                found[digest] = size
    return found


def _is_good(opened: Copy, digest: str) -> bool:
    try:
        with opened() as stream:
            return hashed(stream)[0] == digest
    except (StoreError, OSError):
        return False


def _opened(store: Store, key: str) -> AbstractContextManager[BinaryIO]:
    opened = store.backend.open(key)
    if opened is None:
        raise StoreError(f"{key} is gone.")
    return opened


def _again(finding: Finding, records: Mapping[str, Noted]) -> str:
    """How to get back what no store has."""
    users = [records[key] for key in finding.runs if key in records]
    stages = {(one.stage, one.commits[:1]) for one in users if one.kind in ("runs", "attempts")}
    parts = finding.key.split("/")
    if parts[0] == "runs" and len(parts) == 4:
        stages.add((parts[2], ()))
    said = []
    for stage, commit in sorted(stages):
        at = f" --rev {commit[0][:12]}" if commit else ""
        said.append(f"mcgitops train {stage}{at}")
    releases = sorted({one.release for one in users if one.kind == "releases"})
    again = f"Train again: {', '.join(said[:MOST_SAID])}." if said else ""
    named = f"Release {', '.join(releases)} can't be deployed anew without it." if releases else ""
    otherwise = "Push it from where it was made, if it is still there."
    return " ".join(part for part in (again, named, otherwise) if part)
