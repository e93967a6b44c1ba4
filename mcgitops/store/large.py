"""Large objects out of a bucket into a folder: parts side by side, each put in its place at once.

The parts are fetched and written by several threads, and hashed in order by the caller's, each
while it is still in memory: nothing is read twice. They go past the page cache where the file
system can do that, so that what is on the disk needn't be waited for at the end. Beside the object
another file may be filled with the same bytes: the one in the project folder. It goes the way that
is quicker.

What has arrived stays in `tmp/` where a call is interrupted, and the next one goes on there. It is
relied on for nothing: an object gets its name when all its bytes have the digest.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from mcgitops.store import layout
from mcgitops.store.folder import explained
from mcgitops.store.limits import limits_of
from mcgitops.store.objects import Objects
from mcgitops.store.threads import Thread, each, join
from mcgitops.store.uncached import BLOCK, EitherWay, Quicker, Uncached, write_at

PART = 8 * 1024 * 1024
FROM = 2 * PART
"""Bytes of an object that is fetched in this way; smaller ones take one request."""
AT_ONCE = 8
"""Parts of one object that are fetched at once, at most."""
OBJECTS_AT_ONCE = 2
_HERE = b"\1"
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


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


class Beside(Protocol):
    """Files that are filled with objects' bytes while these are fetched."""

    def descriptor(self, digest: str) -> int | None:
        """Of the file for an object, empty and open for writing; None where there is none."""
        ...

    def filled(self, digest: str) -> None:
        """The object has arrived, verified; a file for it has all its bytes."""
        ...


