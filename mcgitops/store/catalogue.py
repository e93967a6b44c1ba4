"""What is packed in a store, and where: from the journal and the packs' indexes.

An index never changes, so a copy of it is good for ever; copies and the place up to which the
journal was read are kept in a cache folder, sealed, and losing them costs only time. That a pack is
known here doesn't say that it is still there: who relies on it asks (`stands`), one request for a
whole pack.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store import layout
from mcgitops.store.backend import Backend
from mcgitops.store.journal import START, Journal, News, Position
from mcgitops.store.packs import LARGEST_INDEX, Member, PackIndex, index_of
from mcgitops.store.threads import THREADS, each

FORMAT = 1
SECONDS = 1
"""Between two notes of what has arrived: there may be a hundred packs in a second."""


class Catalogue:
    """The packs of one store. May be used from several threads."""

    def __init__(self, backend: Backend, cache: Path | None = None) -> None:
        self._backend = backend
        self._journal = Journal(backend)
        self._kept = _Kept(cache, backend.url) if cache is not None else None
        self._lock = threading.RLock()
        self._packs: dict[str, PackIndex] = {}  # in the order in which they came
        self._unsaid: dict[str, None] = {}  # packs that the journal may not name yet
        self._announced: dict[str, None] = {}  # records that it may not name yet
        self._standing: set[str] = set()
        self._left: tuple[str, ...] = ()  # of those announced, by earlier processes
        self._saved = time.monotonic()
        self._is_noted = True
        self._position = START
        self._begun = False
        self._listed = False

    def find(self, digest: str, besides: Collection[str] = ()) -> tuple[str, Member] | None:
        """The pack in which an object is, as far as known, and where; asks nothing."""
        with self._lock:
            self._begin()
            packs = list(self._packs.items())
        for name, index in reversed(packs):  # the newest are asked for most
            if name not in besides and (member := index.find(digest)) is not None:
                return name, member
        return None

    def find_all(self, digests: Iterable[str]) -> dict[str, list[Member]]:
        """Those of many objects that are in packs, as far as known: by pack, each object once."""
        wanted = {bytes.fromhex(digest.removeprefix("sha256:")) for digest in digests}
        with self._lock:
            self._begin()
            packs = list(self._packs.items())
        found: dict[str, list[Member]] = {}
        for name, index in reversed(packs):
            if not wanted:
                break
            if members := index.find_all(wanted):
                found[name] = members
                wanted -= {bytes.fromhex(member.digest[7:]) for member in members}
        return found

    def packs(self) -> dict[str, PackIndex]:
        """All that are known."""
        with self._lock:
            self._begin()
            return dict(self._packs)

    def refresh(self) -> None:
        """Learn what came into the store since: from the journal; in a folder by looking."""
        if self._backend.path is not None:
            self.list_all()
            return
        with self._lock:
            self._begin()
            self._take(self._journal.since(self._position))

    def list_all(self) -> None:
        """Learn of all packs by listing them: for what the journal doesn't name."""
        with self._lock:
            self._begin()
            there = {name: None for name, _ in listed(self._backend)}
            for name in [name for name in self._packs if name not in there]:
                self._forget(name)
            self._load(there)
            self._listed = True
            self._save()

    def list_once(self) -> bool:
        """List, unless that was done; whether it was."""
        with self._lock:
            if self._listed:
                return False
            self.list_all()
            return True

    def stands(self, name: str) -> bool:
        """Whether a pack that is known is in the store now, whole as far as its size tells."""
        if name in self._standing:
            return True
        index = self.packs().get(name)
        size = self._backend.size(layout.pack_key(name))
        # Its index as well: a collection that is at work may have taken that alone, so far.
        if index is None or size != index.pack_size or not self._has_index(name):
            self.forget(name)
            return False
        self._standing.add(name)
        return True

    def _has_index(self, name: str) -> bool:
        return self._backend.size(layout.index_key(name)) is not None

    def doubt(self) -> None:
        """What was found standing is to be asked for again: a collection may be at work."""
        with self._lock:
            self._standing.clear()

    def forget(self, name: str) -> None:
        """A pack isn't there any more."""
        with self._lock:
            self._forget(name)
            self._save()

    def arrived(self, name: str, index: PackIndex) -> None:
        """A pack was written by us. The journal is to be told, by `say`."""
        with self._lock:
            self._begin()
            self._packs[name] = index
            self._standing.add(name)
            self._unsaid[name] = None
            if self._kept is not None:
                self._kept.put(name, index)
            self._is_noted = False
            if time.monotonic() - self._saved > SECONDS:
                self._save()

    def note(self) -> None:
        """Note what has arrived, for a call that goes on with it. Who is killed before looks."""
        with self._lock:
            if not self._is_noted:
                self._save()

    def announce(self, records: Iterable[str]) -> None:
        """These keys are about to be written; whoever is killed before `say` says it next time."""
        with self._lock:
            self._begin()
            self._announced |= dict.fromkeys(records)
            self._save()

    def say(self, records: Iterable[str] = (), gone: Iterable[str] = ()) -> None:
        """Tell the journal what came in and what is gone, in one entry.

        Packs that arrived, these records, and those that an earlier process had announced.
        """
        keys, removed = tuple(dict.fromkeys(records)), tuple(gone)
        with self._lock:
            self._begin()
            keys = tuple(dict.fromkeys((*self._left, *keys)))
            packs = tuple(self._unsaid)
            if keys or removed or packs:
                told = self._journal.append(
                    packs=packs, records=keys, gone=removed, known=self._position
                )
                self._unsaid.clear()
                self._left = ()
                self._announced.clear()
                self._take(told)

    # under the lock

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        if self._kept is not None:
            kept = self._kept.state()
            self._position = kept.position
            self._unsaid = dict.fromkeys(kept.unsaid)
            self._announced = dict.fromkeys(kept.announced)
            self._left = kept.announced
            self._load([*kept.packs, *kept.unsaid])

    def _take(self, news: News) -> None:
        if news.anew:
            self._packs.clear()
            self._standing.clear()
        came: dict[str, None] = {}
        for entry in news.entries:
            came |= dict.fromkeys(entry.packs)
            for name in map(_pack_at, entry.gone):
                if name is not None:
                    came.pop(name, None)
                    self._packs.pop(name, None)
                    self._standing.discard(name)
        for name in came:
            self._unsaid.pop(name, None)
        self._load(came)
        if news.position != self._position or came:
            self._position = news.position
            self._save()

    def _load(self, names: Iterable[str]) -> None:
        new = [name for name in dict.fromkeys(names) if name not in self._packs]
        loaded = each(self._index, new, THREADS if self._backend.path is None else 1)
        for name, index in zip(new, loaded, strict=True):
            if index is not None:
                self._packs[name] = index

    def _index(self, name: str) -> PackIndex | None:
        if self._kept is not None and (kept := self._kept.index(name)) is not None:
            return kept
        index = read_index(self._backend, name)
        if index is not None and self._kept is not None:
            self._kept.put(name, index)
        return index

    def _forget(self, name: str) -> None:
        self._packs.pop(name, None)
        self._unsaid.pop(name, None)
        self._standing.discard(name)

    def _save(self) -> None:
        self._saved, self._is_noted = time.monotonic(), True
        if self._kept is not None:
            self._kept.save(
                _State(
                    self._position,
                    tuple(self._packs),
                    tuple(self._unsaid),
                    tuple(self._announced),
                )
            )


