"""Listings of a store, believed only as far as they can be.

Nothing tells of a name in a listing that a byte of it was harmed on its way from a bucket: neither
a checksum nor an ETag. So where a name is none of ours, or nothing is found at it, the listing is
asked for once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from mcgitops.store.backend import Backend, Entry

LISTINGS = 3
"""How often a bucket is listed, at most."""
BATCH = 512
"""What is read at once."""
Found = TypeVar("Found")


def listed(backend: Backend, prefix: str, is_ours: Callable[[str], bool]) -> list[Entry]:
    """All entries below a prefix; those that are none of ours only where they are really there.

    is_ours: whether we write keys like this one.
    """
    found = {entry.key: entry for entry in backend.entries(prefix)}
    strange = {key for key in found if not is_ours(key)}
    if strange and backend.path is None:
        again = {entry.key: entry for entry in backend.entries(prefix)}
        found = {key: entry for key, entry in found.items() if key not in strange - again.keys()}
        found |= {key: entry for key, entry in again.items() if is_ours(key)}
    return [found[key] for key in sorted(found)]


def read_listed(
    backend: Backend,
    prefixes: Iterable[str],
    is_ours: Callable[[str], bool],
    read: Callable[[Sequence[Entry]], Sequence[Found | None]],
) -> list[Found]:
    """What is read of all entries of ours below prefixes; of each once.

    read: is given some of them, and gives for each what it holds, None where it isn't there.
    """
    tops = tuple(prefixes)
    found: list[Found] = []
    seen: set[str] = set()
    for _ in range(1 if backend.path is not None else LISTINGS):
        is_doubtful = False
        new = (entry for top in tops for entry in backend.entries(top) if entry.key not in seen)
        for some in _batches(new):
            seen.update(entry.key for entry in some)
            ours = [entry for entry in some if is_ours(entry.key)]
            there = [answer for answer in read(ours) if answer is not None]
            found += there
            is_doubtful |= len(there) < len(some)
        if not is_doubtful:
            break
    return found


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while some := list(islice(rest, BATCH)):
        yield some
