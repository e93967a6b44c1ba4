"""Copies of a bucket's records in a folder, so that listing them again needn't fetch them again.

Only an aid: the bucket's listing says what exists and in which version, the cache only spares the
reading. Whatever is wrong with the cache, the answer comes from the bucket.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

from mcgitops.store.backend import Entry

MOST_FILES = 20_000


class RecordCache:
    """Values by place, key and version."""

    def __init__(self, folder: Path, place: str) -> None:
        self._folder = folder
        self._place = place
        self._written = False

    def get(self, entry: Entry) -> bytes | None:
        """The value, if it is here whole."""
        try:
            value = self._path(entry).read_bytes()
        except OSError:
            return None
        return value if len(value) == entry.size else None

    def put(self, entry: Entry, value: bytes) -> None:
        """Keep a value; not being able to is no error."""
        if len(value) != entry.size or not entry.version:
            return
        path = self._path(entry)
        temporary = path.with_name(f".{os.getpid()}-{secrets.token_hex(6)}")
        with suppress(OSError):
            if not self._written:
                self._folder.mkdir(parents=True, exist_ok=True)
                (self._folder / ".gitignore").write_text("*\n")
            temporary.write_bytes(value)
            temporary.replace(path)
            self._written = True

    def prune(self) -> None:
        """Where there are too many, remove the oldest half."""
        if not self._written:
            return
        with suppress(OSError):
            files = [
                (entry.stat().st_mtime_ns, entry.path)
                for entry in os.scandir(self._folder)
                if entry.name != ".gitignore" and entry.is_file()
            ]
            if len(files) > MOST_FILES:
                for _, path in sorted(files)[: len(files) - MOST_FILES // 2]:
                    Path(path).unlink(missing_ok=True)

    def _path(self, entry: Entry) -> Path:
        name = "\0".join((self._place, entry.key, entry.version))
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()}.json"
