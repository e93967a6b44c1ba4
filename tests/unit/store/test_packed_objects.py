"""Objects in packs, as any store reads them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mcgitops.errors import StoreError
from mcgitops.store import layout
from mcgitops.store.objects import Holding
from mcgitops.store.packs import Pack, PackWriter
from mcgitops.store.store import Store, open_store

VALUES = [b"", b"a", b"epoch,loss\n" * 500, bytes(range(256)) * 5]


def digest_of(value: bytes) -> str:
    return f"sha256:{hashlib.sha256(value).hexdigest()}"


def write_pack(store: Store, values: list[bytes]) -> Pack:
    writer = PackWriter()
    for value in values:
        writer.add(digest_of(value), value)
    pack = writer.finish()
    store.backend.put(layout.pack_key(pack.name), pack.value)
    store.backend.put(layout.index_key(pack.name), pack.index.encoded())
    return pack


def flip(store: Store, key: str, place: int) -> None:
    path = Path(store.url) / key
    value = bytearray(path.read_bytes())
    value[place] ^= 1
    path.write_bytes(value)


def test_packed_objects_are_read_like_all_others(store: Store, tmp_path: Path) -> None:
    write_pack(store, VALUES)
    alone, _ = store.put_bytes(b"alone")
    digests = [digest_of(value) for value in VALUES]
    assert store.missing([*digests, alone, digest_of(b"no")]) == {digest_of(b"no")}
    for value, digest in zip(VALUES, digests, strict=True):
        assert store.size(digest) == len(value)
        assert store.read_bytes(digest) == value
        with store.open_object(digest) as stream:
            assert stream.read() == value
        store.fetch(digest, tmp_path / "out" / "file")
        assert (tmp_path / "out" / "file").read_bytes() == value
    with pytest.raises(StoreError, match="larger than 100 bytes"):
        store.read_bytes(digests[3], limit=100)
    for ask in (store.read_bytes, store.size):
        with pytest.raises(StoreError, match="has no object"):
            ask(digest_of(b"no"))


def test_a_damaged_member_is_told_and_others_are_read(store: Store) -> None:
    pack = write_pack(store, VALUES)
    member = pack.index.find(digest_of(VALUES[3]))
    assert member is not None
    flip(store, layout.pack_key(pack.name), member.offset)
    with pytest.raises(StoreError, match=rf"{member.digest} is damaged: packs/.*{pack.name}"):
        store.read_bytes(member.digest)
    assert store.read_bytes(digest_of(VALUES[2])) == VALUES[2]


def test_a_good_copy_elsewhere_is_found(store: Store) -> None:
    one = write_pack(store, VALUES)
    write_pack(store, VALUES[2:])
    for index in (one.index, write_pack(store, [VALUES[3], b"x"]).index):
        member = index.find(digest_of(VALUES[3]))
        assert member is not None
    flip(store, layout.pack_key(one.name), 9)
    member = one.index.find(digest_of(VALUES[2]))
    assert member is not None
    flip(store, layout.pack_key(one.name), member.offset)
    assert open_store(store.url).read_bytes(digest_of(VALUES[2])) == VALUES[2]
    with open_store(store.url).open_object(digest_of(VALUES[2])) as stream:
        assert stream.read() == VALUES[2]


def test_a_damaged_index_is_read_from_the_end_of_its_pack(store: Store) -> None:
    pack = write_pack(store, VALUES)
    flip(store, layout.index_key(pack.name), 20)
    assert store.read_bytes(digest_of(VALUES[2])) == VALUES[2]
    flip(store, layout.pack_key(pack.name), len(pack.value) - 40)
    assert open_store(store.url).missing([digest_of(VALUES[2])])


def test_a_pack_without_its_index_is_not_there_yet(store: Store) -> None:
    pack = write_pack(store, VALUES)
    store.backend.delete(layout.index_key(pack.name))
    assert len(store.missing(digest_of(value) for value in VALUES)) == len(VALUES)
    assert list(store.objects.holdings()) == []


def test_a_pack_that_is_gone_or_shorter_counts_as_missing(store: Store) -> None:
    pack = write_pack(store, VALUES)
    assert not store.missing([digest_of(VALUES[1])])
    store.backend.put(layout.pack_key(pack.name), pack.value[:-1])
    assert open_store(store.url).missing([digest_of(VALUES[1])])
    store.backend.delete(layout.pack_key(pack.name))
    assert open_store(store.url).missing([digest_of(VALUES[1])])
    with pytest.raises(StoreError, match="has no object"):
        store.read_bytes(digest_of(VALUES[1]))


def test_holdings_are_all_copies(store: Store) -> None:
    alone, size = store.put_bytes(VALUES[1])
    pack = write_pack(store, VALUES)
    store.backend.put("objects/sha256/ab/notes.txt", b"not ours")
    found = list(store.objects.holdings())
    assert found[0] == Holding(alone, layout.object_key(alone), 0, size)
    assert [holding.member for holding in found[1:]] == list(pack.index)
    assert {holding.key for holding in found[1:]} == {layout.pack_key(pack.name)}


def test_what_is_to_be_linked_has_a_key_of_its_own(store: Store) -> None:
    alone, size = store.put_bytes(b"alone")
    write_pack(store, VALUES)
    store = open_store(store.url)
    small, large, lost = digest_of(VALUES[1]), digest_of(VALUES[2]), digest_of(b"no")
    sizes = {alone: size, small: 1, large: len(VALUES[2]), lost: 2}
    for _ in range(2):
        assert store.objects.exposed(sizes, limit=1000) == {
            digest: layout.object_key(digest) for digest in (alone, small)
        }
        assert store.backend.get(layout.object_key(small)) == VALUES[1]
        assert store.backend.size(layout.object_key(large)) is None
    assert store.read_bytes(small) == VALUES[1]
    assert store.objects.exposed({}, limit=1000) == {}
