"""Many small objects in one: the format of packs. Pure: bytes in, bytes out.

    pack  := "MCGPACK1" stored… index
    index := "MCGINDEX" entry… count:u32 body:u64 seal:32
    entry := digest:32 offset:u64 stored:u64 size:u64 coding:u8

Numbers are big-endian. The members' stored bytes follow one another, each raw (coding 0) or as one
Zstandard frame (coding 1); `body` is where the last of them ends. Entries are sorted by digest,
each digest once. The seal is the SHA-256 of the index before it.

A pack is named by the SHA-256 of all its bytes, so it can be verified whole and never changes. Its
index is written a second time beside it: who has that knows what is in the pack without reading it.
Where the copy is lost, the end of the pack gives it again. A member is verified by its own digest,
whatever an index says.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store import compression

RAW, ZSTD = 0, 1
PACK_HEAD = b"MCGPACK1"
LARGEST_MEMBER = 64 * 1024 * 1024
"""Bytes of one member, stored and expanded: members are held in memory."""
LARGEST_INDEX = 64 * 1024 * 1024
VAIN, SELDOM = 32, 32
"""So many members that don't get shorter make it seldom that another is tried: every so many."""
REPAIR = "Run mcgitops verify --repair, push it again from where it was made, or train again."
_INDEX_HEAD = b"MCGINDEX"
_FOOT = struct.Struct(">IQ32s")
_ENTRY = struct.Struct(">32sQQQB")
_SEAL = 32
_AROUND = len(_INDEX_HEAD) + _FOOT.size


@dataclass(frozen=True)
class Member:
    """Where an object lies in a pack: `stored` bytes from `offset` on, `size` when expanded."""

    digest: str
    offset: int
    stored: int
    size: int
    coding: int

    @property
    def end(self) -> int:
        """The byte after its last."""
        return self.offset + self.stored


class PackIndex:
    """What is in a pack. Keeps the entries as bytes: there may be hundreds of thousands."""

    def __init__(self, entries: bytes, body: int) -> None:
        self._entries = entries
        self.body = body
        """Where the last member ends."""

    def __len__(self) -> int:
        return len(self._entries) // _ENTRY.size

    def __iter__(self) -> Iterator[Member]:
        for fields in _ENTRY.iter_unpack(self._entries):
            yield _member(*fields)

    @property
    def pack_size(self) -> int:
        """How many bytes the whole pack has, its own index included."""
        return self.body + len(self._entries) + _AROUND

    def find(self, digest: str) -> Member | None:
        """The member with this digest."""
        wanted = bytes.fromhex(digest.removeprefix("sha256:"))
        place = bisect_left(range(len(self)), wanted, key=self._digest)
        if place == len(self) or self._digest(place) != wanted:
            return None
        return _member(*_ENTRY.unpack_from(self._entries, place * _ENTRY.size))

    def find_all(self, digests: Iterable[bytes]) -> list[Member]:
        """Those members whose digest (32 bytes) is among these."""
        own = {
            self._entries[place : place + 32]: place
            for place in range(0, len(self._entries), _ENTRY.size)
        }
        found = (own[digest] for digest in digests if digest in own)
        return [_member(*_ENTRY.unpack_from(self._entries, place)) for place in found]

    def encoded(self) -> bytes:
        """The bytes of the index, as they end the pack and lie beside it."""
        value = _INDEX_HEAD + self._entries + struct.pack(">IQ", len(self), self.body)
        return value + hashlib.sha256(value).digest()

    @staticmethod
    def of(members: Iterable[Member], body: int) -> PackIndex:
        """The index of these members; the first of a digest counts."""
        rows: dict[bytes, bytes] = {}
        for member in members:
            digest = bytes.fromhex(member.digest.removeprefix("sha256:"))
            row = _ENTRY.pack(digest, member.offset, member.stored, member.size, member.coding)
            rows.setdefault(digest, row)
        return PackIndex(b"".join(rows[digest] for digest in sorted(rows)), body)

    @staticmethod
    def decoded(value: bytes, place: str) -> PackIndex:
        """The index that these bytes are; `place` is for the message where they aren't one."""
        entries = value[len(_INDEX_HEAD) : -_FOOT.size]
        if len(value) < _AROUND:
            count, body, seal = 0, 0, b""
        else:
            count, body, seal = _FOOT.unpack_from(value, len(value) - _FOOT.size)
        sound = (
            value.startswith(_INDEX_HEAD)
            and len(entries) == count * _ENTRY.size
            and hashlib.sha256(value[:-_SEAL]).digest() == seal
            and _in_order(entries, body)
        )
        if not sound:
            raise StoreError(f"The index {place} is damaged.", REPAIR)
        return PackIndex(entries, body)

    def _digest(self, place: int) -> bytes:
        start = place * _ENTRY.size
        return self._entries[start : start + 32]


@dataclass(frozen=True)
class Pack:
    """A whole pack. `name` is the SHA-256 of `value`, 64 hex digits.

    The value is memory of the writer that made it, good until that begins the next one.
    """

    name: str
    value: memoryview
    index: PackIndex


