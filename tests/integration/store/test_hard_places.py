"""Disks that end, and names of every kind: a clear sentence, and nothing half."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcgitops.store.records import FileRef
from mcgitops.store.restore import restore
from mcgitops.store.store import open_store
from mcgitops.store.transfer import copy_objects
from tests.integration.store.test_s3 import bucket
from tests.lab.s3 import S3Server

# The kernel lets no file grow beyond 2 MiB: writing breaks half-way, as on a full disk.
FULL = """
import resource, signal, sys
from mcgitops.errors import StoreError
from mcgitops.store.store import open_store
from mcgitops.store.transfer import copy_objects
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 2**20, 2 * 2**20))
try:
    copy_objects(open_store(sys.argv[1]), open_store(sys.argv[2]), {sys.argv[3]: int(sys.argv[4])})
except StoreError as error:
    print(error.message)
"""


@pytest.mark.s3
@pytest.mark.parametrize("size", [5_000_000, 20_000_000])
def test_a_disk_that_is_full_half_way_leaves_nothing_half(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int
) -> None:
    prefix = uuid4().hex
    remote = bucket(rclone_s3, monkeypatch, prefix)
    (tmp_path / "file").write_bytes(os.urandom(size))
    digest, _ = remote.put_file(tmp_path / "file")
    local = open_store(str(tmp_path / "local"))
    done = subprocess.run(
        [sys.executable, "-c", FULL, remote.url, str(tmp_path / "local"), digest, str(size)],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "Could not write to the store" in done.stdout
    assert "File too large" in done.stdout
    assert done.stdout.count("\n") == 1
    assert local.missing([digest]) == {digest}
    assert not list((tmp_path / "local/tmp").iterdir())
    copy_objects(remote, local, {digest: size})
    local.fetch(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (tmp_path / "file").read_bytes()


# As an ordinary user, whom rights bind; modules that are loaded late have to be there by then.
BOUND = """
import ctypes, os, queue, shutil, sys, threading  # who may not read this program imports no more
from pathlib import Path
from mcgitops.errors import StoreError
from mcgitops.store import large
from mcgitops.store.store import open_store
store, folder, digest = open_store(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
for work in (
    lambda: store.put_bytes(b"new"),
    lambda: store.put_file(folder / "secret"),
    lambda: store.fetch(digest, folder / "file"),
    lambda: store.fetch(digest, folder / "below" / "file"),
):
    try:
        work()
        print("done")
    except StoreError as error:
        print(error.message, "|", error.hint)
"""


def test_what_may_not_be_written_or_read_is_a_sentence_and_nothing_changes() -> None:
    with tempfile.TemporaryDirectory(prefix="mclab-rights-") as name:
        place = Path(name)
        place.chmod(0o755)
        store = open_store(str(place / "store"))
        digest, _ = store.put_bytes(b"content")
        (place / "folder").mkdir()
        (place / "folder/secret").write_bytes(b"secret")
        (place / "folder/secret").chmod(0)
        closed = [path for path in place.rglob("*") if path.is_dir()]
        for path in closed:
            path.chmod(0o555)
        before = sorted(map(str, place.rglob("*")))
        try:
            done = subprocess.run(
                [sys.executable, "-c", BOUND, store.url, str(place / "folder"), digest],
                capture_output=True, text=True, check=True, timeout=60,
            )  # fmt: skip
        finally:
            for path in closed:
                path.chmod(0o755)
        said = done.stdout.splitlines()
        assert len(said) == 4
        assert said[0].startswith(f"Could not write to the store {place / 'store'}: Permission")
        assert "Give yourself the right to it" in said[0]
        assert said[1].startswith(f"Could not read {place / 'folder/secret'}: Permission denied")
        assert said[2].startswith(f"Could not write {place / 'folder/file'}: Permission denied")
        assert said[3].startswith(f"Could not write {place / 'folder/below/file'}: Permission")
        assert sorted(map(str, place.rglob("*"))) == before


NAMES = st.text(
    st.characters(exclude_characters="/", exclude_categories=("C", "Z")), min_size=1, max_size=60
).filter(lambda name: name.lower() not in (".", "..", ".git", ".mcgitops") and name.isprintable())


@given(st.lists(NAMES, min_size=1, max_size=4))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_of_any_name_that_can_be_shown_comes_back(tmp_path: Path, names: list[str]) -> None:
    place = tmp_path / uuid4().hex
    (place / "project").mkdir(parents=True)
    store = open_store(str(place / "store"))
    digest, size = store.put_bytes("/".join(names).encode())
    path = "out/" + "/".join(names)
    file = FileRef(path=path, digest=digest, size=size)
    assert restore(store, [file], place / "project").written == (path,)
    assert (place / "project" / path).read_bytes() == "/".join(names).encode()


def test_an_empty_file_comes_back(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "store"))
    digest, size = store.put_bytes(b"")
    (tmp_path / "project").mkdir()
    restore(store, [FileRef(path="out/empty", digest=digest, size=size)], tmp_path / "project")
    assert (tmp_path / "project/out/empty").read_bytes() == b""
