"""Content-addressed objects over a backend: hashed on the way in, verified on the way out.

This is the only place that knows how a digest becomes a place in the backend.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from mcgitops.errors import StoreError
from mcgitops.store import layout
from mcgitops.store.backend import Backend
from mcgitops.store.streams import CHUNK, HashingReader, VerifyingReader


class Objects:
    """Files by digest."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def put_file(self, path: Path) -> tuple[str, int]:
        """Store a file's content; gives its digest and size."""
        with _readable(path) as stream:
            if self._backend.scratch is not None:
                return self.put_stream(stream)
            digest, size = hashed(stream)
            if self.missing([digest]):
                stream.seek(0)
                changed = StoreError(
                    f"{path} changed while it was being stored.",
                    "Run the same again when nothing writes to it.",
                )
                verified = VerifyingReader(stream, digest, changed)
                self._put(digest, verified, size)
            return digest, size

    def put_stream(self, stream: BinaryIO) -> tuple[str, int]:
        """Store what a stream gives, to its end."""
        reader = HashingReader(stream)
        with _temporary(self._backend.scratch or Path(tempfile.gettempdir())) as (path, copy):
            while chunk := reader.read(CHUNK):
                copy.write(chunk)
            copy.flush()
            if self.missing([reader.digest]):
                self._backend.adopt(layout.object_key(reader.digest), path)
        return reader.digest, reader.size

    def put_bytes(self, value: bytes) -> tuple[str, int]:
        """Store bytes."""
        digest = f"sha256:{hashlib.sha256(value).hexdigest()}"
        if self.missing([digest]):
            self._put(digest, io.BytesIO(value), len(value))
        return digest, len(value)

    def copy_from(
        self, source: Objects, digest: str, size: int, told: Callable[[int], None] | None = None
    ) -> None:
        """Take one object of another store, verified on the way: nothing arrives otherwise.

        `told` is called with the number of bytes of each piece.
        """
        with source.open(digest, told) as stream:
            self._put(digest, stream, size)

    def read_bytes(self, digest: str, limit: int | None = None) -> bytes:
        """A whole small object, verified."""
        key = layout.object_key(digest)
        value = self._backend.get(key, limit)
        if value is None:
            raise self._absent(digest)
        if f"sha256:{hashlib.sha256(value).hexdigest()}" != digest:
            raise self._damaged(digest)
        return value

    @contextmanager
    def open(self, digest: str, told: Callable[[int], None] | None = None) -> Iterator[BinaryIO]:
        """An object as a stream; reading to the end raises where it is damaged."""
        opened = self._backend.open(layout.object_key(digest))
        if opened is None:
            raise self._absent(digest)
        with opened as stream:
            yield cast("BinaryIO", VerifyingReader(stream, digest, self._damaged(digest), told))

    def fetch(self, digest: str, target: Path, *, executable: bool = False) -> None:
        """Write an object to a file, verified and atomic: the whole content or no change."""
        with self.open(digest) as stream:
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with _nameless(target, 0o777 if executable else 0o666) as copy:
                    while chunk := stream.read(CHUNK):
                        copy.write(chunk)
            except OSError as error:
                reason = error.strerror or str(error)
                raise StoreError(f"Could not write {target}: {reason}.") from error

    def size(self, digest: str) -> int:
        """How many bytes an object has; an error where there is none."""
        size = self._backend.size(layout.object_key(digest))
        if size is None:
            raise self._absent(digest)
        return size

    def missing(self, digests: Iterable[str]) -> set[str]:
        """Those that the store lacks."""
        keys = {layout.object_key(digest): digest for digest in digests}
        return {keys[key] for key in self._backend.missing(keys)}

    def _put(self, digest: str, stream: BinaryIO | HashingReader, size: int) -> None:
        self._backend.put_stream(layout.object_key(digest), cast("BinaryIO", stream), size)

    def _absent(self, digest: str) -> StoreError:
        return StoreError(
            f"The store {self._backend.url} has no object {digest}.",
            "Push it again from where it was made, or train again.",
        )

    def _damaged(self, digest: str) -> StoreError:
        key = layout.object_key(digest)
        return StoreError(
            f"Object {digest} is damaged: {key} in {self._backend.url} holds other bytes.",
            "Delete that key; then push or pull it from where a good copy is, or train again.",
        )


def hashed(stream: BinaryIO) -> tuple[str, int]:
    """Digest and size of what is left of a stream."""
    reader = HashingReader(stream)
    while reader.read(CHUNK):
        pass
    return reader.digest, reader.size


@contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise StoreError(f"Could not read {path}: {error.strerror or error}.") from error
    with stream:
        yield stream


@contextmanager
def _temporary(folder: Path, mode: int = 0o666) -> Iterator[tuple[Path, BinaryIO]]:
    """A new file in the folder, gone at the end unless it was renamed. The umask applies."""
    path = folder / f".mcgitops-{os.getpid()}-{secrets.token_hex(8)}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, mode), "w+b") as stream:
            yield path, stream
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _nameless(target: Path, mode: int) -> Iterator[BinaryIO]:
    """A file that becomes `target` at the end, and leaves nothing where that isn't reached.

    Without a name until it is whole, where the file system can do that: a killed process then
    leaves no half file in a project folder, which would be taken for an input.
    """
    try:
        flags = os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC
        descriptor = os.open(target.parent, flags, mode)
    except (AttributeError, OSError):
        with _temporary(target.parent, mode) as (path, stream):
            yield stream
            stream.flush()
            path.replace(target)
        return
    with os.fdopen(descriptor, "w+b") as stream:
        yield stream
        stream.flush()
        try:
            _named(descriptor, target)
        except OSError:  # no /proc here, or a file system that can't after all
            stream.seek(0)
            with _temporary(target.parent, mode) as (path, copy):
                shutil.copyfileobj(stream, copy, CHUNK)
                copy.flush()
                path.replace(target)


def _named(descriptor: int, target: Path) -> None:
    """Give a nameless file its name, replacing what has it."""
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    name = f".mcgitops-{os.getpid()}-{secrets.token_hex(8)}"
    try:
        # With dst_dir_fd Python calls linkat, which follows the link in /proc to the file itself.
        os.link(f"/proc/self/fd/{descriptor}", name, dst_dir_fd=folder, follow_symlinks=True)
        try:
            os.replace(name, target.name, src_dir_fd=folder, dst_dir_fd=folder)
        except OSError:
            os.unlink(name, dir_fd=folder)
            raise
    finally:
        os.close(folder)
