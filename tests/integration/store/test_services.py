"""The ways to a service: addressing, checksums, proxies, authorities, tokens, no credentials."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path
from uuid import uuid4

import pytest

from mcgitops.errors import StoreError
from mcgitops.store.s3 import S3Backend
from mcgitops.store.store import Store, open_store
from tests.lab import ceph, fronts
from tests.lab.s3 import S3Server

pytestmark = pytest.mark.s3


PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of the machine's own stands between."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def entered(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)


def works(store: Store) -> None:
    """A small and a large object, a record, a listing."""
    for size in (10, 9 * 2**20):
        value = os.urandom(size)
        digest, _ = store.put_bytes(value)
        assert store.read_bytes(digest) == value
    key = f"wanted/{uuid4().hex}/e/00000001.json"
    assert store.backend.create(key, b"{}")
    assert not store.backend.create(key, b"{1}")
    assert [entry.size for entry in store.backend.entries(key.rpartition("/")[0])] == [2]


def test_buckets_are_names_below_the_services_own(
    ceph_s3: ceph.Ceph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Virtual-hosted addressing. No DNS knows the name: a proxy does, as in closed networks."""
    entered(ceph_s3, monkeypatch)
    port = ceph_s3.endpoint.rpartition(":")[2]
    host = f"{ceph_s3.bucket}.{ceph.DOMAIN}"
    with fronts.forward_proxy({host: "127.0.0.1"}) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        url = f"s3://models/{uuid4().hex}?endpoint_url=http://{ceph.DOMAIN}:{port}"
        works(open_store(f"{url}&addressing=virtual"))
        assert set(proxy.asked) == {f"{host}:{port}"}
        proxy.asked.clear()
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        with pytest.raises(StoreError):  # the path's host is one that the proxy can't find
            open_store(f"{url}&addressing=path").put_bytes(b"x")
        assert set(proxy.asked) == {f"{ceph.DOMAIN}:{port}"}


@pytest.mark.parametrize("checksums", ["on", "off"])
def test_checksums_of_newer_clients_can_be_sent(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, checksums: str
) -> None:
    entered(s3_server, monkeypatch)
    store = open_store(f"{s3_server.url(uuid4().hex)}&checksums={checksums}")
    assert isinstance(store.backend, S3Backend)
    sent: set[bool] = set()

    def look(request: object, **_: object) -> None:
        names = {name.lower() for name in vars(request)["headers"]}
        sent.add(bool(names & {"x-amz-checksum-crc32", "x-amz-trailer"}))

    store.backend._client.meta.events.register("before-send.s3.PutObject", look)
    works(store)
    assert sent == {checksums == "on"}


def test_the_environment_may_ask_for_checksums(
    moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered(moto_s3, monkeypatch)

    def said(url: str) -> str:
        backend = open_store(url).backend
        assert isinstance(backend, S3Backend)
        return str(backend._client.meta.config.request_checksum_calculation)

    assert said(moto_s3.url()) == "when_required"
    monkeypatch.setenv("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported")
    assert said(moto_s3.url()) == "when_supported"
    assert said(moto_s3.url() + "&checksums=off") == "when_required"


def test_an_authority_of_ones_own_and_a_proxy(
    ceph_s3: ceph.Ceph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entered(ceph_s3, monkeypatch)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with fronts.tls(ceph_s3.endpoint, tmp_path) as front, fronts.forward_proxy() as proxy:
        url = f"s3://models/{uuid4().hex}?endpoint_url={front.endpoint}"
        with pytest.raises(StoreError, match=r"certificate of https://.* is not trusted") as caught:
            open_store(url).put_bytes(b"x")
        assert "AWS_CA_BUNDLE" in caught.value.hint
        monkeypatch.setenv("AWS_CA_BUNDLE", str(front.authority))
        works(open_store(url))
        assert proxy.asked == []
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        works(open_store(url))
        assert set(proxy.asked) == {front.endpoint.removeprefix("https://")}
        proxy.asked.clear()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        works(open_store(url))
        assert proxy.asked == []


def test_plain_requests_trust_whom_the_rest_would(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entered(rclone_s3, monkeypatch)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with fronts.tls(rclone_s3.endpoint, tmp_path) as front:
        url = f"s3://models/{uuid4().hex}?endpoint_url={front.endpoint}"
        with pytest.raises(StoreError, match="is not trusted"):
            open_store(url).put_bytes(b"x")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(front.authority))
        store = open_store(url)
        assert isinstance(store.backend, S3Backend)
        digest, _ = store.put_bytes(b"x")
        assert store.read_bytes(digest) == b"x"
        assert store.backend._opened is None
        works(store)


def test_a_public_store_is_read_without_credentials(
    ceph_s3: ceph.Ceph, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, client = f"public-{uuid4().hex}", ceph_s3.client()
    client.create_bucket(Bucket=name)
    everybody = {
        "Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [f"arn:aws:s3:::{name}", f"arn:aws:s3:::{name}/*"],
    }  # fmt: skip
    policy = {"Version": "2012-10-17", "Statement": [everybody]}
    client.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    url = f"s3://{name}/wine?endpoint_url={ceph_s3.endpoint}"
    with monkeypatch.context() as ours:
        entered(ceph_s3, ours)
        digest, _ = open_store(url).put_bytes(b"weights")
    with pytest.raises(StoreError, match="there are no credentials") as caught:
        open_store(url).read_bytes(digest)
    assert "?anonymous=true" in caught.value.hint
    store = open_store(f"{url}&anonymous=true")
    assert store.read_bytes(digest) == b"weights"
    assert [entry.size for entry in store.backend.entries("objects/")] == [7]
    assert store.missing(["sha256:" + "0" * 64])
    with pytest.raises(StoreError, match="without credentials"):
        store.put_bytes(b"mine")
    link = store.backend.signed_link(f"objects/sha256/{digest[7:9]}/{digest[7:]}", 60)
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"weights"


def test_links_are_signed(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    entered(s3_server, monkeypatch)
    store = open_store(s3_server.url(uuid4().hex))
    store.backend.put("reports/p/c/report.html", b"<p>it went well", "text/html")
    link = store.backend.signed_link("reports/p/c/report.html", 60)
    with urllib.request.urlopen(link) as answer:
        assert answer.read() == b"<p>it went well"
        if s3_server.kind != "rclone":  # it goes by the name's ending
            assert answer.headers["Content-Type"] == "text/html"
    assert s3_server.secret_key not in link
