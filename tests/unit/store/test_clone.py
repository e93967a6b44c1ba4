"""Files that share their blocks: what is done to one never shows in the other."""

from __future__ import annotations

import errno
import os
import stat
import tarfile
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from mcgitops.errors import StoreError
from mcgitops.store import clone as cloning
from mcgitops.store import layout, objects
from mcgitops.store.store import open_store

VALUE = os.urandom(cloning.LEAST)


def shared(source: int, target: int) -> bool:
    """As the file system does it, as far as can be seen."""
    os.pwrite(target, os.pread(source, 2 * len(VALUE), 0), 0)
    return True


@pytest.mark.parametrize("can", [True, False])
def test_a_file_goes_into_the_store_and_back(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, can: bool
) -> None:
    monkeypatch.setattr(objects, "clone", shared if can else lambda *_: False)
    store = open_store(str(tmp_path / "store"))
    (tmp_path / "file").write_bytes(VALUE)
    digest, size = store.put_file(tmp_path / "file")
    assert size == len(VALUE)
    store.fetch(digest, tmp_path / "back", executable=True)
    assert (tmp_path / "back").read_bytes() == VALUE
    assert os.access(tmp_path / "back", os.X_OK)
    with (tmp_path / "back").open("r+b") as stream:
        stream.write(b"edited")
    assert store.read_bytes(digest) == VALUE
    own = tmp_path / "store" / layout.object_key(digest)
    assert stat.S_IMODE(own.stat().st_mode) & 0o222 == 0


def test_a_damaged_object_is_not_shared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(objects, "clone", shared)
    store = open_store(str(tmp_path / "store"))
    digest, _ = store.put_bytes(VALUE)
    own = tmp_path / "store" / layout.object_key(digest)
    own.chmod(0o644)
    own.write_bytes(VALUE[::-1])
    with pytest.raises(StoreError, match="is damaged"):
        store.fetch(digest, tmp_path / "back")
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize(
    ("number", "raises"), [(errno.EOPNOTSUPP, False), (errno.EXDEV, False), (errno.ENOSPC, True)]
)
def test_only_a_full_or_broken_disk_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int, raises: bool
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.ioctl", fail)
    with (tmp_path / "a").open("wb+") as one, (tmp_path / "b").open("wb+") as other:
        if raises:
            with pytest.raises(OSError, match=os.strerror(number)):
                cloning.clone(one.fileno(), other.fileno())
        else:
            assert not cloning.clone(one.fileno(), other.fileno())


def test_a_member_of_an_archive_is_stored(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(VALUE)
    with tarfile.open(tmp_path / "archive", "w") as archive:
        archive.add(tmp_path / "file", "file")
    store = open_store(str(tmp_path / "store"))
    with tarfile.open(tmp_path / "archive") as archive:
        member = archive.extractfile("file")
        assert member is not None
        digest, _ = store.put_stream(cast("BinaryIO", member))
    assert store.read_bytes(digest) == VALUE
