"""Listings of a store, with what nobody of us wrote only where it is really there.

Nothing tells of a name in a listing that a byte of it was harmed on its way from a bucket. Where
one is none of ours, the listing is asked for once more: what both name is there.
"""

from __future__ import annotations

from collections.abc import Callable

from mcgitops.store.backend import Backend, Entry


def listed(backend: Backend, prefix: str, is_ours: Callable[[str], bool]) -> list[Entry]:
    """All entries below a prefix. is_ours: whether we write keys like this one."""
    found = {entry.key: entry for entry in backend.entries(prefix)}
    strange = {key for key in found if not is_ours(key)}
    if strange and backend.path is None:
        again = {entry.key: entry for entry in backend.entries(prefix)}
        found = {key: entry for key, entry in found.items() if key not in strange - again.keys()}
        found |= {key: entry for key, entry in again.items() if is_ours(key)}
    return [found[key] for key in sorted(found)]
