"""Files of the project folder that are filled while their objects are fetched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcgitops.store.making import Making
from mcgitops.store.nameless import opened
from mcgitops.store.records import FileRef
from mcgitops.store.restore import restore
from mcgitops.store.store import Store, open_store

CONTENT = b"content"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    if (descriptor := opened(folder, 0o600)) is None:
        pytest.fail("files without a name can't be made here")
    os.close(descriptor)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def ref(store: Store, path: str, *, executable: bool = False) -> FileRef:
    digest, size = store.put_bytes(CONTENT)
    return FileRef(path=path, digest=digest, size=size, executable=executable)


def made(making: Making, file: FileRef) -> None:
    descriptor = making.descriptor(file.digest)
    assert descriptor is not None
    os.pwrite(descriptor, CONTENT, 0)
    making.filled(file.digest)


@pytest.mark.parametrize("executable", [False, True])
def test_what_was_filled_gets_its_name(
    monkeypatch: pytest.MonkeyPatch, store: Store, project: Path, executable: bool
) -> None:
    monkeypatch.setattr("mcgitops.store.making.can_clone", lambda *_: False)
    file = ref(store, "out/deep/model.bin", executable=executable)
    with Making(project, project) as making:
        making.expect([file])
        made(making, file)
        assert list(project.iterdir()) == []
        restored = restore(store, [file], project, making=making)
    assert restored.written == (file.path,)
    assert (project / file.path).read_bytes() == CONTENT
    assert os.access(project / file.path, os.X_OK) == executable
    assert restore(store, [file], project).unchanged == (file.path,)


def test_what_was_filled_is_gone_where_nothing_comes_of_it(
    monkeypatch: pytest.MonkeyPatch, store: Store, project: Path
) -> None:
    monkeypatch.setattr("mcgitops.store.making.can_clone", lambda *_: False)
    file = ref(store, "out/model.bin")
    with Making(project, project) as making:
        making.expect([file])
        made(making, file)
    assert list(project.iterdir()) == []


def test_content_that_is_wanted_twice_comes_twice(
    monkeypatch: pytest.MonkeyPatch, store: Store, project: Path
) -> None:
    monkeypatch.setattr("mcgitops.store.making.can_clone", lambda *_: False)
    files = [ref(store, "a"), ref(store, "b")]
    with Making(project, project) as making:
        making.expect(files)
        made(making, files[0])
        restore(store, files, project, making=making)
    assert [(project / name).read_bytes() for name in ("a", "b")] == [CONTENT, CONTENT]


def test_half_a_file_gets_no_name(
    monkeypatch: pytest.MonkeyPatch, store: Store, project: Path
) -> None:
    monkeypatch.setattr("mcgitops.store.making.can_clone", lambda *_: False)
    file = ref(store, "a")
    with Making(project, project) as making:
        making.expect([file])
        descriptor = making.descriptor(file.digest)
        assert descriptor is not None
        os.pwrite(descriptor, b"half", 0)
        assert not making.place(file, project / "a")
        restore(store, [file], project, making=making)
    assert (project / "a").read_bytes() == CONTENT


@pytest.mark.parametrize("there", ["file", "broken link"])
def test_where_something_is_already_nothing_is_made(
    monkeypatch: pytest.MonkeyPatch, store: Store, project: Path, there: str
) -> None:
    monkeypatch.setattr("mcgitops.store.making.can_clone", lambda *_: False)
    if there == "file":
        (project / "a").write_bytes(b"mine")
    else:
        (project / "a").symlink_to("nowhere")
    file = ref(store, "a")
    with Making(project, project) as making:
        making.expect([file])
        assert making.descriptor(file.digest) is None


@pytest.mark.parametrize("there", ["file", "broken link"])
def test_what_is_to_be_replaced_stays_until_then(
    monkeypatch: pytest.MonkeyPatch, store: Store, project: Path, there: str
) -> None:
    monkeypatch.setattr("mcgitops.store.making.can_clone", lambda *_: False)
    if there == "file":
        (project / "a").write_bytes(b"older")
    else:
        (project / "a").symlink_to("nowhere")
    file = ref(store, "a")
    with Making(project, project, replacing=True) as making:
        making.expect([file])
        made(making, file)
        assert os.path.lexists(project / "a")
        assert not making.has("sha256:" + "0" * 64)
        assert making.has(file.digest)
        placed = making.place(file, project / "a")
        assert placed is not None
        assert placed.stat.st_ino == (project / "a").lstat().st_ino
        assert not making.has(file.digest)
    assert (project / "a").read_bytes() == CONTENT
    assert [path.name for path in project.iterdir()] == ["a"]


def test_only_so_many_are_open_at_once(
    monkeypatch: pytest.MonkeyPatch, store: Store, project: Path
) -> None:
    monkeypatch.setattr("mcgitops.store.making.can_clone", lambda *_: False)
    monkeypatch.setattr("resource.getrlimit", lambda _: (2, 2))
    other, size = store.put_bytes(b"other")
    files = [ref(store, "a"), FileRef(path="b", digest=other, size=size)]
    with Making(project, project) as making:
        making.expect(files)
        made(making, files[0])
        assert making.descriptor(other) is None
        restore(store, files, project, making=making)
    assert [(project / name).read_bytes() for name in ("a", "b")] == [CONTENT, b"other"]


def test_nothing_is_made_outside_or_where_blocks_can_be_shared(
    monkeypatch: pytest.MonkeyPatch, store: Store, project: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (project / "out").symlink_to(tmp_path / "elsewhere")
    outside = ref(store, "out/model.bin")
    for shares in (False, True):
        monkeypatch.setattr("mcgitops.store.making.can_clone", lambda *_, shares=shares: shares)
        file = ref(store, "a") if shares else outside
        with Making(project, project) as making:
            making.expect([file])
            assert making.descriptor(file.digest) is None
