"""Streams that do something with what is read through them: hash, verify, put together."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from mcgitops.errors import StoreError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK = 1024 * 1024


class HashingReader(io.RawIOBase):
    """Passes a stream on, hashing it. `read(n)` gives less than n only at the end."""

    def __init__(self, stream: BinaryIO, told: Callable[[int], None] | None = None) -> None:
        self._stream = stream
        self._told = told
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        """Of what was read so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def readable(self) -> bool:
        """It is for reading, and can't seek."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """For the other methods of a stream."""
        view = memoryview(buffer).cast("B")
        value = self.read(len(view))
        view[: len(value)] = value
        return len(value)

    def read(self, size: int = -1) -> bytes:
        """Read and hash."""
        parts: list[bytes] = []
        wanted = size if size >= 0 else None
        while wanted is None or wanted > 0:
            part = self._stream.read(CHUNK if wanted is None else wanted)
            if not part:
                self.at_end()
                break
            self._hash.update(part)
            self.size += len(part)
            if self._told is not None:
                self._told(len(part))
            parts.append(part)
            if wanted is not None:
                wanted -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readall(self) -> bytes:
        """Everything that is left."""
        return self.read(-1)

    def at_end(self) -> None:
        """Called whenever the stream has no more."""


class VerifyingReader(HashingReader):
    """Raises at the stream's end unless what was read has the expected digest."""

    def __init__(
        self,
        stream: BinaryIO,
        digest: str,
        complaint: StoreError,
        told: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(stream, told)
        self._expected = digest
        self._complaint = complaint

    def at_end(self) -> None:
        """Compare."""
        if self.digest != self._expected:
            raise self._complaint


class ChainedReader(io.RawIOBase):
    """A stream whose beginning was read already. Can't seek, so parts are read in order."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        """It is for reading, and can't seek."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The beginning, then the rest; less than asked for only at the end."""
        if self._head:
            if size < 0:
                head, self._head = self._head, b""
                return head + self._rest.read()
            head, self._head = self._head[:size], self._head[size:]
            return head + read_fully(self._rest, size - len(head))
        return self._rest.read() if size < 0 else read_fully(self._rest, size)


def read_fully(stream: BinaryIO, size: int) -> bytes:
    """As many bytes as asked for; fewer only at the end."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)
