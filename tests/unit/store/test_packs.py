from __future__ import annotations

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.errors import StoreError
from mcgitops.store import compression
from mcgitops.store.packs import (
    RAW,
    SELDOM,
    VAIN,
    ZSTD,
    Member,
    Pack,
    PackIndex,
    PackWriter,
    content_of,
    index_of,
    spans,
    unpacked,
)

repeated = st.builds(
    lambda part, times: part * times, st.binary(min_size=1, max_size=9), st.integers(1, 200)
)
contents = st.lists(st.one_of(st.binary(max_size=300), repeated), max_size=12)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def packed(values: list[bytes]) -> Pack:
    writer = PackWriter()
    for value in values:
        writer.add(digest_of(value), value)
    return writer.finish()


def read(pack: Pack, value: bytes, member: Member) -> bytes:
    return content_of(member, value[member.offset : member.end], pack.name)


def test_what_shrinks_is_found_behind_much_that_does_not() -> None:
    noise = [os.urandom(200) for _ in range(2 * VAIN)]
    text = [b"text %3d " % number * 50 for number in range(2 * SELDOM)]
    index = packed([*noise, *text]).index
    shrunk = [one for one in text if (found := index.find(digest_of(one))) and found.coding == ZSTD]
    assert len(shrunk) > SELDOM
    assert shrunk == text[-len(shrunk) :]


@given(contents)
def test_what_was_packed_comes_back(values: list[bytes]) -> None:
    pack = packed(values)
    assert pack.name == hashlib.sha256(pack.value).hexdigest()
    index = PackIndex.decoded(pack.index.encoded(), "here")
    assert index.pack_size == len(pack.value)
    assert len(index) == len(set(values))
    assert [member.digest for member in index] == sorted(digest_of(value) for value in set(values))
    for value in values:
        member = index.find(digest_of(value))
        assert member is not None
        assert read(pack, pack.value, member) == value
    wanted = [hashlib.sha256(value).digest() for value in values[:3]] + [bytes(32)]
    found = {member.digest for member in index.find_all(set(wanted))}
    assert found == {digest_of(value) for value in values[:3]}
    assert index.find(f"sha256:{'0' * 64}") is None


@given(contents)
def test_a_pack_alone_gives_its_index(values: list[bytes]) -> None:
    pack = packed(values)
    index = unpacked(pack.name, pack.value, "here")
    assert index.encoded() == pack.index.encoded()
    assert bytes(pack.value).endswith(pack.index.encoded())


@given(contents.filter(bool), st.data())
def test_any_flipped_bit_is_found(values: list[bytes], data: st.DataObject) -> None:
    pack = packed(values)
    place = data.draw(st.integers(0, len(pack.value) - 1))
    value = bytearray(pack.value)
    value[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(StoreError, match="damaged"):
        unpacked(pack.name, bytes(value), "here")
    for member in pack.index:
        if member.offset <= place < member.end:
            with pytest.raises(StoreError, match=f"{member.digest} is damaged"):
                read(pack, bytes(value), member)
        else:
            assert digest_of(read(pack, bytes(value), member)) == member.digest


@given(contents, st.data())
def test_any_flipped_bit_or_cut_of_an_index_is_found(
    values: list[bytes], data: st.DataObject
) -> None:
    whole = packed(values).index.encoded()
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    for value in (bytes(flipped), whole[:place], whole + whole[:1]):
        with pytest.raises(StoreError, match="The index there is damaged"):
            PackIndex.decoded(value, "there")


@given(contents, st.data())
def test_a_truncated_pack_has_no_index(values: list[bytes], data: st.DataObject) -> None:
    pack = packed(values)
    cut = bytes(pack.value)[: data.draw(st.integers(0, len(pack.value) - 1))]
    with pytest.raises(StoreError, match="damaged"):
        index_of(lambda at, count: cut[at : at + count], len(cut), "there")


@given(st.binary(max_size=2000))
def test_no_bytes_are_taken_for_an_index(value: bytes) -> None:
    with pytest.raises(StoreError):
        PackIndex.decoded(b"MCGINDEX" + value, "there")


def test_what_shrinks_is_compressed_and_nothing_else() -> None:
    text, noise = b"epoch,loss\n" * 1000, os.urandom(100_000)
    pack = packed([text, noise])
    members = {member.digest: member for member in pack.index}
    assert members[digest_of(text)].coding == ZSTD
    assert members[digest_of(text)].stored < len(text) / 10
    assert members[digest_of(noise)].coding == RAW
    assert members[digest_of(noise)].stored == len(noise)


@pytest.mark.parametrize("size", [0, 1, 64, 65, 48 * 1024, 48 * 1024 + 1, 1_000_000])
def test_compressed_data_comes_back(size: int) -> None:
    data = b"0123456789abcdef" * (size // 16) + b"x" * (size % 16)
    frame = compression.compressed(data)
    assert frame is None or compression.expanded(frame, size) == data
    assert (frame is None) == (size <= 64)


def test_a_frame_that_claims_another_size_takes_no_memory() -> None:
    frame = compression.compressed(b"x" * 100_000_000)
    assert frame is not None
    assert len(frame) < 20_000
    with pytest.raises(StoreError, match="no Zstandard frame of 5 bytes"):
        compression.expanded(frame, 5)
    for wrong in (frame[:-1], frame + b"x", b"", b"nothing"):
        with pytest.raises(StoreError, match="no Zstandard frame"):
            compression.expanded(wrong, 100_000_000)


def test_a_member_may_not_be_larger_than_memory_allows() -> None:
    frame = compression.compressed(b"x" * 100_000_000)
    assert frame is not None
    digest = digest_of(b"x" * 100_000_000)
    with pytest.raises(StoreError, match="damaged"):
        content_of(Member(digest, 8, len(frame), 100_000_000, ZSTD), frame, "there")


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30)), max_size=20),
    st.integers(0, 30),
    st.integers(1, 100),
)
def test_spans_cover_what_is_wanted_and_little_else(
    places: list[tuple[int, int]], gap: int, longest: int
) -> None:
    members, at = [], 8
    for number, (space, length) in enumerate(places):
        at += space
        members.append(Member(f"sha256:{number:064x}", at, length, length, RAW))
        at += length
    found = spans(reversed(members), gap, longest)
    covered = [member for span in found for member in span.members]
    assert sorted(covered, key=lambda member: member.digest) == members
    for span in found:
        assert span.offset == span.members[0].offset
        assert span.offset + span.length == span.members[-1].end
        assert span.length <= longest or len(span.members) == 1
        for one, other in zip(span.members, span.members[1:], strict=False):
            assert other.offset - one.end <= gap
