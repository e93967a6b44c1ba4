"""Layers on their way to hosts: compressed once in a deployment, however many hosts lack them.

A packed layer is a file without a name, which goes with the process. It is sent while it is still
being written: hosts follow, each at its own pace, and go back in it after a broken connection.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from mcgitops.deploy.shipping import gzipped
from mcgitops.errors import McgitopsError, StoreError
from mcgitops.store.store import Store

_GLANCE = 0.2  # seconds between two looks at whether the reader still wants to go on
_HASHED = 1024 * 1024
PATIENCE = 5.0
"""Seconds that closing waits for one who reads from a slow store."""


class Stopped(McgitopsError):
    """Nobody waits for it any more: the deployment ends."""


class Packed:
    """A layer as gzip, in a file that may still grow."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (closed by `close`)
        self._grown = threading.Condition()
        self._hash = hashlib.sha256()
        self._error: BaseException | None = None
        self.size = 0
        self.plain = 0  # how much of the layer is in it, unpacked
        self.done = False

    @property
    def digest(self) -> str:
        """SHA-256 of the whole file, without the algorithm's name; once it is done."""
        return self._hash.hexdigest()

    def read(self, offset: int, size: int, wanted: Callable[[], bool]) -> bytes:
        """Bytes at an offset, waiting until there are some; none at the end of the layer.

        Raises what went wrong while it was packed, and `Stopped` where it is no longer wanted.
        """
        with self._grown:
            while self.size <= offset and not self.done:
                self._raise()
                if not wanted():
                    raise Stopped("Interrupted.")
                self._grown.wait(_GLANCE)
            self._raise()
            size = max(0, min(size, self.size - offset))
        return os.pread(self._file.fileno(), size, offset)

    def begins_with(self, length: int, digest: str, wanted: Callable[[], bool]) -> bool:
        """Whether its first `length` bytes have this SHA-256; waits until they are there."""
        seen, offset = hashlib.sha256(), 0
        while offset < length:
            piece = self.read(offset, min(_HASHED, length - offset), wanted)
            if not piece:
                return False
            seen.update(piece)
            offset += len(piece)
        return seen.hexdigest() == digest

    def add(self, data: bytes, plain: int) -> None:
        """Append; for the one who packs."""
        self._raise()  # closed meanwhile
        try:
            offset, rest = self.size, memoryview(data)
            while rest:
                written = os.pwrite(self._file.fileno(), rest, offset)
                offset, rest = offset + written, rest[written:]
        except OSError as error:
            reason = error.strerror or str(error)
            raise StoreError(
                f"A packed layer could not be written on this machine: {reason}.",
                "Free some space, or name another folder in TMPDIR.",
            ) from error
        self._hash.update(data)
        with self._grown:
            self.size += len(data)
            self.plain += plain
            self._grown.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """It is whole, or it can't be made."""
        with self._grown:
            self._error = error
            self.done = error is None
            self._grown.notify_all()

    def stop(self) -> None:
        """No more is wanted of it: readers and the one who packs end."""
        self.end(Stopped("Interrupted."))

    def close(self) -> None:
        """Forget it; nobody may read or write any more."""
        self._file.close()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error


class Spool:
    """The packed layers of one deployment."""

    def __init__(self) -> None:
        self._layers: dict[str, Packed] = {}
        self._lock = threading.Lock()
        self._pool = gzipped.workers()
        self._packers: dict[str, threading.Thread] = {}

    def layer(self, store: Store, digest: str) -> Packed:
        """A layer of the store; whoever asks first starts to pack it."""
        with self._lock:
            if found := self._layers.get(digest):
                return found
            packed = Packed(store.backend.scratch or Path(tempfile.gettempdir()))
            self._layers[digest] = packed
            packer = threading.Thread(target=self._pack, args=(store, digest, packed), daemon=True)
            self._packers[digest] = packer
        packer.start()
        return packed

    def known(self, digest: str) -> Packed | None:
        """A layer, if somebody has asked for it."""
        return self._layers.get(digest)

    def close(self) -> None:
        """Stop packing and forget all layers."""
        for packed in self._layers.values():
            packed.stop()
        for digest, packer in self._packers.items():
            packer.join(PATIENCE)
            if not packer.is_alive():  # else its file is open until it ends by itself
                self._layers[digest].close()
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._layers.clear()

    def _pack(self, store: Store, digest: str, packed: Packed) -> None:
        try:
            with store.open_object(digest) as plain:
                gzipped.compress(plain, packed.add, self._pool)
        except BaseException as error:  # noqa: BLE001  (raised where the layer is read)
            packed.end(error)
        else:
            packed.end()
