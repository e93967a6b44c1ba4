"""Walks folders and takes the `stat` of what is in them; reads no file.

It needs nothing but a few modules of the standard library: `facts.ahead` has it work in a process
of its own while the rest of the program is imported.
"""

from __future__ import annotations

import array
import hashlib
import marshal
import os
import stat as stat_
import sys
from collections.abc import Callable, Iterable, Iterator

from mcgitops.project import STATE_FOLDER

Skip = Callable[[str, bool], bool]
"""Given a path below the root and whether it is a folder: leave it out (with all below it)?"""

Stat = tuple[int, int, int, int, int]
"""inode, size, mtime_ns, ctime_ns and mode of a file, as `signed` has them."""

SeenFile = tuple[str, os.stat_result, str | None]
"""The path below the root of a file, or of a link and then where it leads."""

_NAMES = 10_000
"""Names that are put together for a signature at a time."""
_KINDS = 0o170000
"""The bits of a mode that tell a file from a link or a device (`stat.S_IFMT`, without the call)."""


def keep_all(path: str, is_folder: bool) -> bool:
    """The `Skip` that leaves out only our own state and git's."""
    return is_folder and path.rsplit("/", 1)[-1] in (STATE_FOLDER, ".git")


def folders(root: str, skip: Skip) -> Iterator[list[SeenFile]]:
    """Regular files and symbolic links below `root`, a folder at a time.

    Links are not followed, devices left out. Raises `PermissionError` with the folder's name.
    """
    pending = [("", root)]
    while pending:
        prefix, folder = pending.pop()
        try:
            # what is in it is then looked up from there, and not from the root of the file system
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            continue  # removed since its parent was listed
        found: list[SeenFile] = []
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    name = entry.name
                    path = prefix + name
                    if entry.is_dir(follow_symlinks=False):
                        if not skip(path, True):
                            pending.append((path + "/", f"{folder}/{name}"))
                    elif not skip(path, False):
                        try:
                            stat = entry.stat(follow_symlinks=False)
                            kind = stat.st_mode & _KINDS
                            if kind == stat_.S_IFREG:
                                found.append((path, stat, None))
                            elif kind == stat_.S_IFLNK:
                                target = os.readlink(name, dir_fd=descriptor)
                                found.append((path, stat, target))
                        except FileNotFoundError:
                            pass  # removed since it was listed
        except PermissionError as error:
            raise PermissionError(error.errno, error.strerror, folder) from None
        finally:
            os.close(descriptor)
        yield found


class Seen:
    """The files and links below a root, before they are hashed."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.links: dict[str, str] = {}  # path → target
        self._numbers = array.array("q")  # the fields of a `Stat` for each path
        self._signature = b""  # once it was made

    def packed(self) -> tuple[list[str], dict[str, str], bytes, bytes]:
        """All of it, for another process: see `unpacked`."""
        return self.paths, self.links, self._numbers.tobytes(), self.signature()

    @staticmethod
    def unpacked(paths: list[str], links: dict[str, str], numbers: bytes, signed: bytes) -> Seen:
        """What another process has seen."""
        seen = Seen()
        seen.paths, seen.links, seen._signature = paths, links, signed
        seen._numbers.frombytes(numbers)
        return seen

    def add(self, found: Iterable[SeenFile]) -> None:
        """Some more."""
        self._signature = b""
        paths, numbers = self.paths, self._numbers
        for path, stat, link in found:
            try:
                numbers.extend((
                    stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_mode
                ))  # fmt: skip
            except OverflowError:  # an inode or a time of more than 63 bits
                del numbers[len(paths) * 5 :]
                times = stat.st_mtime_ns, stat.st_ctime_ns
                numbers.extend(map(signed, (stat.st_ino, stat.st_size, *times, stat.st_mode)))
            paths.append(path)
            if link is not None:
                self.links[path] = link

    def stats(self) -> Iterator[Stat]:
        """What was seen, in the order of the paths."""
        return zip(*[iter(self._numbers)] * 5, strict=True)

    def stat(self, place: int) -> Stat:
        """What was seen of the path at this place."""
        inode, size, mtime_ns, ctime_ns, mode = self._numbers[place * 5 : place * 5 + 5]
        return inode, size, mtime_ns, ctime_ns, mode

    def size(self, place: int) -> int:
        """The bytes of the file at this place."""
        return self._numbers[place * 5 + 1]

    def signature(self) -> bytes:
        """A digest of all that decides whether a row of the index still fits, of all files."""
        if self._signature:
            return self._signature
        made = hashlib.blake2b(digest_size=32)
        links = self.links
        names = self.paths
        if links:
            names = [f"{path}\0\0{links[path]}" if path in links else path for path in names]
        for start in range(0, len(names), _NAMES):
            part = "\0".join(names[start : start + _NAMES])
            made.update((b"\0" if start else b"") + part.encode("utf-8", "surrogateescape"))
        made.update(self._numbers)
        self._signature = made.digest()
        return self._signature


def signed(number: int) -> int:
    """A number as SQLite keeps it, in 64 bits with a sign: some inodes have the highest one set."""
    return (number + 2**63) % 2**64 - 2**63


def main() -> None:
    """Walk the folders that are named, and say what each came to: see `facts.ahead`.

    The first argument is `whole` where all that was seen is asked for, of what isn't huge.
    """
    answers: dict[str, object] = {}
    whole = sys.argv[1] == "whole"
    for root in sys.argv[2:]:
        seen = Seen()
        try:
            for found in folders(root, keep_all):
                seen.add(found)
        except OSError:
            continue  # who needs it will say what is wrong
        few = len(seen.paths) <= _NAMES * 10
        answers[root] = seen.packed() if whole and few else seen.signature()
    marshal.dump(answers, sys.stdout.buffer)
