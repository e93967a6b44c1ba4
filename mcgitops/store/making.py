"""Files of a project folder that are filled while their objects are fetched into the store.

So a large artifact is neither read again nor hashed again to be copied into the folder. They have
no names until all that the folder is to have is there, and go where that isn't reached. Where the
file system can have two files share their blocks, they needn't be filled at all: see `clone`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from mcgitops.errors import StoreError
from mcgitops.store.clone import can_clone
from mcgitops.store.nameless import named, opened
from mcgitops.store.records import FileRef
from mcgitops.store.restore import place_of


class Making:
    """The files in the making of one call. Use it in `with`: what has no name at the end is gone.

    folder: the project's. store: the folder of the store to which objects are fetched.
    """

    def __init__(self, folder: Path, store: Path) -> None:
        self._folder = folder
        self._store = store
        self._wanted: dict[str, FileRef] = {}
        self._open: dict[str, int] = {}
        self._filled: set[str] = set()
        self._lock = threading.Lock()
        self._is_needed: bool | None = None

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
            if file is None or not self._may():
                return None
            with suppress(StoreError, OSError):  # whoever writes the file then says what is wrong
                place = place_of(file.path, self._folder)
                if os.path.lexists(place):
                    return None
                above = next(folder for folder in place.parents if folder.is_dir())
                descriptor = opened(above, 0o777 if file.executable else 0o666)
                if descriptor is not None:
                    self._open[digest] = descriptor
                return descriptor
            return None

    def filled(self, digest: str) -> None:
        """It has all bytes of the object, verified."""
        with self._lock:
            self._filled.add(digest)

    def place(self, file: FileRef, target: Path) -> bool:
        """Give it its name; False where there is no such file, or it can't be done."""
        with self._lock:
            ours = self._wanted.get(file.digest)
            if file.digest not in self._filled or ours is None:
                return False
            if ours.executable != file.executable:
                return False
            self._filled.remove(file.digest)
            descriptor = self._open.pop(file.digest)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            named(descriptor, target)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True

    def _may(self) -> bool:
        if self._is_needed is None:
            self._is_needed = not can_clone(self._store, self._folder)
        return self._is_needed
