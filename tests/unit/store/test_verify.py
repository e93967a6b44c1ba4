"""Damage of every kind is found, told whom it concerns, and mended from wherever a good copy is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.store import gc, journal, layout, seals
from mcgitops.store.reach import Roots
from mcgitops.store.records import CommitRecord, FileRef
from mcgitops.store.repair import repair
from mcgitops.store.store import Store, key_of, open_store
from mcgitops.store.transfer import copy_records
from mcgitops.store.verify import Finding, Verified, check_surely, verify
from tests.unit.store.conftest import a_run, damage, object_path
from tests.unit.store.memory import MemoryBucket
from tests.unit.store.test_packed_objects import digest_of, write_pack

COMMIT = "c" * 40


def filled(store: Store) -> None:
    """Two runs of a commit, a pack with the output of another one, an entry of the journal."""
    runs = [store.publish(a_run(store, number, commit=COMMIT)) for number in (1, 2)]
    packed = a_run(store, 3)
    object_path(store, packed.outputs[0].digest).unlink()
    write_pack(store, [b"model 3", b"something else"])
    store.publish(packed)
    prints = tuple(run.fingerprint for run in runs)
    store.publish_commit(
        CommitRecord(project="wine", stage="train", commit=COMMIT, runs=prints, selected=prints[0])
    )
    store.objects.catalogue.say(records=store.record_keys("wine"))


def kinds(verified: Verified) -> list[str]:
    return sorted(finding.kind for finding in verified.findings)


def test_a_whole_store_is_sound(store: Store) -> None:
    filled(store)
    verified = verify(store)
    assert verified.findings == ()
    assert (verified.records, verified.objects, verified.packs) == (4, 4, 1)


@pytest.mark.parametrize("values", [[b"", b"a"], [b"a", b""], [b"b", b"", b"a"]])
def test_an_empty_file_in_a_pack_is_sound_wherever_it_lies(
    store: Store, values: list[bytes]
) -> None:
    write_pack(store, values)
    assert verify(store).findings == ()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "store"
    filled(open_store(str(folder)))
    return folder


@given(data=st.data())
def test_any_flipped_missing_or_extra_byte_is_found_and_mended(
    whole: Path, data: st.DataObject
) -> None:
    place = whole.parent / "tried"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(whole, place)
    files = sorted(file for file in place.rglob("*") if file.is_file() and file.stat().st_size)
    file = data.draw(st.sampled_from(files))
    value = bytearray(file.read_bytes())
    at = data.draw(st.integers(0, len(value) - 1))
    match data.draw(st.sampled_from(["flip", "cut", "add", "remove"])):
        case "flip":
            value[at] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del value[at:]
        case "add":
            value.insert(at, data.draw(st.integers(0, 255)))
        case "remove":
            value = bytearray()
    file.unlink()
    if value or at == 0:
        file.write_bytes(value)
    store, good = open_store(str(place)), open_store(str(whole))
    verified = verify(store)
    key = str(file.relative_to(place))
    lost_whole = not file.exists() and key.startswith("journal/")
    if not lost_whole:  # nothing says that there was a last entry
        assert verified.findings, key
    mended = repair(store, verified, [good])
    assert mended.is_sound, [finding for finding in mended.findings if not finding.repaired]
    assert verify(store).findings == ()
    for run in good.runs("wine"):
        if key_of(run) != key or file.exists():
            assert store.read_bytes(run.outputs[0].digest) == good.read_bytes(run.outputs[0].digest)


def test_damage_names_whom_it_concerns(store: Store) -> None:
    filled(store)
    damage(store, digest_of(b"model 1"))
    (found,) = verify(store).findings
    assert found.kind == "object"
    assert found.concerns == (f"run {'0' * 12} of train (commit cccccccccccc), out/model.bin",)
    assert found.paths == ("out/model.bin",)


def test_a_good_copy_comes_from_the_project_folder(store: Store, tmp_path: Path) -> None:
    filled(store)
    damage(store, digest_of(b"model 2"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/model.bin").write_bytes(b"model 2")
    mended = repair(store, verify(store), folder=tmp_path)
    assert mended.findings[0].repaired == "a good copy was put back"
    assert store.read_bytes(digest_of(b"model 2")) == b"model 2"
    assert verify(store).is_sound


def test_many_lost_files_come_back_together(tmp_path: Path) -> None:
    bucket = MemoryBucket()
    local, remote = open_store(str(tmp_path / "store")), Store(bucket)
    some = [local.put_bytes(b"%d" % number) for number in range(300)]
    files = [
        FileRef(path=f"out/{number}", digest=digest, size=size)
        for number, (digest, size) in enumerate(some)
    ]
    record = a_run(local, outputs=tuple(files))
    local.publish(record)
    copy_records(local, remote, [record])
    shutil.rmtree(tmp_path / "store" / "objects")
    asked = 0

    def read(key: str, limit: int | None = None) -> bytes | None:
        nonlocal asked
        asked += 1
        return MemoryBucket.get(bucket, key, limit)

    bucket.get = read  # type: ignore[method-assign]
    mended = repair(local, verify(local), [remote])
    assert {one.repaired for one in mended.findings} == {"a good copy was put back"}
    assert len(mended.findings) == 300
    assert asked < 30, "one by one"
    assert verify(local).is_sound
    some_lost = [one.digest for one in files[:20]]
    for digest in some_lost:
        object_path(local, digest).unlink()
    (pack,) = (key for key in bucket.values if layout.pack_of(f"{key}.index"))
    bucket.values[pack] = bucket.values[pack][:20] + b"?" + bucket.values[pack][21:]
    mended = repair(local, verify(local), [remote])
    left = [one.digest for one in mended.findings if one.kind == "object" and not one.repaired]
    assert left == [files[11].digest], "the others come back all the same"


def test_what_no_one_has_is_set_aside_and_its_run_is_trained_again(store: Store) -> None:
    filled(store)
    damage(store, digest_of(b"model 1"))
    (found,) = repair(store, verify(store)).findings
    assert not found.repaired
    assert "mcgitops train train --rev cccccccccccc" in found.remedy
    assert store.path is not None
    assert (store.path / "damaged" / layout.object_key(digest_of(b"model 1"))).is_file()
    assert store.missing([digest_of(b"model 1")])
    (left,) = verify(store).findings
    assert (left.kind, left.concerns) == ("run", ("commit cccccccccccc, stage train",))
    store.publish(a_run(store, 1, commit=COMMIT))
    assert verify(store).findings == ()


def test_good_members_of_a_damaged_pack_are_taken_over(store: Store) -> None:
    values = [b"model 3", b"something else " * 50]
    pack = write_pack(store, values)
    run = a_run(store, 3)
    object_path(store, run.outputs[0].digest).unlink()
    store.publish(run)
    assert store.path is not None
    file = store.path / layout.pack_key(pack.name)
    member = pack.index.find(digest_of(values[1]))
    assert member is not None
    value = bytearray(file.read_bytes())
    value[member.offset] ^= 1
    file.write_bytes(value)
    assert kinds(verify(store)) == ["object", "pack"]
    mended = repair(store, verify(store))
    assert mended.is_sound  # nothing names the one that is lost
    again = open_store(str(store.path))
    assert again.read_bytes(digest_of(b"model 3")) == b"model 3"
    assert verify(again).is_sound


def test_what_a_killed_collection_left_in_the_trash_comes_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(store)
    roots = Roots("wine")
    facts = gc.look(store)
    plan = gc.plan(store, facts, roots, -1)
    with monkeypatch.context() as patch:
        patch.setattr(gc, "finish", lambda *_, **__: ())
        gc.collect(store, plan, facts, roots, -1)
    assert store.path is not None
    for run in (store.path / "trash").rglob("runs/*/*/*.json"):  # they are needed after all
        target = store.path / "runs/wine/train" / run.name
        target.parent.mkdir(parents=True, exist_ok=True)
        run.rename(target)
    mended = repair(store, verify(store))
    assert mended.findings
    assert mended.is_sound
    assert verify(open_store(str(store.path))).is_sound


def test_a_strange_key_is_named_and_left(store: Store) -> None:
    filled(store)
    assert store.path is not None
    (store.path / "objects/notes.txt").write_text("mine")
    mended = repair(store, verify(store))
    assert kinds(mended) == ["strange"]
    assert not mended.is_sound
    assert (store.path / "objects/notes.txt").is_file()


def test_a_run_that_only_another_store_has_is_no_loss_of_a_local_one(
    store: Store, other: Store
) -> None:
    filled(store)
    assert store.path is not None
    run = next(store.runs("wine"))
    copy_records(store, other, [run, *store.commits(COMMIT, "wine")])
    assert kinds(verify(other)) == ["run", "run"]
    assert verify(other, beside=[store]).is_sound


@given(st.binary(max_size=200), st.integers(0, 10_000), st.integers(0, 7))
def test_no_flipped_bit_goes_unnoticed(text: bytes, place: int, bit: int) -> None:
    value = seals.sealed(json.dumps({"value": text.hex()}).encode())
    assert seals.is_whole(value)
    assert json.loads(value)["value"] == text.hex()
    flipped = bytearray(value)
    flipped[place % len(value)] ^= 1 << bit
    try:
        json.loads(flipped)
    except ValueError:
        return  # no JSON any more
    assert not seals.is_whole(bytes(flipped))


def test_values_of_versions_without_seals_are_accepted() -> None:
    assert seals.is_whole(b'{"selected":"%s"}\n' % (b"a" * 64))
    assert seals.is_whole(b"{}\n")


def test_a_journal_that_was_trimmed_is_sound_and_mended(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SPAN", 4)
    monkeypatch.setattr(journal, "LENGTHS", (16, 4))
    filled(store)
    log = journal.Journal(store.backend)
    for _ in range(12):
        log.append(records=store.record_keys("wine"))
    assert log.trim(0) == 8
    assert verify(store).findings == ()
    assert store.path is not None
    for key in (layout.span_key(1, 4), layout.span_key(5, 4), layout.span_key(9, 4)):
        for remove in (True, False):
            path = store.path / key
            value = path.read_bytes()
            path.unlink()
            if not remove:
                path.write_bytes(value[:-20] + b"x" + value[-19:])
            found = verify(store)
            has_entries = key == layout.span_key(9, 4)
            lost = [] if remove and has_entries else [key]
            assert [one.key for one in found.findings] == lost
            assert repair(store, found).is_sound
            assert verify(store).findings == ()
            known = {name for entry in log.since().entries for name in entry.records}
            assert known == set(store.record_keys("wine"))
            assert log.since().position.number == 13
            store.backend.delete(f"damaged/{key}")
            store.backend.delete(key)
            store.backend.put(key, value)


@pytest.mark.parametrize(
    ("seen", "is_damaged", "looks"),
    [
        (["good"], False, 1),
        (["bad", "bad"], True, 2),
        (["bad", "good"], False, 2),
        (["bad", "worse", "good"], False, 3),
        (["bad", "worse", "bad", "bad"], True, 4),
        (["1", "2", "3", "4", "5", "6"], True, 6),
    ],
)
def test_what_a_network_harms_is_not_called_damaged(
    seen: list[str], is_damaged: bool, looks: int
) -> None:
    left = iter(seen)

    def look() -> tuple[str, list[Finding]]:
        digest = next(left)
        return digest, [] if digest == "good" else [Finding("object", "key", "")]

    assert bool(check_surely(look, is_local=False)) is is_damaged
    assert list(left) == seen[looks:]
    assert check_surely(iter([("bad", [Finding("object", "k", "")])]).__next__, is_local=True)
