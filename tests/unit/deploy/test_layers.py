"""Packed layers: the same bytes each time, once for all hosts, and readable while they grow."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import subprocess
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest

from mcgitops.deploy.shipping import gzipped
from mcgitops.deploy.shipping.layers import Packed, Spool, Stopped
from mcgitops.errors import StoreError
from mcgitops.store.store import Store, open_store

CONTENT = random.Random(1).randbytes(2_500_000) + b"text " * 500_000


def always() -> bool:
    return True


def packed(content: bytes) -> bytes:
    pieces: list[bytes] = []
    with gzipped.workers() as pool:
        gzipped.compress(io.BytesIO(content), lambda piece, _: pieces.append(piece), pool)
    return b"".join(pieces)


@pytest.mark.parametrize(
    "size", [0, 1, gzipped.PIECE - 1, gzipped.PIECE, gzipped.PIECE + 1, len(CONTENT)]
)
def test_what_is_packed_unpacks_to_the_same(size: int) -> None:
    content = CONTENT[:size]
    assert gzip.decompress(packed(content)) == content
    done = subprocess.run(["gzip", "-dc"], input=packed(content), capture_output=True, check=True)
    assert done.stdout == content


def test_the_same_content_is_packed_to_the_same_bytes() -> None:
    assert packed(CONTENT) == packed(CONTENT)


def test_pieces_cost_next_to_nothing() -> None:
    text = b"".join(b"line %d of some text\n" % number for number in range(300_000))
    assert len(packed(text)) < 1.01 * len(gzip.compress(text, gzipped.LEVEL))


class Endless(io.RawIOBase):
    """Many megabytes that nobody has to hold."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        piece = bytes(min(size, self.left))
        self.left -= len(piece)
        return piece


def test_a_layer_is_never_held_in_memory() -> None:
    tracemalloc.start()
    with gzipped.workers() as pool:
        gzipped.compress(cast(BinaryIO, Endless(100_000_000)), lambda piece, size: None, pool)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * gzipped.PIECE * gzipped.MOST


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def spool() -> Iterator[Spool]:
    spool = Spool()
    yield spool
    spool.close()


def read_all(layer: Packed) -> bytes:
    content = b""
    while piece := layer.read(len(content), 100_000, always):
        content += piece
    return content


def test_a_layer_is_packed_once_for_all_who_ask(
    store: Store, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, _ = store.put_bytes(CONTENT)
    opened: list[str] = []
    real = store.open_object

    def counted(digest: str) -> Any:
        opened.append(digest)
        return real(digest)

    monkeypatch.setattr(store, "open_object", counted)
    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(lambda: read_all(spool.layer(store, digest))) for _ in range(8)]
        contents = {reader.result() for reader in readers}
    assert contents == {packed(CONTENT)}
    assert opened == [digest]
    layer = spool.layer(store, digest)
    assert (layer.digest, layer.size) == (
        hashlib.sha256(packed(CONTENT)).hexdigest(), len(packed(CONTENT)),
    )  # fmt: skip


class Gate:
    """A store whose object comes in two halves, the second when it is let through."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.open = threading.Event()
        self.backend = self
        self.scratch = None

    @contextmanager
    def open_object(self, digest: str) -> Iterator[BinaryIO]:
        half = len(self.content) // 2
        first, second = io.BytesIO(self.content[:half]), io.BytesIO(self.content[half:])

        class Halves(io.RawIOBase):
            def read(inner, size: int = -1) -> bytes:  # noqa: N805
                if piece := first.read(size):
                    return piece
                self.open.wait()
                return second.read(size)

        yield cast(BinaryIO, Halves())


def test_a_layer_is_read_while_it_is_still_packed(spool: Spool) -> None:
    random_part = random.Random(2).randbytes(4 * gzipped.PIECE)
    gate = Gate(random_part + bytes(4 * gzipped.MOST * gzipped.PIECE))
    layer = spool.layer(cast(Store, gate), "sha256:" + "0" * 64)
    early = layer.read(1_000_000, 1000, always)
    assert early
    assert packed(gate.content)[1_000_000:].startswith(early)
    assert not layer.done
    gate.open.set()
    assert read_all(layer) == packed(gate.content)


def test_a_reader_that_is_no_longer_wanted_ends(spool: Spool) -> None:
    gate = Gate(b"")
    layer = spool.layer(cast(Store, gate), "sha256:" + "0" * 64)
    with pytest.raises(Stopped):
        layer.read(100, 1, lambda: False)
    gate.open.set()


def test_what_lies_on_a_host_is_recognised_by_its_beginning(store: Store, spool: Spool) -> None:
    digest, _ = store.put_bytes(CONTENT)
    layer = spool.layer(store, digest)
    whole = packed(CONTENT)

    def begins(content: bytes) -> bool:
        return layer.begins_with(len(content), hashlib.sha256(content).hexdigest(), always)

    assert begins(whole[:1_234_567])
    assert begins(whole)
    assert not begins(whole[:1000] + b"x" + whole[1001:1_234_567])
    assert not begins(whole + b"x")


def test_a_damaged_object_is_an_error_for_whoever_reads(store: Store, spool: Spool) -> None:
    digest, _ = store.put_bytes(CONTENT)
    (path,) = [one for one in Path(store.url).rglob("*") if one.name in digest and one.is_file()]
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"other")
    with pytest.raises(StoreError, match="damaged"):
        read_all(spool.layer(store, digest))


def test_an_object_that_is_not_there_is_an_error(store: Store, spool: Spool) -> None:
    with pytest.raises(StoreError, match="has no object"):
        read_all(spool.layer(store, "sha256:" + "0" * 64))
