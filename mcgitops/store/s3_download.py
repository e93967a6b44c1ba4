"""Reading a value of a bucket to its end: through connections that break, large ones in ranges.

The beginning of a large value is streamed to the reader while ranges behind it are fetched by
others, held in memory and handed out in order. So whoever hashes and writes does it once, in order,
and nothing is written twice. Where there is no memory for a range, it is streamed, too.
"""

from __future__ import annotations

import io
import mmap
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, Protocol

from mcgitops.store.limits import Budget, Pace
from mcgitops.store.streams import CHUNK, read_fully
from mcgitops.store.threads import PIECE, go_on

if TYPE_CHECKING:
    from concurrent.futures import Future

    from _typeshed import WriteableBuffer

RESUMES = 5  # of one download, without a byte of progress in between
RANGE = 8 * 1024 * 1024
FIRST = 2 * RANGE  # asked for at once: what isn't larger takes one request
AHEAD = 8  # ranges of one value that are fetched before they are asked for


class Source(Protocol):
    """What a download needs of the bucket."""

    budget: Budget
    pace: Pace | None

    def read_from(self, key: str, offset: int, end: int, version: str) -> Any:
        """The answer with the bytes from `offset` to before `end` (0: the last)."""
        ...

    def explained(self, action: str) -> AbstractContextManager[None]:
        """Errors within it become sentences."""
        ...

    def later(self, work: Callable[[], mmap.mmap]) -> Future[mmap.mmap]:
        """Have something done by one of the threads for parts."""
        ...


class Stream(io.RawIOBase):
    """What is the same of all streams that have a `read` of their own."""

    def readable(self) -> bool:
        """It is for reading, and can't seek."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """For the other methods of a stream."""
        view = memoryview(buffer).cast("B")
        value = self.read(len(view))
        view[: len(value)] = value
        return len(value)

    def readall(self) -> bytes:
        """Everything that is left."""
        return self.read(-1)


class Download(Stream):
    """A value, or a range of it. Where the connection breaks, it goes on at the byte it reached.

    answer: of the service, whose body begins at `offset`; None asks at the first `read`. end: the
    byte before which the range ends, 0 where it is the value's end.
    """

    def __init__(
        self,
        source: Source,
        key: str,
        answer: Any,
        offset: int = 0,
        end: int = 0,
        version: str = "",
    ) -> None:
        self._source = source
        self._key = key
        self._body: Any = answer["Body"] if answer else None
        self._version = version or (str(answer.get("ETag", "")) if answer else "")
        self._offset = offset
        self._end = end

    def close(self) -> None:
        """Give the connection back."""
        if self._body is not None:
            self._body.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """Like `read` of any stream; raises `StoreError` when it can't be had."""
        from botocore.exceptions import BotoCoreError
        from urllib3.exceptions import HTTPError

        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        pace = self._source.pace
        size = min(size, pace.piece) if pace else size
        size = min(size, self._end - self._offset) if self._end else size
        with self._source.explained("read"):
            for attempt in range(RESUMES + 1 if size else 0):
                go_on()
                try:
                    if attempt or self._body is None:
                        self._resume()
                    value: bytes = self._body.read(size)
                    if not value and size and self._end:
                        raise EOFError("the answer ended early")
                except (BotoCoreError, HTTPError, OSError, EOFError):
                    if attempt == RESUMES:
                        raise
                    time.sleep(0.1 * 2**attempt)
                else:
                    self._offset += len(value)
                    if pace:
                        pace.spend(len(value))
                    return value
        return b""

    def _resume(self) -> None:
        if self._body is not None:
            self._body.close()
        answer = self._source.read_from(self._key, self._offset, self._end, self._version)
        self._body = answer["Body"]
        if "ContentRange" not in answer:  # a service that doesn't know ranges starts again
            read_fully(self._body, self._offset)


