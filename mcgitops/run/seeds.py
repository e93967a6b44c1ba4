"""The tar stream that fills a run's volume: what the folder it stands for holds, and stored files.

The stream is made piece by piece, so that a large data set doesn't pass through memory.
"""

from __future__ import annotations

import os
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from mcgitops.deferred import dataclass

_CHUNK = 1024 * 1024
_OPEN_TO_ALL = 0o777


@dataclass(frozen=True)
class Stored:
    """A file that comes from the store: its path below the volume, and how to open it."""

    path: str
    size: int
    executable: bool
    open: Callable[[], AbstractContextManager[BinaryIO]]


def seed_stream(
    target: str,
    folder: Path,
    own: Iterable[str],
    stored: Iterable[Stored],
    expected: Iterable[str] = (),
) -> Iterator[bytes]:
    """A tar stream, to be unpacked at `/`, that makes `target` look like `folder`.

    own:    paths below `folder` to take along; folders that lead there come too.
    stored: files of the store, owned by whom the folder belongs to.
    expected: paths that are to be written: the folders that lead there will exist.

    A folder that doesn't exist becomes writable for everybody: under plain Compose the engine would
    make it as root, and a service with a user of its own could not write.
    """
    name = target.strip("/")
    exists = folder.is_dir()
    stat = folder.stat() if exists else None
    root = tarfile.TarInfo(name)
    root.type = tarfile.DIRTYPE
    root.mode = stat.st_mode & 0o7777 if stat else _OPEN_TO_ALL
    root.uid, root.gid = (stat.st_uid, stat.st_gid) if stat else (os.getuid(), os.getgid())
    root.mtime = int(time.time())
    yield _header(root)
    made: set[str] = set()

    def folders(path: str, real: bool) -> Iterator[bytes]:
        parts = path.split("/")[:-1]
        for depth in range(1, len(parts) + 1):
            below = "/".join(parts[:depth])
            if below in made:
                continue
            made.add(below)
            info = _copy(root, f"{name}/{below}", tarfile.DIRTYPE)
            if real and (folder / below).is_dir():
                _take_mode(info, (folder / below).stat())
            yield _header(info)

    for path in expected:
        yield from folders(path, real=exists)
    for path in own:
        yield from folders(path, real=True)
        yield from _file(folder / path, f"{name}/{path}")
    for file in stored:
        yield from folders(file.path, real=exists)
        info = _copy(root, f"{name}/{file.path}", tarfile.REGTYPE)
        info.mode = 0o755 if file.executable else 0o644
        info.size = file.size
        with file.open() as stream:
            yield from _with_content(info, stream)
    yield b"\0" * 1024


def _file(path: Path, name: str) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    stat = path.lstat()
    _take_mode(info, stat)
    info.mtime = int(stat.st_mtime)
    if path.is_symlink():
        info.type, info.linkname = tarfile.SYMTYPE, os.fspath(path.readlink())
        yield _header(info)
        return
    info.size = stat.st_size
    with path.open("rb") as stream:
        yield from _with_content(info, stream)


def _with_content(info: tarfile.TarInfo, stream: BinaryIO) -> Iterator[bytes]:
    yield _header(info)
    left = info.size
    while left > 0:
        chunk = stream.read(min(_CHUNK, left))
        if not chunk:
            raise OSError(f"{info.name} became shorter while it was read")
        left -= len(chunk)
        yield chunk
    if padding := -info.size % tarfile.BLOCKSIZE:
        yield b"\0" * padding


def _copy(root: tarfile.TarInfo, name: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.mode = kind, root.mode
    info.uid, info.gid, info.mtime = root.uid, root.gid, root.mtime
    return info


def _take_mode(info: tarfile.TarInfo, stat: os.stat_result) -> None:
    info.mode, info.uid, info.gid = stat.st_mode & 0o7777, stat.st_uid, stat.st_gid


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
