"""Each mistake with a service is its own sentence with a remedy.

On real servers where they show it; what only AWS shows, and what isn't S3 at all, is answered by a
server that plays a recorded answer over HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from mcgitops.errors import StoreError
from mcgitops.store import s3_errors
from mcgitops.store.backend import Backend
from mcgitops.store.store import open_store
from tests.conftest import Runner
from tests.integration.store.test_services import PROXIES, entered
from tests.lab import ceph, fronts, oidc
from tests.lab.s3 import S3Server, free_port

pytestmark = pytest.mark.s3

HTML = "<!DOCTYPE html><html><head><title>Welcome</title></head><body>Hello<br></body></html>"
# As AWS answered; ids shortened.
REDIRECT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>PermanentRedirect</Code><Message>The '
    "bucket you are attempting to access must be addressed using the specified endpoint. Please "
    "send all future requests to this endpoint.</Message><Endpoint>models.s3.eu-west-1.amazonaws."
    "com</Endpoint><Bucket>models</Bucket><RequestId>1</RequestId><HostId>2</HostId></Error>"
)
MALFORMED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AuthorizationHeaderMalformed</Code>'
    "<Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting "
    "'eu-west-1'</Message><Region>eu-west-1</Region><RequestId>1</RequestId><HostId>2</HostId>"
    "</Error>"
)
EXPIRED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>ExpiredToken</Code><Message>The provided '
    "token has expired.</Message><Token-0>FwoGZXIvYXdzE</Token-0><RequestId>1</RequestId></Error>"
)


@contextmanager
def answering(status: int, body: str, headers: Mapping[str, str] | None = None) -> Iterator[str]:
    """A server that gives the same answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body.encode())))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body.encode())

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def read(backend: Backend) -> object:
    return backend.get("runs/p/s/f.json")


def listed(backend: Backend) -> object:
    return list(backend.entries("runs/"))


def write(backend: Backend) -> object:
    return backend.put("runs/p/s/f.json", b"{}")


ASKING = (read, listed, write)


def said(url: str, *asking: Callable[[Backend], object]) -> list[str]:
    """What is said where a store is asked in each of these ways."""
    backend = open_store(url).backend
    texts = []
    for ask in asking or ASKING:
        with pytest.raises(StoreError) as caught:
            ask(backend)
        texts.append(str(caught.value))
    return texts


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")


@pytest.mark.parametrize(
    ("status", "body", "headers"),
    [
        (404, HTML, {"Content-Type": "text/html"}),
        (404, '{"detail": "Not Found"}', {"Content-Type": "application/json"}),
        (405, HTML, {"Content-Type": "text/html"}),
        (400, "Client sent an HTTP request to an HTTPS server.\n", {}),
        (302, "", {"Location": "http://127.0.0.1:1/login"}),
    ],
)
def test_what_is_not_s3_is_never_taken_for_an_empty_store(
    status: int, body: str, headers: dict[str, str]
) -> None:
    with answering(status, body, headers) as endpoint:
        for text in said(f"s3://models?endpoint_url={endpoint}"):
            assert "what answers there is not S3. Check ?endpoint_url=" in text


def test_a_page_for_everything_is_not_s3() -> None:
    """But of what is read with success anything may be the content."""
    with answering(200, HTML, {"Content-Type": "text/html"}) as endpoint:
        for text in said(f"s3://models?endpoint_url={endpoint}", listed, write):
            assert "what answers there is not S3. Check ?endpoint_url=" in text


@pytest.mark.parametrize(
    ("status", "body", "headers", "what", "remedy"),
    [
        (301, REDIRECT, {"x-amz-bucket-region": "eu-west-1"}, "region, eu-west-1", "?region="),
        (400, MALFORMED, {}, "region, eu-west-1", "?region="),
        (400, EXPIRED, {}, "the credentials have expired", "Renew them"),
        (413, HTML, {}, "refuses uploads of that size", "client_max_body_size"),
        (407, HTML, {}, "the proxy wants to know who asks", "HTTPS_PROXY"),
        (502, HTML, {}, "the service failed", "Run the same again later"),
    ],
)
def test_recorded_answers_have_their_sentences(
    status: int, body: str, headers: dict[str, str], what: str, remedy: str
) -> None:
    with answering(status, body, headers) as endpoint:
        for text in said(f"s3://models?endpoint_url={endpoint}"):
            assert what in text
            assert remedy in text
            assert "FwoGZXIvYXdzE" not in text