def listed(backend: Backend) -> Iterator[tuple[str, int]]:
    """The packs that a store has an index of, by listing them: name and size of the index."""
    for entry in backend.entries("packs/"):
        name = layout.pack_of(entry.key)
        if name is not None:
            yield name, entry.size


def read_index(backend: Backend, name: str) -> PackIndex | None:
    """A pack's index: the copy beside it, else the pack's own end; None where neither is there."""
    key = layout.index_key(name)
    with suppress(StoreError):
        value = backend.get(key, LARGEST_INDEX)
        if value is None:
            return None  # an object is there once the index is there
        return PackIndex.decoded(value, f"{key} in {backend.url}")
    pack = layout.pack_key(name)
    size = backend.size(pack)
    if size is None:
        return None
    try:
        return index_of(lambda offset, length: backend.read_range(pack, offset, length), size, pack)
    except StoreError:
        return None  # `verify` names it; what is in it counts as not there


@dataclass(frozen=True)
class _State:
    """What a process leaves to the next one.

    packs: all that were known; unsaid, announced: packs and records to tell the journal of.
    """

    position: Position = START
    packs: tuple[str, ...] = ()
    unsaid: tuple[str, ...] = ()
    announced: tuple[str, ...] = ()


class _Kept:
    """What is kept in the cache folder. Whatever is wrong with it, it counts as not there."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._state = folder / f"known-{hashlib.sha256(url.encode()).hexdigest()[:16]}.json"
        self._ready = False

    def index(self, name: str) -> PackIndex | None:
        path = self._folder / f"{name}.index"
        with suppress(OSError, StoreError):
            return PackIndex.decoded(path.read_bytes(), str(path))
        return None

    def put(self, name: str, index: PackIndex) -> None:
        self._write(self._folder / f"{name}.index", index.encoded())

    def state(self) -> _State:
        """What was saved last."""
        with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            sealed = json.loads(self._state.read_bytes())
            if sealed["seal"] == _seal(sealed["content"]):
                loose = json.loads(sealed["content"])
                if loose["format"] == FORMAT:
                    return _State(
                        Position(loose["number"], loose["seal"]),
                        tuple(loose["packs"]),
                        tuple(loose["unsaid"]),
                        tuple(loose["announced"]),
                    )
        return _State()

    def save(self, state: _State) -> None:
        loose = {
            "format": FORMAT,
            "number": state.position.number,
            "seal": state.position.seal,
            "packs": state.packs,
            "unsaid": state.unsaid,
            "announced": state.announced,
        }
        content = json.dumps(loose)
        value = json.dumps({"seal": _seal(content), "content": content})
        self._write(self._state, value.encode())

    def _write(self, path: Path, value: bytes) -> None:
        temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(6)}")
        with suppress(OSError):
            if not self._ready:
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / ".gitignore").write_text("*\n")
                self._ready = True
            try:
                temporary.write_bytes(value)
                temporary.replace(path)
            except OSError:
                temporary.unlink(missing_ok=True)
                raise


def _seal(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def _pack_at(key: str) -> str | None:
    """The pack of which this key is the pack itself or its index."""
    return layout.pack_of(key) or layout.pack_of(f"{key}.index")
