from __future__ import annotations

import threading
from pathlib import Path
from typing import BinaryIO

import pytest

from mcgitops.errors import StoreError
from mcgitops.store import transfer
from mcgitops.store.records import CommitRecord, FileRef, ReleaseImage, ReleaseRecord
from mcgitops.store.store import Store
from mcgitops.store.sync import pull, push
from mcgitops.store.transfer import CopyResult, Progress, copy_records, copy_runs
from tests.unit.store.conftest import NOON, a_run, damage


def test_a_second_copy_moves_nothing(store: Store, other: Store) -> None:
    for number in range(1, 6):
        store.publish(a_run(store, number))
    told: list[Progress] = []
    first = copy_runs(store, other, store.runs("wine"), progress=told.append)
    assert first == CopyResult(records=5, objects=5, bytes=5 * len("model 1"))
    assert told[-1] == Progress(35, 35, 5, 5)
    assert copy_runs(store, other, store.runs("wine")) == CopyResult(
        records_there=5, objects_there=5
    )
    assert list(other.runs("wine")) == list(store.runs("wine"))


def test_a_damaged_object_stops_the_copy_before_any_record(store: Store, other: Store) -> None:
    for number in range(1, 6):
        store.publish(a_run(store, number))
    bad = a_run(store, 3).outputs[0].digest
    damage(store, bad)
    with pytest.raises(StoreError, match=f"{bad} is damaged"):
        copy_runs(store, other, store.runs("wine"))
    assert list(other.runs("wine")) == []
    assert bad in other.missing([bad])


