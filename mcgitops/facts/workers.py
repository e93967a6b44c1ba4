"""Processes that hash files, one for each core: see `facts.digest`, which is what they run."""

from __future__ import annotations

import marshal
import queue
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Self

from mcgitops.facts import digest


class Workers:
    """Some processes; each thread that asks has one of them for itself until it answered.

    One that can't be started, or ends early, is done without: nothing is said of its batch, so that
    whoever asked reads the files itself.
    """

    def __init__(self, count: int) -> None:
        self._all: list[subprocess.Popen[bytes]] = []
        self._free: queue.SimpleQueue[subprocess.Popen[bytes] | None] = queue.SimpleQueue()
        for _ in range(count):
            # -I -S: nobody's start-up files and packages, of which it needs none
            argv = [sys.executable, "-I", "-S", digest.__file__]
            worker: subprocess.Popen[bytes] | None = None
            with suppress(OSError):
                pipe = subprocess.PIPE
                worker = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
                self._all.append(worker)
            self._free.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._all:
            for pipe in (worker.stdin, worker.stdout):
                with suppress(OSError):
                    _there(pipe).close()
        for worker in self._all:
            worker.wait()  # it ends where nothing more can come

    def digests(self, paths: Sequence[str]) -> list[digest.Digest | None]:
        """The files' digests; None for one that couldn't be read, or that nobody looked at."""
        worker = self._free.get()
        try:
            if worker is None:
                return [None] * len(paths)
            asked, answers = _there(worker.stdin), _there(worker.stdout)
            marshal.dump(list(paths), asked)
            asked.flush()
            found: list[digest.Digest | None] = marshal.load(answers)  # noqa: S302  (our own)
            return found
        except (OSError, EOFError, ValueError, TypeError):
            worker = None
            return [None] * len(paths)
        finally:
            self._free.put(worker)


def _there(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None  # noqa: S101  (each is asked for)
    return pipe
