from __future__ import annotations

import datetime
import json
import math
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.errors import StoreError, UsageError
from mcgitops.store.records import (
    CommitRecord,
    DeploymentRecord,
    FileRef,
    ReleaseRecord,
)
from mcgitops.store.store import Store, open_store
from tests.unit.store.conftest import NOON, a_run


def test_a_run_comes_back_as_it_went_in(store: Store) -> None:
    metrics = {"m.json": {"a": math.inf, "b": -math.inf, "c": True, "d": "x", "e": None, "f": 0.1}}
    record = a_run(store, metrics=metrics, matrix={"LR": "0.1"}, log_tail=("\x1b[31mhostile",))
    assert store.publish(record) == record
    assert store.run("wine", "train", record.fingerprint) == record
    nan = a_run(store, 2, metrics={"m.json": {"a": math.nan}})
    store.publish(nan)
    back = store.run("wine", "train", nan.fingerprint)
    assert back is not None
    assert math.isnan(float(str(back.metrics["m.json"]["a"])))


def test_the_first_published_wins(store: Store) -> None:
    first = store.publish(a_run(store, commit="a"))
    second = store.publish(a_run(store, commit="b"))
    assert first.commit == second.commit == "a"


def test_a_run_whose_files_are_not_there_is_not_published(store: Store) -> None:
    lost = FileRef(path="x", digest="sha256:" + "0" * 64, size=1)
    with pytest.raises(StoreError, match="is not in"):
        store.publish(a_run(store, outputs=(lost,)))
    assert store.run("wine", "train", f"{1:064x}") is None


def test_attempts_are_kept_apart_and_all_of_them(store: Store) -> None:
    for minute in range(3):
        started = NOON + datetime.timedelta(minutes=minute)
        store.attempt(a_run(store, state="failed", started=started))
    assert store.run("wine", "train", f"{1:064x}") is None
    assert [run.started.minute for run in store.attempts("wine")] == [2, 1, 0]
    assert list(store.runs("wine")) == []
    with pytest.raises(ValueError, match="is published"):
        store.attempt(a_run(store))
    with pytest.raises(ValueError, match="is an attempt"):
        store.publish(a_run(store, state="failed"))


def test_runs_are_newest_first_and_of_one_project(store: Store) -> None:
    for number, stage in ((1, "train"), (3, "evaluate"), (2, "train")):
        store.publish(a_run(store, number, stage=stage))
    store.publish(a_run(store, 4, project="other/one"))
    assert [int(run.fingerprint, 16) for run in store.runs("wine")] == [3, 2, 1]
    assert [int(run.fingerprint, 16) for run in store.runs("wine", "train")] == [2, 1]
    assert [run.project for run in store.runs("other/one")] == ["other/one"]


def test_runs_are_found_by_the_beginning_of_their_fingerprint(store: Store) -> None:
    store.publish(a_run(store, 1, fingerprint="abcd" + "0" * 60))
    store.attempt(a_run(store, 2, fingerprint="abce" + "0" * 60, state="failed"))
    assert [run.state for run in store.find("wine", "abcd")] == ["succeeded"]
    assert [run.state for run in store.find("wine", "abc")] == ["failed", "succeeded"]
    assert store.find("wine", "f") == []


def test_a_commit_keeps_the_runs_that_were_said_first(store: Store) -> None:
    one = CommitRecord(project="wine", stage="train", commit="c0", runs=("a",), selected="a")
    two = one.model_copy(update={"runs": ("b",), "selected": "b"})
    assert store.publish_commit(one) == one
    assert store.publish_commit(two) == one
    assert store.commits("c0", "wine") == [one]
    assert store.commit("c0", "wine", "train") == one


def test_a_release_is_immutable_but_may_be_made_twice(store: Store) -> None:
    digest, size = store.put_bytes(b"services: {}")
    compose = FileRef(path="compose.yml", digest=digest, size=size)
    record = ReleaseRecord(
        project="wine", name="team/v1", commit="c0", created=NOON, compose=compose
    )
    later = record.model_copy(update={"created": NOON + datetime.timedelta(hours=1)})
    other = record.model_copy(update={"commit": "c1"})
    assert store.publish_release(record)
    assert store.publish_release(later)
    assert not store.publish_release(other)
    assert store.release("wine", "team/v1") == record
    assert store.release("wine", "team") is None
    assert list(store.releases("wine")) == [record]


