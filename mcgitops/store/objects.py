"""Content-addressed objects over a backend: hashed on the way in, verified on the way out.

This is the only place that knows how a digest becomes a place in the backend: a key of its own, or
a place in a pack. Objects are read from wherever a good copy is.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store import layout, marks
from mcgitops.store.backend import Backend, Broken, Damaged
from mcgitops.store.catalogue import Catalogue, listed, read_index
from mcgitops.store.clone import LEAST, clone
from mcgitops.store.nameless import nameless, temporary, write_new
from mcgitops.store.packs import LARGEST_MEMBER, Member, PackWriter, content_of
from mcgitops.store.streams import CHUNK, HashingReader, VerifyingReader
from mcgitops.store.threads import THREADS, each

SMALL = 1024 * 1024
"""Objects up to this size travel in packs."""
WHOLE = 4 * SMALL
"""Objects up to this size come out of a bucket in one piece: up to 16 of them are in memory."""
MOST_ASKED = 64
"""Small objects of which a bucket is asked one by one: more are cheaper sent than asked for."""


@dataclass(frozen=True)
class Holding:
    """Where one copy of an object lies: `length` bytes of a key from `offset` on.

    `member` is its entry in a pack's index; None where the key is the object itself.
    """

    digest: str
    key: str
    offset: int
    length: int
    member: Member | None = None


class Objects:
    """Files by digest. `cache` is a folder for copies of a bucket's pack indexes."""

    def __init__(self, backend: Backend, cache: Path | None = None) -> None:
        self._backend = backend
        self._may_clone = True  # until the file system has shown that it can't
        self.catalogue = Catalogue(backend, cache)
        self._marks = marks.MarkReader(backend)

    @property
    def backend(self) -> Backend:
        """Where they are."""
        return self._backend

    def holdings(self) -> Iterator[Holding]:
        """Every copy of every object, by listing the store: for looking after it, not for using it.

        A pack counts once its index is there; one whose index can't be read isn't told here.
        """
        for entry in self._backend.entries("objects/sha256/"):
            digest = layout.digest_of(entry.key)
            if digest is not None:
                yield Holding(digest, entry.key, 0, entry.size)
        for name, _ in listed(self._backend):
            key = layout.pack_key(name)
            for member in read_index(self._backend, name) or ():
                yield Holding(member.digest, key, member.offset, member.stored, member)

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file's content; gives its digest and size."""
        with _readable(path) as stream:
            if self._backend.scratch is not None:
                return self.put_stream(stream)
            digest, size = hashed(stream)
            if self._lacks(digest):
                stream.seek(0)
                changed = StoreError(
                    f"{path} changed while it was being stored.",
                    "Run the same again when nothing writes to it.",
                )
                try:
                    self._put(digest, VerifyingReader(stream, digest, changed), size)
                except Broken:
                    stream.seek(0)
                    self._put(digest, VerifyingReader(stream, digest, changed), size)
            return digest, size

    def put_stream(self, stream: BinaryIO) -> tuple[str, int]:
        """Store what a stream gives, to its end."""
        reader = HashingReader(stream)
        with temporary(self._backend.scratch or _scratch()) as (path, copy):
            if _cloned_from_its_start(stream, copy):
                reader = HashingReader(copy)  # what nobody changes any more
                while reader.read(CHUNK):
                    pass
            while chunk := reader.read(CHUNK):
                copy.write(chunk)
            copy.flush()
            if self._lacks(reader.digest):
                self._backend.adopt(layout.object_key(reader.digest), path)
        return reader.digest, reader.size

    def put_bytes(self, value: bytes) -> tuple[str, int]:
        """Store bytes."""
        digest = f"sha256:{hashlib.sha256(value).hexdigest()}"
        if self._lacks(digest):
            self._put(digest, io.BytesIO(value), len(value))
        return digest, len(value)

    def copy_from(
        self, source: Objects, digest: str, size: int, told: Callable[[int], None] | None = None
    ) -> None:
        """Take one object of another store, verified on the way: nothing arrives otherwise.

        `told` is called with the number of bytes of each piece.
        """
        try:
            self._copy_from(source, digest, size, told)
        except Broken:  # harmed on its way, perhaps: the whole of it once more
            self._copy_from(source, digest, size, told)

    def _copy_from(
        self, source: Objects, digest: str, size: int, told: Callable[[int], None] | None
    ) -> None:
        if source.backend.path is None and size <= WHOLE:  # by one plain request
            value = source.read_bytes(digest, size)
            if told is not None:
                told(len(value))
            self._put(digest, io.BytesIO(value), size)
            return
        with source.open(digest, told) as stream:
            self._put(digest, stream, size)

    def read_bytes(self, digest: str, limit: int | None = None) -> bytes:
        """A whole small object, verified."""
        if (packed := self._unpacked(digest, limit)) is not None:
            return packed
        value = self._backend.get(layout.object_key(digest), limit)
        if value is None:
            if (packed := self._unpacked(digest, limit, look=True)) is not None:
                return packed
            raise self._absent(digest)
        if f"sha256:{hashlib.sha256(value).hexdigest()}" != digest:
            raise self.damaged(digest)
        return value

    def fill(
        self,
        pack: PackWriter,
        sizes: Mapping[str, int],
        limit: int,
        told: Callable[[int], None] = lambda count: None,
    ) -> None:
        """Put whole small objects (size by digest) into a pack, each verified, in their order.

        Out of a folder they come by the shortest way: there may be a hundred thousand. `told` is
        called with the size of each.
        """
        with _folder_of(self._backend) as folder:
            for digest, size in sizes.items():
                if size > limit or not _read_whole(folder, digest, size, pack.room(size + 1)):
                    # in a pack; or it says what is wrong
                    pack.add(digest, self.read_bytes(digest, limit))
                else:
                    pack.keep(digest, size)
                told(size)

    @contextmanager
    def open(self, digest: str, told: Callable[[int], None] | None = None) -> Iterator[BinaryIO]:
        """An object as a stream; reading to the end raises where it is damaged."""
        packed = self._unpacked(digest)
        opened = None if packed is not None else self._backend.open(layout.object_key(digest))
        if opened is None:
            packed = packed if packed is not None else self._unpacked(digest, look=True)
            if packed is None:
                raise self._absent(digest)
            opened = io.BytesIO(packed)
        with opened as stream:
            yield cast("BinaryIO", VerifyingReader(stream, digest, self.damaged(digest), told))

    def fetch(self, digest: str, target: Path, *, executable: bool = False) -> None:
        """Write an object to a file, verified and atomic: the whole content or no change."""
        try:
            self._fetch(digest, target, executable)
        except Broken:
            self._fetch(digest, target, executable)

    def _fetch(self, digest: str, target: Path, executable: bool) -> None:
        value = self._small(digest)
        if value is not None and write_new(value, target, 0o777 if executable else 0o666):
            return
        with self.open(digest) as stream:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with nameless(target, 0o777 if executable else 0o666) as copy:
                    if self._cloned(digest, copy):
                        cloned = VerifyingReader(copy, digest, self.damaged(digest))
                        while cloned.read(CHUNK):
                            pass
                        return
                    while chunk := stream.read(CHUNK):
                        copy.write(chunk)
            except OSError as error:
                reason = error.strerror or str(error)
                raise StoreError(f"Could not write {target}: {reason}.") from error

    def _small(self, digest: str) -> bytes | None:
        """A small object that has a file of its own, verified; anything else is None.

        With few calls, for there may be tens of thousands: whoever reads it as a stream says what
        is wrong.
        """
        if self._backend.path is None:
            return None
        try:
            descriptor = os.open(
                f"{self._backend.path}/{layout.object_key(digest)}", os.O_RDONLY | os.O_CLOEXEC
            )
        except OSError:
            return None
        try:
            value = os.read(descriptor, LEAST + 1)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return value if hashlib.sha256(value).hexdigest() == layout.hex_of(digest) else None

    def _cloned(self, digest: str, copy: BinaryIO) -> bool:
        """Whether a file shares its blocks now with the object, which has a file of its own."""
        if self._backend.path is None or not self._may_clone:
            return False
        try:
            with (self._backend.path / layout.object_key(digest)).open("rb") as source:
                if os.fstat(source.fileno()).st_size < LEAST:
                    return False
                self._may_clone = clone(source.fileno(), copy.fileno())
                return self._may_clone
        except FileNotFoundError:
            return False

    def damaged(self, digest: str) -> StoreError:
        """What to raise where an object has other bytes."""
        key = layout.object_key(digest)
        # In a folder it is what it is; on the way from a bucket it may have been harmed.
        kind = Damaged if self._backend.path is not None else Broken
        return kind(
            f"Object {digest} is damaged: {key} in {self._backend.url} holds other bytes.",
            "Run mcgitops verify --repair: it takes a good copy from wherever there is one.",
        )

    def size(self, digest: str) -> int:
        """How many bytes an object has; an error where there is none."""
        key = layout.object_key(digest)
        if (found := self.catalogue.find(digest)) is not None:
            return found[1].size
        size = self._backend.size(key)
        if size is None:
            for look in (self.catalogue.refresh, self.catalogue.list_once):
                look()
                if (found := self.catalogue.find(digest)) is not None:
                    return found[1].size
            raise self._absent(digest)
        return size

    def missing(self, digests: Iterable[str]) -> set[str]:
        """Those that the store lacks."""
        lacking = set(digests)
        if self._backend.path is None and len(lacking) > MOST_ASKED:
            self.catalogue.refresh()
            lacking -= self._packed(lacking)
        lacking = self._not_alone({digest: layout.object_key(digest) for digest in lacking})
        for look in (self.catalogue.refresh, self.catalogue.list_once):
            if lacking:
                look()
                lacking -= self._packed(lacking)
        return lacking

    def to_send(self, sizes: Mapping[str, int]) -> set[str]:
        """Which of these objects (size by digest) are to be sent for the store to have them all.

        Without listing anything, and with few requests: where many small ones aren't in any pack
        that is known, they are sent, even if some should be there on their own.
        """
        if self._backend.path is not None or not sizes:
            return self.missing(sizes)
        self.catalogue.refresh()
        unknown = sizes.keys() - self._packed(sizes)
        small = {digest for digest in unknown if sizes[digest] <= SMALL}
        asked = unknown if len(small) <= MOST_ASKED else unknown - small
        alone = asked - self._not_alone({digest: layout.object_key(digest) for digest in asked})
        return unknown - alone

    def exposed(self, sizes: Mapping[str, int], limit: int) -> dict[str, str]:
        """Keys at which a browser finds these objects (size by digest) as they are, by digest.

        In a pack there is nothing that an address could name: what lies only there is also put at
        a key of its own, where it has at most `limit` bytes. What is larger, or isn't in the store
        at all, is left out.
        """
        keys = {digest: layout.object_key(digest) for digest in sizes}
        packed = self._not_alone(keys)
        there = packed - self.missing(packed)
        small = sorted(digest for digest in there if sizes[digest] <= limit)

        def lay_out(digest: str) -> None:
            value = self.read_bytes(digest, limit)
            self._put(digest, io.BytesIO(value), len(value))

        each(lay_out, small, THREADS)
        hidden = packed.difference(small)
        return {digest: key for digest, key in keys.items() if digest not in hidden}

    def claim(self, digests: Iterable[str], keys: Iterable[str] = ()) -> frozenset[str]:
        """Say that these objects, and the records at these keys, are about to be relied on.

        Garbage collection leaves what it is told of before it removes it; so whoever relies on
        what is there says so first, then looks whether it is there, and writes what isn't. In a
        folder everything claimed becomes young. In a bucket marks are cancelled; gives the keys
        that had one. Costs one listing of the marks, which are few.
        """
        wanted = list(dict.fromkeys(digests))
        self.catalogue.doubt()
        if self._backend.path is not None:
            there = set(self._backend.folders("objects/sha256"))  # few, in a new store
            alone = (layout.object_key(one) for one in wanted if layout.hex_of(one)[:2] in there)
            self.catalogue.refresh()
            packed = list(map(layout.pack_key, self.catalogue.find_all(wanted)))
            for key in (*alone, *keys, *packed, *(f"{pack}.index" for pack in packed)):
                self._backend.freshen(key)
            return frozenset()
        known = self._marks.read()
        since = known.since()
        if not since:
            return frozenset()
        self.catalogue.refresh()
        ours = {*map(layout.object_key, wanted), *keys} & since.keys()
        for name, index in self.catalogue.packs().items():
            key = layout.pack_key(name)
            if key in since and any(index.find(digest) is not None for digest in wanted):
                ours.add(key)
        if ours:
            marks.write(self._backend, time.time(), cancelled=known.of(ours))
        return frozenset(ours)

    def _lacks(self, digest: str) -> bool:
        """Whether an object is to be written, for the store to have it from now on."""
        if self._backend.path is not None:
            # making it young is looking whether it is there; what isn't ours is written anew
            return not self._backend.freshen(layout.object_key(digest))
        self.claim([digest])
        return bool(self.missing([digest]))

    def _packed(self, digests: Iterable[str]) -> set[str]:
        """Those that are in packs which are known, and which are really there."""
        found: set[str] = set()
        wanted = set(digests)
        while wanted:
            places = self.catalogue.find_all(wanted)
            standing = each(self.catalogue.stands, list(places), THREADS)
            for members, stands in zip(places.values(), standing, strict=True):
                if stands:
                    found |= {member.digest for member in members}
            if all(standing):
                break  # else the catalogue has forgotten some: others may have the same objects
            wanted -= found
        return found

    def _not_alone(self, keys: Mapping[str, str]) -> set[str]:
        """Those of these objects (key by digest) that have no key of their own in the store."""
        absent = self._backend.missing(keys.values())
        return {digest for digest, key in keys.items() if key in absent}

    def _unpacked(
        self, digest: str, limit: int | None = None, *, look: bool = False
    ) -> bytes | None:
        """An object out of a pack, verified; None where no pack is known to have it.

        look: what came into the store since is looked for, and before the object is called
        missing the packs are listed. Raises where all copies are damaged.
        """
        tried: set[str] = set()
        damage: StoreError | None = None
        steps: list[Callable[[], object]] = [lambda: None]
        if look:
            steps = [self.catalogue.refresh, self.catalogue.list_once]
        for step in steps:
            step()
            while (found := self.catalogue.find(digest, tried)) is not None:
                name, member = found
                tried.add(name)
                if limit is not None and member.size > limit:
                    raise StoreError(
                        f"{digest} in {self._backend.url} is larger than {limit} bytes."
                    )
                try:
                    value = self._member(name, member)
                except StoreError as error:
                    damage = error
                    continue
                if value is not None:
                    return value
                self.catalogue.forget(name)
        if damage is not None and look:
            raise damage
        return None

    def _member(self, name: str, member: Member) -> bytes | None:
        key = layout.pack_key(name)
        length = min(member.stored, LARGEST_MEMBER)
        stored = self._backend.read_range(key, member.offset, length)
        if stored is None:
            return None
        return content_of(member, stored, f"{key} in {self._backend.url}")

    def _put(self, digest: str, stream: BinaryIO | HashingReader, size: int) -> None:
        self._backend.put_stream(layout.object_key(digest), cast("BinaryIO", stream), size)

    def _absent(self, digest: str) -> StoreError:
        return StoreError(
            f"The store {self._backend.url} has no object {digest}.",
            "Run mcgitops verify --repair where a copy is, push it again, or train again.",
        )