class PackWriter:
    """Puts packs together in memory, one after the other, in the same memory."""

    def __init__(self, capacity: int = 0) -> None:
        """capacity: bytes that are expected, see `packed_size`. More takes other memory."""
        self._memory = _memory(max(capacity, len(PACK_HEAD)))
        self.begin()

    def begin(self) -> None:
        """Begin a new pack, over the one before."""
        self._memory[: len(PACK_HEAD)] = PACK_HEAD
        self._end = len(PACK_HEAD)
        self._members: list[Member] = []
        self._vain = 0  # members in a row that didn't get shorter

    def room(self, size: int) -> memoryview:
        """Where the next member's bytes can be put, so that they aren't copied. See `keep`."""
        end = self._end + size
        if end > len(self._memory):
            grown = _memory(max(end, 2 * len(self._memory)))
            grown[: self._end] = self._memory[: self._end]
            self._memory = grown
        return self._memory[self._end : end]

    def keep(self, digest: str, size: int) -> None:
        """The first bytes of the room are a member whose digest was compared already.

        Compressed where that pays. After many that didn't get shorter only some are tried, until
        one does.
        """
        shorter = None
        if self._vain < VAIN or self._vain % SELDOM == 0:
            shorter = compression.compressed(self._memory[self._end : self._end + size])
        if shorter is None:
            self._vain += 1
            self._append(digest, size, size, RAW)
        else:
            self._vain = 0
            self.room(len(shorter))[:] = shorter
            self._append(digest, len(shorter), size, ZSTD)

    def add(self, digest: str, data: bytes) -> None:
        """Another member: bytes whose digest was compared already."""
        self.room(len(data))[:] = data
        self.keep(digest, len(data))

    def add_stored(self, member: Member, stored: bytes) -> None:
        """A member of another pack as it is stored there."""
        self.room(len(stored))[:] = stored
        self._append(member.digest, len(stored), member.size, member.coding)

    def _append(self, digest: str, stored: int, size: int, coding: int) -> None:
        self._members.append(Member(digest, self._end, stored, size, coding))
        self._end += stored

    def finish(self) -> Pack:
        """The pack."""
        index = PackIndex.of(self._members, self._end)
        end = index.encoded()
        self.room(len(end))[:] = end
        value = self._memory[: self._end + len(end)]
        return Pack(hashlib.sha256(value).hexdigest(), value, index)


def _memory(size: int) -> memoryview:
    """Memory that isn't cleared before it is used, which takes as long as to fill it."""
    return memoryview(mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def packed_size(sizes: Iterable[int]) -> int:
    """Bytes that a writer needs for members of these sizes, none of which shrinks."""
    return sum(size + _ENTRY.size for size in sizes) + len(PACK_HEAD) + _AROUND + 1


def content_of(member: Member, stored: bytes, place: str) -> bytes:
    """What a member holds, verified. `place` (a key in a store) is for the message.

    Raises `StoreError` where the bytes are not those of its digest.
    """
    data = b""
    whole = len(stored) == member.stored and member.size <= LARGEST_MEMBER
    if whole and member.coding == RAW:
        data = stored
    elif whole and member.coding == ZSTD:
        try:
            data = compression.expanded(stored, member.size)
        except StoreError:
            whole = False
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if not whole or len(data) != member.size or digest != member.digest:
        raise StoreError(f"Object {member.digest} is damaged: {place} holds other bytes.", REPAIR)
    return data


def index_of(read: Callable[[int, int], bytes | None], size: int, place: str) -> PackIndex:
    """The index at the end of a pack of `size` bytes, of which `read(offset, length)` gives parts.

    For where the copy beside it is lost. Raises `StoreError` where there is none.
    """
    foot = read(size - _FOOT.size, _FOOT.size) if size >= _AROUND else None
    if foot is not None and len(foot) == _FOOT.size:
        length = _AROUND + _FOOT.unpack(foot)[0] * _ENTRY.size
        if length <= min(size, LARGEST_INDEX):
            index = PackIndex.decoded(read(size - length, length) or b"", place)
            if index.pack_size == size:
                return index
    raise StoreError(f"The pack {place} is damaged: it has no index at its end.", REPAIR)


def unpacked(name: str, value: bytes | memoryview, place: str) -> PackIndex:
    """The index of a whole pack in memory, after its bytes were compared with its name."""
    if hashlib.sha256(value).hexdigest() != name:
        raise StoreError(f"The pack {place} is damaged: it holds other bytes.", REPAIR)
    return index_of(lambda at, count: bytes(value[at : at + count]), len(value), place)


@dataclass(frozen=True)
class Span:
    """Members of one pack that are read by one request."""

    offset: int
    length: int
    members: tuple[Member, ...]


def spans(members: Iterable[Member], gap: int, longest: int) -> list[Span]:
    """The requests that bring these members of one pack.

    Neighbours with at most `gap` unwanted bytes between them share one, as far as it stays within
    `longest` bytes.
    """
    found: list[Span] = []
    group: list[Member] = []
    for member in sorted(members, key=lambda member: (member.offset, member.end)):
        if group and (
            member.offset - group[-1].end > gap or member.end - group[0].offset > longest
        ):
            found.append(_span(group))
            group = []
        group.append(member)
    return [*found, _span(group)] if group else found


def _span(group: Sequence[Member]) -> Span:
    start = group[0].offset
    return Span(start, max(member.end for member in group) - start, tuple(group))


def _member(digest: bytes, offset: int, stored: int, size: int, coding: int) -> Member:
    return Member(f"sha256:{digest.hex()}", offset, stored, size, coding)


def _in_order(entries: bytes, body: int) -> bool:
    """Whether digests ascend and every member lies before the index."""
    digests = [entries[at : at + 32] for at in range(0, len(entries), _ENTRY.size)]
    return all(one < other for one, other in pairwise(digests)) and all(
        len(PACK_HEAD) <= offset and offset + stored <= body
        for _, offset, stored, _, _ in _ENTRY.iter_unpack(entries)
    )
