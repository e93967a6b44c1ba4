from __future__ import annotations

import errno
import multiprocessing
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcgitops.errors import StoreError
from mcgitops.store.folder import STALE_SECONDS, FolderBackend
from mcgitops.store.objects import hashed
from mcgitops.store.store import open_store
from mcgitops.store.transfer import references
from tests.unit.store.creating import create


def test_exactly_one_of_many_processes_creates_a_record(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(4) as pool:
        for trial in range(5):
            gate = manager.Barrier(4)
            folder = str(tmp_path / str(trial))
            won = pool.starmap(create, [(folder, number, gate) for number in range(4)])
            assert won.count(True) == 1
            value = FolderBackend(Path(folder)).get("runs/p/s/f.json")
            assert value == b"%d" % won.index(True) * 10_000


def test_create_is_exact_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    backend = FolderBackend(tmp_path)
    assert backend.create("a/b", b"1")
    assert not backend.create("a/b", b"2")
    assert backend.get("a/b") == b"1"
    assert [path.name for path in (tmp_path / "tmp").iterdir()] == ["lock"]


WRITER = """
import sys, os, datetime, random
from pathlib import Path
from mcgitops.store.store import open_store
from mcgitops.store.records import RunRecord, FileRef, ImageRef
store = open_store(sys.argv[1])
work = Path(sys.argv[2])
print("ready", flush=True)
while True:
    work.write_bytes(os.urandom(random.randrange(3_000_000)))
    digest, size = store.put_file(work)
    store.publish(RunRecord(project="p", stage="s", fingerprint=os.urandom(32).hex(),
        state="succeeded", started=datetime.datetime.now(datetime.UTC),
        image=ImageRef(reference="i"), log_tail=("x" * 100_000,),
        outputs=(FileRef(path="o", digest=digest, size=size),)))
"""


def test_a_writer_killed_at_any_moment_leaves_nothing_half(tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)  # shown where the test fails
    chance = random.Random(seed)
    for trial in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "store"), str(tmp_path / f"w{trial}")],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(chance.uniform(0.05, 0.45))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    store = open_store(str(tmp_path / "store"))
    objects = list(store.backend.entries("objects/"))
    for entry in objects:
        with (tmp_path / "store" / entry.key).open("rb") as stream:
            assert hashed(stream)[0] == f"sha256:{entry.key.rpartition('/')[2]}"
    records = list(store.runs("p"))  # all are read and valid
    assert records
    assert not store.missing(file.digest for run in records for file in references(run))


def test_what_a_killed_process_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    old, new = tmp / "old", tmp / "new"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    before = time.time() - STALE_SECONDS - 60
    os.utime(old, (before, before))
    FolderBackend(tmp_path).put("a/b", b"1")
    assert not old.exists()
    assert new.exists()


def test_objects_are_read_only(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    digest, _ = store.put_bytes(b"hello")
    (tmp_path / "file").write_bytes(b"from a file")
    other, _ = store.put_file(tmp_path / "file")
    for name in (digest, other):
        hexadecimal = name.removeprefix("sha256:")
        path = tmp_path / "store/objects/sha256" / hexadecimal[:2] / hexadecimal
        assert stat.S_IMODE(path.stat().st_mode) & 0o222 == 0
        assert stat.S_IMODE(path.stat().st_mode) & 0o400


def test_a_stream_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    class Broken:
        def __init__(self) -> None:
            self.left = 3

        def read(self, size: int = -1) -> bytes:
            self.left -= 1
            if not self.left:
                raise OSError(errno.EIO, "Input/output error")
            return b"x" * 1000

    store = open_store(str(tmp_path / "store"))
    with pytest.raises(OSError, match="Input/output"):
        store.put_stream(Broken())  # type: ignore[arg-type]
    assert not list((tmp_path / "store/tmp").iterdir())
    assert not (tmp_path / "store/objects").exists()


@pytest.mark.parametrize(
    ("number", "hint"), [(errno.ENOSPC, "Free some space"), (errno.EROFS, "MCGITOPS_STORE")]
)
def test_a_full_or_read_only_disk_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, hint: str
) -> None:
    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    store = open_store(str(tmp_path / "store"))
    with pytest.raises(StoreError) as caught:
        store.put_bytes(b"hello")
    assert str(tmp_path / "store") in caught.value.message
    assert hint in caught.value.hint
    assert not list((tmp_path / "store/tmp").iterdir())


def test_a_file_in_the_way_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = open_store(str(tmp_path / "file"))
    with pytest.raises(StoreError, match="Could not write to the store"):
        store.put_bytes(b"hello")
    assert store.run("p", "s", "f") is None


def test_an_empty_or_absent_folder_is_an_empty_store(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "none"))
    assert list(store.runs("p")) == []
    assert store.run("p", "s", "f") is None
    assert store.record_keys("p") == []
    assert not (tmp_path / "none").exists()  # looking makes nothing


def test_delete_of_what_is_not_there_is_harmless(tmp_path: Path) -> None:
    backend = FolderBackend(tmp_path)
    backend.put("a/b", b"1")
    backend.delete("a/b")
    backend.delete("a/b")
    assert backend.get("a/b") is None


def test_a_value_over_the_limit_is_an_error(tmp_path: Path) -> None:
    backend = FolderBackend(tmp_path)
    backend.put("a/b", b"12345")
    assert backend.get("a/b", 5) == b"12345"
    with pytest.raises(StoreError, match="larger than 4 bytes"):
        backend.get("a/b", 4)


def test_what_can_not_be_looked_at_is_not_called_missing(tmp_path: Path) -> None:
    backend = FolderBackend(tmp_path)
    (tmp_path / "objects").mkdir()
    (tmp_path / "objects/a").symlink_to("a")  # leads to itself
    with pytest.raises(StoreError, match=r"Could not read the store .*: Too many levels"):
        backend.missing(["objects/a/b"])
    assert backend.missing(["objects/b/c", "b"]) == {"objects/b/c", "b"}
