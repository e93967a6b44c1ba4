"""The store in a bucket, on real servers over HTTP: rclone's (SigV4) and AWS's semantics."""

from __future__ import annotations

import datetime
import errno
import io
import os
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
import urllib3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders

from mcgitops.errors import StoreError
from mcgitops.store import s3_errors
from mcgitops.store.s3 import S3Backend
from mcgitops.store.store import Store, open_store
from mcgitops.store.transfer import copy_runs
from tests.integration.store.conftest import MakeRun, fingerprint
from tests.integration.store.proxy import breaking
from tests.lab.s3 import S3Server, free_port

pytestmark = pytest.mark.s3


@pytest.fixture
def local(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "local"))


def bucket(server: S3Server, monkeypatch: pytest.MonkeyPatch, prefix: str = "") -> Store:
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    return open_store(server.url(prefix or uuid4().hex))


@pytest.fixture
def remote(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store of its own in the bucket of each of the servers."""
    return bucket(s3_server, monkeypatch)


@contextmanager
def counted(store: Store) -> Iterator[Counter[str]]:
    """The requests that a store makes, by operation."""
    assert isinstance(store.backend, S3Backend)
    events = store.backend._client.meta.events
    counts: Counter[str] = Counter()
    lock = threading.Lock()

    def count(event_name: str, **_: object) -> None:
        with lock:
            counts[event_name.rpartition(".")[2]] += 1

    events.register("before-send.s3", count, unique_id="count")
    yield counts
    events.unregister("before-send.s3", unique_id="count")


def test_files_of_every_size_come_back(remote: Store, tmp_path: Path) -> None:
    for size in (0, 1, 1_000_000, 8 * 2**20, 8 * 2**20 + 1, 40_000_000):
        path = tmp_path / "file"
        path.write_bytes(os.urandom(size))
        digest, stored = remote.put_file(path)
        assert stored == size
        remote.fetch(digest, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == path.read_bytes()


def test_a_large_file_goes_in_parts_and_is_not_sent_again(remote: Store, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(30_000_000))
    with counted(remote) as first:
        digest, _ = remote.put_file(path)
    assert first["UploadPart"] == 4
    assert first["CompleteMultipartUpload"] == 1
    assert first["PutObject"] == 0
    with counted(remote) as second:
        assert remote.put_file(path)[0] == digest
    # Whether it is marked for removal, and whether it is there.
    assert second == {"ListObjectsV2": 1, "HeadObject": 1}


def test_a_stream_of_unknown_length_is_stored(remote: Store) -> None:
    value = os.urandom(9_000_000)
    digest, size = remote.put_stream(io.BytesIO(value))
    assert size == len(value)
    assert remote.read_bytes(digest) == value


def test_runs_are_copied_once_and_found(
    remote: Store, local: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    for number in range(1, 8):
        make_run(local, number)
    first = copy_runs(local, remote, local.runs("wine"))
    assert (first.records, first.objects) == (7, 21)
    with counted(remote) as requests:
        second = copy_runs(local, remote, local.runs("wine"))
    assert (second.records, second.objects, second.bytes) == (0, 0, 0)
    # The marks, the journal's news, the one pack that has all files with its index, each record.
    assert requests == {"ListObjectsV2": 1, "GetObject": 2, "HeadObject": 2 + 7}
    assert [run.fingerprint for run in remote.runs("wine")] == [
        fingerprint(number) for number in range(7, 0, -1)
    ]
    assert str(remote.run("wine", "train", fingerprint(3))) == str(
        local.run("wine", "train", fingerprint(3))
    )
    assert remote.run("wine", "train", fingerprint(9)) is None
    back = open_store(str(tmp_path / "back"))
    assert copy_runs(remote, back, remote.runs("wine")).objects == 21


def test_a_plain_push_and_pull_need_no_boto3(
    remote: Store, local: Store, make_run: MakeRun, tmp_path: Path
) -> None:
    for number in range(1, 5):
        make_run(local, number)
    assert isinstance(remote.backend, S3Backend)
    assert copy_runs(local, remote, local.runs("wine")).objects == 12
    assert copy_runs(local, remote, local.runs("wine")).records == 0
    back = open_store(str(tmp_path / "back"))
    assert copy_runs(remote, back, local.runs("wine")).objects == 12
    assert remote.run("wine", "train", fingerprint(9)) is None
    assert remote.backend._opened is None
    # What isn't plain has its client, and so has everything after it.
    assert remote.backend.signed_link("runs/x", 60).startswith("http")
    list(remote.runs("wine"))
    assert remote.missing(["sha256:" + "0" * 64])


def test_a_second_listing_reads_no_record_again(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_run: MakeRun
) -> None:
    prefix = uuid4().hex
    writer = bucket(s3_server, monkeypatch, prefix)
    for number in (1, 2, 3):
        make_run(writer, number)
    reader = open_store(s3_server.url(prefix), tmp_path / "cache")
    assert len(list(reader.runs("wine"))) == 3
    make_run(writer, 4)
    again = open_store(s3_server.url(prefix), tmp_path / "cache")
    with counted(again) as requests:
        listed = list(again.runs("wine"))
    assert [run.fingerprint for run in listed] == [fingerprint(n) for n in (4, 3, 2, 1)]
    assert requests == {"ListObjectsV2": 1, "GetObject": 1}


def test_a_changed_record_is_not_taken_from_the_cache(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_run: MakeRun
) -> None:
    prefix = uuid4().hex
    store = bucket(s3_server, monkeypatch, prefix)
    record = make_run(store, 1)
    cached = open_store(s3_server.url(prefix), tmp_path / "cache")
    assert [run.model_dump_json() for run in cached.runs("wine")] == [record.model_dump_json()]
    store.backend.put(f"runs/wine/train/{fingerprint(1)}.json", b"{}")
    with pytest.raises(StoreError, match="is damaged"):
        list(cached.runs("wine"))


def test_names_of_every_kind_are_kept_apart(remote: Store, make_run: MakeRun) -> None:
    names = ["a/b", "a%2Fb", "a b", "a+b", "ä", "..", "a?b#c", "x" * 300, "'\"<&>"]
    for name in names:
        run = make_run(remote, 1, publish=False).model_copy(update={"project": name})
        remote.publish(run)
    for name in names:
        assert [run.project for run in remote.runs(name)] == [name]


def test_the_first_published_wins(remote: Store, make_run: MakeRun) -> None:
    run = make_run(remote, 1, commit="first")
    later = run.model_copy(update={"commit": "second"})
    assert remote.publish(later).commit == "first"
    found = remote.run("wine", "train", run.fingerprint)
    assert found is not None
    assert found.commit == "first"


def test_a_condition_decides_where_the_service_keeps_to_it(
    moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two writers that both saw no record: only one writes it."""
    backend = bucket(moto_s3, monkeypatch).backend
    assert isinstance(backend, S3Backend)
    monkeypatch.setattr(backend, "_absent", lambda key: True)
    assert backend.create("runs/p/s/f.json", b"1")
    assert not backend.create("runs/p/s/f.json", b"2")
    assert backend.get("runs/p/s/f.json") == b"1"


def test_a_write_whose_answer_was_lost_is_known_as_ours(
    moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client repeats it, and the service then says that the record exists."""
    prefix = uuid4().hex
    bucket(moto_s3, monkeypatch, prefix)
    with breaking(moto_s3.endpoint, lose=b"HTTP/1.1 200 OK") as proxy:
        store = open_store(f"s3://{moto_s3.bucket}/{prefix}?endpoint_url={proxy.endpoint}")
        assert isinstance(store.backend, S3Backend)
        monkeypatch.setattr(store.backend, "_absent", lambda key: True)
        with counted(store) as requests:
            assert store.backend.create("runs/p/s/f.json", b"ours")
    assert requests["PutObject"] == 2
    assert store.backend._conditional is True


@pytest.mark.parametrize(
    ("code", "status", "tries"),
    [("NotImplemented", 501, 1), ("ConditionalRequestConflict", 409, 2)],
)
def test_a_service_that_refuses_conditions_is_asked_otherwise(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, code: str, status: int, tries: int
) -> None:
    store = bucket(rclone_s3, monkeypatch)
    assert isinstance(store.backend, S3Backend)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    refused: list[AWSPreparedRequest] = []

    def refuse(request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        if "If-None-Match" not in request.headers or len(refused) == tries:
            return None
        refused.append(request)
        body = io.BytesIO(f"<Error><Code>{code}</Code></Error>".encode())
        raw = urllib3.HTTPResponse(body, preload_content=False)
        return AWSResponse(request.url, status, HTTPHeaders(), raw)

    store.backend._client.meta.events.register(
        "before-send.s3.PutObject",
        refuse,  # type: ignore[arg-type]
    )
    assert store.backend.create("runs/p/s/f.json", b"1")
    assert len(refused) == tries
    assert store.backend.get("runs/p/s/f.json") == b"1"
    assert not store.backend.create("runs/p/s/f.json", b"2")


def test_writers_at_once_leave_one_whole_record(remote: Store) -> None:
    values = [b"%d" % number * 50_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda value: remote.backend.create("runs/p/s/f.json", value), values))
    assert any(won)
    assert remote.backend.get("runs/p/s/f.json") in values


def test_a_damaged_object_is_never_delivered(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prefix = uuid4().hex
    store = bucket(s3_server, monkeypatch, prefix)
    digest, _ = store.put_bytes(b"the right bytes")
    key = f"{prefix}/objects/sha256/{digest[7:9]}/{digest[7:]}"
    s3_server.client().put_object(Bucket=s3_server.bucket, Key=key, Body=b"the wrong bytes")
    with pytest.raises(StoreError) as caught:
        store.fetch(digest, tmp_path / "target")
    assert digest in caught.value.message
    assert f"objects/sha256/{digest[7:9]}/{digest[7:]}" in caught.value.message
    assert not (tmp_path / "target").exists()


class Failing(io.RawIOBase):
    """Gives bytes, then an error."""

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if self._left <= 0:
            raise StoreError("The source broke.")
        size = min(size, self._left)
        self._left -= size
        return b"x" * size


def unfinished(server: S3Server, prefix: str) -> list[str]:
    """Uploads that were begun and neither completed nor aborted."""
    client = server.client()
    try:
        answer = client.list_multipart_uploads(Bucket=server.bucket, Prefix=prefix)
    except client.exceptions.NoSuchUpload:  # what rclone says before the first one
        return []
    return [upload["Key"] for upload in answer.get("Uploads", [])]


@pytest.mark.parametrize("size", [1000, 20_000_000])
def test_an_upload_whose_source_breaks_leaves_nothing(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    prefix = uuid4().hex
    store = bucket(s3_server, monkeypatch, prefix)
    key = f"objects/sha256/ab/{'ab' * 32}"
    with pytest.raises(StoreError, match="The source broke"):
        store.backend.put_stream(key, Failing(size), 30_000_000)  # type: ignore[arg-type]
    assert store.backend.missing([key]) == {key}
    assert unfinished(s3_server, prefix) == []


def test_a_damaged_source_never_arrives(remote: Store, local: Store, make_run: MakeRun) -> None:
    run = make_run(local, 1)
    digest = run.outputs[0].digest
    assert local.path is not None
    path = local.path / "objects/sha256" / digest[7:9] / digest[7:]
    path.chmod(0o644)
    path.write_bytes(b"other")
    with pytest.raises(StoreError, match=f"{digest} is damaged"):
        copy_runs(local, remote, [run])
    assert remote.run("wine", "train", run.fingerprint) is None
    assert remote.missing([digest]) == {digest}


def test_a_download_goes_on_where_the_connection_broke(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prefix = uuid4().hex
    store = bucket(s3_server, monkeypatch, prefix)
    value = os.urandom(10_000_000)
    digest, _ = store.put_bytes(value)
    with breaking(s3_server.endpoint, lambda n: 3_000_000 if n < 3 else None) as proxy:
        broken = open_store(f"s3://{s3_server.bucket}/{prefix}?endpoint_url={proxy.endpoint}")
        with counted(broken) as requests:
            broken.fetch(digest, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == value
    assert requests["GetObject"] == 4  # three breaks, each after 3 MB of progress


def test_a_push_through_a_network_that_breaks_completes(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, local: Store, make_run: MakeRun
) -> None:
    for number in range(1, 5):
        make_run(local, number)
    prefix = uuid4().hex
    direct = bucket(s3_server, monkeypatch, prefix)
    with breaking(s3_server.endpoint, lambda n: 0 if n % 3 == 0 else None) as proxy:
        broken = open_store(f"s3://{s3_server.bucket}/{prefix}?endpoint_url={proxy.endpoint}")
        copy_runs(local, broken, local.runs("wine"))
    assert list(map(str, direct.runs("wine"))) == list(map(str, local.runs("wine")))


def test_two_pushes_at_once_both_succeed(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch, local: Store, make_run: MakeRun
) -> None:
    for number in range(1, 6):
        make_run(local, number)
    prefix = uuid4().hex
    remote = bucket(s3_server, monkeypatch, prefix)
    program = (
        "import sys; from mcgitops.store.store import open_store;"
        "from mcgitops.store.transfer import copy_runs;"
        "a, b = map(open_store, sys.argv[1:]); copy_runs(a, b, a.runs('wine'))"
    )
    argv = [sys.executable, "-c", program, str(local.path), s3_server.url(prefix)]
    both = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(2)]
    for process in both:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
    assert len(list(remote.runs("wine"))) == 5


def test_a_killed_push_is_completed_by_the_next(
    s3_server: S3Server,
    monkeypatch: pytest.MonkeyPatch,
    local: Store,
    make_run: MakeRun,
    tmp_path: Path,
) -> None:
    for number in range(1, 60):
        make_run(local, number)
    remote = bucket(s3_server, monkeypatch)
    program = (
        "import sys, pathlib; from mcgitops.store.store import open_store;"
        "from mcgitops.store.sync import push;"
        "a, b = map(open_store, sys.argv[1:3]); print('ready', flush=True);"
        "push(a, b, 'wine', pathlib.Path(sys.argv[3]))"
    )
    argv = [sys.executable, "-c", program, str(local.path), remote.url, str(tmp_path / "note")]
    for seconds in (0.3, 0.5):
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(seconds)
            process.kill()
        for run in remote.runs("wine"):  # what is visible is whole
            assert not remote.missing(file.digest for file in run.files)
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    back = open_store(str(tmp_path / "back"))
    assert copy_runs(remote, back, remote.runs("wine")).records == 59  # verified on the way


def test_memory_is_bounded(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = bucket(rclone_s3, monkeypatch)
    with (tmp_path / "large").open("wb") as stream:
        for _ in range(16):
            stream.write(os.urandom(10_000_000))
    program = (
        "import sys, pathlib; from mcgitops.store.store import open_store;"
        "s = open_store(sys.argv[1]); f = pathlib.Path(sys.argv[2]);"
        "digest, _ = s.put_file(f); s.fetch(digest, f.with_name('back'));"
        "print([l for l in open('/proc/self/status') if l.startswith('VmHWM')][0].split()[1])"
    )
    argv = [sys.executable, "-c", program, store.url, str(tmp_path / "large")]
    peak = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert int(peak) < 200 * 1024  # KiB, for a file of 160 MB


# Mistakes, each with its own sentence.


def failing(store: Store) -> StoreError:
    with pytest.raises(StoreError) as caught:
        store.run("wine", "train", "abc")
    return caught.value


def test_no_credentials(rclone_s3: S3Server) -> None:
    error = failing(open_store(rclone_s3.url("x")))
    assert "there are no credentials" in error.message
    assert "AWS_ACCESS_KEY_ID" in error.hint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("AWS_ACCESS_KEY_ID", "does not know the access key"),
        ("AWS_SECRET_ACCESS_KEY", "the secret key does not fit"),
    ],
)
@pytest.mark.parametrize("asks", ["run", "missing", "runs", "put_bytes"])
def test_wrong_credentials(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, name: str, said: str, asks: str
) -> None:
    store = bucket(rclone_s3, monkeypatch)
    monkeypatch.setenv(name, "WRONGWRONG")
    with pytest.raises(StoreError) as caught:
        if asks == "run":
            store.run("wine", "train", "abc")
        elif asks == "missing":
            store.missing([f"sha256:{number:064x}" for number in range(3)])
        elif asks == "runs":
            list(store.runs("wine"))
        else:
            store.put_bytes(b"x")
    assert said in caught.value.message
    assert name in caught.value.hint
    assert "WRONGWRONG" not in str(caught.value)
    assert rclone_s3.access_key not in str(caught.value)


def test_no_such_bucket(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket(s3_server, monkeypatch)
    store = open_store(f"s3://no-such-bucket/x?endpoint_url={s3_server.endpoint}")
    assert "there is no bucket no-such-bucket" in failing(store).message
    with pytest.raises(StoreError, match="there is no bucket no-such-bucket"):
        list(store.runs("wine"))
    with pytest.raises(StoreError, match="there is no bucket no-such-bucket"):
        store.put_bytes(b"x")


def test_an_endpoint_with_the_bucket_in_it(
    s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As some services' own pages show it."""
    bucket(s3_server, monkeypatch)
    endpoint = f"{s3_server.endpoint}/{s3_server.bucket}"
    store = open_store(f"s3://{s3_server.bucket}/x?endpoint_url={endpoint}")
    with pytest.raises(StoreError, match="took the bucket's name for a key") as caught:
        list(store.runs("wine"))
    assert "endpoint_url" in caught.value.hint


def test_a_name_that_no_bucket_can_have(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket(rclone_s3, monkeypatch)
    error = failing(open_store(f"s3://Bad%20Name!?endpoint_url={rclone_s3.endpoint}"))
    assert "can't be a bucket's name" in error.message


def test_no_server(rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket(rclone_s3, monkeypatch)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    endpoint = f"http://127.0.0.1:{free_port()}"
    error = failing(open_store(f"s3://models?endpoint_url={endpoint}"))
    assert f"{endpoint} can't be reached" in error.message


def test_a_clock_that_is_off(rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.auth

    late = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    store = bucket(rclone_s3, monkeypatch)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: late.replace(tzinfo=None))
    monkeypatch.setattr(s3_errors, "now", late.timestamp)
    error = failing(store)
    assert "clock is too far off" in error.message


def test_an_untrusted_certificate(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bucket(rclone_s3, monkeypatch)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj",
         "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        error = failing(
            open_store(f"s3://models?endpoint_url=https://127.0.0.1:{server.server_port}")
        )
    finally:
        server.shutdown()
        server.server_close()
    assert "certificate" in error.message
    assert "AWS_CA_BUNDLE" in error.hint


def test_a_profile_is_used(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text(
        f"[ml]\naws_access_key_id = {rclone_s3.access_key}\n"
        f"aws_secret_access_key = {rclone_s3.secret_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    store = open_store(rclone_s3.url(uuid4().hex) + "&profile=ml")
    digest, _ = store.put_bytes(b"x")
    assert store.read_bytes(digest) == b"x"
    error = failing(open_store(rclone_s3.url("x") + "&profile=mll"))
    assert "no such profile mll" in error.message


def test_a_web_identity_is_used(
    moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in a job of a forge that proves who it is with a token."""
    (tmp_path / "token").write_text("a.signed.token")
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/trainer")
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto_s3.endpoint)
    store = open_store(moto_s3.url(uuid4().hex))
    digest, _ = store.put_bytes(b"x")
    assert store.read_bytes(digest) == b"x"
    assert isinstance(store.backend, S3Backend)
    signer = vars(store.backend._client)["_request_signer"]
    assert signer._credentials.method == "assume-role-with-web-identity"


def test_a_role_of_a_profile_is_assumed(
    moto_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "config"
    file.write_text(
        f"[profile base]\naws_access_key_id = {moto_s3.access_key}\n"
        f"aws_secret_access_key = {moto_s3.secret_key}\n"
        "[profile ml]\nrole_arn = arn:aws:iam::123456789012:role/trainer\n"
        "source_profile = base\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto_s3.endpoint)
    store = open_store(moto_s3.url(uuid4().hex) + "&profile=ml")
    digest, _ = store.put_bytes(b"x")
    assert store.read_bytes(digest) == b"x"
    assert isinstance(store.backend, S3Backend)
    signer = vars(store.backend._client)["_request_signer"]
    assert signer._credentials.method == "assume-role"


def test_the_endpoint_of_the_environment_is_used(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket(rclone_s3, monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", rclone_s3.endpoint)
    store = open_store(f"s3://{rclone_s3.bucket}/{uuid4().hex}")
    assert rclone_s3.endpoint in store.url
    digest, _ = store.put_bytes(b"x")
    assert store.missing([digest]) == set()


def test_an_unwritable_target_is_a_sentence(remote: Store, tmp_path: Path) -> None:
    digest, _ = remote.put_bytes(b"x")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=os.strerror(errno.EEXIST)):
        remote.fetch(digest, tmp_path / "file" / "below")
