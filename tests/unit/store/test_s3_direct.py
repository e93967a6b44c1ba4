"""When plain requests are made without boto3, how they are signed, and what counts as an answer."""

from __future__ import annotations

import datetime
import socket
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.store.backend import Entry
from mcgitops.store.s3_direct import EMPTY, Direct, Into, Place, listing, place_of, quoted, sign
from mcgitops.store.s3_url import parse

KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
URL = "s3://bucket/prefix?endpoint_url=https://s3.example.org"
NOW = datetime.datetime(2026, 5, 1, 12, 30, 1, tzinfo=datetime.UTC)
PLACE = Place("s3.example.org", 443, True, "bucket", "eu-west-1", "id", "secret", "", "")


def test_a_plainly_named_service_is_asked_directly() -> None:
    found = place_of(parse(URL, {}), KEYS, has_settings=False)
    assert found == PLACE._replace(region="us-east-1")
    other = {**KEYS, "AWS_SESSION_TOKEN": "token", "AWS_DEFAULT_REGION": "x-1"}
    found = place_of(parse("s3://b?endpoint_url=http://h:81/", {}), other, has_settings=False)
    assert found == Place("h", 81, False, "b", "x-1", "id", "secret", "token", "")
    assert "secret" not in repr(found) + str(found)
    trusting = place_of(parse(URL, {}), {**KEYS, "AWS_CA_BUNDLE": "ca.pem"}, has_settings=False)
    assert trusting is not None
    assert trusting.bundle == "ca.pem"


@pytest.mark.parametrize(
    ("url", "environ", "has_settings"),
    [
        ("s3://bucket", KEYS, False),  # AWS itself has many addresses
        (URL, {}, False),
        (URL, {"AWS_ACCESS_KEY_ID": "id"}, False),
        (URL, KEYS, True),
        (URL, {**KEYS, "AWS_PROFILE": "other"}, False),
        (URL, {**KEYS, "AWS_ROLE_ARN": "arn"}, False),
        (URL, {**KEYS, "AWS_USE_FIPS_ENDPOINT": "true"}, False),
        (URL, {**KEYS, "AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported"}, False),
        (URL, {**KEYS, "https_proxy": "http://proxy"}, False),
        (URL, {**KEYS, "ALL_PROXY": "http://proxy"}, False),
        (URL, {**KEYS, "REQUESTS_CA_BUNDLE": "ca.pem"}, False),
        (URL, {**KEYS, "AWS_SECRET_ACCESS_KEY": "se\ncret"}, False),
        (f"{URL}&profile=p", KEYS, False),
        (f"{URL}&anonymous=true", KEYS, False),
        (f"{URL}&addressing=virtual", KEYS, False),
        (f"{URL}&checksums=on", KEYS, False),
        ("s3://bucket?endpoint_url=https://s3.example.org/base", KEYS, False),
    ],
)
def test_anything_unusual_is_left_to_boto3(
    url: str, environ: dict[str, str], has_settings: bool
) -> None:
    assert place_of(parse(url, {}), environ, has_settings=has_settings) is None


@given(
    key=st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), min_size=1),
    query=st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
    token=st.sampled_from(["", "a token"]),
    port=st.sampled_from([443, 8443]),
)
def test_requests_are_signed_as_botocore_signs_them(
    key: str, query: dict[str, str], token: str, port: int
) -> None:
    place = PLACE._replace(token=token, port=port)
    path = f"/bucket/{quote(key, safe='/~')}"
    own = {"Content-MD5": "abc=", "If-None-Match": "*"}
    signed = sign(place, "PUT", path, quoted(query), own, "a" * 64, NOW.timestamp())

    class Auth(S3SigV4Auth):
        def _modify_request_before_signing(self, request: Any) -> None:
            """As it would at that time."""

        def payload(self, request: Any) -> str:
            return "a" * 64

    address = f"https://s3.example.org{'' if port == 443 else f':{port}'}{path}"
    request = AWSRequest(
        "PUT", f"{address}?{quoted(query)}" if query else address, headers=dict(own)
    )
    request.context["timestamp"] = "20260501T123001Z"
    request.headers["X-Amz-Date"] = "20260501T123001Z"
    request.headers["X-Amz-Content-SHA256"] = "a" * 64
    if token:
        request.headers["X-Amz-Security-Token"] = token
    auth = Auth(Credentials("id", "secret", token or None), "s3", "eu-west-1")
    text = auth.string_to_sign(request, auth.canonical_request(request))
    assert signed["authorization"].endswith(f"Signature={auth.signature(text, request)}")
    assert dict(parse_qsl(quoted(query), keep_blank_values=True)) == query


