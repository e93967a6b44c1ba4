"""A store in a folder: safe for several writers at once, and against being killed at any moment.

Every value is first written whole to a file in `tmp/` (same file system), made durable, and then
given its name by one atomic call. So a name never leads to half a value, and what a killed process
leaves is a file in `tmp/`, which a later process removes once it is a day old.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mcgitops.errors import StoreError
from mcgitops.store.backend import Entry
from mcgitops.store.layout import check_key
from mcgitops.store.streams import read_fully

STALE_SECONDS = 24 * 3600
COPY_BYTES = 1024 * 1024
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class FolderBackend:
    """Bytes by key in a folder, which is made on the first write."""

    def __init__(self, folder: Path) -> None:
        self._root = folder.absolute()
        self._tmp_ready = False
        # Of several threads that write small files each only keeps the others from Python's lock.
        self._writing = threading.Lock()

    @property
    def url(self) -> str:
        """The folder's path."""
        return str(self._root)

    @property
    def path(self) -> Path | None:
        """The folder."""
        return self._root

    @property
    def scratch(self) -> Path | None:
        """Temporary files, in the same file system."""
        with self._explained("write to"):
            return self._tmp()

    def get(self, key: str, limit: int | None = None) -> bytes | None:
        """The whole value, or None."""
        with self._explained("read"):
            try:
                # no Path for each of them: there may be tens of thousands
                with open(f"{self._root}/{check_key(key)}", "rb", 0) as stream:  # noqa: PTH123
                    value = stream.read() if limit is None else read_fully(stream, limit + 1)
            except (FileNotFoundError, NotADirectoryError):
                return None
        if limit is not None and len(value) > limit:
            raise StoreError(f"{key} in {self.url} is larger than {limit} bytes.")
        return value

    def open(self, key: str) -> AbstractContextManager[BinaryIO] | None:
        """The value as a stream, or None."""
        with self._explained("read"):
            try:
                return self._file(key).open("rb")
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read_range(self, key: str, offset: int, length: int) -> bytes | None:
        """A part of the value, or None."""
        with self._explained("read"):
            try:
                with self._file(key).open("rb") as stream:
                    stream.seek(offset)
                    return stream.read(length)
            except (FileNotFoundError, NotADirectoryError):
                return None

    def fill(self, key: str, offset: int, buffer: memoryview, told: Callable[[int], None]) -> bool:
        """Read a part of the value into memory."""
        value = self.read_range(key, offset, len(buffer))
        if value is None or len(value) != len(buffer):
            return False
        buffer[:] = value
        told(len(value))
        return True

    def size(self, key: str) -> int | None:
        """How many bytes the value has, or None."""
        with self._explained("read"):
            try:
                return self._file(key).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def signed_link(self, key: str, seconds: int, name: str = "") -> str:
        """A folder has no addresses."""
        return ""

    def put(self, key: str, value: bytes | memoryview, kind: str = "") -> None:
        """Write or replace a value; a folder keeps no content types."""
        with self._explained("write to"), self._temporary(0o666) as (temporary, stream):
            stream.write(value)
            _durable(stream)
            target = self._prepared(key)
            temporary.replace(target)
            _durable_folder(target.parent)

    def create(self, key: str, value: bytes) -> bool:
        """Write a value unless the key exists."""
        with self._explained("write to"):
            target = self._file(key)
            if target.exists():
                return False
            with self._temporary(0o444) as (temporary, stream):
                stream.write(value)
                _durable(stream)
                target = self._prepared(key)
                created = self._link(temporary, target)
            _durable_folder(target.parent)
            return created

    def put_stream(self, key: str, stream: BinaryIO, size: int) -> None:
        """Write what the stream gives."""
        import shutil  # takes long, and most calls need none

        with self._explained("write to"), self._temporary(0o444) as (temporary, copy):
            shutil.copyfileobj(stream, copy, COPY_BYTES)
            _durable(copy)
            temporary.replace(self._prepared(key))

    def put_many(self, values: Iterable[tuple[str, bytes]]) -> None:
        """Write all, make them durable at once, and only then give them their names."""
        written: list[tuple[str, str]] = []
        with self._explained("write to"):
            tmp = self._tmp()
            try:
                with self._writing:
                    self._write_all(values, f"{tmp}/{os.getpid()}-{secrets.token_hex(8)}", written)
                _durable_all(tmp, [temporary for temporary, _ in written])
                with self._writing:
                    _rename_all(written)
            finally:
                for temporary, _ in written:
                    Path(temporary).unlink(missing_ok=True)

    def _write_all(
        self, values: Iterable[tuple[str, bytes]], stem: str, written: list[tuple[str, str]]
    ) -> None:
        """Write values to temporary files; tells each, and where it goes, as soon as it is there.

        No Path for each of them, as there may be tens of thousands.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        root = f"{self._root}/"
        for number, (key, value) in enumerate(values):
            temporary = f"{stem}-{number}"
            descriptor = os.open(temporary, flags, 0o444)
            written.append((temporary, root + check_key(key)))
            try:
                _write(descriptor, value)
            finally:
                os.close(descriptor)

    def adopt(self, key: str, path: Path) -> None:
        """Give a temporary file its name."""
        with self._explained("write to"):
            with path.open("rb") as stream:
                _durable(stream)
                os.fchmod(stream.fileno(), os.fstat(stream.fileno()).st_mode & 0o444)
            path.replace(self._prepared(key))

    def missing(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that don't exist."""
        there: dict[str, bool] = {}  # of a new store's folders there is hardly one yet
        found: set[str] = set()
        with self._explained("read"):
            for key in keys:
                above = check_key(key).rpartition("/")[0]
                if above not in there:
                    there[above] = _is_folder(f"{self._root}/{above}")
                if not (there[above] and _is_file(f"{self._root}/{key}")):
                    found.add(key)
        return found

    def move(self, key: str, to: str, *, keep: bool = False) -> bool:
        """Rename a value."""
        with self._explained("write to"):
            target = self._prepared(to)
            try:
                if keep:
                    with self._file(key).open("rb") as stream:
                        self.put_stream(to, stream, 0)
                else:
                    self._file(key).replace(target)
            except (FileNotFoundError, NotADirectoryError):
                return False
            return True

    def freshen(self, key: str) -> bool:
        """Set the time of the last change to now; False where there is none, or it isn't ours."""
        try:
            os.utime(f"{self._root}/{check_key(key)}")
        except OSError:
            return False
        return True

    def entries(self, prefix: str, starting: str = "") -> Iterator[Entry]:
        """All keys below `prefix` that go on with `starting`, sorted."""
        key = check_key(prefix.rstrip("/"))
        found: list[Entry] = []
        with self._explained("list"):
            # no Path for each of them: there may be tens of thousands
            below = [(key, os.path.join(self._root, key))]  # noqa: PTH118
            while below:
                above, folder = below.pop()
                with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as items:
                    for item in items:
                        name = f"{above}/{item.name}"
                        if above == key and not item.name.startswith(starting):
                            continue
                        if item.is_dir():
                            if not item.is_symlink():
                                below.append((name, item.path))
                            continue
                        with suppress(FileNotFoundError):
                            state = item.stat()
                            version = f"{state.st_ino}-{state.st_mtime_ns}"
                            found.append(Entry(name, state.st_size, version, state.st_mtime))
        yield from sorted(found, key=lambda entry: entry.key)

    def folders(self, prefix: str) -> list[str]:
        """The names directly below `prefix` that keys go on from, sorted."""
        top = self._root / check_key(prefix.rstrip("/"))
        with self._explained("list"), suppress(FileNotFoundError, NotADirectoryError):
            return sorted(item.name for item in os.scandir(top) if item.is_dir())
        return []

    def delete(self, key: str) -> None:
        """Remove a key."""
        with self._explained("write to"):
            self._file(key).unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self._root / check_key(key)

    def _prepared(self, key: str) -> Path:
        target = self._file(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _tmp(self) -> Path:
        folder = self._root / "tmp"
        if not self._tmp_ready:
            folder.mkdir(parents=True, exist_ok=True)
            self._tmp_ready = True
            _remove_stale(folder, time.time() - STALE_SECONDS)
        return folder

    @contextmanager
    def _temporary(self, mode: int) -> Iterator[tuple[Path, BinaryIO]]:
        """A new file in `tmp/`, gone at the end unless it was renamed. The umask applies."""
        path = self._tmp() / f"{os.getpid()}-{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(path, flags, mode), "wb") as stream:
                yield path, stream
        finally:
            path.unlink(missing_ok=True)

    def _link(self, temporary: Path, target: Path) -> bool:
        """Give the file its name unless the name is taken: exactly one of several callers wins."""
        try:
            os.link(temporary, target)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        else:
            return True
        # A file system without hard links: look and rename under a lock instead.
        with (self._root / "tmp" / "lock").open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if target.exists():
                return False
            temporary.replace(target)
            return True

    def _explained(self, action: str) -> AbstractContextManager[None]:
        return explained(action, self.url)


@contextmanager
def explained(action: str, url: str) -> Iterator[None]:
    """Errors of the system as sentences; the store is a folder."""
    try:
        yield
    except OSError as error:
        hint = _HINTS.get(error.errno or 0, "")
        reason = error.strerror or str(error)
        raise StoreError(f"Could not {action} the store {url}: {reason}.", hint) from error


_HINTS = {
    errno.ENOSPC: "Free some space, then run the same again: what was stored stays.",
    errno.EDQUOT: "Free some space, then run the same again: what was stored stays.",
    errno.EACCES: "Give yourself the right to it, or name another folder in MCGITOPS_STORE.",
    errno.EPERM: "Give yourself the right to it, or name another folder in MCGITOPS_STORE.",
    errno.EROFS: "Name a folder that can be written in MCGITOPS_STORE.",
    errno.ENOTDIR: "A part of the path is a file. Name another folder.",
    errno.EEXIST: "A part of the path is a file. Name another folder.",
}


def _durable(stream: BinaryIO) -> None:
    """The content is on the disk before the name is: a power cut leaves no empty object."""
    if stream.writable():
        stream.flush()
    os.fsync(stream.fileno())


def _durable_all(folder: Path, files: list[str]) -> None:
    """The contents of many files of one file system: one call, where there is it, for them all.

    To wait for each of them takes a hundred times as long on a disk.
    """
    syncfs = _find_syncfs() if len(files) > 1 else None
    if syncfs is not None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if syncfs(descriptor) == 0:
                return
        finally:
            os.close(descriptor)
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_file(path: str) -> bool:
    """As `Path.is_file`, without a Path for each of tens of thousands."""
    return stat.S_ISREG(_mode(path))


def _is_folder(path: str) -> bool:
    return stat.S_ISDIR(_mode(path))


def _mode(path: str) -> int:
    """0 where there is nothing; anything else that is wrong is raised."""
    try:
        return os.stat(path).st_mode  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        return 0


def _write(descriptor: int, value: bytes) -> None:
    view = memoryview(value)
    while view:
        view = view[os.write(descriptor, view) :]


def _rename_all(written: list[tuple[str, str]]) -> None:
    """Give files their names; who has one is taken off the list."""
    while written:
        temporary, target = written[-1]
        try:
            os.rename(temporary, target)  # noqa: PTH104
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
            os.rename(temporary, target)  # noqa: PTH104
        written.pop()


def _find_syncfs() -> Callable[[int], int] | None:
    """The C library's, which Python doesn't have. Not everywhere."""
    import ctypes

    try:
        found: Callable[[int], int] = ctypes.CDLL(None).syncfs
    except (OSError, AttributeError):
        return None
    return found


def _durable_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_stale(folder: Path, before: float) -> None:
    """Remove what killed processes left. A file that is being written is newer than that."""
    for path in folder.iterdir():
        with suppress(OSError):
            if path.name != "lock" and path.stat().st_mtime < before:
                path.unlink()