def take_large(
    source: Objects,
    target: Objects,
    sizes: Mapping[str, int],
    counter: Counter,
    beside: Beside | None = None,
) -> set[str]:
    """Bring the large ones of these objects (size by digest) into a folder; gives which."""
    large = [digest for digest, size in sizes.items() if size >= FROM]
    if target.backend.path is None or source.backend.path is not None or not large:
        return set()
    limits = limits_of(os.environ)
    at_once = min(OBJECTS_AT_ONCE, len(large), limits.requests)
    threads = max(1, min(AT_ONCE, limits.requests // at_once))
    buffers = max(1, min(threads + 1, limits.memory // PART // at_once))
    done: set[str] = set()
    quicker = Quicker()

    def take(digest: str) -> None:
        transfer = _Transfer(source, target, digest, sizes[digest], counter, beside, quicker)
        if transfer.run(threads, buffers):
            done.add(digest)
            counter.finish()

    large.sort(key=lambda digest: -sizes[digest])
    each(take, large, at_once, counter.stop)
    return done


class _Transfer:
    """One object's way."""

    def __init__(
        self,
        source: Objects,
        target: Objects,
        digest: str,
        size: int,
        counter: Counter,
        beside: Beside | None,
        quicker: Quicker,
    ) -> None:
        self._source = source
        self._target = target
        self._digest = digest
        self._key = layout.object_key(digest)
        self._size = size
        self._counter = counter
        self._beside = beside
        self._quicker = quicker
        self._extra: EitherWay | None = None
        self._first = threading.Lock()
        self._answered = threading.Event()

    def run(self, threads: int, buffers: int) -> bool:
        """Fetch it; False where the source has no such value of this size."""
        extra = self._beside.descriptor(self._digest) if self._beside is not None else None
        self._extra = EitherWay(extra, self._quicker) if extra is not None else None
        try:
            return self._run(threads, buffers)
        finally:
            if self._extra is not None:
                self._extra.close()

    # private

    def _run(self, threads: int, buffers: int) -> bool:
        backend = self._target.backend
        folder = backend.scratch
        assert folder is not None  # noqa: S101  (the target is a folder)
        left = 2
        while left:
            with (
                explained("write to", backend.url),
                _partial(folder, self._digest, self._size) as it,
            ):
                left -= not it.resumed
                digest = self._hashed(it, threads, buffers)
                if digest == self._digest:
                    it.finish()
                    backend.adopt(self._key, it.path)
                    break
                it.remove()
                if digest is None:
                    return False
        else:
            raise self._source.damaged(self._digest)
        if self._beside is not None:
            self._beside.filled(self._digest)
        return True

    def _hashed(self, partial: _Partial, threads: int, buffers: int) -> str | None:
        """The digest of what is in place now; None where the source hasn't got it all."""
        found = hashlib.sha256()
        with _Workers(self._work(partial), len(partial), threads, buffers) as workers:
            for buffer, length in workers:
                if length is None:
                    return None
                found.update(buffer[:length])
        return f"sha256:{found.hexdigest()}"

    def _work(self, partial: _Partial) -> Callable[[int, memoryview], int | None]:
        def work(number: int, buffer: memoryview) -> int | None:
            """Have one part in memory and in its place; gives its length."""
            offset = number * PART
            length = min(PART, self._size - offset)
            view = buffer[:length]
            if partial.has(number) and partial.read(view, offset):
                self._counter.add(length)
            else:
                if not self._fetched(offset, view):
                    return None
                partial.write(number, buffer, length)
            if self._extra is not None:
                self._extra.write(view, offset)
            return length

        return work

    def _fetched(self, offset: int, view: memoryview) -> bool:
        """Have one part in memory; False where there is none.

        One asks before the others do: some services look through the whole value before they answer
        for the first time, and would do so for each of them.
        """
        fill = self._source.backend.fill
        if not self._first.acquire(blocking=False):
            self._answered.wait()
            return fill(self._key, offset, view, self._counter.add)

        def told(count: int) -> None:
            self._answered.set()
            self._counter.add(count)

        try:
            return fill(self._key, offset, view, told)
        finally:
            self._answered.set()


class _Workers:
    """Threads that do numbered pieces of work, each with a buffer; gives the results in order.

    A thread has a buffer before it takes the next number: so the one that is waited for always has
    one, however few there are.
    """

    def __init__(
        self,
        work: Callable[[int, memoryview], int | None],
        count: int,
        threads: int,
        buffers: int,
    ) -> None:
        self._work = work
        self._numbers = iter(range(count))  # shared: one step of it is never half done
        self._count = count
        self._free: queue.SimpleQueue[mmap.mmap | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[_Result] = queue.SimpleQueue()
        self._stopped = False
        self._buffers = [mmap.mmap(-1, PART) for _ in range(min(buffers, count))]
        self._threads = [
            Thread(self._go, f"mcgitops-part_{number}")
            for number in range(min(threads, len(self._buffers)))
        ]

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._stopped = True
        for _thread in self._threads:
            self._free.put(None)
        join(self._threads, error)
        for buffer in self._buffers:
            with suppress(BufferError):  # an error that is on its way may hold a view of it
                buffer.close()

    def __iter__(self) -> Iterator[tuple[memoryview, int | None]]:
        # Not on entering: what is begun there wouldn't be ended where Ctrl-C comes meanwhile.
        for buffer in self._buffers:
            self._free.put(buffer)
        for thread in self._threads:
            thread.start()
        waiting: dict[int, _Result] = {}
        for number in range(self._count):
            while number not in waiting:
                result = self._done.get()
                if result.error is not None:
                    raise result.error
                waiting[result.number] = result
            result = waiting.pop(number)
            with memoryview(result.buffer) as view:
                yield view, result.length
            self._free.put(result.buffer)

    def _go(self) -> None:
        while (buffer := self._free.get()) is not None and not self._stopped:
            number = next(self._numbers, None)
            if number is None:
                return
            try:
                with memoryview(buffer) as view:
                    result = _Result(number, buffer, self._work(number, view))
            except BaseException as error:  # noqa: BLE001  (raised where the results are taken)
                result = _Result(number, buffer, None, error)
            self._done.put(result)


class _Result:
    """What became of one piece of work."""

    __slots__ = ("buffer", "error", "length", "number")

    def __init__(
        self,
        number: int,
        buffer: mmap.mmap,
        length: int | None,
        error: BaseException | None = None,
    ) -> None:
        self.number = number
        self.buffer = buffer
        self.length = length
        self.error = error


class _Partial:
    """The file in which an object comes together.

    Behind the object's bytes, at the next whole block, there is one byte for each part: whether it
    was written. They are cut off at the end.
    """

    def __init__(self, path: Path, descriptor: int, past: Uncached, size: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._past = past
        self._size = size
        self._table = -(-size // BLOCK) * BLOCK
        self._count = -(-size // PART)
        self._here = b""
        if os.fstat(descriptor).st_size == self._table + self._count:
            self._here = os.pread(descriptor, self._count, self._table)
        self.resumed = self._some = _HERE in self._here
        os.ftruncate(descriptor, self._table + self._count)

    def __len__(self) -> int:
        """How many parts it has."""
        return self._count

    def has(self, number: int) -> bool:
        """Whether an earlier call has written a part."""
        return self._here[number : number + 1] == _HERE

    def read(self, view: memoryview, offset: int) -> bool:
        """A part that is there; False where the file ends before."""
        at = 0
        while at < len(view):
            count = os.preadv(self._descriptor, [view[at:]], offset + at)
            if not count:
                return False
            at += count
        return True

    def write(self, number: int, buffer: memoryview, length: int) -> None:
        """Write a part, then say that it is here. What is behind it in the buffer may go along."""
        offset = number * PART
        if not self._past.write(buffer[: -(-length // BLOCK) * BLOCK], offset):
            write_at(self._descriptor, buffer[:length], offset)
        write_at(self._descriptor, memoryview(_HERE), self._table + number)
        self._some = True

    def finish(self) -> None:
        """It is whole: nothing but the object stays in the file."""
        os.ftruncate(self._descriptor, self._size)

    def end(self) -> None:
        """Leave what has arrived to the next call."""
        if not self._some:
            self.remove()

    def remove(self) -> None:
        """It is of no use any more."""
        self.path.unlink(missing_ok=True)


@contextmanager
def _partial(folder: Path, digest: str, size: int) -> Iterator[_Partial]:
    """What an earlier call left of an object, or a new file; it stays unless it is removed.

    Nobody else works at it meanwhile: where somebody does already, there is another one.
    """
    name = f"partial-{digest.removeprefix('sha256:')}-{PART}"
    path = folder / name
    descriptor = _alone(path)
    shared = descriptor is None
    if descriptor is None:
        path = folder / f"{name}-{os.getpid()}-{secrets.token_hex(8)}"
        descriptor = os.open(path, _FLAGS, 0o666)
    past = Uncached(descriptor)
    try:
        partial = _Partial(path, descriptor, past, size)
        try:
            yield partial
        except BaseException:
            partial.end()
            raise
    except OSError:  # of the disk: where it is full, the room is needed
        path.unlink(missing_ok=True)
        raise
    finally:
        past.close()
        os.close(descriptor)
        if shared:
            path.unlink(missing_ok=True)


def _alone(path: Path) -> int | None:
    """A file opened and locked; None where another process has it."""
    descriptor = os.open(path, _FLAGS, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        there, own = path.stat(), os.fstat(descriptor)  # it may have got its name meanwhile
        if (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino):
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None
