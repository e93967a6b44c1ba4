"""Reads everything in a store and says what isn't as it was written, and whom it concerns.

Every object is hashed, alone or as a member of its pack; every pack as a whole; every record,
index, mark and entry of the journal is decoded; what records name must be there, in the right size.
What is found is repaired by `repair`.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from types import MappingProxyType
from typing import BinaryIO

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store import journal, layout, marks, packs
from mcgitops.store.inventory import Inventory, inventory
from mcgitops.store.listing import listed
from mcgitops.store.reach import Place
from mcgitops.store.store import Store
from mcgitops.store.streams import CHUNK, read_fully
from mcgitops.store.survey import Noted, Survey, is_record_key, survey
from mcgitops.store.threads import each

BATCH = 2048
LOOKS = 6
"""So often a place of a bucket is read at most, where each time other bytes come that are wrong."""
READERS = 8
"""Places of a bucket that are read at once; each holds at most one member in memory."""

OnStep = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much (0: not known)."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong. `kind` is one of

    object: an object whose bytes are others, or that records name and the store lacks (`digest`);
    pack, index: a pack or its index that is damaged, or lacks the other one;
    record: a record that can't be read; newer: one that a newer program wrote;
    run: a run that a commit or release names and the store lacks;
    journal, mark: an aid that is damaged; strange: a key that we never write.

    `concerns`: who needs it, as people say it. `runs`: the keys of records that name it.
    """

    kind: str
    key: str
    message: str
    digest: str = ""
    concerns: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    repaired: str = ""  # how; "" where it wasn't
    remedy: str = ""


Looked = tuple[str, list[Finding]]
"""The SHA-256 of the bytes that were seen (64 hex digits), and what is wrong with them."""


@dataclass(frozen=True)
class Verified:
    """What was looked at, and what is wrong."""

    url: str
    findings: tuple[Finding, ...] = ()
    records: int = 0
    objects: int = 0
    packs: int = 0
    size: int = 0  # bytes that were read of objects
    survey: Survey = field(default_factory=Survey)
    inventory: Inventory | None = None

    @property
    def is_sound(self) -> bool:
        """Whether everything is as it was written, or is again."""
        return all(finding.repaired for finding in self.findings)


def verify(
    store: Store,
    *,
    beside: Sequence[Store] = (),
    pinned: Mapping[str, Sequence[str]] = MappingProxyType({}),
    named: Mapping[str, Sequence[str]] = MappingProxyType({}),
    told: OnStep | None = None,
) -> Verified:
    """Look at everything.

    beside: stores in which a run that this one only names may be as well. pinned: digests that are
    needed beside what records name, with the paths that have them in the project folder; named:
    the same, of what this store may lack.
    """
    there = inventory(store)
    found: list[Finding] = [
        Finding("strange", key, f"{key} in {store.url} is nothing that mcgitops writes.")
        for key in there.strange
    ]
    found += _broken(store, there)
    total = sum(place.size for place in there.places) + sum(one.size for one in there.unfinished)
    bad, sizes, read = _check(store, there, total, told)
    found += bad
    records = survey(
        store, fresh=True, told=lambda count: told and told("Reading records", count, 0)
    )
    for key, message in records.unreadable.items():
        kind = "newer" if "newer mcgitops" in message else "record"
        found.append(Finding(kind, key, message))
    damaged = {finding.digest for finding in bad if finding.digest} - sizes.keys()
    found += _missing(store, records.records, sizes, damaged, pinned)
    found = concerned(found, records.records, {**named, **pinned})
    found += _missing_runs(store, records.records, beside)
    found += _journal(store, there)
    found += _marks(store)
    return Verified(
        store.url,
        tuple(found),
        len(records.records) + len(records.unreadable),
        len(sizes),
        len(there.indexes),
        read,
        records,
        there,
    )


def check_surely(look: Callable[[], Looked], *, is_local: bool) -> list[Finding]:
    """What is wrong with a place, as `look` finds it.

    What came over a network may have been harmed on its way; damage in the store is the same each
    time. So what isn't as its name says is read until two looks have seen the same bytes.
    """
    digest, found = look()
    for _ in range(0 if is_local else LOOKS - 1):
        if not found:
            break
        before = digest
        digest, found = look()
        if digest == before:
            break
    return found


def check_loose(store: Store, place: Place, told: Callable[[int], None]) -> Looked:
    """Hash an object that has a key of its own. `gone` isn't wrong: whoever names it misses it."""
    digest = place.members[0][0]
    opened = store.backend.open(place.key)
    if opened is None:
        return "", [Finding("gone", place.key, "", digest=digest)]  # since it was listed
    hasher = hashlib.sha256()
    with opened as stream:
        while chunk := stream.read(CHUNK):
            hasher.update(chunk)
            told(len(chunk))
    seen = hasher.hexdigest()
    if f"sha256:{seen}" == digest:
        return seen, []
    message = f"{place.key} in {store.url} holds other bytes than its name says."
    return seen, [Finding("object", place.key, message, digest=digest)]