def served(answers: list[bytes]) -> tuple[Direct, list[bytes], Callable[[], None]]:
    """Somebody who gives these answers, one to each request, on one connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    heard: list[bytes] = []

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            for answer in answers:
                data = b""
                while b"\r\n\r\n" not in data:
                    if not (more := client.recv(65536)):
                        return
                    data += more
                heard.append(data)
                client.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    port = listener.getsockname()[1]

    def end() -> None:
        direct.end()
        listener.close()
        thread.join()

    place = Place("127.0.0.1", port, False, "bucket", "r", "id", "secret", "", "")
    direct = Direct(lambda: place)
    return direct, heard, end


def test_answers_of_both_kinds_come_on_one_connection() -> None:
    chunks = b"4\r\nabcd\r\n2;x=y\r\nef\r\n0\r\n\r\n"
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    sized = b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nETag: x\r\n\r\n123"
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"
    direct, heard, end = served([chunked, sized, head])
    try:
        one = direct.ask("GET", "a b/ü", (200,))
        other = direct.ask("GET", "", (200, 404), query={"prefix": "x/"})
        last = direct.ask("HEAD", "k", (200,))
    finally:
        end()
    assert one is not None
    assert other is not None
    assert last is not None
    assert (one.status, one.body) == (200, b"abcdef")
    assert (other.status, other.body, other.headers["etag"]) == (404, b"123", "x")
    assert (last.body, last.headers["content-length"]) == (b"", "77")
    assert heard[0].startswith(b"GET /bucket/a%20b/%C3%BC HTTP/1.1\r\n")
    assert heard[1].startswith(b"GET /bucket?prefix=x%2F HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"Content-Length: 1\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nlong: " + b"a" * 20_000 + b"\r\nContent-Length: 1\r\n\r\na",
    ],
)
def test_whatever_is_not_a_plain_answer_ends_it(answer: bytes) -> None:
    direct, heard, end = served([answer])
    try:
        assert direct.ask("GET", "key", (200,)) is None
        assert direct.ask("GET", "key", (200,)) is None
    finally:
        end()
    assert len(heard) == 1


def test_a_service_that_is_not_there_ends_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    place = Place("127.0.0.1", port, False, "bucket", "r", "id", "secret", "", "")
    direct = Direct(lambda: place)
    assert direct.ask("GET", "key", (200,)) is None


def test_a_listing_is_read_if_it_is_whole() -> None:
    def page(inside: str, truncated: str = "false") -> bytes:
        return (
            '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{truncated}</IsTruncated>{inside}</ListBucketResult>"
        ).encode()

    one = "<Contents><Key>p/a%2Bb+c</Key><Size>7</Size><ETag>&quot;e&quot;</ETag></Contents>"
    coded = f"<EncodingType>url</EncodingType>{one}"
    assert listing(page(""), "p/", 2) == []
    assert listing(page(coded), "p/", 2) == [Entry("a+b+c", 7, "e")]
    assert listing(page(one), "p/a", 2) == [Entry("a%2Bb+c", 7, "e")]
    assert listing(page(one), "q/", 2) is None
    assert listing(page(one, "true"), "p/", 2) is None
    assert listing(page("<Contents><Size>7</Size></Contents>"), "p/", 2) is None
    assert listing(page(one)[:-9], "p/", 2) is None
    assert listing(page(f"{one}<KeyCount>1</KeyCount>"), "p/") == [Entry("p/a%2Bb+c", 7, "e")]
    assert listing(page(f"{one}<KeyCount>2</KeyCount>"), "p/") is None
    assert listing(page("<KeyCount>1</KeyCount>"), "p/") is None
    assert listing(b"<html>", "p/", 2) is None
    assert listing(b"", "p/", 2) is None


@given(st.integers(0), st.integers(1, 255))
def test_no_entry_of_a_listing_vanishes_by_one_harmed_byte(place: int, change: int) -> None:
    body = (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        b'<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>models</Name>'
        b"<IsTruncated>false</IsTruncated><KeyCount>1</KeyCount><MaxKeys>1000</MaxKeys>"
        b"<Contents><Key>p/train.json</Key><ETag>&quot;e&quot;</ETag><Size>7</Size></Contents>"
        b"</ListBucketResult>"
    )
    harmed = bytearray(body)
    harmed[place % len(body)] ^= change
    found = listing(bytes(harmed), "p/")
    assert found is None or len(found) == 1


def test_an_empty_body_has_the_seal_of_nothing() -> None:
    assert EMPTY == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_part_of_the_right_length_goes_where_it_is_wanted() -> None:
    answers = [
        b"HTTP/1.1 206 P\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/9\r\n\r\nhello",
        b"HTTP/1.1 200 O\r\nContent-Length: 5\r\nContent-Range: bytes 4-8/9\r\n\r\nolleh",
        b"HTTP/1.1 206 P\r\nContent-Length: 4\r\nContent-Range: bytes 0-3/9\r\n\r\nhell",
        b"HTTP/1.1 200 O\r\nContent-Length: 5\r\n\r\nwhole",
    ]
    direct, _, close = served(answers)
    reached: list[int] = []
    found = []
    for _answer in answers:
        memory = bytearray(5)
        into = Into(memoryview(memory), reached.append)
        answer = direct.ask("GET", "k", (200, 206), into=into)
        assert answer is not None
        found.append((into.is_full, bytes(memory), answer.body))
    close()
    nothing = bytes(5)
    assert found == [
        (True, b"hello", b""), (True, b"olleh", b""),
        (False, nothing, b"hell"), (False, nothing, b"whole"),
    ]  # fmt: skip
    assert reached == [5, 5]


def test_a_part_that_ends_early_is_left_to_boto3() -> None:
    short = b"HTTP/1.1 206 P\r\nContent-Length: 5\r\nContent-Range: bytes 0-4/9\r\n\r\nhel"
    direct, _, close = served([short])
    into = Into(memoryview(bytearray(5)), lambda _: None)
    assert direct.ask("GET", "k", (206,), into=into) is None
    close()
    assert not into.is_full
