"""Where a bucket has a journal, the index asks that instead of listing the bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcgitops.store import index as module
from mcgitops.store.backend import Entry
from mcgitops.store.folder import FolderBackend
from mcgitops.store.index import RunIndex
from mcgitops.store.journal import Journal
from mcgitops.store.records import CommitRecord, RunRecord
from mcgitops.store.store import Store, key_of
from tests.unit.store.conftest import a_run


class Far(FolderBackend):
    """A folder that is treated as a bucket is: not a folder of this machine, and to be listed."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.listed: list[str] = []
        self.read: list[str] = []

    @property
    def path(self) -> Path | None:
        return None

    def entries(self, prefix: str, starting: str = "") -> Iterator[Entry]:
        if prefix != "marks/":  # what a garbage collection is about to remove
            self.listed.append(prefix)
        return super().entries(prefix, starting)

    def folders(self, prefix: str) -> list[str]:
        self.listed.append(prefix)
        return super().folders(prefix)

    def get(self, key: str, limit: int | None = None) -> bytes | None:
        if not key.startswith("journal"):
            self.read.append(key)
        return super().get(key, limit)


@pytest.fixture
def backend(tmp_path: Path) -> Far:
    return Far(tmp_path / "bucket")


@pytest.fixture
def bucket(backend: Far) -> Store:
    return Store(backend)


def add(bucket: Store, *numbers: int, stage: str = "train", told: bool = True) -> list[RunRecord]:
    runs = [a_run(bucket, number, stage=stage) for number in numbers]
    for run in runs:
        bucket.publish(run)
    if told:
        Journal(bucket.backend).append(records=[key_of(run) for run in runs])
    return runs


def numbers(bucket: Store, folder: Path, stage: str = "", *, refresh: bool = False) -> list[int]:
    index = RunIndex(bucket, folder, refresh=refresh)
    return [int(run.fingerprint, 16) for run in index.runs(index.heads("wine", stage))]


