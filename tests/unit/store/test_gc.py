"""Garbage collection in a folder, and of packs."""

from __future__ import annotations

import os
import time

import pytest

from mcgitops.errors import StoreError
from mcgitops.store import gc, layout
from mcgitops.store.reach import Roots
from mcgitops.store.store import Store, key_of
from tests.unit.store.conftest import a_run, damage, object_path
from tests.unit.store.test_packed_objects import digest_of, write_pack

GRACE = 3600.0
ROOTS = Roots("wine", keep_runs=1)


def age(store: Store, seconds: float = 2 * GRACE) -> None:
    """Make everything in a folder as old as that."""
    assert store.path is not None
    then = time.time() - seconds
    for file in store.path.rglob("*"):
        if file.is_file():
            os.utime(file, (then, then))


def collect(store: Store, roots: Roots = ROOTS, grace: float = GRACE) -> gc.Swept:
    facts = gc.look(store)
    return gc.collect(store, gc.plan(store, facts, roots, grace), facts, roots, grace)


def files(store: Store) -> set[str]:
    assert store.path is not None
    found = (file for file in store.path.rglob("*") if file.is_file())
    return {
        str(f.relative_to(store.path)) for f in found if f.relative_to(store.path).parts[0] != "tmp"
    }


def test_old_runs_go_with_what_only_they_need(store: Store) -> None:
    runs = [a_run(store, number) for number in (1, 2)]
    for run in runs:
        store.publish(run)
    assert collect(store).removed == ()  # all is young
    age(store)
    swept = collect(store)
    gone = {key_of(runs[0]), layout.object_key(runs[0].outputs[0].digest)}
    assert {item.key for item in swept.removed} == gone
    assert files(store) == {key_of(runs[1]), layout.object_key(runs[1].outputs[0].digest)}
    assert collect(store).removed == ()


def test_what_is_stored_again_is_young_again(store: Store) -> None:
    digest, _ = store.put_bytes(b"model")
    run = a_run(store, 1)
    store.publish(run)
    age(store)
    store.put_bytes(b"model")
    store.publish(run)
    assert collect(store, Roots("wine")).removed == ()
    assert store.read_bytes(digest) == b"model"


def test_what_came_to_be_needed_after_it_was_shown_stays(store: Store) -> None:
    run = a_run(store, 1)
    store.publish(run)
    age(store)
    facts = gc.look(store)
    shown = gc.plan(store, facts, Roots("wine"), GRACE)
    assert len(shown.remove) == 2
    store.put_bytes(b"model 1")
    store.publish(run)
    assert gc.collect(store, shown, facts, Roots("wine"), GRACE).removed == ()
    assert store.run("wine", "train", run.fingerprint) is not None


def test_a_killed_collection_is_finished_by_the_next(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = a_run(store, 1), a_run(store, 2)
    store.publish(kept)
    store.publish(gone)
    age(store)

    def killed(*_: object, **__: object) -> tuple[str, ...]:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        calls = iter([lambda *a, **k: (), killed])
        patch.setattr(gc, "finish", lambda *a, **k: next(calls)(*a, **k))
        with pytest.raises(KeyboardInterrupt):
            collect(store, Roots("wine"))
    assert {name.split("/")[0] for name in files(store)} == {"trash"}
    # one of the two runs is needed now
    collect(store, Roots("wine", keep_runs=1))
    assert files(store) == {key_of(gone), layout.object_key(gone.outputs[0].digest)}


def test_the_rest_of_a_sparse_pack_is_kept(store: Store) -> None:
    values = [b"model 1", os.urandom(5000), b""]
    pack = write_pack(store, values)
    run = a_run(store, 1)
    object_path(store, run.outputs[0].digest).unlink()
    store.publish(run)
    age(store)
    assert collect(store).rewritten == (layout.pack_key(pack.name),)
    age(store)
    assert [item.kind for item in collect(store).removed] == ["packs"]
    assert store.read_bytes(digest_of(b"model 1")) == b"model 1"
    assert not any(name.startswith("packs/") for name in files(store))


def test_nothing_goes_where_a_record_can_not_be_read(store: Store) -> None:
    run = a_run(store, 1)
    store.publish(run)
    assert store.path is not None
    record = store.path / key_of(run)
    record.chmod(0o644)
    record.write_text(record.read_text().replace("train", "trian"))
    age(store)
    with pytest.raises(StoreError, match=r"Nothing was removed.*damaged.*verify --repair"):
        collect(store)
    assert len(files(store)) == 2


def test_a_damaged_object_goes_like_any_other(store: Store) -> None:
    digest, _ = store.put_bytes(b"model")
    damage(store, digest)
    age(store)
    assert [item.kind for item in collect(store).removed] == ["objects"]
