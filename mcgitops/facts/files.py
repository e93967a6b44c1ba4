"""Walks folders and hashes what is in them, through the index; all cores for what must be read."""

from __future__ import annotations

import array
import hashlib
import os
import stat as stat_
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from mcgitops.errors import McgitopsError
from mcgitops.facts.index import Index, Row, fits, row
from mcgitops.project.model import STATE_FOLDER
from mcgitops.project.tree import Entry, Tree, link_digest

Skip = Callable[[str, bool], bool]
"""Given a path below the root and whether it is a folder: leave it out (with all below it)?"""

_BATCH = 64
_LARGE = 200
"""Files from which on it is worth to keep what a folder came to."""
_WRAP = 2**64
"""Times before 1970 are negative."""


class Found(NamedTuple):
    """A file or link below a root, before it is hashed."""

    path: str
    stat: os.stat_result
    link: str | None = None


def walk(root: Path, skip: Skip) -> Iterator[Found]:
    """Regular files and symbolic links below `root`; links are not followed, devices left out."""
    pending = [("", os.fspath(root))]
    while pending:
        prefix, folder = pending.pop()
        try:
            entries = os.scandir(folder)
        except PermissionError:
            raise McgitopsError(
                f"{folder} can't be read.", "Give yourself permission, or exclude it."
            ) from None
        except FileNotFoundError:
            continue  # removed since its parent was listed
        with entries:
            for entry in entries:
                path = prefix + entry.name
                if entry.is_dir(follow_symlinks=False):
                    if not skip(path, True):
                        pending.append((path + "/", entry.path))
                elif not skip(path, False) and (found := _found(path, entry)) is not None:
                    yield found


def _found(path: str, entry: os.DirEntry[str]) -> Found | None:
    """A file or link of a folder; None for a device, and for what went away meanwhile."""
    try:
        stat = entry.stat(follow_symlinks=False)
        if stat_.S_ISREG(stat.st_mode):
            return Found(path, stat)
        if stat_.S_ISLNK(stat.st_mode):
            return Found(path, stat, os.fspath(Path(entry.path).readlink()))
    except FileNotFoundError:
        pass
    return None


def keep_all(path: str, is_folder: bool) -> bool:
    """The `Skip` that leaves out only our own state and git's."""
    return is_folder and path.rsplit("/", 1)[-1] in (STATE_FOLDER, ".git")


def tree(root: Path, index: Index, skip: Skip = keep_all) -> Tree:
    """The tree below `root`, a folder or a single file; an empty tree where there is nothing.

    Raises `McgitopsError` for a file that can't be read or keeps changing while it is.
    """
    try:
        stat = root.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Tree()
    if stat_.S_ISREG(stat.st_mode):
        parent, name = root.parent, root.name
        return Tree.of(_hashed(parent, [Found(name, stat)], index, partial=True))
    if not stat_.S_ISDIR(stat.st_mode):
        return Tree()  # a socket or a device has no content to speak of
    found = list(walk(root, skip))
    if len(found) < _LARGE:
        return Tree.of(_hashed(root, found, index, partial=False))
    signature = _signature(found)
    if digest := index.summary(os.fspath(root), signature):
        return Tree.known(digest, lambda: _entries_of(root, found, index, digest))
    return Tree.of(_hashed(root, found, index, partial=False, signature=signature))


def _signature(found: list[Found]) -> bytes:
    """A digest of all that decides whether a row of the index still fits, of all files at once."""
    numbers = array.array("Q")
    for item in found:
        stat = item.stat
        numbers.extend((
            stat.st_ino, stat.st_size, stat.st_mtime_ns % _WRAP, stat.st_ctime_ns % _WRAP,
            stat.st_mode,
        ))  # fmt: skip
    names = "\0".join([item.path if item.link is None else f"{item.path}\0\0{item.link}"
                       for item in found])  # fmt: skip
    digest = hashlib.blake2b(names.encode("utf-8", "surrogateescape"), digest_size=32)
    digest.update(numbers.tobytes())
    return digest.digest()


def _entries_of(root: Path, found: list[Found], index: Index, digest: str) -> tuple[Entry, ...]:
    """The entries of a tree whose digest is known."""
    later = Tree.of(_hashed(root, found, index, partial=False))
    if later.digest != digest:
        raise McgitopsError(f"{root} changed while it was looked at.", "Try again.")
    return later.entries


def _hashed(
    root: Path, found: list[Found], index: Index, *, partial: bool, signature: bytes = b""
) -> list[Entry]:
    """The entries, unsorted. signature: noted with what it came to, where every row fits."""
    known = index.load(os.fspath(root))
    entries: list[Entry] = []
    unread: list[Found] = []
    for item in found:
        if item.link is not None:
            entries.append(Entry(item.path, link_digest(item.link), 0, False))
            continue
        row_ = known.get(item.path)
        if row_ is not None and fits(row_, item.stat):
            entries.append(_entry(item, row_[-1]))
        else:
            unread.append(item)
    if unread:
        fresh = _hash_all(root, unread)
        entries.extend(_entry(item, row_.digest) for item, row_ in fresh)
        gone: set[str] = set() if partial else known.keys() - {item.path for item in found}
        index.save(os.fspath(root), ((item.path, row_) for item, row_ in fresh), gone)
    elif signature:
        index.summarise(os.fspath(root), signature, Tree.of(entries).digest)
    return entries


def _entry(item: Found, digest: str) -> Entry:
    stat = item.stat
    return Entry(item.path, digest, stat.st_size, stat.st_mode & stat_.S_IXUSR != 0)


def _hash_all(root: Path, items: list[Found]) -> list[tuple[Found, Row]]:
    batches = [items[i : i + _BATCH] for i in range(0, len(items), _BATCH)]

    def batch(some: list[Found]) -> list[tuple[Found, Row]]:
        return [hash_file(root, item) for item in some]

    if len(batches) == 1 and len(items) < 4:
        return batch(items)
    from concurrent.futures import ThreadPoolExecutor  # not needed where nothing has changed

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        # large files first, so that one of them doesn't end alone
        batches.sort(key=lambda some: -max(item.stat.st_size for item in some))
        return [pair for done in pool.map(batch, batches) for pair in done]


def hash_file(root: Path, item: Found) -> tuple[Found, Row]:
    """Hash one file; one that changes meanwhile is read again, and at last refused."""
    path = root / item.path
    for _ in range(3):
        try:
            with path.open("rb", buffering=0) as stream:
                before = os.fstat(stream.fileno())
                seen = time.time_ns()
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                after = os.fstat(stream.fileno())
        except PermissionError:
            raise McgitopsError(
                f"{path} can't be read.", "Give yourself permission, or exclude it."
            ) from None
        except FileNotFoundError:
            raise McgitopsError(f"{path} went away while it was read.", "Try again.") from None
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return Found(item.path, after), row(after, "sha256:" + digest, seen)
    raise McgitopsError(
        f"{path} keeps changing while it is read.", "Stop what writes it, or exclude it."
    )
