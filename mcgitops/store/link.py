"""Hard links: a file of the project folder that is the object itself, where blocks can't be shared.

Nothing is copied and nothing takes a second place on the disk. But through such a file the store's
own copy can be written to: it is read-only, which root needn't heed. So it is done only where
somebody asks for it, for data that is pinned, which no run can write to, and only for objects that
another store has as well: whoever writes through a link harms nothing that can't come back. An
object is linked to one file at most, so that no two files of a folder change together. See
`docs/explanation/store.md`.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from mcgitops.errors import StoreError, UsageError
from mcgitops.store import layout
from mcgitops.store.clone import can_clone
from mcgitops.store.objects import Objects, hashed

LINKS = "MCGITOPS_STORE_LINKS"
READ_ONLY = 0o444
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS}
"""What is said; anything else that a file system answers means that it can't link these two."""


def are_asked_for(environ: Mapping[str, str]) -> bool:
    """Whether the environment asks for links. Raises `UsageError` where it can't be understood."""
    value = environ.get(LINKS, "").strip()
    if value not in ("", "data"):
        raise UsageError(f"{LINKS} is {value[:100]!r}.", "Write data; or unset it.")
    return value == "data"


class Linked(NamedTuple):
    """A file that is the object now. age_ns: how long before it was verified it was written."""

    stat: os.stat_result
    age_ns: int


class Links:
    """Links files of one folder to the objects of a store, which is a folder, too."""

    def __init__(self, objects: Objects, folder: Path) -> None:
        root = objects.backend.path
        if root is None:
            raise ValueError("a bucket can't be linked to")
        self._objects = objects
        self._root = root
        self._folder = folder
        self._may: bool | None = None

    def link(
        self, digest: str, target: Path, *, known: int = 0, seen: os.stat_result | None = None
    ) -> Linked | None:
        """Make `target` the object, in place of what is there; None where it can't be done.

        known: when the object arrived and was verified, nanoseconds since 1970; 0: it is read.
        seen: what is there is replaced only if it is still the file that had this `stat`.
        Raises `StoreError` where the object is damaged, or the disk is full or broken.
        """
        if not self._can():
            return None
        try:
            with self._object(digest) as descriptor:
                before = os.fstat(descriptor)
                if not _is_free(before):
                    return None
                if stat.S_IMODE(before.st_mode) & ~READ_ONLY:  # somebody made it writable
                    os.fchmod(descriptor, stat.S_IMODE(before.st_mode) & READ_ONLY)
                age = (known or time.time_ns()) - before.st_mtime_ns
                if not known:
                    with open(descriptor, "rb", closefd=False) as stream:
                        if hashed(stream)[0] != digest:
                            raise self._objects.damaged(digest)
                if not self._named(descriptor, target, seen):
                    return None
                after = os.fstat(descriptor)
                # else somebody has written to it since: whoever looks reads it
                same = (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
                return Linked(after, age if same else 0)
        except OSError as error:
            if error.errno in _FULL:
                reason = error.strerror or str(error)
                raise StoreError(f"Could not write {target}: {reason}.") from error
            return None

    def is_linked(self, digest: str, there: os.stat_result) -> bool:
        """Whether a file, by its `lstat`, is the object; it is made read-only again if need be."""
        path = self._root / layout.object_key(digest)
        try:
            own = path.lstat()
            if (own.st_dev, own.st_ino) != (there.st_dev, there.st_ino):
                return False
            if stat.S_IMODE(own.st_mode) & 0o222:
                path.chmod(stat.S_IMODE(own.st_mode) & ~0o222)
        except OSError:
            return False
        return True

    def is_possible(self, digest: str, there: os.stat_result) -> bool:
        """Whether a file, by its `lstat`, could be made the object. Reads nothing."""
        try:
            own = (self._root / layout.object_key(digest)).lstat()
        except OSError:
            return False
        alike = stat.S_ISREG(there.st_mode) and own.st_dev == there.st_dev
        return alike and _is_free(own) and self._can()

    def _can(self) -> bool:
        """Blocks that are shared are better: what is done to one file never shows in the other."""
        if self._may is None:
            self._may = not can_clone(self._root, self._folder)
        return self._may

    @contextmanager
    def _object(self, digest: str) -> Iterator[int]:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(self._root / layout.object_key(digest), flags)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _named(self, descriptor: int, target: Path, seen: os.stat_result | None) -> bool:
        """Give the object a second name.

        It gets it in the store's folder for new files and is moved from there: what a killed
        process leaves isn't taken for a file of the project.
        """
        scratch = self._objects.backend.scratch
        if scratch is None:
            return False
        name = scratch / f"{os.getpid()}-{secrets.token_hex(8)}"
        # by the descriptor: what has the object's name may be another file by now
        os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=descriptor, follow_symlinks=True)
        try:
            if os.fstat(descriptor).st_nlink != 2:  # another process links it as well
                return False
            if seen is not None and not _is_same(seen, target.lstat()):
                return False
            target.parent.mkdir(parents=True, exist_ok=True)
            name.replace(target)
        finally:
            with suppress(FileNotFoundError):
                name.unlink()
        return True


def _is_free(own: os.stat_result) -> bool:
    """Whether an object may be linked: a file of ours that nothing else is linked to."""
    return (
        stat.S_ISREG(own.st_mode)
        and own.st_nlink == 1
        and own.st_size > 0
        and own.st_uid == os.geteuid()
    )


def _is_same(one: os.stat_result, other: os.stat_result) -> bool:
    fields = ("st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")
    return all(getattr(one, name) == getattr(other, name) for name in fields)
