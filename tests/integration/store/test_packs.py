"""Many small files, to real servers and back: in packs, whatever happens on the way."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from mcgitops.errors import StoreError
from mcgitops.store import bulk, layout
from mcgitops.store.backend import Entry
from mcgitops.store.records import FileRef, RunRecord
from mcgitops.store.restore import restore
from mcgitops.store.store import Store, open_store
from mcgitops.store.transfer import copy_objects, copy_runs, references
from tests.integration.store.conftest import MakeRun
from tests.integration.store.test_s3 import counted
from tests.lab.s3 import S3Server

pytestmark = pytest.mark.s3

COUNT = 70
Open = Callable[..., Store]


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "local"))


def opener(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens one store in the bucket, each time as a new process does; `cache` is what it keeps."""
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    url = server.url(uuid4().hex)
    return lambda cache=None: open_store(url, cache)


@pytest.fixture
def remote(rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Open:
    """One store in the bucket of one server."""
    return opener(rclone_s3, monkeypatch)


@pytest.fixture
def every(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Open:
    """One store in the bucket of each of the servers."""
    return opener(s3_server, monkeypatch)


def contents() -> Iterator[tuple[str, bytes]]:
    """Small files, an empty one, a small and a large one that shrink, a large one that doesn't."""
    for number in range(COUNT):
        yield f"out/data/part{number:03}.bin", f"{number:02} ".encode() * 400
    yield "out/empty", b""
    yield "out/history.csv", b"epoch,loss\n" * 20_000
    yield "out/table.csv", b"0.25,0.5,0.75\n" * 200_000
    yield "out/model.bin", random.Random(1).randbytes(1_500_000)


def a_run(store: Store, make_run: MakeRun, number: int = 1) -> RunRecord:
    values = [(path, value, _digest(value)) for path, value in contents()]
    # At once: one by one waits for the disk each time.
    store.backend.put_many((layout.object_key(digest), value) for _, value, digest in values)
    files = [FileRef(path=path, digest=digest, size=len(value)) for path, value, digest in values]
    run = make_run(store, number, publish=False).model_copy(update={"outputs": tuple(files)})
    return store.publish(run)


def _digest(value: bytes) -> str:
    return f"sha256:{hashlib.sha256(value).hexdigest()}"


def entries(store: Store, prefix: str) -> list[Entry]:
    return list(store.backend.entries(prefix))


def keys(store: Store, prefix: str) -> list[str]:
    return [entry.key for entry in entries(store, prefix)]


def packs(store: Store) -> list[str]:
    return [key for key in keys(store, "packs/") if not key.endswith(".index")]


def is_whole(store: Store, run: RunRecord) -> bool:
    """Whether a store has all files of a run, and gives those that are looked at as they were."""
    values = dict(contents())
    looked = [*run.outputs[:: 10 if store.path is None else 1], *run.outputs[-3:]]
    return not store.missing(file.digest for file in run.files) and all(
        store.read_bytes(file.digest) == values[file.path] for file in looked
    )


def test_small_files_travel_packed_and_come_back(
    every: Open, local: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    run = a_run(local, make_run)
    target = every(tmp_path / "cache")
    with counted(target) as sent:
        done = copy_runs(local, target, [run])
    assert (done.records, done.objects) == (1, len({file.digest for file in references(run)}))
    # Two packs with their indexes, the large file, the record, the journal's entry.
    assert sent["PutObject"] == 7
    assert sum(sent.values()) <= 24
    assert len(packs(target)) == 2
    assert len(keys(target, "objects/")) == 1
    # The table has shrunk: all that was sent is less than it was.
    stored = sum(entry.size for top in ("packs/", "objects/") for entry in entries(target, top))
    assert stored < 1_700_000 < 2_800_000 < sum(file.size for file in run.files)

    again = every(tmp_path / "cache")
    with counted(again) as asked:
        assert copy_runs(local, again, [run]).objects == 0
    # The marks, the journal's news, two packs with their indexes, one object and the record.
    assert asked == {"ListObjectsV2": 1, "GetObject": 2, "HeadObject": 4 + 1 + 1}
    fresh = every()
    with counted(fresh) as read:
        mine = next(fresh.runs("wine"))
        back = open_store(str(tmp_path / "back"))
        assert copy_runs(fresh, back, [mine]).objects == done.objects
    assert sum(read.values()) <= 14
    assert packs(back) == []
    assert is_whole(back, run)
    assert is_whole(every(), run)
    restored = restore(back, run.files, tmp_path / "project")
    assert len(restored.written) == len(run.files)
    for path, value in contents():
        assert (tmp_path / "project" / path).read_bytes() == value


def test_one_file_comes_by_a_range(remote: Open, local: Store, make_run: MakeRun) -> None:
    run = a_run(local, make_run)
    copy_runs(local, remote(), [run])
    file = next(file for file in run.files if file.path.endswith("part050.bin"))
    store = remote()
    assert store.size(file.digest) == file.size
    with counted(store) as requests:
        assert store.read_bytes(file.digest) == dict(contents())[file.path]
    assert requests == {"GetObject": 1}
    with store.open_object(file.digest) as stream:
        assert stream.read() == dict(contents())[file.path]


@pytest.mark.parametrize("has_cache", [True, False])
def test_an_interrupted_push_goes_on_where_it_was(
    remote: Open,
    local: Store,
    make_run: MakeRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_cache: bool,
) -> None:
    run = a_run(local, make_run)
    monkeypatch.setattr(bulk, "AT_ONCE", 1)
    real = bulk.groups
    monkeypatch.setattr(bulk, "groups", lambda sizes: real(sizes, 12_000))
    cache = tmp_path / "cache" if has_cache else None
    target = remote(cache)
    write = target.backend.put
    sent: list[str] = []

    def breaks(key: str, value: bytes, kind: str = "") -> None:
        if len(sent) == 5:  # after the third pack, before its index
            raise StoreError("The connection broke.")
        sent.append(key)
        write(key, value, kind)

    monkeypatch.setattr(target.backend, "put", breaks)
    with pytest.raises(StoreError, match="broke"):
        copy_runs(local, target, [run])
    assert keys(target, "runs/") == []
    arrived = {key for key in packs(target) if f"{key}.index" in keys(target, "packs/")}
    assert (len(arrived), len(packs(target))) == (2, 3)

    target, sent_then = remote(cache), set(sent)
    sent.clear()
    write = target.backend.put

    def writes(key: str, value: bytes, kind: str = "") -> None:
        sent.append(key)
        write(key, value, kind)

    monkeypatch.setattr(target.backend, "put", writes)
    assert copy_runs(local, target, [run]).records == 1
    assert len(packs(target)) > 6
    assert not arrived & set(sent)
    assert len(sent_then & set(sent)) == 1  # the pack that had no index
    assert is_whole(remote(), run)
    if has_cache:  # the journal names them all, also those of the push that broke
        (entry,) = target.backend.entries("journal/")
        said = (target.backend.get(entry.key) or b"").decode()
        assert all(key.rpartition("/")[2] in said for key in packs(target))


def test_a_bucket_that_was_emptied_is_filled_again(
    remote: Open, local: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    run = a_run(local, make_run)
    copy_runs(local, remote(tmp_path / "cache"), [run])
    store = remote()
    for prefix in ("packs/", "objects/", "runs/", "journal/"):
        for key in keys(store, prefix):
            store.backend.delete(key)
    assert copy_runs(local, remote(tmp_path / "cache"), [run]).records == 1
    assert is_whole(remote(), run)
    assert is_whole(remote(tmp_path / "cache"), run)


@pytest.mark.parametrize("lost", ["packs/", "index", "journal/"])
def test_what_is_lost_is_noticed_and_sent_again(
    remote: Open, local: Store, make_run: MakeRun, tmp_path: Path, lost: str
) -> None:
    run = a_run(local, make_run)
    copy_runs(local, remote(tmp_path / "cache"), [run])
    store = remote()
    for key in keys(store, "journal/" if lost == "journal/" else "packs/"):
        if lost != "index" or key.endswith(".index"):
            store.backend.delete(key)
    if lost == "journal/":  # the listing of packs tells what it would have told
        assert is_whole(remote(), run)
        return
    assert len(remote().missing(file.digest for file in run.files)) > COUNT
    if lost == "packs/":  # what the cache knows of them is not believed
        assert len(remote(tmp_path / "cache").missing(f.digest for f in run.files)) > COUNT
    digest = next(file.digest for file in run.files if file.path == "out/history.csv")
    with pytest.raises(StoreError, match=f"has no object {digest}"):
        remote().read_bytes(digest)
    copy_runs(local, remote(), [run])
    assert is_whole(remote(), run)


def test_two_pushes_of_the_same_at_once_are_harmless(
    remote: Open, make_run: MakeRun, tmp_path: Path
) -> None:
    errors: list[Exception] = []

    def push(name: str) -> None:
        try:
            local = open_store(str(tmp_path / name))
            copy_runs(local, remote(tmp_path / f"cache-{name}"), local.runs("wine"))
        except Exception as error:  # noqa: BLE001  (shown by the assertion)
            errors.append(error)

    names = ["one", "two", "three"]
    runs = [a_run(open_store(str(tmp_path / name)), make_run) for name in names]
    threads = [threading.Thread(target=push, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert is_whole(remote(), runs[0])
    assert len(list(remote().runs("wine"))) == 1


def test_a_damaged_pack_brings_nothing_wrong(
    remote: Open, local: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    run = a_run(local, make_run)
    store = remote()
    copy_runs(local, store, [run])
    file = next(file for file in run.files if file.path.endswith("part050.bin"))
    found = store.objects.catalogue.find(file.digest)
    assert found is not None
    key = layout.pack_key(found[0])
    value = bytearray(store.backend.get(key) or b"")
    digest, member = file.digest, found[1]
    value[member.offset + 3] ^= 1
    store.backend.put(key, bytes(value))
    back = open_store(str(tmp_path / "back"))
    with pytest.raises(StoreError, match=f"Object {digest} is damaged: {key}"):
        copy_runs(remote(), back, [run])
    assert list(back.runs("wine")) == []
    assert digest in back.missing([digest])
    # A good copy anywhere in the store is taken instead.
    store.backend.put(layout.object_key(digest), local.read_bytes(digest))
    assert copy_runs(remote(), back, [run]).records == 1
    assert is_whole(back, run)


def test_a_store_of_an_older_version_is_used_as_it_is(
    remote: Open, local: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    run = a_run(local, make_run)
    store = remote()
    for file in references(run):
        store.backend.put(layout.object_key(file.digest), local.read_bytes(file.digest))
    store.add(run)
    back = open_store(str(tmp_path / "back"))
    assert copy_runs(remote(), back, remote().runs("wine")).records == 1
    assert is_whole(back, run)
    assert is_whole(remote(), run)


def test_the_journal_tells_what_was_pushed(
    remote: Open, local: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    run = a_run(local, make_run)
    store = remote(tmp_path / "cache")
    copy_runs(local, store, [run])
    digest, size = local.put_bytes(b"data")
    copy_objects(local, store, {digest: size})
    assert keys(store, "journal/") == [layout.journal_key(1)]
    said = (store.backend.get(layout.journal_key(1)) or b"").decode()
    assert all(key.rpartition("/")[2] in said for key in packs(store))
    assert layout.run_key("wine", "train", run.fingerprint) in said
