"""Walks folders and hashes what is in them, through the index; all cores for what must be read.

There may be a million files: what was seen of them is kept as numbers side by side, not as objects.
"""

from __future__ import annotations

import itertools
import os
import stat as stat_
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mcgitops.errors import McgitopsError
from mcgitops.facts.digest import SMALL, Changing, Digest, digest
from mcgitops.facts.index import Index, Row, fits
from mcgitops.facts.walking import Seen, folders, signed
from mcgitops.facts.walking import Skip as Skip
from mcgitops.facts.walking import keep_all as keep_all
from mcgitops.project.tree import Entry, Tree, link_digest

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

_BATCH = 64
_BATCHES = 512
"""Batches whose files are known before they go into the index."""
_MANY = 4000
"""Small files from which on processes pay: each takes 15 ms to start, a file 10 µs."""
_LARGE = 200
"""Files from which on it is worth to keep what a folder came to."""


class Found(NamedTuple):
    """A file or link below a root, before it is hashed."""

    path: str
    stat: os.stat_result
    link: str | None = None


def walk(root: Path, skip: Skip) -> Iterator[Found]:
    """Regular files and symbolic links below `root`; links are not followed, devices left out."""
    try:
        for found in folders(os.fspath(root), skip):
            yield from map(Found._make, found)
    except PermissionError as error:
        raise _closed(error) from None


def _closed(error: PermissionError) -> McgitopsError:
    return McgitopsError(
        f"{error.filename} can't be read.", "Give yourself permission, or exclude it."
    )


def tree(root: Path, index: Index, skip: Skip = keep_all) -> Tree:
    """The tree below `root`, a folder or a single file; an empty tree where there is nothing.

    Raises `McgitopsError` for a file that can't be read or keeps changing while it is.
    """
    try:
        stat = root.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Tree()
    if stat_.S_ISREG(stat.st_mode):
        seen = Seen()
        seen.add([(root.name, stat, None)])
        return _hashed(root.parent, seen, index, partial=True)
    if not stat_.S_ISDIR(stat.st_mode):
        return Tree()  # a socket or a device has no content to speak of
    ahead = index.ahead if skip is keep_all else None
    if (
        ahead is not None
        and (early := ahead.signature(root))
        and (known := index.summary(os.fspath(root), early))
    ):
        return Tree.known(known, lambda: _entries_of(root, _walked(root, skip), index, known))
    seen = (ahead.walked(root) if ahead is not None else None) or _walked(root, skip)
    if len(seen.paths) < _LARGE:
        return _hashed(root, seen, index, partial=False)
    if ahead is not None:
        ahead.note(root, len(seen.paths))
    signature = seen.signature()
    if known := index.summary(os.fspath(root), signature):
        return Tree.known(known, lambda: _entries_of(root, seen, index, known))
    return _hashed(root, seen, index, partial=False, signature=signature)


def _walked(root: Path, skip: Skip) -> Seen:
    seen = Seen()
    try:
        for found in folders(os.fspath(root), skip):
            seen.add(found)
    except PermissionError as error:
        raise _closed(error) from None
    return seen


def _entries_of(root: Path, seen: Seen, index: Index, digest_: str) -> tuple[Entry, ...]:
    """The entries of a tree whose digest is known."""
    later = _hashed(root, seen, index, partial=False)
    if later.digest != digest_:
        raise McgitopsError(f"{root} changed while it was looked at.", "Try again.")
    return later.entries


def _hashed(root: Path, seen: Seen, index: Index, *, partial: bool, signature: bytes = b"") -> Tree:
    """The tree of what was seen. signature: noted with what it came to, where every row fits."""
    known = index.load(os.fspath(root))
    entries: list[Entry] = []
    unread: list[int] = []
    for place, (path, stat) in enumerate(zip(seen.paths, seen.stats(), strict=True)):
        if path in seen.links:
            entries.append(Entry(path, link_digest(seen.links[path]), 0, False))
            continue
        row = known.get(path)
        if row is not None and fits(row, stat):
            entries.append(_entry(path, stat[1], stat[4], row[-1]))
        else:
            unread.append(place)
    settled = True
    if unread:
        gone: set[str] = set() if partial or not known else known.keys() - set(seen.paths)
        del known
        for fresh in _hash_all(root, seen, unread):
            entries.extend(
                _entry(item.path, row.size, mode, row.digest) for item, row, mode in fresh
            )
            index.save(os.fspath(root), ((item.path, row) for item, row, _ in fresh), gone)
            gone = set()
            if signature and settled:
                settled = all(
                    fits((item.path, *row), seen.stat(item.place)) for item, row, _ in fresh
                )
    made = Tree.of(entries)
    if signature and settled:
        index.summarise(os.fspath(root), signature, made.digest)
    return made


