"""Reading an object of a bucket to its end, through connections that break."""

from __future__ import annotations

import io
import time
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

from mcgitops.store.streams import CHUNK, read_fully

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

RESUMES = 5  # of one download, without a byte of progress in between


class Source(Protocol):
    """What a download needs of the bucket."""

    def read_from(self, key: str, offset: int, version: str) -> Any:
        """The answer with the rest of a value of which `offset` bytes were read already."""
        ...

    def explained(self, action: str) -> AbstractContextManager[None]:
        """Errors within it become sentences."""
        ...


class Download(io.RawIOBase):
    """The body of an object. Where the connection breaks, it goes on at the byte it had reached."""

    def __init__(self, source: Source, key: str, answer: Any, offset: int = 0) -> None:
        self._source = source
        self._key = key
        self._body = answer["Body"]
        self._version = str(answer.get("ETag", ""))
        self._offset = offset  # of the value, at which the body begins

    def readable(self) -> bool:
        """It is for reading, and can't seek."""
        return True

    def close(self) -> None:
        """Give the connection back."""
        self._body.close()
        super().close()

    def readinto(self, buffer: WriteableBuffer) -> int:
        """For the other methods of a stream."""
        view = memoryview(buffer).cast("B")
        value = self.read(len(view))
        view[: len(value)] = value
        return len(value)

    def readall(self) -> bytes:
        """Everything that is left."""
        return self.read(-1)

    def read(self, size: int = -1) -> bytes:
        """Like `read` of any stream; raises `StoreError` when it can't be had."""
        from botocore.exceptions import BotoCoreError

        with self._source.explained("read"):
            if size < 0:
                return b"".join(iter(lambda: self.read(CHUNK), b""))
            for attempt in range(RESUMES + 1):
                try:
                    if attempt:
                        self._resume()
                    value: bytes = self._body.read(size)
                except (BotoCoreError, OSError):
                    if attempt == RESUMES:
                        raise
                    time.sleep(0.1 * 2**attempt)
                else:
                    self._offset += len(value)
                    return value
        raise AssertionError("unreachable")

    def _resume(self) -> None:
        self._body.close()
        answer = self._source.read_from(self._key, self._offset, self._version)
        self._body = answer["Body"]
        if "ContentRange" not in answer:  # a service that doesn't know ranges starts again
            read_fully(self._body, self._offset)
