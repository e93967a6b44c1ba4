"""Garbage collection: removes what `reach` says nobody needs, without a lock.

It may be killed at any moment, run twice at once, and meet pushes and trainings:

- Nothing is removed at once. It is moved to `trash/` first; then the records and marks are read
  again, what is needed after all is moved back, and only then the trash is emptied. A killed
  collection leaves its trash to the next one, or to `verify --repair`.
- Who relies on a key that is there says so *before* he looks whether it is still there: in a folder
  by making it young, in a bucket by cancelling its mark. So either he finds it gone, and writes it
  again; or it was moved afterwards, and reading the marks again shows that he relies on it.
- Who looked before the mark was made has the whole grace period to write his record.

So no lock is needed between machines, and no conditional write. In a folder one collection works at
a time.
"""

from __future__ import annotations

import fcntl
import io
import os
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store import layout, marks, packs
from mcgitops.store.backend import Entry
from mcgitops.store.catalogue import read_index
from mcgitops.store.inventory import Inventory, inventory, pack_place
from mcgitops.store.journal import TRIM_SECONDS, Journal
from mcgitops.store.reach import Item, Place, Plan, Roots, decide, homes_of, keep
from mcgitops.store.store import Store
from mcgitops.store.survey import Noted, Survey, is_record_key, noted, survey
from mcgitops.store.threads import THREADS, each

TRASH = "trash/"
FOREIGN_SECONDS = 6 * 3600
"""So old is the trash of another collection before it is emptied: that one is dead by then."""
PACK_BYTES = 16 * 1024 * 1024
"""Members of packs that are written anew are put together in packs of about this size."""
BATCH = 64
ORDER = ("reports", "commits", "attempts", "runs", "objects", "packs")
"""What goes first: nothing is removed before what names it."""

