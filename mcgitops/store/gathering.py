"""Small files on their way into a folder's store: written many at a time.

To make each of them durable by itself takes milliseconds, and a run may leave hundreds of thousands
of them.
"""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from mcgitops.store import layout
from mcgitops.store.clone import LEAST
from mcgitops.store.store import Store
from mcgitops.store.streams import read_fully

AT_ONCE = 2048
MOST_BYTES = 8 * 1024 * 1024


class Gathering:
    """Puts files into a store that is a folder. All of them are there after `finish`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[str, bytes] = {}  # by key
        self._size = 0

    def put(self, stream: BinaryIO, size: int) -> tuple[str, int]:
        """Store what a stream of `size` bytes gives; its digest and size.

        A larger one is stored at once, as it may share its blocks with where it comes from.
        """
        if size >= LEAST:
            return self._store.put_stream(stream)
        value = read_fully(stream, LEAST)
        digest = f"sha256:{hashlib.sha256(value).hexdigest()}"
        self._waiting[layout.object_key(digest)] = value
        self._size += len(value)
        if len(self._waiting) >= AT_ONCE or self._size >= MOST_BYTES:
            self.finish()
        return digest, len(value)

    def finish(self) -> None:
        """Write what waits. What is there already becomes young: a collection leaves it then."""
        backend = self._store.backend
        new = [(key, value) for key, value in self._waiting.items() if not backend.freshen(key)]
        if new:
            backend.put_many(new)
        self._waiting.clear()
        self._size = 0