def test_deployments_are_newest_first(store: Store) -> None:
    for hour in (1, 2):
        at = NOON + datetime.timedelta(hours=hour)
        store.deployed(
            DeploymentRecord(
                project="wine",
                environment="prod",
                id=str(hour),
                release="v1",
                state="succeeded",
                started=at,
                finished=at,
            )
        )
    assert [record.id for record in store.deployments("wine", "prod")] == ["2", "1"]


def write(store: Store, key: str, value: object) -> None:
    store.backend.put(key, value if isinstance(value, bytes) else json.dumps(value).encode())


@pytest.mark.parametrize(
    "value", [b"", b"{", b"\xff\xfe", [1], {}, {"format": 1}, {"format": "1"}, "text"]
)
def test_a_damaged_record_is_named(store: Store, value: object) -> None:
    write(store, "runs/wine/train/abc.json", value)
    with pytest.raises(StoreError, match=r"runs/wine/train/abc\.json in .* is damaged"):
        store.run("wine", "train", "abc")
    with pytest.raises(StoreError, match="is damaged"):
        list(store.runs("wine"))


@given(st.binary(max_size=300) | st.sampled_from([b"[" * 100_000, b"1" * 10_000, b"NaN"]))
def test_whatever_a_record_holds_it_is_a_record_or_a_sentence(value: bytes) -> None:
    with TemporaryDirectory() as folder:
        store = open_store(folder)
        write(store, "runs/wine/train/abc.json", value)
        with pytest.raises(StoreError, match="is damaged"):
            store.run("wine", "train", "abc")


def test_a_record_at_another_ones_place_is_not_believed(store: Store) -> None:
    record = a_run(store)
    write(store, "runs/wine/train/abc.json", record.model_dump(mode="json"))
    with pytest.raises(StoreError, match="is damaged"):
        store.run("wine", "train", "abc")


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "", "a//b", "a\x00b"])
def test_a_run_whose_files_lead_out_of_the_project_is_not_believed(store: Store, path: str) -> None:
    record = a_run(store)
    value = record.model_dump(mode="json")
    value["metric_files"] = [{**value["outputs"][0], "path": path}]
    write(store, f"runs/wine/train/{record.fingerprint}.json", value)
    with pytest.raises(StoreError, match="is damaged"):
        store.run("wine", "train", record.fingerprint)


def test_what_others_put_beside_the_records_is_no_record(store: Store) -> None:
    run = store.publish(a_run(store))
    assert store.path is not None
    folder = store.path / "runs/wine/train"
    for name in ("read me.json", ".DS_Store", "übersicht.json", "notes.txt"):
        (folder / name).write_text("hello")
    assert list(store.runs("wine")) == [run]
    assert len(store.record_keys("wine")) == 1
    assert store.find("wine", "0000") == [run]


def test_a_newer_format_says_upgrade(store: Store) -> None:
    write(store, "runs/wine/train/abc.json", {"format": 2, "unheard": "of"})
    with pytest.raises(StoreError, match="written by a newer mcgitops") as caught:
        store.run("wine", "train", "abc")
    assert caught.value.hint == "Upgrade mcgitops."


def test_unknown_keys_of_the_same_format_are_ignored(store: Store) -> None:
    record = a_run(store)
    value = {**record.model_dump(mode="json"), "added later": 1}
    write(store, f"runs/wine/train/{record.fingerprint}.json", value)
    assert store.run("wine", "train", record.fingerprint) == record


def test_urls_of_folders(tmp_path: Path) -> None:
    assert open_store(f"file://{tmp_path}/a%20b").path == tmp_path / "a b"
    assert open_store(str(tmp_path)).is_local
    for wrong in ("file://relative/x", "gs://bucket", "ftp://x"):
        with pytest.raises(UsageError):
            open_store(wrong)


def test_a_bucket_is_not_contacted_nor_its_client_imported_before_it_is_needed() -> None:
    program = (
        "import sys; import mcgitops.store.store as s, mcgitops.store.sync;"
        "s.open_store('s3://bucket/x').url;"
        "print([m for m in ('boto3', 'botocore', 'rich', 'tabulate') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
