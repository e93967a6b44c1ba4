"""The index spares reading, and never has the last word."""

from __future__ import annotations

import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from mcgitops.store.index import RunIndex
from mcgitops.store.records import CommitRecord, Resources
from mcgitops.store.store import Store, key_of
from tests.unit.store.conftest import a_run


class Reads:
    """A store's reads of records, counted as they happen."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[str] = []
        original = store.backend.get

        def get(key: str, limit: int | None = None) -> bytes | None:
            self.keys.append(key)
            return original(key, limit)

        monkeypatch.setattr(store.backend, "get", get)


@pytest.fixture
def reads(store: Store, monkeypatch: pytest.MonkeyPatch) -> Reads:
    return Reads(store, monkeypatch)


def numbers(index: RunIndex, stage: str = "") -> list[int]:
    return [int(run.fingerprint, 16) for run in index.runs(index.heads("wine", stage))]


def the_file(folder: Path) -> Path:
    (path,) = folder.glob("*.sqlite")
    return path


def test_each_record_is_read_once_whatever_is_added(
    store: Store, reads: Reads, tmp_path: Path
) -> None:
    for number in (1, 2):
        store.publish(a_run(store, number))
    reads.keys.clear()
    assert numbers(RunIndex(store, tmp_path / "c")) == [2, 1]
    assert len(reads.keys) == 2
    store.publish(a_run(store, 3))
    store.attempt(a_run(store, 4, state="failed"))
    reads.keys.clear()
    index = RunIndex(store, tmp_path / "c")
    assert numbers(index) == [4, 3, 2, 1]
    assert len(reads.keys) == 2  # only the new ones
    assert numbers(RunIndex(store, tmp_path / "c")) == [4, 3, 2, 1]
    assert len(reads.keys) == 2
    assert (tmp_path / "c/.gitignore").read_text() == "*\n"


def test_a_row_holds_what_lists_need(store: Store, tmp_path: Path) -> None:
    run = a_run(
        store,
        matrix={"MODEL": "rf"}, replicate={"SEED": "1"}, commit="c" * 40, dirty=True, exit_code=0,
        resources=Resources(wall_seconds=2.5, cpu_seconds=3.5, peak_memory_bytes=7),
        metrics={"m.json": {"loss": math.nan, "ok": True, "n": 2**70, "none": None, "t": "Ä\n"}},
        params={"p.yaml": {"lr": 0.1}},
    )  # fmt: skip
    store.publish(run)
    for _ in range(2):  # as it was read, and as it was kept
        index = RunIndex(store, tmp_path / "c")
        (row,) = index.runs(index.heads("wine"))
        assert row.variables == {"MODEL": "rf", "SEED": "1"}
        assert (row.commit, row.dirty, row.exit_code, row.state) == ("c" * 40, True, 0, "succeeded")
        assert (row.wall_seconds, row.cpu_seconds, row.peak_memory_bytes) == (2.5, 3.5, 7)
        assert row.outputs_size == run.outputs[0].size
        assert row.started == run.started
        assert math.isnan(float(row.metrics["m.json"]["loss"] or 0))
        assert {**row.metrics["m.json"], "loss": 0} == {
            "loss": 0, "ok": True, "n": 2**70, "none": None, "t": "Ä\n",
        }  # fmt: skip
        assert row.params == {"p.yaml": {"lr": 0.1}}


def test_projects_and_stages_are_kept_apart(store: Store, tmp_path: Path) -> None:
    store.publish(a_run(store, 1))
    store.publish(a_run(store, 2, stage="evaluate"))
    store.publish(a_run(store, 3, project="wine-2"))
    index = RunIndex(store, tmp_path)
    assert numbers(index, "train") == [1]
    assert numbers(index) == [2, 1]
    assert [head.fingerprint for head in index.heads("wine-2")] == [f"{3:064x}"]


def test_what_the_store_lost_is_not_listed(store: Store, tmp_path: Path) -> None:
    runs = [a_run(store, number) for number in (1, 2)]
    for run in runs:
        store.publish(run)
    assert numbers(RunIndex(store, tmp_path)) == [2, 1]
    store.backend.delete(key_of(runs[1]))
    assert numbers(RunIndex(store, tmp_path)) == [1]
    assert [head.fingerprint for head in RunIndex(store, tmp_path).remembered("wine")] == [
        runs[0].fingerprint
    ]


def test_a_record_that_was_deleted_and_made_again_is_read_again(
    store: Store, tmp_path: Path
) -> None:
    store.publish(a_run(store, metrics={"m": {"a": 1}}))
    RunIndex(store, tmp_path).heads("wine")
    again = a_run(store, metrics={"m": {"a": 2}})
    store.backend.delete(key_of(again))
    store.publish(again)
    index = RunIndex(store, tmp_path)
    assert index.runs(index.heads("wine"))[0].metrics == {"m": {"a": 2}}


@pytest.mark.parametrize("damage", ["garbage", "half", "empty", "other", "zeros"])
def test_a_damaged_file_costs_only_time(store: Store, tmp_path: Path, damage: str) -> None:
    for number in range(1, 40):
        store.publish(a_run(store, number, metrics={"m": {"text": "x" * 500}}))
    expected = list(range(39, 0, -1))
    assert numbers(RunIndex(store, tmp_path)) == expected
    path = the_file(tmp_path)
    content = path.read_bytes()
    if damage == "other":
        path.unlink()
        with sqlite3.connect(path) as connection:
            connection.execute("CREATE TABLE head (key TEXT)")
        connection.close()
    else:
        middle = len(content) // 2
        path.write_bytes(
            {
                "garbage": os.urandom(len(content)),
                "half": content[:middle],
                "empty": b"",
                "zeros": content[:4096] + bytes(len(content) - 4096),
            }[damage]
        )
    assert numbers(RunIndex(store, tmp_path)) == expected
    assert numbers(RunIndex(store, tmp_path)) == expected


def test_a_changed_row_is_not_believed(store: Store, reads: Reads, tmp_path: Path) -> None:
    store.publish(a_run(store, metrics={"m": {"accuracy": 0.5}}))
    RunIndex(store, tmp_path).heads("wine")
    for table, column in (("body", "content"), ("head", "state")):
        with sqlite3.connect(the_file(tmp_path)) as connection:
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, 'c', 'd')")
            connection.execute(f"UPDATE {table} SET {column} = replace({column}, '0.5', '0.9')")
        connection.close()
        reads.keys.clear()
        index = RunIndex(store, tmp_path)
        (run,) = index.runs(index.heads("wine"))
        assert (run.state, run.metrics) == ("succeeded", {"m": {"accuracy": 0.5}})
        assert len(reads.keys) == 1  # and mended
        index = RunIndex(store, tmp_path)
        index.runs(index.heads("wine"))
        assert len(reads.keys) == 1


def test_a_place_that_can_not_be_written_is_no_error(store: Store, tmp_path: Path) -> None:
    store.publish(a_run(store))
    (tmp_path / "file").write_text("")
    assert numbers(RunIndex(store, tmp_path / "file" / "c")) == [1]


def test_a_busy_file_is_done_without(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcgitops.store.index.BUSY_SECONDS", 0.05)
    store.publish(a_run(store))
    RunIndex(store, tmp_path).heads("wine")
    connection = sqlite3.connect(the_file(tmp_path), isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    store.publish(a_run(store, 2))
    assert numbers(RunIndex(store, tmp_path)) == [2, 1]
    connection.execute("ROLLBACK")
    connection.close()
    assert numbers(RunIndex(store, tmp_path)) == [2, 1]


def test_a_damaged_record_is_named_and_the_others_are_listed(store: Store, tmp_path: Path) -> None:
    damaged = a_run(store, 1)
    store.publish(damaged)
    store.publish(a_run(store, 2))
    store.backend.put(key_of(damaged), b'{"format": 1}')
    (store.path or tmp_path).joinpath("runs/wine/train/README.txt").write_text("not a record")
    for _ in range(2):
        index = RunIndex(store, tmp_path / "c")
        assert numbers(index) == [2]
        (said,) = index.unreadable
        assert f"{1:064x}" in said and "is damaged" in said


def test_progress_is_told_for_what_is_read(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcgitops.store.index.BATCH", 2)
    for number in range(1, 6):
        store.publish(a_run(store, number))
    told: list[tuple[int, int]] = []
    RunIndex(store, tmp_path, lambda done, total: told.append((done, total))).heads("wine")
    assert told == [(2, 5), (4, 5), (5, 5)]
    RunIndex(store, tmp_path, lambda done, total: told.append((done, total))).heads("wine")
    assert len(told) == 3


def test_a_commits_runs_are_remembered_and_what_it_lacks_is_asked_again(
    store: Store, reads: Reads, tmp_path: Path
) -> None:
    sha = "a" * 40

    def publish(stage: str) -> None:
        store.publish_commit(
            CommitRecord(project="wine", stage=stage, commit=sha, runs=("1", "2"), selected="1")
        )

    publish("train")
    wanted = [(sha, "train"), (sha, "evaluate")]
    assert RunIndex(store, tmp_path).commits("wine", wanted) == {(sha, "train"): ("1", "2")}
    publish("evaluate")
    reads.keys.clear()
    found = RunIndex(store, tmp_path).commits("wine", wanted)
    assert found == {(sha, "train"): ("1", "2"), (sha, "evaluate"): ("1", "2")}
    assert reads.keys == [f"commits/{sha}/wine/evaluate.json"]


FILL = """
import sys
from pathlib import Path
from mcgitops.store.index import RunIndex
from mcgitops.store.store import open_store
for _ in range(5):
    index = RunIndex(open_store(sys.argv[1]), Path(sys.argv[2]))
    heads = index.heads("wine")
    assert len(index.runs(heads)) == 60 and not index.unreadable
"""


def test_processes_fill_it_side_by_side(store: Store, tmp_path: Path) -> None:
    for number in range(60):
        store.publish(a_run(store, number))
    call = [sys.executable, "-c", FILL, store.url, str(tmp_path / "c")]
    running = [subprocess.Popen(call, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in running]
    assert ended == [("", 0)] * 3
    index = RunIndex(store, tmp_path / "c")
    assert len(index.remembered("wine")) == 60


def test_lost_rows_are_read_again_all_at_once(store: Store, reads: Reads, tmp_path: Path) -> None:
    for number in range(5):
        store.publish(a_run(store, number))
    RunIndex(store, tmp_path).heads("wine")
    with sqlite3.connect(the_file(tmp_path)) as connection:
        connection.execute("DELETE FROM body")
    connection.close()
    told: list[tuple[int, int]] = []
    reads.keys.clear()
    index = RunIndex(store, tmp_path, lambda done, total: told.append((done, total)))
    assert numbers(index) == [4, 3, 2, 1, 0]
    assert numbers(RunIndex(store, tmp_path)) == [4, 3, 2, 1, 0]
    assert len(reads.keys) == 5 and told == [(5, 5)]
