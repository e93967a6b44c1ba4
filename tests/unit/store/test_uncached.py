"""The page cache, or past it: the same bytes on either way, and the quicker one is taken."""

from __future__ import annotations

import errno
import mmap
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.store import uncached
from mcgitops.store.uncached import BLOCK, EitherWay, Quicker, Uncached

PIECE = 16 * BLOCK


def write_pieces(path: Path, value: bytes) -> None:
    """As a transfer does it: from memory of its own, in any order."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    ways = EitherWay(descriptor)
    try:
        with mmap.mmap(-1, PIECE) as memory, memoryview(memory) as view:
            offsets = list(range(0, len(value), PIECE))
            random.Random(1).shuffle(offsets)
            for offset in offsets:
                part = value[offset : offset + PIECE]
                view[: len(part)] = part
                with view[: len(part)] as piece:
                    ways.write(piece, offset)
    finally:
        ways.close()
        os.close(descriptor)


@pytest.mark.parametrize("size", [0, 1, BLOCK, PIECE - 1, 40 * PIECE, 40 * PIECE + 5])
@pytest.mark.parametrize("choice", ["cache", "past", "both"])
def test_the_bytes_are_the_same_on_either_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, choice: str
) -> None:
    turns = iter(range(1000))
    ways = {"cache": lambda _: 1, "past": lambda _: 0, "both": lambda _: next(turns) % 2}
    monkeypatch.setattr(Quicker, "choose", ways[choice])
    value = random.Random(size).randbytes(size)
    write_pieces(tmp_path / "file", value)
    assert (tmp_path / "file").read_bytes() == value


def direct_writes(monkeypatch: pytest.MonkeyPatch, error: int) -> list[int]:
    """Have each write past the page cache fail, on whatever file system; gives their places."""
    real_open, real_write = os.open, os.pwrite
    past: set[int] = set()
    places: list[int] = []

    def opened(path: str, flags: int, *more: int) -> int:
        descriptor = real_open(path, flags & ~os.O_DIRECT, *more)
        if flags & os.O_DIRECT:
            past.add(descriptor)
        return descriptor

    def pwrite(descriptor: int, value: memoryview, offset: int) -> int:
        if descriptor in past:
            places.append(offset)
            raise OSError(error, os.strerror(error))
        return real_write(descriptor, value, offset)

    monkeypatch.setattr(Quicker, "choose", lambda _: 0)
    monkeypatch.setattr(uncached.os, "open", opened)
    monkeypatch.setattr(uncached.os, "pwrite", pwrite)
    return places


@pytest.mark.parametrize("error", [errno.EINVAL, errno.EOPNOTSUPP])
def test_where_it_does_not_work_after_all_the_page_cache_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    tried = direct_writes(monkeypatch, error)
    value = bytes(range(256)) * (4 * PIECE // 256)
    write_pieces(tmp_path / "file", value)
    assert (tmp_path / "file").read_bytes() == value
    assert len(tried) == 1  # and not again


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_an_error_of_the_disk_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    direct_writes(monkeypatch, error)
    with pytest.raises(OSError, match=os.strerror(error)):
        write_pieces(tmp_path / "file", bytes(PIECE))


def test_it_writes_past_the_page_cache_where_that_can_be_done(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_DIRECT))
        can = True
    except OSError:  # as tmpfs says it
        can = False
    descriptor = os.open(path, os.O_RDWR)
    past = Uncached(descriptor)
    try:
        with mmap.mmap(-1, BLOCK) as memory, memoryview(memory) as view:
            assert past.write(view, 0) == can
    finally:
        past.close()
        os.close(descriptor)


def test_the_quicker_way_is_taken_and_the_other_one_not_forgotten() -> None:
    chooses = Quicker()
    taken = []
    for _ in range(10 * Quicker.RETRY):
        way = chooses.choose()
        taken.append(way)
        chooses.took(way, (5.0, 1.0)[way], 10)
    assert set(taken[:2]) == {0, 1}
    assert taken[2:].count(0) == 11  # once soon, then every so many


def test_a_way_that_was_held_up_at_first_is_found_again_soon() -> None:
    chooses = Quicker()
    chooses.took(0, 20.0, 1)  # it is the quicker one, but for this time
    taken = []
    for _ in range(80):
        way = chooses.choose()
        taken.append(way)
        chooses.took(way, (1.0, 3.0)[way], 1)
    assert taken[-10:].count(0) >= 9


def test_what_becomes_slow_is_left() -> None:
    chooses = Quicker()
    for way, seconds in ((0, 1.0), (1, 2.0)):
        chooses.took(way, seconds, 1)
    assert chooses.choose() == 0
    taken = []
    for _ in range(30):
        way = chooses.choose()
        taken.append(way)
        chooses.took(way, (9.0, 2.0)[way], 1)
    assert taken[-10:].count(1) >= 9


@given(st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1e6), st.integers(0, 2**40))))
def test_whatever_is_told_a_way_is_chosen(told: list[tuple[int, float, int]]) -> None:
    chooses = Quicker()
    for way, seconds, count in told:
        assert chooses.choose() in (0, 1)
        chooses.took(way, seconds, count)