def _entry(path: str, size: int, mode: int, digest_: str) -> Entry:
    return Entry(path, digest_, size, mode & stat_.S_IXUSR != 0)


class Unread(NamedTuple):
    """A file whose digest isn't known, its size, and its place among all that was seen."""

    path: str
    size: int
    place: int = 0


Fresh = tuple[Unread, Row, int]
"""A file that was read just now: what the index is to know of it, and its mode."""


def _hash_all(root: Path, seen: Seen, places: Sequence[int]) -> Iterator[list[Fresh]]:
    """Hash files on all cores, large ones first, so that none of them ends alone.

    Gives some thousand at a time, while the next ones are read: what is known of each file takes
    several hundred bytes until it is in the index, and what is there an interruption doesn't lose.
    """
    if len(places) < 4:
        yield [hash_file(root, item) for item in _unread(seen, places)]
        return
    small = [place for place in places if seen.size(place) <= SMALL]
    large = sorted((p for p in places if seen.size(p) > SMALL), key=lambda p: -seen.size(p))
    batches: list[Sequence[int]] = [[place] for place in large]
    batches += [small[i : i + _BATCH] for i in range(0, len(small), _BATCH)]
    cores = len(os.sched_getaffinity(0))
    from concurrent.futures import ThreadPoolExecutor  # not needed where nothing has changed

    def here(some: Sequence[int]) -> list[Fresh]:
        return [hash_file(root, item) for item in _unread(seen, some)]

    if len(small) < _MANY or cores < 2:
        with ThreadPoolExecutor(cores) as pool:
            yield from _in_portions(pool, here, batches)
        return
    from mcgitops.facts.workers import Workers

    with Workers(cores) as workers, ThreadPoolExecutor(cores) as pool:

        def there(some: Sequence[int]) -> list[Fresh]:
            items = _unread(seen, some)
            answers = workers.digests([f"{os.fspath(root)}/{item.path}" for item in items])
            return [
                _fresh(item, answer) if answer is not None else hash_file(root, item)
                for item, answer in zip(items, answers, strict=True)
            ]

        yield from _in_portions(pool, there, batches)


def _in_portions(
    pool: ThreadPoolExecutor,
    work: Callable[[Sequence[int]], list[Fresh]],
    batches: Sequence[Sequence[int]],
) -> Iterator[list[Fresh]]:
    """What `work` makes of the batches, many of them at a time; the next are begun before."""
    waiting: Iterator[list[Fresh]] | None = None
    for start in range(0, len(batches), _BATCHES):
        following = pool.map(work, batches[start : start + _BATCHES])
        if waiting is not None:
            yield list(itertools.chain.from_iterable(waiting))
        waiting = following
    if waiting is not None:
        yield list(itertools.chain.from_iterable(waiting))


def _unread(seen: Seen, places: Iterable[int]) -> list[Unread]:
    return [Unread(seen.paths[place], seen.size(place), place) for place in places]


def hash_file(root: Path, item: Unread) -> Fresh:
    """Hash one file; one that changes meanwhile is read again, and at last refused."""
    path = os.path.join(root, item.path)  # noqa: PTH118  (there may be a million)
    try:
        return _fresh(item, digest(path))
    except PermissionError:
        raise McgitopsError(
            f"{path} can't be read.", "Give yourself permission, or exclude it."
        ) from None
    except FileNotFoundError:
        raise McgitopsError(f"{path} went away while it was read.", "Try again.") from None
    except Changing:
        raise McgitopsError(
            f"{path} keeps changing while it is read.", "Stop what writes it, or exclude it."
        ) from None


def _fresh(item: Unread, found: Digest) -> Fresh:
    inode, size, mtime_ns, ctime_ns, mode, seen_ns, hexadecimal = found
    numbers = (signed(inode), size, signed(mtime_ns), signed(ctime_ns), seen_ns)
    return item, Row(*numbers, "sha256:" + hexadecimal), mode