def check_pack(
    store: Store, key: str, index: packs.PackIndex, told: Callable[[int], None]
) -> Looked:
    """Hash a pack and every member of it. Gives the members that are damaged, and the pack."""
    opened = store.backend.open(key)
    if opened is None:
        return "", [Finding("gone", key, "", digest=member.digest) for member in index]
    name = key.rpartition("/")[2]
    hasher = hashlib.sha256()
    found: list[Finding] = []
    with opened as stream:
        at = 0
        # an empty member begins where the next one does, and comes before it
        for member in sorted(index, key=lambda one: (one.offset, one.end)):
            if member.offset < at or member.stored > packs.LARGEST_MEMBER:
                found.append(_bad_member(store, key, member))  # no index of ours says so
                continue
            at += _skip(stream, member.offset - at, hasher, told)
            stored = read_fully(stream, member.stored)
            hasher.update(stored)
            told(len(stored))
            at += len(stored)
            try:
                packs.content_of(member, stored, key)
            except StoreError:
                found.append(_bad_member(store, key, member))
        _skip(stream, None, hasher, told)
    if hasher.hexdigest() != name:
        message = f"{key} in {store.url} holds other bytes than its name says."
        if not found:
            message += " All files in it are whole."
        found.append(Finding("pack", key, message))
    return hasher.hexdigest(), found


# what is wrong, kind by kind


def _broken(store: Store, there: Inventory) -> Iterator[Finding]:
    for key, message in there.broken.items():
        yield Finding("index", key, message)
    for place in there.unfinished:
        yield Finding(
            "index",
            f"{place.key}.index",
            f"{place.key} in {store.url} has no index: it was lost, or an upload was interrupted.",
        )


def _check(
    store: Store, there: Inventory, total: int, told: OnStep | None
) -> tuple[list[Finding], dict[str, int], int]:
    """Read all objects. Gives what is damaged, the sizes of those that are good, and the bytes."""
    import threading

    lock, read = threading.Lock(), [0]

    def count(size: int) -> None:
        with lock:
            read[0] += size
            if told is not None:
                told("Reading bytes", read[0], total)

    def check(place: Place) -> list[Finding]:
        if place.is_pack:
            look = partial(check_pack, store, place.key, there.indexes[place.key], count)
        else:
            look = partial(check_loose, store, place, count)
        return check_surely(look, is_local=store.is_local)

    threads = (os.cpu_count() or 1) if store.is_local else READERS
    found: list[Finding] = []
    sizes: dict[str, int] = {}
    for start in range(0, len(there.places), BATCH):
        batch = there.places[start : start + BATCH]
        for place, bad in zip(batch, each(check, batch, threads), strict=True):
            found += [finding for finding in bad if finding.kind != "gone"]
            spoilt = {finding.digest for finding in bad}
            if place.is_pack:
                for member in there.indexes[place.key]:
                    if member.digest not in spoilt:
                        sizes[member.digest] = member.size
            elif not spoilt:
                sizes[place.members[0][0]] = place.size
    return found, sizes, read[0]


def _missing(
    store: Store,
    records: Sequence[Noted],
    sizes: dict[str, int],
    damaged: set[str],
    pinned: Iterable[str],
) -> Iterator[Finding]:
    """Objects that records name and that aren't there, or not in that size."""
    lost: set[str] = set()
    for record in records:
        for digest, size, path in record.files:
            if digest not in sizes:
                lost.add(digest)
            elif size is not None and size != sizes[digest]:
                yield Finding(
                    "record",
                    record.key,
                    f"{record.label} says that {path} has {size} bytes; its content has "
                    f"{sizes[digest]}.",
                    concerns=(record.label,),
                )
    lost |= {digest for digest in pinned if digest not in sizes}
    for digest in sorted(lost - damaged):
        yield Finding(
            "object",
            layout.object_key(digest),
            f"{store.url} has no object {digest}.",
            digest=digest,
        )


def _missing_runs(
    store: Store, records: Sequence[Noted], beside: Sequence[Store]
) -> Iterator[Finding]:
    there = {record.key for record in records}
    lost: dict[str, list[str]] = defaultdict(list)
    for record in records:
        if record.kind in ("commits", "releases"):
            for key in record.runs:
                if key not in there:
                    lost[key].append(record.label)
    for other in beside:
        if lost:
            absent = other.backend.missing(lost)
            lost = defaultdict(list, {key: lost[key] for key in absent})
    for key, labels in sorted(lost.items()):
        yield Finding(
            "run",
            key,
            f"{store.url} has no run {key.rpartition('/')[2][:12]}, though records name it.",
            concerns=tuple(labels),
        )


