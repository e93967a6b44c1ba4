"""What would grow with a million files in a store: memory, and waiting for the disk."""

from __future__ import annotations

import hashlib
import io
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from mcgitops.errors import StoreError
from mcgitops.store import gathering
from mcgitops.store import store as stores
from mcgitops.store.clone import LEAST
from mcgitops.store.folder import FolderBackend
from mcgitops.store.gathering import Gathering
from mcgitops.store.records import FileRef
from mcgitops.store.seals import is_whole, sealed
from mcgitops.store.store import Store, check_size
from tests.unit.store.conftest import a_run, object_path


def test_a_record_that_nobody_could_read_again_is_not_written(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, size = store.put_bytes(b"x")
    files = tuple(FileRef(path=f"out/{n:04}", digest=digest, size=size) for n in range(1000))
    record = a_run(store, outputs=files)
    check_size(record)
    monkeypatch.setattr(stores, "LARGEST_RECORD", 100_000)
    monkeypatch.setattr(stores, "FEW", 100)
    for refused in (lambda: check_size(record), lambda: store.publish(record)):
        with pytest.raises(StoreError, match=r"with 1,000 files, has 1\d\d,\d\d\d bytes") as error:
            refused()
        assert "one archive" in error.value.hint
    assert list(store.runs("wine")) == []


def test_what_a_store_takes_holds_a_million_files() -> None:
    path = f"outputs/predictions/part{0:04}/item{0:07}.json"
    one = FileRef(path=path, digest="sha256:" + "0" * 64, size=10**9).model_dump_json()
    assert 1_000_000 * (len(one) + 1) < stores.LARGEST_RECORD
    longest = FileRef(path="é" * 2048, digest="sha256:" + "0" * 64, size=10**9).model_dump_json()
    assert stores.FEW * (len(longest.encode()) + 1) < stores.LARGEST_RECORD


def test_a_seal_is_looked_at_without_another_copy() -> None:
    value = sealed(b'{"a":"' + b"x" * 4_000_000 + b'"}')
    tracemalloc.start()
    assert is_whole(value)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000
    assert not is_whole(value.replace(b"xx", b"xy", 1))


def test_small_files_are_written_many_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = FolderBackend(tmp_path / "store")
    waits: list[int] = []
    real = backend.put_many

    def counted(values: Iterable[tuple[str, bytes]]) -> None:
        some = list(values)
        waits.append(len(some))
        real(some)

    monkeypatch.setattr(backend, "put_many", counted)
    monkeypatch.setattr(gathering, "AT_ONCE", 100)
    store = Store(backend)
    there, _ = store.put_bytes(b"7")
    inode = object_path(store, there).stat().st_ino
    gathered = Gathering(store)
    contents = [b"%d" % number for number in range(250)] + [b"l" * LEAST, b""]
    found = [gathered.put(io.BytesIO(one), len(one)) for one in contents]
    gathered.finish()
    assert found == [(f"sha256:{hashlib.sha256(one).hexdigest()}", len(one)) for one in contents]
    assert [store.read_bytes(digest) for digest, _ in found] == contents
    assert waits == [99, 100, 51], "what is there isn't written again"
    assert object_path(store, there).stat().st_ino == inode
