"""Files of a project folder that are filled while their objects are fetched into the store.

So a large artifact is neither read again nor hashed again to be copied into the folder. They have
no names until all that the folder is to have is there, and go where that isn't reached. Where the
file system can have two files share their blocks, they needn't be filled at all: see `clone`.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mcgitops.errors import StoreError
from mcgitops.store.clone import can_clone
from mcgitops.store.nameless import named, opened
from mcgitops.store.records import FileRef
from mcgitops.store.restore import place_of


class Placed(NamedTuple):
    """A file that has got its name. age_ns: how long before that it was last written."""

    stat: os.stat_result
    age_ns: int


class Making:
    """The files in the making of one call. Use it in `with`: what has no name at the end is gone.

    folder: the project's. store: the folder of the store to which objects are fetched.
    replacing: what lies at a file's place is going to be replaced, whatever it is; else a file of
        which something is there is left to whoever looks into that.
    """

    def __init__(self, folder: Path, store: Path, *, replacing: bool = False) -> None:
        self._folder = folder
        self._store = store
        self._replacing = replacing
        self._most = resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2
        self._wanted: dict[str, FileRef] = {}
        self._open: dict[str, int] = {}
        self._filled: set[str] = set()
        self._lock = threading.Lock()
        self._is_needed: bool | None = None
        self.arrived: dict[str, int] = {}
        """Large objects that came meanwhile, and when they were verified (ns since 1970)."""

    def __enter__(self) -> Making:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()
        self._filled.clear()

    def expect(self, files: Iterable[FileRef]) -> None:
        """These files are going to be wanted."""
        for file in files:
            self._wanted.setdefault(file.digest, file)

    def descriptor(self, digest: str) -> int | None:
        """Of the file for an object, to be filled; None where none is wanted or can be made."""
        with self._lock:
            if digest in self._open:
                return self._open[digest]
            file = self._wanted.get(digest)
            if file is None or len(self._open) >= self._most or not self._may():
                return None
            with suppress(StoreError, OSError):  # whoever writes the file then says what is wrong
                place = place_of(file.path, self._folder)
                if not self._replacing and os.path.lexists(place):
                    return None
                above = next(folder for folder in place.parents if folder.is_dir())
                descriptor = opened(above, 0o777 if file.executable else 0o666)
                if descriptor is not None:
                    self._open[digest] = descriptor
                return descriptor
            return None

    def filled(self, digest: str) -> None:
        """It has all bytes of the object, verified; where there is none the object has arrived."""
        with self._lock:
            self.arrived[digest] = time.time_ns()
            if digest in self._open:
                self._filled.add(digest)

    def has(self, digest: str) -> bool:
        """Whether there is a file with this content, without a name yet."""
        with self._lock:
            return digest in self._filled

    def place(self, file: FileRef, target: Path) -> Placed | None:
        """Give it its name; None where there is no such file, or it can't be done."""
        with self._lock:
            ours = self._wanted.get(file.digest)
            if file.digest not in self._filled or ours is None:
                return None
            if ours.executable != file.executable:
                return None
            self._filled.remove(file.digest)
            descriptor = self._open.pop(file.digest)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            written, at = os.fstat(descriptor).st_mtime_ns, time.time_ns()
            named(descriptor, target)
            return Placed(os.fstat(descriptor), at - written)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def _may(self) -> bool:
        if self._is_needed is None:
            self._is_needed = not can_clone(self._store, self._folder)
        return self._is_needed
