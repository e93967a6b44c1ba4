"""Private folders for keys, sockets and values: mode 0700, gone when their work is done.

What a killed process left is removed by the next one, since it may hold a secret.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STALE = 3600
"""Seconds after which the folder of a process that is gone is nobody's."""


@contextmanager
def folder() -> Iterator[Path]:
    """A private folder, removed afterwards."""
    place = make(tempfile.gettempdir())
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def make(place: str) -> Path:
    """A private folder below `place`; whoever asks for it removes it."""
    _sweep(Path(place))
    return Path(tempfile.mkdtemp(prefix=f"mcg-{os.getpid()}-", dir=place))


def _sweep(place: Path) -> None:
    """Remove what killed runs of ours left: it may hold a key. Old ones only, since a process
    number says nothing about another container that shares the folder.
    """
    for path in place.glob("mcg-*-*"):
        number = path.name.split("-")[1]
        try:
            state = path.lstat()
            old = time.time() - state.st_mtime > STALE
            if number.isdigit() and old and state.st_uid == os.getuid():
                os.kill(int(number), 0)
        except ProcessLookupError:
            shutil.rmtree(path, ignore_errors=True)
        except OSError:
            continue  # somebody else's, or gone by now
