from __future__ import annotations

import hashlib
import io
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.errors import StoreError
from mcgitops.store.store import Store
from mcgitops.store.streams import HashingReader
from tests.unit.store.conftest import damage, object_path


def test_the_three_ways_in_give_the_same_object(store: Store, tmp_path: Path) -> None:
    value = os.urandom(2_500_000)
    (tmp_path / "file").write_bytes(value)
    expected = (f"sha256:{hashlib.sha256(value).hexdigest()}", len(value))
    assert store.put_bytes(value) == expected
    assert store.put_file(tmp_path / "file") == expected
    assert store.put_stream(io.BytesIO(value)) == expected
    assert store.read_bytes(expected[0]) == value


def test_an_empty_file_is_an_object(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    digest, size = store.put_file(tmp_path / "empty")
    assert size == 0
    store.fetch(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b""


def test_a_damaged_object_is_never_delivered(store: Store, tmp_path: Path) -> None:
    digest, _ = store.put_bytes(os.urandom(3_000_000))
    damage(store, digest)
    (tmp_path / "target").write_text("what was there")
    with pytest.raises(StoreError) as caught:
        store.fetch(digest, tmp_path / "target")
    assert digest in caught.value.message
    assert "objects/sha256/" in caught.value.message
    assert (tmp_path / "target").read_text() == "what was there"
    with pytest.raises(StoreError, match="damaged"):
        store.read_bytes(digest)
    with pytest.raises(StoreError, match="damaged"), store.open_object(digest) as stream:
        while stream.read(100_000):
            pass
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_shortened_object_is_noticed(store: Store, tmp_path: Path) -> None:
    digest, _ = store.put_bytes(b"hello")
    path = object_path(store, digest)
    path.chmod(0o644)
    path.write_bytes(b"hell")
    with pytest.raises(StoreError, match="damaged"):
        store.fetch(digest, tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_an_object_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    digest = "sha256:" + "0" * 64
    with pytest.raises(StoreError, match=f"no object {digest}"):
        store.fetch(digest, tmp_path / "target")
    assert store.missing([digest]) == {digest}


def test_fetch_replaces_a_read_only_file_and_gives_the_mode(store: Store, tmp_path: Path) -> None:
    digest, _ = store.put_bytes(b"#!/bin/sh\n")
    target = tmp_path / "deep" / "script"
    store.fetch(digest, target, executable=True)
    assert stat.S_IMODE(target.stat().st_mode) & 0o111
    target.chmod(0o444)
    store.fetch(digest, target)
    assert not stat.S_IMODE(target.stat().st_mode) & 0o111
    assert os.access(target, os.W_OK)
    assert list(target.parent.iterdir()) == [target]


def test_fetch_works_where_files_can_not_be_nameless(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, _ = store.put_bytes(b"hello")
    monkeypatch.delattr(os, "O_TMPFILE")
    store.fetch(digest, tmp_path / "a" / "target")
    assert (tmp_path / "a" / "target").read_bytes() == b"hello"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["target"]


def test_a_limit_keeps_large_objects_out_of_memory(store: Store) -> None:
    digest, _ = store.put_bytes(b"x" * 1000)
    with pytest.raises(StoreError, match="larger than 10 bytes"):
        store.read_bytes(digest, limit=10)


def test_a_file_that_can_not_be_read_is_a_sentence(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="Could not read"):
        store.put_file(tmp_path / "none")
    with pytest.raises(StoreError, match="Could not read"):
        store.put_file(tmp_path)


class Dripping(io.BytesIO):
    """Gives fewer bytes than asked for, as sockets do."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(size if size is None or size < 0 else min(size, 7))


@given(st.binary(max_size=200), st.lists(st.integers(1, 60), max_size=20))
def test_a_reader_gives_less_only_at_the_end(value: bytes, sizes: list[int]) -> None:
    reader = HashingReader(Dripping(value))
    got = b""
    for size in sizes:
        part = reader.read(size)
        assert len(part) == min(size, len(value) - len(got))
        got += part
    got += reader.read()
    assert got == value
    assert reader.digest == f"sha256:{hashlib.sha256(value).hexdigest()}"
    assert reader.size == len(value)