def _is_of_journal(key: str) -> bool:
    return journal.number_of(key) is not None or journal.span_at(key) is not None


def _journal(store: Store, there: Inventory) -> Iterator[Finding]:
    """Entries that can't be read, numbers that are missing, spans that aren't what they hold.

    And what entries say came in, and never went, and isn't there.
    """
    entries: dict[int, journal.Entry] = {}
    spans: dict[int, list[journal.Entry]] = {}
    damaged: set[str] = set()
    for at in listed(store.backend, "journal/", _is_of_journal):
        key = at.key
        number, span = journal.number_of(key), journal.span_at(key)
        if number is None and span is None:
            yield Finding("strange", key, f"{key} in {store.url} is nothing that mcgitops writes.")
            continue
        value = store.backend.get(key, journal.LARGEST)
        if value is None:
            continue
        good = False
        if number is not None:
            entry = journal.sound(value)
            entries[number] = entry or journal.Entry()
            good = entry is not None
        elif span is not None and (said := journal.entries_of(value, span[1])) is not None:
            good = True
            if span[1] == journal.SPAN:
                spans[span[0]] = said
        if not good:
            damaged.add(key)
            yield Finding("journal", key, f"{key} in {store.url} is damaged.")
    for first, said in spans.items():  # entries that a collection trimmed
        for number, entry in enumerate(said, first):
            entries.setdefault(number, entry)
    last = max(entries, default=0)
    for first in range(1, last + 1, journal.SPAN):
        block = range(first, min(first + journal.SPAN, last + 1))
        lost = [number for number in block if number not in entries]
        keys = [layout.journal_key(number) for number in lost]
        if len(lost) == journal.SPAN:  # trimmed, and the span is lost
            keys = [layout.span_key(first, journal.SPAN)]
        for key in keys:
            if key not in damaged:
                yield Finding("journal", key, f"{key} is missing in {store.url}.")
    named: set[str] = set()
    for _, entry in sorted(entries.items()):
        named |= {*entry.records, *map(layout.pack_key, entry.packs)}
        named -= {*entry.gone}
    for key in sorted(store.backend.missing(sorted(named - there.indexes.keys()))):
        kind = "record" if is_record_key(key) else "pack"
        yield Finding(kind, key, f"{key} came into {store.url} once, and is gone.")


def _marks(store: Store) -> Iterator[Finding]:
    for entry in store.backend.entries(marks.PREFIX):
        value = store.backend.get(entry.key, marks.LARGEST)
        try:
            if value is not None:
                marks.decoded(entry.key, value, store.url)
        except StoreError as error:
            yield Finding("mark", entry.key, error.message)


def concerned(
    findings: Iterable[Finding], records: Sequence[Noted], pinned: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """The findings with whom they concern."""
    found = list(findings)
    users: dict[str, list[tuple[Noted, str]]] = {one.digest: [] for one in found if one.digest}
    for record in records:
        for digest, _, path in record.files:
            if digest in users:
                users[digest].append((record, path))
    return [
        replace(
            one,
            concerns=(
                *_pinned_as(one.digest, pinned),
                *dict.fromkeys(
                    f"{_whole_label(record)}, {path}" for record, path in users[one.digest]
                ),
            ),
            paths=tuple(
                dict.fromkeys(
                    (*(path for _, path in users[one.digest]), *pinned.get(one.digest, ()))
                )
            ),
            runs=tuple(dict.fromkeys(record.key for record, _ in users[one.digest])),
        )
        if one.digest
        else one
        for one in found
    ]


def _pinned_as(digest: str, pinned: Mapping[str, Sequence[str]]) -> list[str]:
    if digest not in pinned:
        return []
    paths = dict.fromkeys(pinned[digest])
    return [f"{path}, which is pinned" for path in paths] or ["data that is pinned in git"]


def _whole_label(record: Noted) -> str:
    commit = f" (commit {record.commits[0][:12]})" if record.commits else ""
    return f"{record.label}{commit}"


def _bad_member(store: Store, key: str, member: packs.Member) -> Finding:
    return Finding(
        "object", key, f"{member.digest} in {key} of {store.url} is damaged.", digest=member.digest
    )


def _skip(
    stream: BinaryIO, size: int | None, hasher: hashlib._Hash, told: Callable[[int], None]
) -> int:
    """Read so many bytes, or all that are left; hash them."""
    done = 0
    while size is None or done < size:
        chunk = stream.read(CHUNK if size is None else min(CHUNK, size - done))
        if not chunk:
            break
        hasher.update(chunk)
        told(len(chunk))
        done += len(chunk)
    return done