def test_an_interrupted_copy_goes_on_where_it_was(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(1, 10):
        store.publish(a_run(store, number))
    real, lock, count = other.backend.put_stream, threading.Lock(), [0]

    def fails_at_the_fifth(key: str, stream: BinaryIO, size: int) -> None:
        with lock:
            count[0] += 1
            if count[0] == 5:
                raise StoreError("The connection broke.")
        real(key, stream, size)

    monkeypatch.setattr(transfer, "THREADS", 1)
    monkeypatch.setattr(other.backend, "put_stream", fails_at_the_fifth)
    with pytest.raises(StoreError, match="broke"):
        copy_runs(store, other, store.runs("wine"))
    assert list(other.runs("wine")) == []
    monkeypatch.setattr(other.backend, "put_stream", real)
    again = copy_runs(store, other, store.runs("wine"))
    assert (again.objects, again.objects_there, again.records) == (5, 4, 9)


def test_an_error_ends_the_copies_that_run(store: Store, other: Store, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"x" * 50_000_000)
    digest, size = store.put_file(large)
    bad = a_run(store, 2)
    damage(store, bad.outputs[0].digest)
    run = a_run(store, 1, outputs=(FileRef(path="l", digest=digest, size=size), *bad.outputs))
    with pytest.raises(StoreError, match="damaged"):
        copy_runs(store, other, [run])
    assert other.path is not None
    assert not list((other.path / "tmp").iterdir())


def test_a_release_takes_its_files_along(store: Store, other: Store) -> None:
    compose = FileRef(path="compose.yml", digest=store.put_bytes(b"services: {}")[0], size=12)
    extra = FileRef(path="proxy.conf", digest=store.put_bytes(b"x")[0], size=1)
    record = ReleaseRecord(
        project="wine", name="v1", commit="c0", created=NOON, compose=compose, files=(extra,)
    )
    result = copy_records(store, other, [record])
    assert (result.objects, result.records) == (2, 1)
    assert other.release("wine", "v1") == record


def test_a_release_that_is_another_one_there_stays_and_is_named(store: Store, other: Store) -> None:
    digest, size = store.put_bytes(b"services: {}")
    compose = FileRef(path="compose.yml", digest=digest, size=size)
    ours = ReleaseRecord(project="wine", name="v1", commit="c0", created=NOON, compose=compose)
    theirs = ours.model_copy(update={"commit": "c1"})
    assert copy_records(store, other, [theirs]).conflicts == ()
    assert copy_records(store, other, [theirs]).conflicts == ()
    assert copy_records(store, other, [ours]).conflicts == ("v1",)
    assert other.release("wine", "v1") == theirs


def test_a_release_takes_its_images_along(store: Store, other: Store) -> None:
    compose = FileRef(path="compose.yml", digest=store.put_bytes(b"services: {}")[0], size=12)
    config, layer = store.put_bytes(b"config")[0], store.put_bytes(b"layer")[0]
    image = ReleaseImage(service="api", reference="api", config_digest=config, diff_ids=(layer,))
    elsewhere = image.model_copy(
        update={"diff_ids": ("sha256:" + "0" * 64,), "repo_digest": "api@sha256:1"}
    )
    record = ReleaseRecord(
        project="wine", name="v1", commit="c0", created=NOON, compose=compose,
        images=(image, elsewhere),
    )  # fmt: skip
    assert copy_records(store, other, [record]).objects == 3
    assert other.read_bytes(layer) == b"layer"
    lost = record.model_copy(update={"name": "v2", "images": (elsewhere, image.model_copy(
        update={"diff_ids": ("sha256:" + "1" * 64,)}
    ))})  # fmt: skip
    with pytest.raises(StoreError, match="no object sha256:1111"):
        copy_records(store, other, [lost])
    assert other.release("wine", "v2") is None


def a_commit(store: Store, number: int) -> CommitRecord:
    run = store.publish(a_run(store, number))
    record = CommitRecord(
        project="wine", stage="train", commit=f"c{number}",
        runs=(run.fingerprint,), selected=run.fingerprint,
    )  # fmt: skip
    return store.publish_commit(record)


def test_push_takes_all_kinds_of_records_of_one_project(
    store: Store, other: Store, tmp_path: Path
) -> None:
    a_commit(store, 1)
    store.attempt(a_run(store, 2, state="failed"))
    store.publish(a_run(store, 3, project="another"))
    assert push(store, other, "wine", tmp_path / "cache").records == 3
    assert other.commits("c1", "wine")
    assert list(other.attempts("wine"))
    assert list(other.runs("another")) == []


def test_push_with_nothing_new_does_not_touch_the_other_store(
    store: Store, other: Store, tmp_path: Path
) -> None:
    a_commit(store, 1)
    push(store, other, "wine", tmp_path / "cache")

    class Untouchable:
        url = other.url

        def __getattr__(self, name: str) -> object:
            raise AssertionError(name)

    assert push(store, Untouchable(), "wine", tmp_path / "cache").records == 0  # type: ignore[arg-type]
    a_commit(store, 2)
    assert push(store, other, "wine", tmp_path / "cache").records == 2


def test_the_note_of_what_was_pushed_is_kept_for_each_store(
    store: Store, other: Store, tmp_path: Path
) -> None:
    from mcgitops.store.store import open_store

    a_commit(store, 1)
    push(store, other, "wine", tmp_path / "cache")
    third = open_store(str(tmp_path / "third"))
    assert push(store, third, "wine", tmp_path / "cache").records == 2


def test_pull_brings_a_commit(store: Store, other: Store) -> None:
    a_commit(store, 1)
    a_commit(store, 2)
    pulled = pull(store, other, "wine", "c1")
    assert [file.path for file in pulled.files] == ["out/model.bin"]
    assert pulled.copied.records == 2
    assert other.commits("c1", "wine") == store.commits("c1", "wine")
    assert other.commits("c2", "wine") == []
    assert pull(store, other, "wine", "none").commits == ()


def test_pull_names_a_run_that_the_store_has_lost(store: Store, other: Store) -> None:
    record = a_commit(store, 1)
    store.backend.delete(f"runs/wine/train/{record.selected}.json")
    with pytest.raises(StoreError, match="has no run 000000000000 of train"):
        pull(store, other, "wine", "c1")
    assert other.commits("c1", "wine") == []