OnStep = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and of how much (0: not known)."""


@dataclass(frozen=True)
class Facts:
    """What was found in a store, at one moment (seconds since 1970)."""

    survey: Survey
    inventory: Inventory
    marks: marks.Marks
    now: float


@dataclass(frozen=True)
class Swept:
    """What a collection did."""

    removed: tuple[Item, ...] = ()
    marked: tuple[Item, ...] = ()
    put_back: tuple[str, ...] = ()  # keys that were needed after all
    rewritten: tuple[str, ...] = ()  # packs
    trimmed: int = 0  # entries of the journal that are in a span

    @property
    def size(self) -> int:
        """Bytes that were freed."""
        return sum(item.size for item in self.removed)


def look(
    store: Store, known: Facts | None = None, told: OnStep | None = None, now: float | None = None
) -> Facts:
    """Gather the facts. What `known` has of what never changes is not read again.

    Records come last: what one names was there before it was.
    """
    at = time.time() if now is None else now
    if told is not None:
        told("Listing", 0, 0)
    found = marks.MarkReader(store.backend).read()
    there = inventory(store, known.inventory if known else None)

    def counted(count: int) -> None:
        if told is not None:
            told("Reading records", count, 0)

    return Facts(survey(store, known.survey if known else None, counted), there, found, at)


def plan(store: Store, facts: Facts, roots: Roots, grace: float) -> Plan:
    """What is to be done. Refused where records can't be read: nobody knows what they need.

    grace: seconds.
    """
    broken = list(facts.survey.unreadable.values())
    if broken:  # a broken index is none of these: its pack stays, and other copies do
        more = f" And {len(broken) - 1} more." if len(broken) > 1 else ""
        raise StoreError(
            f"Nothing was removed, since not all of {store.url} can be read: {broken[0]}{more}",
            "Run mcgitops verify --repair first.",
        )
    return decide(
        facts.survey.records,
        (*facts.inventory.places, *facts.inventory.unfinished),
        facts.inventory.pages,
        roots,
        facts.marks.since(),
        now=facts.now,
        grace=grace,
        is_folder=store.is_local,
    )


def trimmable(store: Store, grace: float) -> int:
    """How many entries of the journal `collect` would trim. A folder has no journal of its own.

    grace: seconds.
    """
    return 0 if store.is_local else Journal(store.backend).trimmable(min(TRIM_SECONDS, grace))


def collect(
    store: Store,
    shown: Plan,
    facts: Facts,
    roots: Roots,
    grace: float,
    told: OnStep | None = None,
) -> Swept:
    """Do it: finish what a killed collection left, mark, write sparse packs anew, and remove.

    Looks again first; of what is found then, only what was `shown` before is removed. The journal
    is trimmed last.
    """
    with _alone(store):
        finish(store, facts, roots, grace)
        facts = look(store, facts, now=facts.now)
        found = plan(store, facts, roots, grace)
        began = time.time()
        if found.cancel:
            marks.write(store.backend, began, cancelled=facts.marks.of(found.cancel))
        rewritten = _rewrite(store, found.rewrite, facts.inventory)
        agreed = {item.key for item in shown.remove}
        remove = [item for item in found.remove if item.key in agreed]
        mark = list(found.mark)
        if not store.is_local:
            mark += [Item(place.key, place.size, "packs") for place in rewritten]
            # without any grace nothing was marked yet
            known = facts.marks.since()
            new = [item.key for item in (*mark, *remove) if item.key not in known]
            marks.write(store.backend, began, new)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
        if remove and not store.is_local:
            # before: whoever is killed leaves nothing that the journal says is there, and isn't
            store.objects.catalogue.say(gone=[item.key for item in remove])
        _move_out(store, remove, name, told)
        back = finish(store, facts, roots, grace, own=name) if remove else ()
        gone = [item for item in remove if item.key not in back]
        if back and not store.is_local:
            for key in back:
                name = key.rpartition("/")[2]
                if key.startswith("packs/") and (index := read_index(store.backend, name)):
                    store.objects.catalogue.arrived(name, index)
            store.objects.catalogue.say(records=[key for key in back if is_record_key(key)])
        _clean_marks(store, facts, {item.key for item in gone})
        trimmed = 0 if store.is_local else Journal(store.backend).trim(min(TRIM_SECONDS, grace))
    return Swept(tuple(gone), tuple(mark), back, tuple(place.key for place in rewritten), trimmed)


def finish(
    store: Store, facts: Facts, roots: Roots, grace: float, own: str = ""
) -> tuple[str, ...]:
    """Move back from the trash what is needed, then empty it. Gives the keys that are back.

    own: this collection's part of the trash. What is needed of others' is put back as well, but in
    a bucket theirs is emptied only once it is old: they may be at work.
    """
    trashed = {
        entry.key: entry for entry in store.backend.entries(TRASH) if layout.is_key(entry.key)
    }
    if not trashed:
        return ()
    # Read only now that everything was moved: who relies on it has said so, or finds it gone.
    again = look(store, facts, now=facts.now)
    if again.survey.unreadable:
        return ()  # nobody knows what is needed: whoever runs next sees to it
    copies: dict[str, list[str]] = defaultdict(list)  # several collections may have the same key
    for key in sorted(trashed, key=lambda key: _owner(key) != own):
        copies[_original(key)].append(key)
    names = {key: of_key[0] for key, of_key in copies.items()}
    forced = _relied_on(store, trashed, again.marks, facts.now - grace, is_patient=grace > 0)
    records = _trashed_records(store, trashed, names)
    there = {record.key for record in again.survey.records}
    kept, needed = keep(
        [*again.survey.records, *(one for one in records if one.key not in there)],
        replace(roots, keys=roots.keys | forced),
        newer=facts.now - grace,
    )
    there |= {place.key for place in again.inventory.places}
    there |= {page.key for page in again.inventory.pages}
    out = [place for place in _trashed_places(store, trashed, names) if place.key not in there]
    later = {place.key for place in out} | {*again.marks.since()}
    homes = homes_of((*again.inventory.places, *out), needed, later)
    could = {place.key for place in out} | {key for key in names if not key.endswith(".index")}
    back = [key for key in could - there if key in kept or key in homes or key in forced]
    for key in sorted(back, key=lambda key: (-ORDER.index(_kind(key)), key)):
        for end in (key, f"{key}.index"):  # the index last: then the pack is there
            # Our own copy first. Those of others stay: they may be about to remove what comes
            # back, and then they need theirs.
            any(
                store.backend.move(place, end, keep=not store.is_local and _owner(place) != own)
                for place in copies.get(end, ())
            )
    old = f"{datetime.fromtimestamp(time.time() - FOREIGN_SECONDS, UTC):%Y%m%dT%H%M%SZ}"
    dead = [key for key in trashed if store.is_local or _owner(key) == own or _owner(key) < old]
    each(store.backend.delete, dead, 1 if store.is_local else THREADS)
    return tuple(back)


def _relied_on(
    store: Store, trashed: dict[str, Entry], known: marks.Marks, until: float, *, is_patient: bool
) -> frozenset[str]:
    """Keys of what somebody said he relies on, since it was found unneeded.

    In a folder they are young, in a bucket their mark was cancelled: one that was made since gives
    them another grace period. Without any grace all marks count.
    """
    if store.is_local:
        young = (key for key, one in trashed.items() if one.modified and one.modified > until)
        return frozenset(_original(key).removesuffix(".index") for key in young)
    ripe = {key for key, at in known.since().items() if at <= until or not is_patient}
    return frozenset(_original(key).removesuffix(".index") for key in trashed) - ripe


def _trashed_records(store: Store, trashed: dict[str, Entry], names: dict[str, str]) -> list[Noted]:
    found = []
    for key, name in names.items():
        if is_record_key(key) and (value := store.value_of(trashed[name], fresh=True)) is not None:
            with suppress(StoreError):
                found.append(noted(store.decoded(key, value), Entry(key, len(value), "")))
    return found


def _trashed_places(store: Store, trashed: dict[str, Entry], names: dict[str, str]) -> list[Place]:
    """Places of objects in the trash. Of a pack the index may be there alone: it is moved first."""
    found = []
    for key, name in names.items():
        entry = trashed[name]
        if (digest := layout.digest_of(key)) is not None:
            found.append(Place(key, entry.size, ((digest, entry.size),)))
        elif layout.pack_of(key) is not None:
            value = store.value_of(entry, fresh=True)
            with suppress(StoreError):
                index = packs.PackIndex.decoded(value or b"", name)
                found.append(pack_place(key.removesuffix(".index"), index, (entry, entry)))
    return found


def _move_out(store: Store, items: Sequence[Item], name: str, told: OnStep | None) -> None:
    """Move things to the trash: first what names others, then what they name."""
    done = 0
    for kind in ORDER:
        of_kind = [item for item in items if item.kind == kind]
        for start in range(0, len(of_kind), BATCH):
            batch = of_kind[start : start + BATCH]
            keys = [f"{item.key}.index" for item in batch if item.kind == "packs"]
            each(lambda key: _out(store, key, name), keys, 1 if store.is_local else THREADS)
            keys = [item.key for item in batch]
            each(lambda key: _out(store, key, name), keys, 1 if store.is_local else THREADS)
            done += len(batch)
            if told is not None:
                told("Removing", done, len(items))


def _out(store: Store, key: str, name: str) -> None:
    store.backend.move(key, f"{TRASH}{name}/{key}")


def _rewrite(
    store: Store, sparse: Iterable[tuple[Place, tuple[str, ...]]], there: Inventory
) -> list[Place]:
    """Write what is needed of these packs elsewhere. Gives those of which all was written."""
    done: list[Place] = []
    pending: list[Place] = []
    writer, size = packs.PackWriter(), 0

    def flush() -> None:
        nonlocal writer, size
        if size:
            put_pack(store, writer.finish())
        done.extend(pending)
        pending.clear()
        writer, size = packs.PackWriter(), 0

    for place, digests in sparse:
        wanted = set(digests)
        for member in there.indexes[place.key]:
            if member.digest not in wanted:
                continue
            stored = store.backend.read_range(place.key, member.offset, member.stored) or b""
            value = packs.content_of(member, stored, f"{place.key} in {store.url}")
            if store.is_local:
                store.put_bytes(value)  # a key of its own, since in a folder files can be linked
                continue
            writer.add_stored(member, stored)
            size += member.stored
        pending.append(place)
        if size >= PACK_BYTES:
            flush()
    flush()
    return done


def put_pack(store: Store, pack: packs.Pack) -> None:
    """Write a pack, then its index, then say so in the journal."""
    key, index = layout.pack_key(pack.name), pack.index.encoded()
    store.backend.put_stream(key, io.BytesIO(pack.value), len(pack.value))
    store.backend.put_stream(f"{key}.index", io.BytesIO(index), len(index))
    store.objects.catalogue.arrived(pack.name, pack.index)
    store.objects.catalogue.say()


def _clean_marks(store: Store, facts: Facts, gone: set[str]) -> None:
    """Remove marks of which nothing is left, and what cancels them."""
    there = {record.key for record in facts.survey.records}
    there |= {place.key for place in (*facts.inventory.places, *facts.inventory.unfinished)}
    there |= {page.key for page in facts.inventory.pages}
    there -= gone
    empty = {
        one.key
        for one in facts.marks.all
        if one.marked and there.isdisjoint(one.marked) and not one.cancelled
    }
    left = {one.key for one in facts.marks.all if one.marked} - empty
    empty |= {
        one.key for one in facts.marks.all if not one.marked and left.isdisjoint(one.cancelled)
    }
    for key in sorted(empty):
        store.backend.delete(key)


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """One collection at a time in a folder; the lock goes with its process."""
    if store.path is None or not store.path.is_dir():
        yield
        return
    (store.path / "tmp").mkdir(exist_ok=True)
    with (store.path / "tmp" / "lock-gc").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.utime(lock.fileno())  # young files in this folder are left alone
        yield


def _original(key: str) -> str:
    return key.split("/", 2)[2] if key.count("/") >= 2 else key


def _owner(key: str) -> str:
    return key.split("/")[1]


def _kind(key: str) -> str:
    kind = key.split("/")[0]
    return kind if kind in ORDER else ORDER[0]
