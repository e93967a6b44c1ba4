from __future__ import annotations

from email.utils import formatdate
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mcgitops.store import s3_errors
from mcgitops.store.s3_url import BucketUrl

PLACE = BucketUrl("models", "wine/", "https://s3.example.com", "", "ml")


def explained(code: str, message: str = "", headers: dict[str, str] | None = None) -> str:
    response: Any = {
        "Error": {"Code": code, "Message": message, "AWSAccessKeyId": "AKIAIOSFODNN7EXAMPLE"},
        "ResponseMetadata": {"HTTPStatusCode": 400, "HTTPHeaders": headers or {}},
    }
    error = ClientError(response, "PutObject")
    return str(s3_errors.explain(error, "write to", PLACE, PLACE.endpoint_url))


@pytest.mark.parametrize(
    ("code", "what", "remedy"),
    [
        ("InvalidAccessKeyId", "does not know the access key", "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "secret key does not fit", "AWS_SECRET_ACCESS_KEY"),
        ("NoSuchBucket", "no bucket models", "Create it"),
        ("AccessDenied", "access was denied", "s3:PutObject"),
        ("403", "access was denied", "models/wine/*"),
        ("ExpiredToken", "have expired", "Renew"),
        ("RequestTimeTooSkewed", "clock is too far off", "Set the clock"),
        ("SlowDown", "overloaded", "what has arrived stays"),
        ("503", "overloaded", "what has arrived stays"),
        ("InternalError", "failed", "later"),
        ("XMinioStorageFull", "no room left", "Free some space"),
    ],
)
def test_each_refusal_has_its_own_sentence(code: str, what: str, remedy: str) -> None:
    text = explained(code)
    assert what in text
    assert remedy in text
    assert text.startswith("Could not write to s3://models/wine at https://s3.example.com: ")


def test_a_wrong_region_is_named() -> None:
    text = explained("PermanentRedirect", headers={"x-amz-bucket-region": "eu-west-1"})
    assert "in another region, eu-west-1" in text
    assert "?region=" in text
    hostile = explained("PermanentRedirect", headers={"x-amz-bucket-region": "\x1b[31m evil"})
    assert "evil" not in hostile


def test_a_refusal_because_of_the_clock_is_seen_by_the_services_date() -> None:
    late = formatdate(s3_errors.now() - 3600, usegmt=True)
    on_time = formatdate(s3_errors.now(), usegmt=True)
    assert "clock" in explained("AccessDenied", headers={"date": late})
    assert "clock" not in explained("AccessDenied", headers={"date": on_time})
    assert "clock" not in explained("AccessDenied", headers={"date": "nonsense"})


def test_an_unknown_answer_is_quoted_in_one_harmless_line() -> None:
    text = explained("Odd\x1b[0m", "line\nAKIAIOSFODNN7EXAMPLE \x00" + "x" * 1000)
    assert "\n" not in text
    assert "\x1b" not in text
    assert "AKIAIOSFODNN7EXAMPLE" not in text
    assert len(text) < 600


@pytest.mark.parametrize(
    ("status", "headers", "body", "operation", "foreign"),
    [
        (200, {}, b"<!DOCTYPE html><html>", "ListObjectsV2", True),
        (200, {}, b" \n<HTML>", "PutObject", True),
        (200, {}, b"", "PutObject", False),
        (200, {}, b"<?xml version='1.0'?><ListBucketResult/>", "ListObjectsV2", False),
        (200, {}, b"<ListBucketResult/>", "ListObjectsV2", False),
        (200, {}, b"<!DOCTYPE html>", "GetObject", False),
        (404, {}, b"<!DOCTYPE html>", "GetObject", True),
        (404, {}, b"<Error><Code>NoSuchKey</Code></Error>", "GetObject", False),
        (404, {}, b"", "HeadObject", False),
        (404, {}, b"404 page not found", "GetObject", True),
        (403, {}, b"{}", "GetObject", True),
        (302, {"Location": "/login"}, b"", "HeadObject", True),
        (301, {"x-amz-bucket-region": "eu-west-1"}, b"", "HeadBucket", False),
        (304, {}, b"", "GetObject", False),
        (503, {}, b"<html>", "ListObjectsV2", False),
        (413, {}, b"<html>", "PutObject", False),
    ],
)
def test_answers_that_are_not_s3s(
    status: int, headers: dict[str, str], body: bytes, operation: str, foreign: bool
) -> None:
    assert s3_errors.is_foreign(status, headers, body, operation) == foreign


@pytest.mark.parametrize(
    ("action", "right", "other"),
    [
        ("read", "s3:GetObject", "s3:PutObject"),
        ("list", "s3:ListBucket", "s3:GetObject"),
        ("write to", "s3:PutObject", "s3:DeleteObject"),
        ("delete from", "s3:DeleteObject", "s3:PutObject"),
    ],
)
def test_what_was_denied_names_the_right_that_it_takes(action: str, right: str, other: str) -> None:
    error = ClientError({"Error": {"Code": "AccessDenied"}}, "Some")
    text = str(s3_errors.explain(error, action, PLACE, PLACE.endpoint_url))
    assert right in text
    assert other not in text