def test_ceph_names_a_clock_and_a_bucket(
    ceph_s3: ceph.Ceph, monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore.auth

    entered(ceph_s3, monkeypatch)
    url = f"s3://no-such-bucket?endpoint_url={ceph_s3.endpoint}"
    assert all("there is no bucket no-such-bucket. Create it" in text for text in said(url))
    late = datetime.now(UTC) - timedelta(hours=1)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: late.replace(tzinfo=None))
    monkeypatch.setattr(s3_errors, "now", late.timestamp)
    assert all("clock is too far off. Set the clock" in text for text in said(ceph_s3.url()))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("AWS_ACCESS_KEY_ID", "the service does not know the access key"),
        ("AWS_SECRET_ACCESS_KEY", "the secret key does not fit the access key"),
    ],
)
def test_ceph_refuses_wrong_keys(
    ceph_s3: ceph.Ceph, monkeypatch: pytest.MonkeyPatch, name: str, what: str
) -> None:
    entered(ceph_s3, monkeypatch)
    monkeypatch.setenv(name, "WRONGWRONG")
    for text in said(ceph_s3.url()):
        assert f"{what}. Check {name}" in text
        assert "WRONGWRONG" not in text


def test_a_role_is_given_for_a_token_or_refused(
    ceph_s3: ceph.Ceph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A role for a job that proves who it is, as in GitHub Actions; Ceph checks the proof."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    token = tmp_path / "token"
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", ceph_s3.endpoint)
    allow = {"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}
    with oidc.issuer() as forge:
        monkeypatch.setenv("AWS_ROLE_ARN", ceph_s3.role(forge, "sts.amazonaws.com", allow))
        url = ceph_s3.url(uuid4().hex)
        token.write_text(forge.token("sts.amazonaws.com", "repo:team/wine"))
        digest, _ = open_store(url).put_bytes(b"weights")
        assert open_store(url).read_bytes(digest) == b"weights"
        for audience, seconds in (("somebody else", 600), ("sts.amazonaws.com", -60)):
            token.write_text(forge.token(audience, "repo:team/wine", seconds))
            (text,) = said(url, read)
            assert "the role was not given. Check AWS_ROLE_ARN" in text
            assert "id-token: write" in text


def test_a_spoiled_session_token_is_a_sentence(
    ceph_s3: ceph.Ceph, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered(ceph_s3, monkeypatch)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "nonsense")
    assert all("the same of a wrong key" in text for text in said(ceph_s3.url()))


def test_transport_mistakes_are_told_apart(
    rclone_s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entered(rclone_s3, monkeypatch)
    plain = rclone_s3.endpoint
    tls_on_plain = f"s3://models?endpoint_url={plain.replace('http:', 'https:')}"
    assert "does not speak TLS. Write http://" in said(tls_on_plain, read)[0]
    with fronts.tls(plain, tmp_path) as front:
        url = f"s3://models?endpoint_url={front.endpoint}"
        assert "Is it http instead of https" in said(url.replace("https:", "http:"), read)[0]
        monkeypatch.setenv("AWS_CA_BUNDLE", str(front.authority))
        other = url.replace("127.0.0.1", "localhost")
        assert "is another host's. Write the endpoint by the name" in said(other, read)[0]
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nothing.pem"))
        assert "no certificate in the file that AWS_CA_BUNDLE names" in said(url, read)[0]
        (tmp_path / "junk.pem").write_text("junk")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "junk.pem"))
        assert "no certificate in the file that AWS_CA_BUNDLE names" in said(url, read)[0]
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    assert "the proxy can't be reached. Check HTTPS_PROXY" in said(rclone_s3.url(), read)[0]


def test_the_program_ends_with_the_sentence_alone(
    rclone_s3: S3Server, run_mcgitops: Runner, tmp_path: Path
) -> None:
    (tmp_path / "compose.yml").write_text("name: wine\nservices: {a: {image: x}}\n")
    env = {
        **rclone_s3.env,
        "AWS_SECRET_ACCESS_KEY": "WRONGWRONG",
        "MCGITOPS_STORE": rclone_s3.url(),
    }
    done = run_mcgitops("runs", cwd=tmp_path, env=env, check=False)
    assert done.code == 1
    assert done.stderr.count("\n") == 1
    assert "the secret key does not fit the access key. Check AWS_SECRET_ACCESS_KEY" in done.stderr
