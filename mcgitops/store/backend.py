"""The one interface to where bytes live: a folder or a bucket.

Keys are relative, `/`-separated and made by `layout`. Objects never change once written; a `put`
of an existing key is harmless. A reader never sees half a value: folder writes go through a
temporary file and a rename, S3 puts are atomic.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

from mcgitops.deferred import dataclass
from mcgitops.errors import StoreError


class Damaged(StoreError):
    """An object in a folder that has other bytes than it had."""


class Broken(StoreError):
    """A transfer that failed half-way and may succeed when it is done again from its start."""


class Stopped(StoreError):
    """A transfer that was ended since something else failed: it may go on later."""


@dataclass(frozen=True)
class Entry:
    """One key of a listing. `version` changes whenever the value does.

    `modified`: when it was written, seconds since 1970; None where the listing doesn't say.
    """

    key: str
    size: int
    version: str
    modified: float | None = None


class Backend(Protocol):
    """Bytes by key. Every method raises `StoreError` with a remedy where the service fails."""

    @property
    def url(self) -> str:
        """Where this is, for people: never holds a credential."""
        ...

    @property
    def path(self) -> Path | None:
        """The folder, where it is one."""
        ...

    @property
    def scratch(self) -> Path | None:
        """A folder for temporary files from which `adopt` is a rename; None where there is none."""
        ...

    def get(self, key: str, limit: int | None = None) -> bytes | None:
        """The whole value, or None where there is none. Over `limit` bytes is an error."""
        ...

    def open(self, key: str) -> AbstractContextManager[BinaryIO] | None:
        """The value as a stream, or None where there is none."""
        ...

    def read_range(self, key: str, offset: int, length: int) -> bytes | None:
        """`length` bytes of a value from `offset` on; fewer where it ends before; None where none.

        It is held in memory: for parts of some MiB.
        """
        ...

    def fill(self, key: str, offset: int, buffer: memoryview, told: Callable[[int], None]) -> bool:
        """Read a part of a value into memory; False where there is none, or it ends before.

        `told` is called with the number of bytes of each piece, and may raise to end it.
        """
        ...

    def size(self, key: str) -> int | None:
        """How many bytes the value has, or None where there is none."""
        ...

    def put(self, key: str, value: bytes | memoryview, kind: str = "") -> None:
        """Write or replace a small value, atomically. `kind`: its content type, for browsers."""
        ...

    def signed_link(self, key: str, seconds: int, name: str = "") -> str:
        """An address at which everybody can read the value for so long; "" where there is none.

        With `name` a browser saves it, as that.
        """
        ...

    def create(self, key: str, value: bytes) -> bool:
        """Write a small value unless the key exists; False where it did.

        Exact in a folder and where the service knows conditional writes; elsewhere a check before
        the write (two writers within one instant can both succeed: harmless for records that are
        determined by their key).
        """
        ...

    def put_stream(self, key: str, stream: BinaryIO, size: int) -> None:
        """Write what the stream gives, to its end; nothing is left where reading it raises.

        `size` is what is expected, so that the parts of a large upload can be chosen.
        """
        ...

    def put_many(self, values: Iterable[tuple[str, bytes]]) -> None:
        """Write many small values, each whole or not at all, some of them where it fails."""
        ...

    def adopt(self, key: str, path: Path) -> None:
        """Take over a temporary file as the value: it is moved or, after the upload, removed."""
        ...

    def missing(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that don't exist."""
        ...

    def move(self, key: str, to: str, *, keep: bool = False) -> bool:
        """Give a value another key, replacing what is there; False where there is none.

        `keep`: it stays where it is as well.

        In a folder it is one step. In a bucket it is copied by the service and then removed: who is
        killed in between leaves both.
        """
        ...

    def freshen(self, key: str) -> bool:
        """Make a value as young as if it had just been written; False where that can't be done.

        In a folder, that is: who relies on a value that is there already says so, and garbage
        collection leaves what is young. A bucket's values have no age that could be set.
        """
        ...

    def entries(self, prefix: str, starting: str = "") -> Iterator[Entry]:
        """All keys below `prefix` (ends in `/`), sorted; only those that go on with `starting`."""
        ...

    def folders(self, prefix: str) -> list[str]:
        """The names directly below `prefix` (ends in `/`) that keys go on from, sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove a key; nothing happens where there is none."""
        ...
