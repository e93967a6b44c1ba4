"""What is told from what a service says: when to come again, and whether it got what was sent."""

from __future__ import annotations

import hashlib

import pytest

from mcgitops.store.s3_download import total_of
from mcgitops.store.s3_upload import LARGEST_PART, MOST_PARTS, PART, part_size
from mcgitops.store.s3_wire import LONGEST_WAIT, EtagTrust, Seal, retry_after


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        ("9999999", LONGEST_WAIT),
        ("3600", LONGEST_WAIT),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("-1", None),
        ("٣", None),
        ("", None),
    ],
)
def test_retry_after_is_read(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}) == seconds


def test_an_etag_that_is_no_md5_says_nothing() -> None:
    seal = Seal(b"hello")
    assert not seal.differs(f'"{hashlib.md5(b"hello", usedforsecurity=False).hexdigest()}"')
    assert seal.differs(f'"{hashlib.md5(b"other", usedforsecurity=False).hexdigest()}"')
    for other in ('"abc-3"', "", None, '"' + "g" * 32 + '"'):
        assert not seal.differs(other)


def test_etags_that_are_never_the_md5_are_no_longer_looked_at() -> None:
    trust = EtagTrust()
    for _ in range(EtagTrust.SURE):
        assert not trust.lost
        trust.is_other()
    assert trust.lost


def test_parts_are_the_same_each_time_and_few_enough() -> None:
    assert part_size(1) == part_size(PART * MOST_PARTS) == PART
    terabyte = 2**40
    assert PART < part_size(terabyte) <= LARGEST_PART
    assert -(-terabyte // part_size(terabyte)) <= MOST_PARTS
    assert part_size(10**18) == LARGEST_PART


def test_a_values_size_is_read_from_the_answer_for_a_range() -> None:
    assert total_of({"ContentRange": "bytes 0-99/12345"}) == 12345
    assert total_of({"ContentRange": "bytes 0-99/*"}) is None
    assert total_of({}) is None
