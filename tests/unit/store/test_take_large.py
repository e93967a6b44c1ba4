"""Large objects out of a bucket: in parts, resumed, and what arrived is relied on for nothing."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mcgitops.errors import StoreError
from mcgitops.store import large, layout
from mcgitops.store.folder import FolderBackend
from mcgitops.store.large import FROM, PART, take_large
from mcgitops.store.objects import Objects
from mcgitops.store.threads import go_on
from tests.unit.store.memory import MemoryBucket


class Count:
    """Counts, and stops after so many bytes."""

    def __init__(self, most: int = 10**12) -> None:
        self.bytes = 0
        self.objects = 0
        self._most = most

    def add(self, count: int) -> None:
        if self.bytes + count > self._most:
            raise StoreError("The copy was stopped.")
        self.bytes += count

    def finish(self) -> None:
        self.objects += 1

    def stop(self) -> None:
        pass


class Asked(MemoryBucket):
    """A bucket that remembers which ranges it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.ranges: list[int] = []

    def read_range(self, key: str, offset: int, length: int) -> bytes | None:
        self.ranges.append(offset)
        return super().read_range(key, offset, length)


@pytest.fixture
def bucket() -> Asked:
    return Asked()


@pytest.fixture
def local(tmp_path: Path) -> Objects:
    return Objects(FolderBackend(tmp_path / "store"))


def stored(bucket: MemoryBucket, size: int) -> tuple[str, bytes]:
    value = os.urandom(size)
    digest = f"sha256:{hashlib.sha256(value).hexdigest()}"
    bucket.values[layout.object_key(digest)] = value
    return digest, value


def left(local: Objects) -> list[str]:
    assert local.backend.scratch is not None
    return [path.name for path in local.backend.scratch.iterdir()]


@pytest.mark.parametrize("size", [FROM, FROM + 1, FROM + PART - 1, 3 * PART])
def test_it_arrives_whole_whatever_its_length(bucket: Asked, local: Objects, size: int) -> None:
    digest, value = stored(bucket, size)
    count = Count()
    assert take_large(Objects(bucket), local, {digest: size}, count) == {digest}
    assert local.read_bytes(digest) == value
    assert (count.bytes, count.objects) == (size, 1)
    assert sorted(bucket.ranges) == list(range(0, size, PART))
    assert left(local) == []


def test_smaller_ones_are_left_to_others(bucket: Asked, local: Objects) -> None:
    digest, _ = stored(bucket, FROM - 1)
    assert take_large(Objects(bucket), local, {digest: FROM - 1}, Count()) == set()


def test_an_interrupted_one_goes_on_where_it_was(
    monkeypatch: pytest.MonkeyPatch, bucket: Asked, local: Objects
) -> None:
    monkeypatch.setenv("MCGITOPS_STORE_REQUESTS", "1")
    digest, value = stored(bucket, 4 * PART + 5)
    with pytest.raises(StoreError, match="stopped"):
        take_large(Objects(bucket), local, {digest: len(value)}, Count(2 * PART))
    assert local.missing([digest]) == {digest}
    assert len(left(local)) == 1
    bucket.ranges.clear()
    assert take_large(Objects(bucket), local, {digest: len(value)}, Count()) == {digest}
    assert sorted(bucket.ranges) == [2 * PART, 3 * PART, 4 * PART]
    assert local.read_bytes(digest) == value
    assert left(local) == []


def test_what_an_earlier_call_left_damaged_is_fetched_anew(
    monkeypatch: pytest.MonkeyPatch, bucket: Asked, local: Objects
) -> None:
    monkeypatch.setenv("MCGITOPS_STORE_REQUESTS", "1")
    digest, value = stored(bucket, FROM + 100)
    with pytest.raises(StoreError, match="stopped"):
        take_large(Objects(bucket), local, {digest: len(value)}, Count(PART))
    assert local.backend.scratch is not None
    (partial,) = local.backend.scratch.iterdir()
    with partial.open("r+b") as stream:
        stream.write(b"something else")
    assert take_large(Objects(bucket), local, {digest: len(value)}, Count()) == {digest}
    assert local.read_bytes(digest) == value
    assert left(local) == []


