"""Garbage collection against pushes, other collections and sudden death, in any order."""

from __future__ import annotations

import importlib
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcgitops.store import gc, layout, marks
from mcgitops.store.reach import Roots
from mcgitops.store.records import CommitRecord, FileRef
from mcgitops.store.store import Store, open_store
from mcgitops.store.transfer import copy_records
from tests.unit.store.conftest import a_run
from tests.unit.store.memory import Actor, MemoryBucket

GRACE = 100.0
COMMIT = "c" * 40
ORDERS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 60)), max_size=10)
"""Whose turn it is, and for how many requests: only long turns meet the narrow moments."""
ROOTS = Roots("wine", frozenset({COMMIT}))


@pytest.fixture(scope="module", autouse=True)
def _one_request_at_a_time() -> object:
    """An actor is one thread: what is done side by side is done one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        for name in (
            "catalogue", "gc", "inventory", "journal", "marks", "objects", "store", "survey",
            "transfer",
        ):  # fmt: skip
            patch.setattr(importlib.import_module(f"mcgitops.store.{name}"), "THREADS", 1)
        patch.setattr("mcgitops.store.bulk.AT_ONCE", 1)
        patch.setattr("time.sleep", lambda seconds: None)
        # hypothesis begins each example with the same random numbers: it is the same again
        patch.setattr("secrets.token_hex", lambda count: random.randbytes(count).hex())
        yield


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """What is pushed: a commit whose run has many small files and one of its own key."""
    store = open_store(str(tmp_path_factory.mktemp("local") / "store"))
    files = []
    for number in range(9):
        digest, size = store.put_bytes(f"file {number}".encode())
        files.append(FileRef(path=f"out/{number}", digest=digest, size=size))
    run = a_run(store, 1, outputs=tuple(files))
    store.publish(run)
    lone = a_run(store, 2)
    store.publish(lone)
    prints = (run.fingerprint, lone.fingerprint)
    record = CommitRecord(
        project="wine", stage="train", commit=COMMIT, runs=prints, selected=prints[0]
    )
    store.publish_commit(record)
    return store


def turns(order: list[tuple[int, int]]) -> list[int]:
    return [actor for actor, requests in order for _ in range(requests)]


def push(local: Store, bucket: MemoryBucket) -> None:
    records = [local.record_at(key) for key in local.record_keys("wine")]
    copy_records(local, Store(bucket), [record for record in records if record is not None])


def collect(bucket: MemoryBucket) -> gc.Swept:
    store = Store(bucket)
    facts = gc.look(store)
    return gc.collect(store, gc.plan(store, facts, ROOTS, GRACE), facts, ROOTS, GRACE)


def holds_everything(local: Store, bucket: MemoryBucket) -> None:
    """The pushed commit is there, with its runs and every byte of their files."""
    store = Store(bucket)
    commit = store.commit(COMMIT, "wine", "train")
    assert commit is not None
    for fingerprint in commit.runs:
        run = store.existing_run("wine", "train", fingerprint)
        for file in run.files:
            assert store.read_bytes(file.digest) == local.read_bytes(file.digest)


def unneeded(local: Store) -> MemoryBucket:
    """A bucket that has the runs, which nobody needed for long: they are about to go."""
    bucket = MemoryBucket()
    Store(bucket).put_bytes(b"model 2")  # it gets a key of its own; the others travel packed
    push(local, bucket)
    del bucket.values[layout.commit_key(COMMIT, "wine", "train")]
    keys = [key for key in bucket.values if key.startswith(("runs/", "objects/", "packs/"))]
    marked = [key for key in keys if not key.endswith(".index")]
    marks.write(bucket, time.time() - 2 * GRACE, marked)
    return bucket


def test_what_is_long_unneeded_goes(local: Store) -> None:
    bucket = unneeded(local)
    swept = collect(bucket)
    assert {item.kind for item in swept.removed} == {"runs", "objects", "packs"}
    assert [key for key in bucket.values if not key.startswith("journal/")] == []
    push(local, bucket)
    holds_everything(local, bucket)


def test_what_a_push_said_it_relies_on_stays(local: Store) -> None:
    bucket = unneeded(local)
    push(local, bucket)
    assert collect(bucket).removed == ()
    holds_everything(local, bucket)


@settings(max_examples=200)
@given(
    order=ORDERS,
    collections=st.integers(1, 2),
    dying=st.integers(0, 90) | st.none(),
)
def test_a_push_loses_nothing_to_collections(
    local: Store, order: list[tuple[int, int]], collections: int, dying: int | None
) -> None:
    bucket = unneeded(local)
    pushing = Actor(lambda: push(local, bucket))
    others = [Actor(lambda: collect(bucket)) for _ in range(collections - 1)]
    mortal = Actor(lambda: collect(bucket), dies_after=dying)
    bucket.run([pushing, mortal, *others], turns(order))
    for actor in (pushing, mortal, *others):
        assert actor.error is None
    if mortal.killed:
        collect(bucket)  # what it left in the trash, and is needed, comes back
    holds_everything(local, bucket)
    collect(bucket)
    holds_everything(local, bucket)


@settings(max_examples=60)
@given(order=ORDERS, dying=st.integers(0, 60))
def test_a_killed_push_is_done_again(
    local: Store, order: list[tuple[int, int]], dying: int
) -> None:
    bucket = unneeded(local)
    killed = Actor(lambda: push(local, bucket), dies_after=dying)
    collecting = Actor(lambda: collect(bucket))
    bucket.run([killed, collecting], turns(order))
    assert killed.error is None
    assert collecting.error is None
    push(local, bucket)
    holds_everything(local, bucket)
    collect(bucket)
    holds_everything(local, bucket)