class RangedDownload(Stream):
    """A large value: the range that is read is streamed, those behind it are fetched meanwhile.

    answer: the first range, which ends before `FIRST`. total: the value's size in bytes.
    """

    def __init__(self, source: Source, key: str, answer: Any, total: int) -> None:
        self._source = source
        self._key = key
        self._total = total
        self._version = str(answer.get("ETag", ""))
        self._now: Stream | io.BytesIO = Download(source, key, answer, 0, min(FIRST, total))
        self._next = min(FIRST, total)  # where the first range begins that nobody fetches yet
        self._ahead: deque[_Ahead] = deque()
        self._look_ahead()

    def close(self) -> None:
        """Have what is being fetched end soon, and give everything back."""
        if not self.closed:
            for one in self._ahead:
                one.drop()
            self._ahead.clear()
            self._now.close()
        super().close()

    def read(self, size: int = -1) -> bytes:
        """Like `read` of any stream; raises `StoreError` when it can't be had."""
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK), b""))
        while size:
            if value := self._now.read(size):
                return value
            if not self._forward():
                break
        return b""

    def _forward(self) -> bool:
        """Go to the next range; False at the end."""
        if self._ahead:
            self._now.close()
            self._now = self._ahead.popleft().stream()
        elif self._next < self._total:
            self._now.close()
            start, self._next = self._next, min(self._next + RANGE, self._total)
            self._now = self._streamed(start, self._next)
        else:
            return False
        self._look_ahead()
        return True

    def _look_ahead(self) -> None:
        while len(self._ahead) < AHEAD and self._next < self._total:
            start, end = self._next, min(self._next + RANGE, self._total)
            if not self._source.budget.try_take(end - start):
                return
            self._next = end
            stream = self._streamed(start, end)
            self._ahead.append(_Ahead(self._source, stream, end - start))

    def _streamed(self, start: int, end: int) -> Download:
        return Download(self._source, self._key, None, start, end, self._version)


class _Ahead:
    """A range that is fetched into memory by another thread."""

    def __init__(self, source: Source, stream: Download, size: int) -> None:
        self._source = source
        self._stream = stream
        self._size = size
        self._dropped = threading.Event()
        self._given = threading.Lock()  # taken once, by whoever gives the memory back
        self._future = source.later(self._fetch)

    def stream(self) -> Stream | io.BytesIO:
        """Wait for it; the memory is given back when the stream is closed."""
        try:
            value = self._future.result()
        except BaseException:
            self.drop()
            raise
        return _Held(value, self._give)

    def drop(self) -> None:
        """It isn't wanted any more."""
        self._dropped.set()
        if self._future.cancel() or self._future.done():
            self._give()
        else:
            self._future.add_done_callback(lambda _: self._give())

    def _fetch(self) -> mmap.mmap:
        value = mmap.mmap(-1, self._size)  # goes back to the system when it is closed
        try:
            with self._stream as stream:
                while value.tell() < self._size and not self._dropped.is_set():
                    # the stream raises where the range ends early
                    value.write(stream.read(min(PIECE, self._size - value.tell())))
        except BaseException:
            value.close()
            raise
        value.seek(0)
        return value

    def _give(self) -> None:
        """Once, whoever is first."""
        if self._given.acquire(blocking=False):
            self._source.budget.give(self._size)


class _Held(Stream):
    """Bytes in memory, given back at the end."""

    def __init__(self, value: mmap.mmap, done: Callable[[], None]) -> None:
        self._value = value
        self._done = done

    def read(self, size: int = -1) -> bytes:
        """The next ones."""
        return self._value.read(size)

    def close(self) -> None:
        """Give the memory back."""
        if not self.closed:
            self._value.close()
            self._done()
        super().close()


def total_of(answer: Any) -> int | None:
    """The whole value's size, as the answer to a request for a range says it, in bytes."""
    with suppress(ValueError):
        return int(str(answer.get("ContentRange", "")).rpartition("/")[2])
    return None
