from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.errors import StoreError
from mcgitops.store import layout

# Everything that a name can be, lone surrogates (undecodable bytes of the file system) included.
names = st.text(st.characters(), min_size=1, max_size=300)
hard = st.sampled_from(
    [".", "..", "...", "a/b", "../../etc", "a%2Fb", "~", "%", "a~b", "\0", "\n", " ", "é", "é"]
)


@given(names | hard)
def test_a_segment_is_one_plain_file_name(name: str) -> None:
    segment = layout.segment(name)
    assert segment.isascii()
    assert "/" not in segment
    assert segment not in ("", ".", "..")
    assert len(segment) <= layout.LONGEST_SEGMENT
    assert PurePosixPath(f"top/{segment}").name == segment
    assert layout.check_key(f"runs/{segment}.json")


@given(names | hard, names | hard)
def test_different_names_never_meet(a: str, b: str) -> None:
    assert (layout.segment(a) == layout.segment(b)) == (a == b)


def test_names_that_differ_only_after_the_cut_stay_different() -> None:
    assert layout.segment("ü" * 200 + "a") != layout.segment("ü" * 200 + "b")


def test_a_name_can_not_pass_for_the_cut_form_of_another() -> None:
    long = "x" * 300
    assert layout.segment(layout.segment(long)) != layout.segment(long)


def test_the_documented_keys() -> None:
    digest = "sha256:" + "ab" * 32
    assert layout.object_key(digest) == f"objects/sha256/ab/{'ab' * 32}"
    assert layout.run_key("wine", "train", "f00") == "runs/wine/train/f00.json"
    assert layout.attempt_key("w", "t", "f", "1") == "attempts/w/t/f/1.json"
    assert layout.commit_key("c0ffee", "wine", "train") == "commits/c0ffee/wine/train.json"
    assert layout.release_key("wine", "team/v1") == "releases/wine/team%2Fv1.json"
    assert layout.deployment_key("w", "prod", "7") == "deployments/w/prod/7.json"


@pytest.mark.parametrize(
    "digest",
    ["", "sha256:", "sha256:../../../etc/passwd", "md5:" + "0" * 64, "sha256:" + "A" * 64,
     "sha256:" + "0" * 63, "sha256:" + "0" * 64 + "\n", "0" * 64],
)  # fmt: skip
def test_what_is_no_digest_is_refused(digest: str) -> None:
    with pytest.raises(StoreError, match="not a digest"):
        layout.object_key(digest)


@pytest.mark.parametrize("key", ["", "/a", "a//b", "a/../b", "..", "a/.", "a/", "a b", "a\n", "ä"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(StoreError, match="not a key"):
        layout.check_key(key)


def test_a_name_must_not_be_empty() -> None:
    with pytest.raises(StoreError, match="needs a name"):
        layout.run_key("", "train", "f00")
