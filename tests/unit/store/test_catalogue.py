"""What is known of a bucket's packs, and what is kept of it; the bucket is a folder in disguise."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from mcgitops.store import layout
from mcgitops.store.bulk import MEMBERS, groups
from mcgitops.store.catalogue import Catalogue
from mcgitops.store.folder import FolderBackend
from mcgitops.store.journal import Journal
from mcgitops.store.packs import LARGEST_INDEX, RAW, Member, Pack, PackIndex, PackWriter


class Bucket(FolderBackend):
    """A folder that is used as a bucket is."""

    @property
    def path(self) -> Path | None:
        return None


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path / "bucket")


def digest_of(number: int) -> str:
    return f"sha256:{hashlib.sha256(b'%d' % number).hexdigest()}"


def write_pack(bucket: Bucket, *numbers: int) -> Pack:
    writer = PackWriter()
    for number in numbers:
        writer.add(digest_of(number), b"%d" % number)
    pack = writer.finish()
    bucket.put(layout.pack_key(pack.name), pack.value)
    bucket.put(layout.index_key(pack.name), pack.index.encoded())
    return pack


def pushed(bucket: Bucket, cache: Path | None, *numbers: int) -> Pack:
    pack = write_pack(bucket, *numbers)
    catalogue = Catalogue(bucket, cache)
    catalogue.arrived(pack.name, pack.index)
    catalogue.say()
    return pack


def said(bucket: Bucket) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    return [(entry.packs, entry.records) for entry in Journal(bucket).since().entries]


def test_what_others_pushed_is_learnt_from_the_journal(bucket: Bucket, tmp_path: Path) -> None:
    catalogue = Catalogue(bucket, tmp_path / "cache")
    one = pushed(bucket, None, 1, 2)
    assert catalogue.find(digest_of(1)) is None
    catalogue.refresh()
    found = catalogue.find(digest_of(1))
    assert found is not None
    assert found[0] == one.name
    two = pushed(bucket, None, 2, 3)
    catalogue.refresh()
    places = catalogue.find_all([digest_of(n) for n in range(9)])
    assert {name: sorted(m.digest for m in members) for name, members in places.items()} == {
        one.name: [digest_of(1)],
        two.name: sorted([digest_of(2), digest_of(3)]),  # the newest has it
    }
    assert catalogue.stands(one.name)


def test_what_was_learnt_is_kept_for_the_next_process(bucket: Bucket, tmp_path: Path) -> None:
    pushed(bucket, None, 1, 2)
    Catalogue(bucket, tmp_path / "cache").refresh()
    for key in [entry.key for entry in bucket.entries("journal/")]:
        bucket.delete(key)
    assert Catalogue(bucket, tmp_path / "cache").find(digest_of(2)) is not None
    assert Catalogue(bucket).find(digest_of(2)) is None


@pytest.mark.parametrize("harm", ["state", "index", "all"])
def test_a_harmed_cache_costs_only_time(bucket: Bucket, tmp_path: Path, harm: str) -> None:
    cache = tmp_path / "cache"
    pack = pushed(bucket, None, 1, 2)
    Catalogue(bucket, cache).refresh()
    for path in cache.iterdir():
        if path.name != ".gitignore" and (
            harm == "all" or (path.suffix == ".index") == (harm == "index")
        ):
            value = bytearray(path.read_bytes())
            value[len(value) // 2] ^= 1
            path.write_bytes(value)
    catalogue = Catalogue(bucket, cache)
    catalogue.refresh()
    assert catalogue.find(digest_of(1)) == (pack.name, pack.index.find(digest_of(1)))
    for value in (b"", b"[]", b'{"seal": 1, "content": 2}', json.dumps({"content": "{}"}).encode()):
        for path in cache.glob("known-*"):
            path.write_bytes(value)
        catalogue = Catalogue(bucket, cache)
        catalogue.refresh()
        assert catalogue.find(digest_of(1)) is not None


def test_what_is_gone_is_forgotten(bucket: Bucket, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    one, two = pushed(bucket, cache, 1), pushed(bucket, cache, 2)
    knows = Catalogue(bucket, cache)
    assert knows.find(digest_of(1)) is not None
    Catalogue(bucket).say(gone=[layout.pack_key(one.name), layout.index_key(one.name)])
    knows.refresh()
    assert knows.find(digest_of(1)) is None
    bucket.delete(layout.pack_key(two.name))  # and nobody says so
    assert knows.find(digest_of(2)) is not None
    assert not knows.stands(two.name)
    assert knows.find(digest_of(2)) is None
    assert Catalogue(bucket, cache).find(digest_of(2)) is None


def test_packs_that_the_journal_lost_are_found_by_listing(bucket: Bucket) -> None:
    write_pack(bucket, 1)
    catalogue = Catalogue(bucket)
    catalogue.refresh()
    assert catalogue.find(digest_of(1)) is None
    assert catalogue.list_once()
    assert catalogue.find(digest_of(1)) is not None
    assert not catalogue.list_once()


def test_who_is_killed_before_he_says_what_came_in_says_it_the_next_time(
    bucket: Bucket, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    pack, record = write_pack(bucket, 1), layout.run_key("wine", "train", "1")
    killed = Catalogue(bucket, cache)
    killed.arrived(pack.name, pack.index)
    killed.announce([record])
    assert said(bucket) == []
    Catalogue(bucket, cache).say([layout.run_key("wine", "train", "2")])
    assert said(bucket) == [((pack.name,), (record, layout.run_key("wine", "train", "2")))]
    Catalogue(bucket, cache).say()
    assert len(said(bucket)) == 1


def test_packs_are_cut_where_they_are_full_and_always_alike() -> None:
    sizes = {digest_of(number): number % 7 for number in range(100)}
    found = groups(sizes, 20)
    assert [digest for group in found for digest in group] == list(sizes)
    assert found == groups(sizes, 20)
    for group in found[:-1]:
        assert sum(sizes[digest] + 1 for digest in group) >= 20
        assert sum(sizes[digest] + 1 for digest in group[:-1]) < 20
    assert groups({}, 20) == []


def test_a_pack_of_the_smallest_files_has_an_index_that_is_read_again() -> None:
    many = dict.fromkeys(map(str, range(2 * MEMBERS + 1)), 0)
    assert [len(group) for group in groups(many)] == [MEMBERS, MEMBERS, 1]
    members = [Member(f"sha256:{number:064x}", 8, 0, 0, RAW) for number in range(100)]
    index = len(PackIndex.of(members, 8).encoded())
    assert MEMBERS / len(members) * index < LARGEST_INDEX
