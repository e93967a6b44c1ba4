"""Moving many small objects at once: to a bucket in packs, and out of packs into a folder.

A pack is put together in memory, sent, and there once its index is. What a pack brings is verified
object by object before anything gets its name. Memory is bounded by the packs in work at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError
from mcgitops.store import layout
from mcgitops.store.compression import SAMPLE, sample_shrinks, samples
from mcgitops.store.objects import SMALL, Objects
from mcgitops.store.packs import Pack, PackWriter, Span, content_of, packed_size, spans
from mcgitops.store.threads import each

PACK = 8 * 1024 * 1024
"""Bytes of objects in a pack. The last object may make it a little larger."""
MANY = 16
"""Packs, up to which they are made half as large."""
MEMBERS = 65_536
"""Objects in a pack at most: its index is read as a whole."""
FROM = 8
"""So many small objects make a pack worth it; fewer are sent one by one, at once."""
AT_ONCE = 3
"""Packs, or parts of them, in memory."""
GAP = 64 * 1024
"""Unwanted bytes that cost less than another request."""
PART = 8 * 1024 * 1024
"""Bytes of a pack that are asked for by one request."""


COMPRESSED = 32 * 1024 * 1024
"""Files up to this size are packs of their own if a sample of them shrinks."""


class Counter(Protocol):
    """Is told how far the copy is."""

    def add(self, count: int) -> None:
        """Some bytes more; raises where the copy is to be stopped."""
        ...

    def finish(self, count: int = 1) -> None:
        """So many objects more."""
        ...

    def stop(self) -> None:
        """Let everything end early."""
        ...


def send_packed(
    source: Objects, target: Objects, sizes: Mapping[str, int], counter: Counter
) -> set[str]:
    """Send some of these objects (size by digest) in packs; gives which were sent.

    The small ones, where they are many; and each of the larger ones that is worth compressing. The
    same objects in the same order make the same packs, and one that arrived before isn't sent
    again.
    """
    if target.backend.path is not None:
        return set()
    small = {digest: size for digest, size in sizes.items() if size <= SMALL}
    if len(small) < FROM:
        small = {}
    # One is put together at a time: it takes Python for each object, and threads would only keep
    # each other from it. Meanwhile others are sent.
    assembling = threading.Lock()
    idle: list[PackWriter] = []  # with their memory
    earlier = _Earlier(target)
    some_small = groups(small)
    # Memory that is taken and not used has to be cleared all the same, and that takes time.
    capacity = max((packed_size(map(small.__getitem__, some)) for some in some_small), default=0)

    def send(some: Sequence[str]) -> None:
        try:
            writer = idle.pop()
        except IndexError:
            writer = PackWriter(capacity)
        chosen = {digest: sizes[digest] for digest in some}
        _send(source, target, chosen, counter, writer, assembling, earlier)
        idle.append(writer)

    larger = [digest for digest, size in sizes.items() if _shrinks(source, digest, size)]
    try:
        each(send, some_small, AT_ONCE, counter.stop)
        earlier.is_likely = True
        for digest in larger:  # one in memory at a time
            send([digest])
    finally:
        target.catalogue.note()
    return {*small, *larger}


def groups(sizes: Mapping[str, int], most: int = 0) -> list[list[str]]:
    """Objects in their order, cut where a pack is full: after `most` bytes, or as is usual.

    Where there are few packs, smaller ones keep the service busy from sooner on until the end, and
    the first ones are smaller still.
    """
    first = most or PACK // 16
    most = most or (PACK if sum(sizes.values()) > MANY * PACK else PACK // 2)
    found: list[list[str]] = []
    room = 0
    for digest, size in sizes.items():
        if room <= 0 or len(found[-1]) == MEMBERS:
            room = min(most, first << min(len(found), 8))
            found.append([])
        found[-1].append(digest)
        room -= size + 1  # so that a million empty ones end as well
    return found


def take_packed(
    source: Objects, target: Objects, sizes: Mapping[str, int], counter: Counter
) -> set[str]:
    """Bring those among these objects that are in packs into a folder; gives which were brought."""
    if target.backend.path is None or len(sizes) < 2:
        return set()
    source.catalogue.refresh()
    parts = [
        _Part(name, span)
        for name, members in source.catalogue.find_all(sizes).items()
        for span in spans(members, GAP, PART)
    ]
    for at_once, some in (
        (AT_ONCE, [part for part in parts if part.is_light]),
        (1, [part for part in parts if not part.is_light]),
    ):
        each(lambda part: _take(source, target, part, counter), some, at_once, counter.stop)
    return {member.digest for part in parts for member in part.span.members}


@dataclass(frozen=True)
class _Part:
    name: str
    span: Span

    @property
    def is_light(self) -> bool:
        """Whether it may be in memory beside others."""
        return max(self.span.length, *(member.size for member in self.span.members)) <= PART


def _shrinks(source: Objects, digest: str, size: int) -> bool:
    """Whether a larger file, of which a sample is looked at, is worth compressing."""
    if not SMALL < size <= COMPRESSED or source.backend.path is None:
        return False
    key = layout.object_key(digest)
    parts = [source.backend.read_range(key, at, SAMPLE) or b"" for at in samples(size)]
    return sample_shrinks(b"".join(parts))


class _Earlier:
    """Knows which packs are there already, as an interrupted push left them.

    It sent the same ones in the same order. So where none of the first ones is there, the others
    aren't asked for: one that is there all the same is only written again.
    """

    def __init__(self, target: Objects) -> None:
        self._backend = target.backend
        self._asked = 0
        self.is_likely = False
        """Whether to ask for each."""

    def sent(self, pack: Pack) -> bool:
        """Whether a pack and its index are there."""
        if self._asked >= AT_ONCE and not self.is_likely:
            return False
        self._asked += 1
        key, index = layout.pack_key(pack.name), layout.index_key(pack.name)
        if self._backend.size(index) is None or self._backend.size(key) != pack.index.pack_size:
            return False
        self.is_likely = True
        return True


def _send(
    source: Objects,
    target: Objects,
    sizes: Mapping[str, int],
    counter: Counter,
    writer: PackWriter,
    assembling: threading.Lock,
    earlier: _Earlier,
) -> None:
    size = told = 0

    def put(count: int) -> None:
        nonlocal size, told
        size += count
        if size - told > SMALL:
            counter.add(0)  # raises where this is to end
            told = size

    with assembling:
        writer.begin()
        source.fill(writer, sizes, COMPRESSED, put)
    pack = writer.finish()
    key, index = layout.pack_key(pack.name), layout.index_key(pack.name)
    if not earlier.sent(pack):
        target.backend.put(key, pack.value)
        target.backend.put(index, pack.index.encoded())
    target.catalogue.arrived(pack.name, pack.index)
    counter.add(size)
    counter.finish(len(sizes))


def _take(source: Objects, target: Objects, part: _Part, counter: Counter) -> None:
    key = layout.pack_key(part.name)
    span = part.span
    value = source.backend.read_range(key, span.offset, span.length) or b""
    elsewhere: list[tuple[str, int]] = []

    def contents() -> Iterator[tuple[str, bytes]]:
        for member in span.members:
            start = member.offset - span.offset
            try:
                data = content_of(member, value[start : start + member.stored], key)
            except StoreError:
                elsewhere.append((member.digest, member.size))
                continue
            counter.add(member.size)
            yield layout.object_key(member.digest), data

    target.backend.put_many(contents())
    for digest, size in elsewhere:  # the pack is gone or damaged: there may be another copy
        target.copy_from(source, digest, size, counter.add)
    counter.finish(len(span.members))
