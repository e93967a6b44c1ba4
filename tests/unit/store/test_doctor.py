from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcgitops.errors import StoreError
from mcgitops.store import doctor
from mcgitops.store.backend import Entry
from mcgitops.store.doctor import Limited, examine
from mcgitops.store.folder import FolderBackend
from mcgitops.store.s3_errors import Denied
from mcgitops.store.store import Store


def test_a_folder_has_all_that_is_needed_and_nothing_stays(tmp_path: Path) -> None:
    kept = tmp_path / "store/runs/wine/train/abc.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")
    found = examine(FolderBackend(tmp_path / "store"))
    assert found.healthy
    states = {finding.name: finding.state for finding in found.findings}
    assert states.pop("link") == "untried"  # folders have none
    assert set(states.values()) == {"works"}
    assert {"list", "write", "range", "create", "large", "space", "delete"} <= set(states)
    assert found.latency is not None and found.upload is not None and found.download is not None
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["runs", "tmp"]
    assert list((tmp_path / "store/tmp").iterdir()) == []
    assert kept.read_text() == "{}"


def test_a_folder_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    assert examine(FolderBackend(tmp_path / "store")).healthy
    assert list(tmp_path.iterdir()) == []


class WholeRanges(FolderBackend):
    def read_range(self, key: str, offset: int, length: int) -> bytes | None:
        return self.get(key)


class WrongRanges(FolderBackend):
    def read_range(self, key: str, offset: int, length: int) -> bytes | None:
        return super().read_range(key, offset + 1, length)


class OneCase(FolderBackend):
    def _file(self, key: str) -> Path:
        return super()._file(key.lower())


class StaleListing(FolderBackend):
    def entries(self, prefix: str, starting: str = "") -> Iterator[Entry]:
        for entry in super().entries(prefix, starting):
            if not entry.key.endswith("now"):
                yield entry


class WrittenOnce(FolderBackend):
    def put(self, key: str, value: bytes, kind: str = "") -> None:
        self.create(key, value)


class Overwriting(FolderBackend):
    def create(self, key: str, value: bytes) -> bool:
        self.put(key, value)
        return True


class Cutting(FolderBackend):
    def get(self, key: str, limit: int | None = None) -> bytes | None:
        value = super().get(key, limit)
        return value and value[:1_000_000]


class Wrong(FolderBackend):
    def get(self, key: str, limit: int | None = None) -> bytes | None:
        value = super().get(key, limit)
        return value and value.replace(value[:1], b"?")


class Inventing(FolderBackend):
    def size(self, key: str) -> int | None:
        return super().size(key) or 0


class Flat(FolderBackend):
    def folders(self, prefix: str) -> list[str]:
        return []


class Copying(FolderBackend):
    def move(self, key: str, to: str, *, keep: bool = False) -> bool:
        return super().move(key, to, keep=True)


class Keeping(FolderBackend):
    def delete(self, key: str) -> None:
        pass


class Undeletable(FolderBackend):
    def delete(self, key: str) -> None:
        raise Denied("Could not delete: access was denied.", "Ask for the right.")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (WholeRanges, "range"),
        (WrongRanges, "range"),
        (OneCase, "names"),
        (StaleListing, "seen at once"),
        (WrittenOnce, "replace"),
        (Overwriting, "create"),
        (Cutting, "large"),
        (Wrong, "read"),
        (Inventing, "absent"),
        (Flat, "folders"),
        (Copying, "move"),
        (Keeping, "delete"),
    ],
)
def test_what_is_missing_is_named_with_what_follows(
    tmp_path: Path, kind: Callable[[Path], FolderBackend], name: str
) -> None:
    found = examine(kind(tmp_path))
    assert not found.healthy
    missing = {finding.name: finding for finding in found.findings if finding.state == "missing"}
    assert name in missing
    assert missing[name].without and missing[name].remedy


class Unmovable(FolderBackend):
    def move(self, key: str, to: str, *, keep: bool = False) -> bool:
        raise Denied("Could not write: access was denied.", "Ask for the right.")


