"""Moving many small objects at once: to a bucket in packs, and out of packs into a folder.

A pack is put together in memory, sent, and there once its index is. What a pack brings is verified
object by object before anything gets its name. Memory is bounded by the packs in work at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mcgitops.errors import StoreError
from mcgitops.store import layout
from mcgitops.store.objects import SMALL, Objects
from mcgitops.store.packs import PackWriter, Span, content_of, spans
from mcgitops.store.threads import each

PACK = 16 * 1024 * 1024
"""Bytes of objects in a pack. The last object may make it a little larger."""
FROM = 8
"""So many small objects make a pack worth it; fewer are sent one by one, at once."""
AT_ONCE = 4
"""Packs, or parts of them, in memory."""
GAP = 64 * 1024
"""Unwanted bytes that cost less than another request."""
PART = 8 * 1024 * 1024
"""Bytes of a pack that are asked for by one request."""


class Counter(Protocol):
    """Is told how far the copy is."""

    def add(self, count: int) -> None:
        """Some bytes more; raises where the copy is to be stopped."""
        ...

    def finish(self) -> None:
        """One object more."""
        ...

    def stop(self) -> None:
        """Let everything end early."""
        ...


def send_packed(
    source: Objects, target: Objects, sizes: Mapping[str, int], counter: Counter
) -> set[str]:
    """Send the small ones among these objects (size by digest) in packs; gives which were sent.

    The same objects in the same order make the same packs, and one that arrived before isn't sent
    again.
    """
    small = {digest: size for digest, size in sizes.items() if size <= SMALL}
    if target.backend.path is not None or len(small) < FROM:
        return set()
    each(lambda some: _send(source, target, some, counter), groups(small), AT_ONCE, counter.stop)
    return set(small)


def groups(sizes: Mapping[str, int], most: int = PACK) -> list[list[str]]:
    """Objects in their order, cut where a pack is full."""
    found: list[list[str]] = []
    room = 0
    for digest, size in sizes.items():
        if room <= 0:
            found.append([])
            room = most
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
    each(lambda part: _take(source, target, part, counter), parts, AT_ONCE, counter.stop)
    return {member.digest for part in parts for member in part.span.members}


@dataclass(frozen=True)
class _Part:
    name: str
    span: Span


def _send(source: Objects, target: Objects, digests: Sequence[str], counter: Counter) -> None:
    writer = PackWriter()
    size = 0
    for digest in digests:
        value = source.read_bytes(digest, SMALL)
        counter.add(0)
        writer.add(digest, value)
        size += len(value)
    pack = writer.finish()
    key, index = layout.pack_key(pack.name), layout.index_key(pack.name)
    backend = target.backend
    if backend.size(index) is None or backend.size(key) != pack.index.pack_size:
        backend.put(key, pack.value)
        backend.put(index, pack.index.encoded())
    target.catalogue.arrived(pack.name, pack.index)
    counter.add(size)
    for _ in digests:
        counter.finish()


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
    for _ in span.members:
        counter.finish()
