"""The files that a stage left, as readers see them: paths, sizes, contents; never a folder on disk.

Contents are objects of the store, so a reader opens what it needs and closes it again. Whoever
needs a real file (SQLite) copies one to a temporary folder with `on_disk`.
"""

from __future__ import annotations

import fnmatch
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from mcgitops.deferred import dataclass


class Files(Protocol):
    """Files by path relative to the project folder, with `/` between the parts."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """Path → size in bytes, sorted by path."""
        ...

    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        """The content, from its first byte. Raises `OSError`."""
        ...


@dataclass(frozen=True)
class Folder:
    """Files that lie in a folder."""

    root: Path
    sizes: Mapping[str, int]

    @staticmethod
    def of(root: Path) -> Folder:
        """All regular files below `root`; links aren't followed."""
        found = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        sizes = {path.relative_to(root).as_posix(): path.stat().st_size for path in found}
        return Folder(root, dict(sorted(sizes.items())))

    def open(self, path: str) -> BinaryIO:
        """The content."""
        return (self.root / path).open("rb")


@dataclass(frozen=True)
class Part:
    """Some of the files."""

    files: Files
    sizes: Mapping[str, int]

    @staticmethod
    def of(files: Files, paths: Iterable[str]) -> Part:
        """Those with these paths."""
        return Part(files, {path: files.sizes[path] for path in sorted(paths)})

    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        """The content."""
        return self.files.open(path)


def matching(files: Files, *patterns: str) -> list[str]:
    """The paths whose last part matches one of the shell patterns, in order."""
    return [
        path
        for path in files.sizes
        if any(fnmatch.fnmatchcase(PurePosixPath(path).name, pattern) for pattern in patterns)
    ]


def head(files: Files, path: str, size: int = 4096) -> bytes:
    """The first bytes of a file; b"" where it can't be read."""
    try:
        with files.open(path) as stream:
            return stream.read(size)
    except OSError:
        return b""


@contextmanager
def on_disk(files: Files, *paths: str) -> Iterator[Path]:
    """A temporary folder with copies of these files under their last names; removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="mcgitops-read-") as name:
        folder = Path(name)
        for path in paths:
            with files.open(path) as stream, (folder / PurePosixPath(path).name).open("wb") as copy:
                shutil.copyfileobj(stream, copy)
        yield folder
