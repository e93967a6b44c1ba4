"""Writing large pieces of a file past the page cache, where that can be done and is worth it.

What goes past it needn't be waited for at the end, and leaves memory to others. Which way is the
quicker one depends on the machine: pages cost memory that has to be found (a virtual machine may
have to get it back from its host first, at a tenth of a disk's speed), a disk may be slow or busy.
"""

from __future__ import annotations

import errno
import os
import time
from contextlib import suppress

BLOCK = 4096
"""What the place, length and memory of a write past the page cache are a multiple of."""
_NOT_SO = {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP}
"""How a file system says that it can't do it after all."""


class Uncached:
    """A file's second descriptor, for writes past the page cache. Not there on every system.

    descriptor: the file's own, which isn't closed here.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = None
        self._works = True
        with suppress(AttributeError, OSError):
            flags = os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC
            self._descriptor = os.open(f"/proc/self/fd/{descriptor}", flags)

    def write(self, view: memoryview, offset: int) -> bool:
        """Write whole blocks to a place that is a block's; False where it has to go another way."""
        if self._descriptor is None or not self._works:
            return False
        try:
            write_at(self._descriptor, view, offset)
        except OSError as error:
            if error.errno not in _NOT_SO:
                raise
            self._works = False  # closed at the end only: others may be about to write
            return False
        return True

    def close(self) -> None:
        """Nothing more is written."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class Quicker:
    """Which of two ways took less time for each byte of late; the other one is tried at times.

    For several threads: what one of them overwrites of another is one observation of many.
    """

    RETRY = 32
    """Every how many pieces the slower way is tried again, and once soon."""
    _SOON = 8
    _WEIGHT = 0.5  # of the last observation

    def __init__(self) -> None:
        self._times: list[float | None] = [None, None]
        self._count = 0
        self._last = -1

    def choose(self) -> int:
        """The way to go now, 0 or 1; each is tried once at first."""
        self._count += 1
        first, second = self._times
        if first is None or second is None:
            return self._count % 2
        quicker = int(second < first)
        again = self._count == self._SOON or self._count % self.RETRY == 0
        return 1 - quicker if again else quicker

    def took(self, way: int, seconds: float, count: int) -> None:
        """What so many bytes took on one of the ways."""
        now, before = seconds / max(count, 1), self._times[way]
        if before is not None and way == self._last:  # what was seen long ago tells little
            now = before + self._WEIGHT * (now - before)
        self._times[way], self._last = now, way


class EitherWay:
    """A file that is filled through the page cache or past it, whichever is quicker just now.

    descriptor: the file's, open for writing, and not closed here. quicker: what is known of the
        ways, for several files of one folder.
    """

    def __init__(self, descriptor: int, quicker: Quicker | None = None) -> None:
        self._descriptor = descriptor
        self._past = Uncached(descriptor)
        self._quicker = quicker or Quicker()

    def write(self, view: memoryview, offset: int) -> None:
        """Write one piece, at a place that nothing else is written to."""
        way = 1 if len(view) % BLOCK or offset % BLOCK else self._quicker.choose()
        began = time.perf_counter()
        if way == 0 and not self._past.write(view, offset):
            way = 1
        if way == 1:
            write_at(self._descriptor, view, offset)
        self._quicker.took(way, time.perf_counter() - began, len(view))

    def close(self) -> None:
        """Nothing more is written."""
        self._past.close()


def write_at(descriptor: int, view: memoryview, offset: int) -> None:
    """Write all of it to its place."""
    while view:
        count = os.pwrite(descriptor, view, offset)
        view, offset = view[count:], offset + count
