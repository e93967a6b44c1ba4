"""Large values to and from a bucket: in parts, resumed, within their memory, whatever is odd."""

from __future__ import annotations

import hashlib
import os
import random
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from mcgitops.errors import StoreError
from mcgitops.store import layout
from mcgitops.store.s3 import S3Backend
from mcgitops.store.s3_upload import PART
from mcgitops.store.store import Store, open_store
from mcgitops.store.transfer import copy_objects
from tests.integration.store.test_s3 import bucket, counted, unfinished
from tests.lab.faulty import Plan, faulty
from tests.lab.s3 import S3Server

pytestmark = pytest.mark.s3


def interrupted(server: S3Server, key: str, parts: dict[int, bytes]) -> None:
    """An upload that a killed process left: some of its parts arrived."""
    client = server.client()
    upload = client.create_multipart_upload(Bucket=server.bucket, Key=key)["UploadId"]
    for number, body in parts.items():
        client.upload_part(
            Bucket=server.bucket, Key=key, UploadId=upload, PartNumber=number, Body=body
        )


def test_what_arrived_of_an_interrupted_upload_is_not_sent_again(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    value = os.urandom(PART * 3 + 1000)
    digest = f"sha256:{hashlib.sha256(value).hexdigest()}"
    prefix = uuid4().hex
    store = bucket(rclone_s3, monkeypatch, prefix)
    key = f"{prefix}/{layout.object_key(digest)}"
    interrupted(rclone_s3, key, {1: value[:PART], 2: value[PART : 2 * PART]})
    (tmp_path / "file").write_bytes(value)
    with counted(store) as requests:
        assert store.put_file(tmp_path / "file")[0] == digest
    assert requests["UploadPart"] == 2
    assert requests["CreateMultipartUpload"] == 0
    assert unfinished(rclone_s3, prefix) == []
    store.fetch(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == value


def test_what_arrived_damaged_is_not_relied_on(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    value = os.urandom(PART * 2 + 1000)
    digest = f"sha256:{hashlib.sha256(value).hexdigest()}"
    prefix = uuid4().hex
    store = bucket(rclone_s3, monkeypatch, prefix)
    interrupted(rclone_s3, f"{prefix}/{layout.object_key(digest)}", {1: os.urandom(PART)})
    (tmp_path / "file").write_bytes(value)
    assert store.put_file(tmp_path / "file")[0] == digest
    assert unfinished(rclone_s3, prefix) == []
    store.fetch(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == value


def test_an_upload_that_somebody_else_ended_is_named(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = uuid4().hex
    store = bucket(rclone_s3, monkeypatch, prefix)
    client = rclone_s3.client()

    class Ends:
        """Ends the upload while it is read."""

        def __init__(self) -> None:
            self.left = PART * 3

        def read(self, size: int = -1) -> bytes:
            if self.left == PART:
                for one in client.list_multipart_uploads(Bucket=rclone_s3.bucket)["Uploads"]:
                    if one["Key"].startswith(prefix):
                        client.abort_multipart_upload(
                            Bucket=rclone_s3.bucket, Key=one["Key"], UploadId=one["UploadId"]
                        )
            size = min(size, self.left)
            self.left -= size
            return b"x" * size

    key = f"objects/sha256/ab/{'ab' * 32}"
    with pytest.raises(StoreError, match="ended by somebody else"):
        store.backend.put_stream(key, Ends(), PART * 3)  # type: ignore[arg-type]
    assert store.backend.size(key) is None


@pytest.mark.parametrize("kind", ["other etag", "truncated"])
def test_a_large_value_arrives_whole_though_the_way_harms_it(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    prefix = f"harmed-{kind.replace(' ', '-')}"
    direct = bucket(rclone_s3, monkeypatch, prefix)
    # Which requests are harmed depends on their names, and so on the digest: the same each time.
    value = random.Random(7).randbytes(PART * 2 + 5)
    (tmp_path / "file").write_bytes(value)
    with faulty(rclone_s3.endpoint, Plan(7, 0.5, (kind,))) as proxy:
        harmed = open_store(f"s3://{rclone_s3.bucket}/{prefix}?endpoint_url={proxy.endpoint}")
        digest, _ = harmed.put_file(tmp_path / "file")
        assert proxy.done[kind] > 0
    direct.fetch(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == value


def test_a_large_download_that_is_given_up_gives_its_memory_back(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MCGITOPS_STORE_MEMORY", "16MiB")
    monkeypatch.setenv("MCGITOPS_STORE_REQUESTS", "2")
    store = bucket(rclone_s3, monkeypatch)
    value = os.urandom(PART * 5 + 1)
    (tmp_path / "file").write_bytes(value)
    digest, _ = store.put_file(tmp_path / "file")
    assert isinstance(store.backend, S3Backend)
    for _ in range(3):
        opened = store.backend.open(layout.object_key(digest))
        assert opened is not None
        with opened as stream:
            assert stream.read(1000) == value[:1000]
    store.fetch(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == value
    # all of it is there to be had again, when the last thread has seen that nobody wants its range
    taken = threading.Thread(target=store.backend.budget.take, args=(16 * 2**20,), daemon=True)
    taken.start()
    taken.join(30)
    assert not taken.is_alive()


def test_an_empty_value_comes_back(rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    store: Store = bucket(rclone_s3, monkeypatch)
    digest, _ = store.put_bytes(b"")
    with store.objects.open(digest) as stream:
        assert stream.read() == b""


@pytest.mark.parametrize("kind", ["reset", "truncated", "damaged answer"])
def test_a_large_object_comes_whole_though_the_way_harms_it(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    prefix = f"fetched-{kind.split()[0]}"
    direct = bucket(rclone_s3, monkeypatch, prefix)
    value = random.Random(11).randbytes(PART * 3 + 7)
    digest, size = direct.put_bytes(value)
    local = open_store(str(tmp_path / "local"))
    with faulty(rclone_s3.endpoint, Plan(5, 0.3, (kind,))) as proxy:
        harmed = open_store(f"s3://{rclone_s3.bucket}/{prefix}?endpoint_url={proxy.endpoint}")
        for _ in range(10):
            try:
                copy_objects(harmed, local, {digest: size})
                break
            except StoreError:
                continue
        assert proxy.done[kind] > 0
    assert local.read_bytes(digest) == value
    assert not list((tmp_path / "local/tmp").iterdir())
