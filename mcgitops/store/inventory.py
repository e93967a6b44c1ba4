"""What a store holds, listed: places of objects, pages, and what nobody of us wrote there.

Only `verify` and `gc` list a store; everybody else asks for what he wants.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store import layout, packs
from mcgitops.store.backend import Entry
from mcgitops.store.listing import listed
from mcgitops.store.reach import Item, Place
from mcgitops.store.store import Store
from mcgitops.store.survey import is_record_key
from mcgitops.store.threads import THREADS, each

OURS = ("objects", "packs", "journal", "marks", "trash", "damaged", "reports", "tmp")
"""First segments of keys that hold something of ours beside records."""


@dataclass(frozen=True)
class Inventory:
    """The keys of a store, sorted out.

    `unfinished`: packs without an index, which an upload left or is writing. `indexes`: pack's key
    → its index, of those that could be read. `broken`: key → sentence, of indexes that say nothing
    or whose pack is gone. `strange`: keys below our folders that we never write.
    """

    places: tuple[Place, ...]
    pages: tuple[Item, ...]
    unfinished: tuple[Place, ...]
    indexes: dict[str, packs.PackIndex]
    broken: dict[str, str]
    strange: tuple[str, ...]


def inventory(store: Store, known: Inventory | None = None) -> Inventory:
    """List a store. The indexes of packs are read, unless `known` has them; objects are not."""
    strange: list[str] = []
    loose: list[Place] = []
    for entry in listed(store.backend, "objects/", lambda key: layout.digest_of(key) is not None):
        digest = layout.digest_of(entry.key)
        if digest is None:
            strange.append(entry.key)
        else:
            members = ((digest, entry.size),)
            loose.append(Place(entry.key, entry.size, members, entry.modified))
    whole: dict[str, Entry] = {}
    beside: dict[str, Entry] = {}
    for entry in listed(store.backend, "packs/", _is_of_pack):
        if layout.pack_of(entry.key) is not None:
            beside[entry.key.removesuffix(".index")] = entry
        elif layout.pack_of(f"{entry.key}.index") is not None:
            whole[entry.key] = entry
        else:
            strange.append(entry.key)
    for key in sorted(beside.keys() - whole.keys()):
        size = store.backend.size(key)  # it may have been written while the list was made
        if size is not None:
            whole[key] = Entry(key, size, "")
    lone = beside.keys() - whole.keys()
    still = lone - {
        key.removesuffix(".index") for key in store.backend.missing(f"{key}.index" for key in lone)
    }
    broken = {
        f"{key}.index": f"{key}.index in {store.url} says what is in a pack that is gone."
        for key in still
    }
    both = sorted(beside.keys() & whole.keys())
    before = known.indexes if known is not None else {}
    indexes = {key: before[key] for key in both if key in before}
    new = [key for key in both if key not in before]
    threads = 1 if store.is_local else THREADS
    for key, found in zip(new, each(lambda key: _index(store, key), new, threads), strict=True):
        if isinstance(found, str):
            broken[f"{key}.index"] = found
        elif found is None:
            del beside[key]  # another collection took it since the list was made
        else:
            indexes[key] = found
    packed = tuple(
        pack_place(key, index, (whole[key], beside[key])) for key, index in indexes.items()
    )
    unfinished = tuple(
        Place(entry.key, entry.size, (), entry.modified, is_pack=True)
        for key, entry in sorted(whole.items())
        if key not in beside
    )
    strange += _strange_records(store)
    pages = [
        Item(entry.key, entry.size, "reports", entry.modified)
        for entry in store.backend.entries("reports/")
        if layout.is_key(entry.key) and entry.key.endswith(".html")
    ]
    return Inventory(
        (*loose, *packed), tuple(pages), unfinished, indexes, broken, tuple(sorted(strange))
    )


def pack_place(key: str, index: packs.PackIndex, entries: tuple[Entry, Entry]) -> Place:
    """A pack's place; entries: of the pack and of its index."""
    return Place(
        key,
        sum(entry.size for entry in entries),
        tuple((member.digest, member.stored) for member in index),
        _latest(*(entry.modified for entry in entries)),
        is_pack=True,
    )


def _is_of_pack(key: str) -> bool:
    return layout.pack_of(key) is not None or layout.pack_of(f"{key}.index") is not None


def _index(store: Store, key: str) -> packs.PackIndex | str | None:
    place = f"{key}.index in {store.url}"
    value = store.backend.get(f"{key}.index", packs.LARGEST_INDEX)
    if value is None:
        return None
    try:
        return packs.PackIndex.decoded(value, place)
    except StoreError as error:
        return error.message


def _strange_records(store: Store) -> Iterator[str]:
    from mcgitops.store.survey import KINDS

    for kind in KINDS:
        for entry in listed(store.backend, f"{kind}/", is_record_key):
            if not is_record_key(entry.key):
                yield entry.key


def _latest(*moments: float | None) -> float | None:
    known = [moment for moment in moments if moment is not None]
    return max(known) if known else None