class Locked(FolderBackend):
    def put(self, key: str, value: bytes, kind: str = "") -> None:
        if self.size(key) is not None:
            raise Denied("Could not write: access was denied.", "Ask for the right.")
        super().put(key, value, kind)


def test_a_store_where_nothing_is_replaced_or_deleted_still_works(tmp_path: Path) -> None:
    for kind, name, without in (
        (Locked, "replace", "report"), (Undeletable, "delete", "gc"), (Unmovable, "move", "gc"),
    ):  # fmt: skip
        found = examine(kind(tmp_path / name))
        limited = {one.name: one.without for one in found.findings if one.state == "limited"}
        assert found.healthy
        assert without in limited[name]


def test_what_could_not_be_removed_is_named(tmp_path: Path) -> None:
    last = examine(Undeletable(tmp_path)).findings[-1]
    assert last.name == "cleaning up"
    assert "doctor/" in last.remedy


class Refusing(FolderBackend):
    def put(self, key: str, value: bytes, kind: str = "") -> None:
        raise Denied("Could not write: access was denied.", "Ask for the right.")


def test_who_may_only_read_learns_that_reading_works(tmp_path: Path) -> None:
    FolderBackend(tmp_path).put("runs/wine/train/abc.json", b'{"format": 1, "and": "more"}')
    found = examine(Refusing(tmp_path))
    states = {finding.name: finding.state for finding in found.findings}
    assert states == {"list": "works", "absent": "works", "write": "missing", "read": "works"}


def test_reading_only_writes_nothing(tmp_path: Path) -> None:
    found = examine(FolderBackend(tmp_path / "none"), read_only=True)
    assert found.healthy
    assert [finding.state for finding in found.findings] == ["works", "works", "untried"]
    assert list(tmp_path.iterdir()) == []


def test_a_store_with_nothing_but_data_is_read_as_well(tmp_path: Path) -> None:
    store = Store(FolderBackend(tmp_path / "store"))
    store.put_bytes(b"x")
    assert examine(store.backend, read_only=True).findings[-1].state == "untried"
    store.put_bytes(b"some data, twelve or more")
    assert examine(store.backend, read_only=True).findings[-1].state == "works"

    class Cut(FolderBackend):
        def read_range(self, key: str, start: int, length: int) -> bytes | None:
            return b"other"

    found = examine(Cut(tmp_path / "store"), read_only=True)
    assert not found.healthy


class Unreachable(FolderBackend):
    def entries(self, prefix: str, starting: str = "") -> Iterator[Entry]:
        raise StoreError("It can't be reached.", "Is it running?")
        yield


def test_a_store_that_cannot_be_reached_is_asked_once(tmp_path: Path) -> None:
    found = examine(Unreachable(tmp_path))
    assert [(one.name, one.state, one.remedy) for one in found.findings] == [
        ("list", "missing", "Is it running?")
    ]


def test_what_goes_wrong_amid_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = FolderBackend(tmp_path)

    def interrupt(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(backend, "create", interrupt)
    with pytest.raises(KeyboardInterrupt):
        examine(backend)
    assert [path.name for path in tmp_path.iterdir()] == ["tmp"]


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE_SPACE", 1 << 80)
    states = {one.name: one for one in examine(FolderBackend(tmp_path)).findings}
    assert states["space"].state == "limited"
    assert "Free some space" in states["space"].remedy


@pytest.mark.parametrize("ahead", [400.0, -400.0])
def test_clocks_far_apart_are_an_error(ahead: float) -> None:
    word = "ahead of" if ahead > 0 else "behind"
    with pytest.raises(StoreError, match=f"clock is 400 s {word} the server"):
        doctor.clock(ahead, "the server")


def test_clocks_a_little_apart_are_named() -> None:
    assert doctor.clock(2.0, "the server") == ""
    with pytest.raises(Limited, match="100 s behind"):
        doctor.clock(-100.0, "the server")


def test_a_folder_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = examine(FolderBackend(tmp_path / "file"))
    write = next(one for one in found.findings if one.name == "write")
    assert write.state == "missing"
    assert "Name another folder" in write.remedy
