"""Files of the project folder that are objects of the store: done safely, or not at all."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.errors import StoreError, UsageError
from mcgitops.store import layout, link
from mcgitops.store.backend import Damaged
from mcgitops.store.link import LINKS, Links, are_asked_for
from mcgitops.store.objects import Objects
from mcgitops.store.store import Store, open_store
from tests.unit.store.memory import MemoryBucket

CONTENT = b"content"


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on ext4, also where the tests' folder is on a file system that shares blocks."""
    monkeypatch.setattr(link, "can_clone", lambda *_: False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def digest(store: Store) -> str:
    return store.put_bytes(CONTENT)[0]


@pytest.fixture
def links(store: Store, tmp_path: Path) -> Links:
    return Links(store.objects, tmp_path)


def own(store: Store, digest: str) -> Path:
    assert store.path is not None
    return store.path / layout.object_key(digest)


def left(store: Store) -> list[Path]:
    assert store.path is not None
    return list((store.path / "tmp").iterdir())


@pytest.mark.parametrize("there", ["nothing", "a file", "a folder above is missing"])
def test_a_file_becomes_the_object(
    store: Store, links: Links, digest: str, tmp_path: Path, there: str
) -> None:
    target = tmp_path / ("deep/er/file" if "above" in there else "file")
    if there == "a file":
        target.write_bytes(b"older")
    linked = links.link(digest, target)
    assert linked is not None
    assert linked.stat.st_ino == target.stat().st_ino == own(store, digest).stat().st_ino
    assert stat.S_IMODE(target.stat().st_mode) & 0o333 == 0
    assert links.is_linked(digest, target.lstat())
    assert left(store) == []
    target.unlink()
    assert store.read_bytes(digest) == CONTENT


def test_one_object_is_one_file_only(
    store: Store, links: Links, digest: str, tmp_path: Path
) -> None:
    assert links.link(digest, tmp_path / "a") is not None
    assert links.link(digest, tmp_path / "b") is None
    (tmp_path / "c").write_bytes(CONTENT)
    assert not links.is_possible(digest, (tmp_path / "c").lstat())
    assert not (tmp_path / "b").exists()
    assert left(store) == []


def test_two_that_link_it_at_once_both_give_way(
    monkeypatch: pytest.MonkeyPatch, store: Store, links: Links, digest: str, tmp_path: Path
) -> None:
    real, root = os.link, tmp_path

    def slow(*names: Any, **how: Any) -> None:
        real(own(store, digest), root / "other")
        real(*names, **how)

    monkeypatch.setattr("os.link", slow)
    assert links.link(digest, tmp_path / "file") is None
    assert not (tmp_path / "file").exists()
    assert left(store) == []


def test_what_is_damaged_is_no_file(
    store: Store, links: Links, digest: str, tmp_path: Path
) -> None:
    own(store, digest).chmod(0o644)
    own(store, digest).write_bytes(b"CONTENT")
    with pytest.raises(Damaged, match="is damaged"):
        links.link(digest, tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    "number", [errno.EMLINK, errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOENT]
)
def test_what_cannot_be_linked_is_left_to_be_copied(
    monkeypatch: pytest.MonkeyPatch, links: Links, digest: str, tmp_path: Path, number: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.link", fail)
    (tmp_path / "file").write_bytes(b"mine")
    assert links.link(digest, tmp_path / "file") is None
    assert (tmp_path / "file").read_bytes() == b"mine"


def test_a_full_disk_is_said(
    monkeypatch: pytest.MonkeyPatch, links: Links, digest: str, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.link", fail)
    with pytest.raises(StoreError, match="No space left"):
        links.link(digest, tmp_path / "file")


def test_what_changed_since_it_was_looked_at_stays(
    store: Store, links: Links, digest: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(CONTENT)
    seen = (tmp_path / "file").stat()
    (tmp_path / "file").write_bytes(b"edited meanwhile")
    assert links.link(digest, tmp_path / "file", seen=seen) is None
    assert (tmp_path / "file").read_bytes() == b"edited meanwhile"
    assert left(store) == []
    again = links.link(digest, tmp_path / "file", seen=(tmp_path / "file").stat())
    assert again is not None
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_what_somebody_made_writable_is_read_only_again(
    store: Store, links: Links, digest: str, tmp_path: Path
) -> None:
    own(store, digest).chmod(0o755)
    assert links.link(digest, tmp_path / "file") is not None
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) & 0o333 == 0
    (tmp_path / "file").chmod(0o664)
    assert links.is_linked(digest, (tmp_path / "file").lstat())
    assert stat.S_IMODE(own(store, digest).stat().st_mode) & 0o222 == 0


@pytest.mark.parametrize("kind", ["absent", "empty", "a link", "a folder"])
def test_only_a_file_with_content_is_linked(
    store: Store, links: Links, digest: str, tmp_path: Path, kind: str
) -> None:
    if kind == "empty":
        digest, _ = store.put_bytes(b"")
    else:
        own(store, digest).unlink()
    if kind == "a link":
        (tmp_path / "elsewhere").write_bytes(CONTENT)
        own(store, digest).symlink_to(tmp_path / "elsewhere")
    if kind == "a folder":
        own(store, digest).mkdir()
    assert links.link(digest, tmp_path / "file") is None
    assert not (tmp_path / "file").exists()


def test_where_blocks_can_be_shared_nothing_is_linked(
    monkeypatch: pytest.MonkeyPatch, store: Store, digest: str, tmp_path: Path
) -> None:
    monkeypatch.setattr(link, "can_clone", lambda *_: True)
    links = Links(store.objects, tmp_path)
    assert links.link(digest, tmp_path / "file") is None
    (tmp_path / "file").write_bytes(CONTENT)
    assert not links.is_possible(digest, (tmp_path / "file").lstat())


def test_its_age_tells_whether_a_look_can_be_trusted(
    store: Store, links: Links, digest: str, tmp_path: Path
) -> None:
    now = time.time_ns()
    os.utime(own(store, digest), ns=(now, now - 10**12))
    linked = links.link(digest, tmp_path / "file")
    assert linked is not None
    assert linked.age_ns >= 10**12
    (tmp_path / "file").unlink()
    arrived = links.link(digest, tmp_path / "file", known=now - 10**12 + 5)
    assert arrived is not None
    assert arrived.age_ns == 5


def test_a_bucket_has_no_files() -> None:
    with pytest.raises(ValueError, match="bucket"):
        Links(Objects(MemoryBucket()), Path("/"))


@pytest.mark.parametrize(
    ("environ", "asked"), [({}, False), ({LINKS: ""}, False), ({LINKS: " data "}, True)]
)
def test_links_are_asked_for_by_name(environ: dict[str, str], asked: bool) -> None:
    assert are_asked_for(environ) is asked


@given(st.text().filter(lambda text: text.strip() not in ("", "data")))
def test_anything_else_is_an_error(value: str) -> None:
    with pytest.raises(UsageError, match="MCGITOPS_STORE_LINKS is"):
        are_asked_for({LINKS: value})