def test_a_damaged_one_gets_no_name(bucket: Asked, local: Objects) -> None:
    digest, value = stored(bucket, FROM)
    bucket.values[layout.object_key(digest)] = value[:-1] + b"\0" + b""
    if bucket.values[layout.object_key(digest)] == value:
        bucket.values[layout.object_key(digest)] = value[:-1] + b"\1"
    with pytest.raises(StoreError, match="is damaged"):
        take_large(Objects(bucket), local, {digest: FROM}, Count())
    assert local.missing([digest]) == {digest}
    assert left(local) == []


def test_one_that_isnt_there_or_is_shorter_is_left_to_others(bucket: Asked, local: Objects) -> None:
    digest, value = stored(bucket, FROM)
    absent = f"sha256:{'0' * 64}"
    sizes = {digest: len(value) + PART, absent: FROM}
    assert take_large(Objects(bucket), local, sizes, Count()) == set()
    assert left(local) == []


class Endless(Asked):
    """A bucket whose first part comes, and the others don't."""

    def fill(self, key: str, offset: int, buffer: memoryview, told: Callable[[int], None]) -> bool:
        if offset == 0:
            return super().fill(key, offset, buffer, told)
        for _ in range(6000):  # a minute; nothing else ends it
            time.sleep(0.01)
            go_on()
        return False


def test_ctrl_c_ends_it_soon_and_what_has_arrived_stays(local: Objects) -> None:
    bucket = Endless()
    digest, value = stored(bucket, 4 * PART)

    def press() -> None:
        """Ctrl-C, as soon as the first part is there: the first of the marks behind the object."""
        assert local.backend.scratch is not None
        mark = b""
        while not mark.startswith(b"\1"):
            time.sleep(0.01)
            for path in local.backend.scratch.iterdir():
                with path.open("rb") as stream:
                    stream.seek(len(value))
                    mark = stream.read()
        os.kill(os.getpid(), signal.SIGINT)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        threading.Thread(target=press, daemon=True).start()
        take_large(Objects(bucket), local, {digest: len(value)}, Count())
    assert time.monotonic() - began < 30
    assert len(left(local)) == 1
    go_on()  # nothing else is ended by it
    rest = Asked()
    rest.values = bucket.values
    assert take_large(Objects(rest), local, {digest: len(value)}, Count()) == {digest}
    assert sorted(rest.ranges) == [PART, 2 * PART, 3 * PART]
    assert local.read_bytes(digest) == value


def test_two_at_once_dont_meet(bucket: Asked, local: Objects) -> None:
    digest, value = stored(bucket, FROM)
    folder = local.backend.scratch
    assert folder is not None
    theirs = folder / f"partial-{digest[7:]}-{PART}"
    with theirs.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert take_large(Objects(bucket), local, {digest: FROM}, Count()) == {digest}
    assert local.read_bytes(digest) == value
    assert left(local) == [theirs.name]


def test_a_file_system_that_has_nothing_but_the_page_cache_will_do(
    monkeypatch: pytest.MonkeyPatch, bucket: Asked, local: Objects
) -> None:
    monkeypatch.delattr(large.os, "O_DIRECT")
    digest, value = stored(bucket, FROM + 1)
    assert take_large(Objects(bucket), local, {digest: len(value)}, Count()) == {digest}
    assert local.read_bytes(digest) == value


class Thorough(Asked):
    """A bucket that takes its time before it answers for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.came = 0
        self.alone = False

    def fill(self, key: str, offset: int, buffer: memoryview, told: Callable[[int], None]) -> bool:
        self.came += 1
        if self.came == 1:
            time.sleep(0.1)
            self.alone = self.came == 1
        return super().fill(key, offset, buffer, told)


def test_one_asks_before_the_others_do(local: Objects) -> None:
    bucket = Thorough()
    digest, value = stored(bucket, 3 * PART)
    assert take_large(Objects(bucket), local, {digest: len(value)}, Count()) == {digest}
    assert bucket.alone
    assert local.read_bytes(digest) == value