def test_with_a_journal_a_bucket_is_listed_once(
    bucket: Store, backend: Far, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    add(bucket, 1, 2)
    assert numbers(bucket, cache) == [2, 1]
    assert backend.listed
    backend.listed.clear()
    backend.read.clear()
    assert numbers(bucket, cache) == [2, 1]
    (new,) = add(bucket, 3)
    bucket.attempt(failed := a_run(bucket, 4, state="failed"))
    Journal(backend).append(records=[key_of(failed)])
    backend.read.clear()
    assert numbers(bucket, cache) == [4, 3, 2, 1]
    assert sorted(backend.read) == sorted((key_of(new), key_of(failed)))
    assert numbers(bucket, cache) == [4, 3, 2, 1]
    assert len(backend.read) == 2
    assert not backend.listed
    runs = RunIndex(bucket, cache).heads("wine", attempts=False)
    assert [int(head.fingerprint, 16) for head in runs] == [3, 2, 1]


def test_stages_and_projects_are_kept_apart(bucket: Store, backend: Far, tmp_path: Path) -> None:
    add(bucket, 1)
    add(bucket, 2, stage="evaluate")
    assert numbers(bucket, tmp_path, "evaluate") == [2]
    backend.listed.clear()
    assert numbers(bucket, tmp_path, "train") == [1]
    other = a_run(bucket, 3, project="wine-2")
    bucket.publish(other)
    Journal(backend).append(records=[key_of(other)])
    assert numbers(bucket, tmp_path) == [2, 1]
    assert not backend.listed


def test_what_is_gone_is_not_listed_and_comes_back_anew(
    bucket: Store, backend: Far, tmp_path: Path
) -> None:
    one, _ = add(bucket, 1, 2)
    assert numbers(bucket, tmp_path) == [2, 1]
    backend.delete(key_of(one))
    Journal(backend).append(gone=[key_of(one)])
    backend.listed.clear()
    assert numbers(bucket, tmp_path) == [2]
    again = a_run(bucket, 1, metrics={"m": {"a": 2}})
    bucket.publish(again)
    Journal(backend).append(records=[key_of(again)])
    index = RunIndex(bucket, tmp_path)
    assert [run.metrics for run in index.runs(index.heads("wine"))] == [{}, {"m": {"a": 2}}]
    assert not backend.listed


def test_what_the_journal_was_not_told_is_found_later_or_on_demand(
    bucket: Store, backend: Far, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(bucket, 1)
    assert numbers(bucket, tmp_path) == [1]
    add(bucket, 2, told=False)  # as older programs write
    assert numbers(bucket, tmp_path) == [1]
    assert numbers(bucket, tmp_path, refresh=True) == [2, 1]
    assert numbers(bucket, tmp_path) == [2, 1]
    add(bucket, 3, told=False)
    add(bucket, 4)
    assert numbers(bucket, tmp_path) == [4, 2, 1]
    backend.read.clear()
    monkeypatch.setattr(module, "LISTED_SECONDS", 0.0)
    assert numbers(bucket, tmp_path) == [4, 3, 2, 1]
    assert len(backend.read) == 1  # the one that came by the journal is known
    assert numbers(bucket, tmp_path) == [4, 3, 2, 1]
    assert len(backend.read) == 1


def test_without_a_journal_a_bucket_is_listed_each_time(bucket: Store, tmp_path: Path) -> None:
    add(bucket, 1, told=False)
    assert numbers(bucket, tmp_path) == [1]
    add(bucket, 2, told=False)
    assert numbers(bucket, tmp_path) == [2, 1]


def test_a_bucket_that_was_begun_anew_is_listed(
    bucket: Store, backend: Far, tmp_path: Path
) -> None:
    add(bucket, 1)
    add(bucket, 2)
    assert numbers(bucket, tmp_path) == [2, 1]
    for entry in list(backend.entries("journal/")):
        backend.delete(entry.key)
    backend.delete(key_of(a_run(bucket, 1)))
    add(bucket, 3)
    assert numbers(bucket, tmp_path) == [3, 2]


def test_lost_rows_are_found_again(bucket: Store, backend: Far, tmp_path: Path) -> None:
    import sqlite3

    add(bucket, 1, 2, 3)
    assert numbers(bucket, tmp_path) == [3, 2, 1]
    (path,) = tmp_path.glob("*.sqlite")
    for damage in ("DELETE FROM head WHERE fingerprint LIKE '%2'", "UPDATE head SET started = 1"):
        with sqlite3.connect(path) as connection:
            connection.execute(damage)
        connection.close()
        assert numbers(bucket, tmp_path) == [3, 2, 1]


def test_a_record_that_cannot_be_read_is_named_each_time(
    bucket: Store, backend: Far, tmp_path: Path
) -> None:
    one, _ = add(bucket, 1, 2)
    backend.put(key_of(one), b"{")
    for _ in range(2):
        index = RunIndex(bucket, tmp_path)
        assert len(index.heads("wine")) == 1
        assert len(index.unreadable) == 1


def test_commits_with_records_are_known_by_the_journal(
    bucket: Store, backend: Far, tmp_path: Path
) -> None:
    def commit(sha: str, *, told: bool = True) -> None:
        made = CommitRecord(
            project="wine", stage="train", commit=sha, runs=("f" * 64,), selected="f" * 64
        )
        bucket.publish_commit(made)
        if told:
            Journal(backend).append(records=[key_of(made)])

    commit("a" * 40, told=False)
    assert RunIndex(bucket, tmp_path).commit_ids() == {"a" * 40}
    commit("b" * 40)
    assert RunIndex(bucket, tmp_path).commit_ids() == {"a" * 40, "b" * 40}
    backend.listed.clear()
    commit("c" * 40)
    for _ in range(2):
        assert RunIndex(bucket, tmp_path).commit_ids() == {"a" * 40, "b" * 40, "c" * 40}
    assert not backend.listed
