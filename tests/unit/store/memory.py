"""A bucket in memory whose requests happen one at a time, in an order that a test decides.

Each actor is a thread that runs real code. Before each of its requests it waits until it is its
turn, so a list of numbers is an interleaving, and the same list is the same one again. An actor can
be killed before a request: it does nothing more, as a process that got SIGKILL.
"""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from mcgitops.store.backend import Entry
from mcgitops.store.layout import check_key


class Killed(BaseException):
    """The actor's process is gone."""


class Actor:
    """Somebody who works with the bucket, in a thread of his own."""

    def __init__(self, work: Callable[[], object], dies_after: int | None = None) -> None:
        self._work = work
        self._left = dies_after
        self._go = threading.Semaphore(0)
        self._at_rest = threading.Semaphore(0)
        self.finished = False
        self.killed = False
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._work()
        except Killed:
            self.killed = True
        except BaseException as error:  # noqa: BLE001  (the test looks at it)
            self.error = error
        self.finished = True
        self._at_rest.release()

    def start(self) -> None:
        """Begin; it waits for its first turn."""
        self._thread.start()

    def step(self) -> None:
        """Let it go on to its next request."""
        self._go.release()
        self._at_rest.acquire()

    def wait(self) -> None:
        """Called in the actor's thread before each request."""
        self._at_rest.release()
        self._go.acquire()
        if self._left is not None:
            if self._left == 0:
                raise Killed
            self._left -= 1

    def is_me(self) -> bool:
        """Whether this is the actor's thread."""
        return threading.current_thread() is self._thread


class MemoryBucket:
    """Bytes by key; no conditional writes, and a move is a copy and a removal."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self._actors: list[Actor] = []

    def run(self, actors: Sequence[Actor], order: Iterable[int]) -> None:
        """Run the actors to their ends: in this order, then in turns."""
        self._actors = list(actors)
        for actor in actors:
            actor.start()
        turns = iter(order)
        turn = 0
        while alive := [actor for actor in actors if not actor.finished]:
            turn = next(turns, turn + 1)
            alive[turn % len(alive)].step()
        self._actors = []

    def _turn(self) -> None:
        for actor in self._actors:
            if actor.is_me():
                actor.wait()

    @property
    def url(self) -> str:
        return "s3://memory"

    @property
    def path(self) -> Path | None:
        return None

    @property
    def scratch(self) -> Path | None:
        return None

    def get(self, key: str, limit: int | None = None) -> bytes | None:
        self._turn()
        return self.values.get(check_key(key))

    def open(self, key: str) -> AbstractContextManager[BinaryIO] | None:
        value = self.get(key)
        return None if value is None else contextlib.closing(io.BytesIO(value))

    def read_range(self, key: str, offset: int, length: int) -> bytes | None:
        value = self.get(key)
        return None if value is None else value[offset : offset + length]

    def fill(self, key: str, offset: int, buffer: memoryview, told: Callable[[int], None]) -> bool:
        value = self.read_range(key, offset, len(buffer))
        if value is None or len(value) != len(buffer):
            return False
        buffer[:] = value
        told(len(value))
        return True

    def size(self, key: str) -> int | None:
        value = self.get(key)
        return None if value is None else len(value)

    def put(self, key: str, value: bytes | memoryview, kind: str = "") -> None:
        self._turn()
        self.values[check_key(key)] = bytes(value)

    def put_many(self, values: Iterable[tuple[str, bytes]]) -> None:
        for key, value in values:
            self.put(key, value)

    def signed_link(self, key: str, seconds: int, name: str = "") -> str:
        return ""

    def create(self, key: str, value: bytes) -> bool:
        if self.get(key) is not None:
            return False
        self.put(key, value)
        return self.get(key) == value

    def put_stream(self, key: str, stream: BinaryIO, size: int) -> None:
        self.put(key, stream.read())

    def adopt(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())
        path.unlink()

    def missing(self, keys: Iterable[str]) -> set[str]:
        return {key for key in keys if self.size(key) is None}

    def move(self, key: str, to: str, *, keep: bool = False) -> bool:
        value = self.get(key)
        if value is None:
            return False
        self.put(to, value)
        if not keep:
            self.delete(key)
        return True

    def freshen(self, key: str) -> bool:
        return False

    def entries(self, prefix: str, starting: str = "") -> Iterator[Entry]:
        self._turn()
        found = sorted(key for key in self.values if key.startswith(prefix + starting))
        yield from [Entry(key, len(self.values[key]), str(hash(self.values[key]))) for key in found]

    def folders(self, prefix: str) -> list[str]:
        self._turn()
        below = (key.removeprefix(prefix) for key in self.values if key.startswith(prefix))
        return sorted({key.split("/")[0] for key in below if "/" in key})

    def delete(self, key: str) -> None:
        self._turn()
        self.values.pop(check_key(key), None)