def _cloned_from_its_start(source: BinaryIO, copy: BinaryIO) -> bool:
    """Whether a new file shares its blocks now with a file of which nothing was read yet."""
    # a member of an archive is read through the same class, over something that is no file
    if not (isinstance(source, io.BufferedReader) and isinstance(source.raw, io.FileIO)):
        return False
    state = os.fstat(source.fileno())
    return (
        stat.S_ISREG(state.st_mode)
        and state.st_size >= LEAST
        and source.tell() == 0
        and clone(source.fileno(), copy.fileno())
    )


def _scratch() -> Path:
    """Where files of a moment go, outside of any store."""
    from tempfile import gettempdir  # takes long, and most calls need none

    return Path(gettempdir())


def hashed(stream: BinaryIO) -> tuple[str, int]:
    """Digest and size of what is left of a stream."""
    reader = HashingReader(stream)
    while reader.read(CHUNK):
        pass
    return reader.digest, reader.size


@contextmanager
def _folder_of(backend: Backend) -> Iterator[int]:
    """A descriptor of the folder in which objects have files of their own; -1 for a bucket's."""
    descriptor = -1
    if backend.path is not None:
        with suppress(OSError):
            descriptor = os.open(
                backend.path / "objects" / "sha256", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
            )
    try:
        yield descriptor
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def _read_whole(folder: int, digest: str, size: int, room: memoryview) -> bool:
    """Whether a file in the folder of objects has `size` bytes, and those of its digest.

    They are in the room then, which is for one more: so it shows that there is none.
    """
    name = layout.hex_of(digest)
    try:
        descriptor = os.open(f"{name[:2]}/{name}", os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return False
    try:
        count = os.readv(descriptor, (room,))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return count == size and hashlib.sha256(room[:size]).hexdigest() == name


@contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise StoreError(f"Could not read {path}: {error.strerror or error}.") from error
    with stream:
        yield stream
