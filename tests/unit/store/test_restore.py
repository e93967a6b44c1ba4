from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcgitops.errors import StoreError
from mcgitops.store import layout
from mcgitops.store.records import FileRef
from mcgitops.store.restore import place_of, restore
from mcgitops.store.store import Store


def ref(store: Store, path: str, value: bytes, *, executable: bool = False) -> FileRef:
    digest, size = store.put_bytes(value)
    return FileRef(path=path, digest=digest, size=size, executable=executable)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def test_files_are_written_and_then_left_alone(store: Store, folder: Path) -> None:
    files = [ref(store, "out/a", b"a"), ref(store, "run.sh", b"#!", executable=True)]
    assert restore(store, files, folder).written == ("out/a", "run.sh")
    assert os.access(folder / "run.sh", os.X_OK)
    before = (folder / "out/a").stat()
    again = restore(store, files, folder)
    assert (again.written, again.unchanged) == ((), ("out/a", "run.sh"))
    assert (folder / "out/a").stat() == before


def test_a_file_whose_content_is_in_a_store_may_be_replaced(
    store: Store, other: Store, folder: Path
) -> None:
    (folder / "a").write_bytes(b"old")
    new = ref(store, "a", b"new")
    with pytest.raises(StoreError, match="a would be overwritten"):
        restore(store, [new], folder)
    other.put_bytes(b"old")
    with pytest.raises(StoreError, match="a would be overwritten"):
        restore(store, [new], folder)
    assert restore(store, [new], folder, keepers=[other]).written == ("a",)
    assert (folder / "a").read_bytes() == b"new"


def test_nothing_is_written_where_one_file_would_be_lost(store: Store, folder: Path) -> None:
    (folder / "b").write_bytes(b"mine")
    with pytest.raises(StoreError):
        restore(store, [ref(store, "a", b"1"), ref(store, "b", b"2")], folder)
    assert not (folder / "a").exists()
    restore(store, [ref(store, "a", b"1"), ref(store, "b", b"2")], folder, force=True)
    assert (folder / "b").read_bytes() == b"2"


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/", ".git/hooks/post-checkout",
     "sub/.git/config", ".GIT/config", ".mcgitops/store/x", "a\nb", "a\x00b", "."],
)  # fmt: skip
def test_a_hostile_path_is_refused(store: Store, folder: Path, path: str) -> None:
    with pytest.raises(StoreError, match="no place for an artifact"):
        restore(store, [ref(store, path, b"x")], folder, force=True)
    assert list(folder.iterdir()) == []


def test_a_link_out_of_the_folder_is_refused(store: Store, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="symbolic link"):
        restore(store, [ref(store, "out/a", b"x")], folder, force=True)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_link_at_the_place_is_replaced_not_followed(
    store: Store, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "theirs").write_bytes(b"theirs")
    (folder / "a").symlink_to(tmp_path / "theirs")
    restore(store, [ref(store, "a", b"x")], folder, force=True)
    assert (tmp_path / "theirs").read_bytes() == b"theirs"
    assert not (folder / "a").is_symlink()


def test_a_folder_at_the_place_is_a_sentence(store: Store, folder: Path) -> None:
    (folder / "a").mkdir()
    with pytest.raises(StoreError, match="is a folder here"):
        restore(store, [ref(store, "a", b"x")], folder, force=True)


def test_an_ordinary_path_keeps_its_place(folder: Path) -> None:
    assert place_of("out/übung 1.json", folder) == folder / "out/übung 1.json"


def test_the_last_copy_of_a_content_stays_also_where_another_file_is_to_have_it(
    store: Store, folder: Path
) -> None:
    one, two = ref(store, "a", b"one"), ref(store, "b", b"two")
    store.backend.delete(layout.object_key(two.digest))
    (folder / "a").write_bytes(b"two")
    (folder / "b").write_bytes(b"one")
    with pytest.raises(StoreError, match=r"^a would be overwritten, and no store has"):
        restore(store, [one, two], folder)
    assert (folder / "a").read_bytes() == b"two"
    assert (folder / "b").read_bytes() == b"one"


def test_a_file_that_only_has_another_mode_needs_no_copy(store: Store, folder: Path) -> None:
    file = ref(store, "run.sh", b"#!", executable=True)
    (folder / "run.sh").write_bytes(b"#!")
    assert restore(store, [file], folder).written == ("run.sh",)
    assert os.access(folder / "run.sh", os.X_OK)


def test_nothing_is_written_where_a_file_lies_where_a_folder_belongs(
    store: Store, folder: Path
) -> None:
    (folder / "out").write_bytes(b"a file")
    files = [ref(store, "a", b"a"), ref(store, "out/sub/b", b"b")]
    with pytest.raises(StoreError, match=r"Could not read .*out/sub/b: Not a directory"):
        restore(store, files, folder)
    assert sorted(path.name for path in folder.iterdir()) == ["out"]
