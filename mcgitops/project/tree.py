"""A tree of files as a value: what was found below a folder, with one digest for all of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import NamedTuple

from mcgitops.deferred import dataclass

_AT_ONCE = 10_000
"""Lines that are hashed at a time: the whole text of a million files isn't needed for a digest."""


class Entry(NamedTuple):
    """One file or symbolic link. `digest` is `sha256:…`, or `link:TARGET` for a link."""

    path: str
    digest: str
    size: int
    executable: bool


class Tree:
    """Entries sorted by path. Two trees are equal when their digests, and so their content, are."""

    def __init__(self, entries: tuple[Entry, ...] = ()) -> None:
        self._load: Callable[[], tuple[Entry, ...]] = lambda: entries
        self._digest = ""

    @staticmethod
    def known(digest: str, load: Callable[[], tuple[Entry, ...]]) -> Tree:
        """One whose digest is known already; its entries are looked at when somebody asks."""
        tree = Tree()
        tree._digest, tree._load = digest, load
        return tree

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The files and links, sorted by path."""
        return self._load()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __repr__(self) -> str:
        return f"Tree({self.entries!r})"

    @cached_property
    def manifest(self) -> str:
        """One line an entry: digest, mode, size, path. Paths are escaped so that lines stay lines.

        The text is stored as an object, so that a later look can say which file has changed.
        """
        return _lines(self.entries)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the manifest, as `sha256:<64 hex>`."""
        if self._digest:
            return self._digest
        made = hashlib.sha256()
        for lines in self._encoded():
            made.update(lines)
        return "sha256:" + made.hexdigest()

    def encoded(self, head: bytes = b"") -> bytes:
        """The manifest as it is stored, after `head`: without another copy of it as text."""
        return b"".join((head, *self._encoded()))

    def _encoded(self) -> Iterator[bytes]:
        for start in range(0, len(self.entries), _AT_ONCE):
            lines = _lines(self.entries[start : start + _AT_ONCE])
            yield lines.encode("utf-8", "surrogateescape")

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.entries)

    @staticmethod
    def of(entries: Iterable[Entry]) -> Tree:
        """Sort entries into a tree."""
        return Tree(tuple(sorted(entries)))

    @staticmethod
    def parse(manifest: str) -> Tree:
        """The tree that `manifest` was made of."""

        def entries() -> Iterator[Entry]:
            for line in manifest.split("\n"):
                if line:
                    # a link's target may hold spaces, but is escaped; so four fields always
                    digest, mode, size, path = line.split(" ", 3)
                    yield Entry(_unescaped(path), digest, int(size), mode == "x")

        return Tree(tuple(entries()))


@dataclass(frozen=True)
class TreeChange:
    """How a tree became another one: paths, sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def paths(self) -> tuple[str, ...]:
        """All paths that are not the same in both."""
        return tuple(sorted((*self.added, *self.removed, *self.changed)))


def difference(before: Tree, after: Tree) -> TreeChange:
    """What was added, removed and changed."""
    old = {entry.path: entry for entry in before.entries}
    new = {entry.path: entry for entry in after.entries}
    return TreeChange(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(p for p in old.keys() & new.keys() if old[p] != new[p])),
    )


def _lines(entries: Iterable[Entry]) -> str:
    return "".join(
        f"{e.digest} {'x' if e.executable else '-'} {e.size} {_escaped(e.path)}\n" for e in entries
    )


def link_digest(target: str) -> str:
    """What stands for a symbolic link's content."""
    return "link:" + _escaped(target).replace(" ", "\\x20")


def link_target(digest: str) -> str | None:
    """Where a link leads, of an entry's `digest`; None for a file."""
    if not digest.startswith("link:"):
        return None
    # \x20 after an even number of backslashes is a space
    return re.sub(
        r"\\(x20|.)",
        lambda found: {"x20": " ", "n": "\n", "r": "\r"}.get(found[1], found[1]),
        digest[5:],
        flags=re.DOTALL,
    )


def _escaped(path: str) -> str:
    if "\\" not in path and "\n" not in path and "\r" not in path:
        return path
    return path.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _unescaped(path: str) -> str:
    if "\\" not in path:
        return path
    out: list[str] = []
    characters = iter(path)
    for character in characters:
        if character == "\\":
            following = next(characters, "")
            out.append({"n": "\n", "r": "\r"}.get(following, following))
        else:
            out.append(character)
    return "".join(out)
