from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcgitops.store import cache
from mcgitops.store.backend import Entry
from mcgitops.store.cache import RecordCache


def test_a_value_is_kept_by_place_key_and_version(tmp_path: Path) -> None:
    entry = Entry("runs/p/s/f.json", 5, "v1")
    RecordCache(tmp_path / "c", "s3://a").put(entry, b"hello")
    assert RecordCache(tmp_path / "c", "s3://a").get(entry) == b"hello"
    assert RecordCache(tmp_path / "c", "s3://b").get(entry) is None
    assert RecordCache(tmp_path / "c", "s3://a").get(Entry(entry.key, 5, "v2")) is None


def test_a_shortened_file_is_not_believed(tmp_path: Path) -> None:
    kept = RecordCache(tmp_path, "s3://a")
    entry = Entry("runs/p/s/f.json", 5, "v1")
    kept.put(entry, b"hello")
    for path in tmp_path.glob("*.json"):
        path.write_bytes(b"hel")
    assert kept.get(entry) is None
    kept.put(Entry("k", 9, "v1"), b"hello")  # not what the listing said
    assert kept.get(Entry("k", 9, "v1")) is None
    kept.put(Entry("k", 5, ""), b"hello")  # a service without versions
    assert kept.get(Entry("k", 5, "")) is None


def test_the_oldest_half_goes_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MOST_FILES", 10)
    kept = RecordCache(tmp_path, "s3://a")
    known: set[Path] = set()
    for number in range(12):
        kept.put(Entry(f"k{number}", 1, "v"), b"x")
        for path in set(tmp_path.glob("*.json")) - known:
            os.utime(path, (number, number))
            known.add(path)
    kept.prune()
    left = [number for number in range(12) if kept.get(Entry(f"k{number}", 1, "v"))]
    assert left == [7, 8, 9, 10, 11]
    assert (tmp_path / ".gitignore").read_text() == "*\n"  # hidden from git


def test_a_cache_that_can_not_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept = RecordCache(tmp_path / "file" / "c", "s3://a")
    kept.put(Entry("k", 1, "v"), b"x")
    kept.prune()
    assert kept.get(Entry("k", 1, "v")) is None
