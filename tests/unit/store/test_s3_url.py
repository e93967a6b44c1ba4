from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.errors import UsageError
from mcgitops.store.s3_url import BucketUrl, parse


def test_everything_that_a_url_can_say() -> None:
    url = "s3://models/a/b?endpoint_url=https%3A%2F%2Fs3.example.com&region=eu-west-1&profile=ml"
    assert parse(url, {}) == BucketUrl(
        "models", "a/b/", "https://s3.example.com", "eu-west-1", "ml"
    )


def test_what_the_url_leaves_open_comes_from_the_environment() -> None:
    environ = {"AWS_ENDPOINT_URL_S3": "http://s3.local:9000", "AWS_REGION": "eu-west-1"}
    assert parse("s3://b", environ) == BucketUrl("b", "", "http://s3.local:9000", "eu-west-1")
    assert parse("s3://b", {"AWS_ENDPOINT_URL": "http://x"}).endpoint_url == "http://x"
    assert parse("s3://b?endpoint_url=http://y", environ).endpoint_url == "http://y"
    ignoring = {**environ, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    assert parse("s3://b", ignoring).endpoint_url == ""


def test_slashes_of_the_prefix_do_not_matter() -> None:
    assert parse("s3://b//a///b/", {}).prefix == parse("s3://b/a/b", {}).prefix == "a/b/"


def test_a_prefix_is_kept_as_it_is_written() -> None:
    assert parse("s3://b/team=a/x%20y", {}).prefix == "team=a/x y/"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3://", "names no bucket"),
        ("s3:///prefix", "names no bucket"),
        ("s3://host:9000/bucket", "names no bucket"),
        ("s3://b?endpoint=http://x", "Did you mean endpoint_url?"),
        ("s3://b?regoin=x", "Did you mean region?"),
        ("s3://b?zzz=x", "Known: endpoint_url, region, profile, "),
        ("s3://b?region=a&region=b", "twice"),
        ("s3://b?region=", "is empty"),
        ("s3://b?addressing=host", "Write path or virtual."),
        ("s3://b?checksums=yes", "Write on or off."),
        ("s3://b?anonymous=1", "Write true or false."),
        ("s3://b?endpoint_url=localhost:9000", "Write https://localhost:9000."),
        ("s3://b?endpoint_url=ftp://x", "is not a URL"),
        ("s3://b?endpoint_url=ftp://x", "Write https://x."),
        ("s3://b?endpoint_url=https://x/?a=b", "has a query"),
        ("s3://b/a/../c", "can't be in a key"),
        ("s3://b/a%00c", "can't be in a key"),
        ("s3://b/a#c", "has a #"),
    ],
)
def test_a_wrong_url_says_what_to_write(url: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(url, {})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "url",
    ["s3://AKIAKEY:hush@bucket", "s3://b?endpoint_url=https://AKIAKEY:hush@x", "s3://hush@bucket",
     "s3://b?hush_key=hush"],
)  # fmt: skip
def test_credentials_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(url, {})
    assert "hush@" not in str(caught.value)
    assert "AKIAKEY" not in str(caught.value)
    assert "=hush" not in str(caught.value)


parts = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20).filter(
    lambda text: text not in (".", "..") and "/" not in text
)


@given(st.lists(parts, max_size=3), st.sampled_from(["", "http://127.0.0.1:9000"]))
def test_a_shown_url_opens_the_same_place(prefix: list[str], endpoint: str) -> None:
    place = BucketUrl("models", "".join(f"{part}/" for part in prefix), endpoint, "eu-west-1")
    assert parse(str(place), {}) == place
