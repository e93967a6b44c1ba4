"""Plain requests to a bucket without boto3, which takes longer to import than a push of little.

Only where nothing is unusual (see `place_of`), and one attempt each. Whatever isn't the plain
answer to a plain question ends it: the caller asks again through boto3, which knows refusals,
redirects, overloads and damage, and so for all that comes after. So nothing here explains anything.

Requests are signed as AWS Signature Version 4 has it for headers:
docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast
from urllib.parse import quote, unquote, urlsplit

from mcgitops import __version__
from mcgitops.store import s3_errors
from mcgitops.store.backend import Entry
from mcgitops.store.threads import LOOK_SECONDS, PIECE, go_on

if TYPE_CHECKING:
    import io

    from mcgitops.store.s3_url import BucketUrl

CONNECT_SECONDS, READ_SECONDS = 10, 60
IDLE_SECONDS = 4
"""After which a connection may have been closed by the service: a new one is made."""
LARGEST = 32 * 1024 * 1024
"""Bytes of an answer that are held in memory; larger ones are streamed by boto3."""
"""Bytes of an answer after which it is told how far it is."""
SPOKEN = re.compile(r"HTTP/1\.1 (\d{3})(?: |\Z)")
LONGEST_LINE, MOST_LINES = 16 * 1024, 100
KNOWN = {
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION",
    "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_MAX_ATTEMPTS",
    "AWS_EC2_METADATA_DISABLED", "AWS_PAGER", "AWS_DEFAULT_OUTPUT", "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE",
}  # fmt: skip
"""Settings that mean the same here. With any other one boto3 is asked from the start."""
ELSEWHERE = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"}
_KEY_COUNT = re.compile(rb"<KeyCount>(\d{1,6})</KeyCount>")
ONCE = {"content-length", "content-range", "etag", "transfer-encoding"}
EMPTY = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


class Place(NamedTuple):
    """What requests go to, and how they are signed. Never shown: it holds the key."""

    host: str
    port: int
    tls: bool
    bucket: str
    region: str
    key_id: str
    secret: str
    token: str
    bundle: str
    """A file of certificates to trust; "" for those that the machine trusts."""

    def __repr__(self) -> str:
        return f"Place({self.host!r}, {self.bucket!r}, …)"


class Answer(NamedTuple):
    """What a service said. Names of headers are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Into:
    """Memory that the body of an answer is to fill, if it has just as many bytes.

    reached: told how many bytes are there; may raise to end it.
    """

    def __init__(self, buffer: memoryview, reached: Callable[[int], None]) -> None:
        self.buffer = buffer
        self.is_full = False
        self._reached = reached

    def take(self, stream: BinaryIO) -> None:
        """Read it all. Raises `EOFError` where there is less."""
        at = 0
        while at < len(self.buffer):
            go_on()
            count = cast("io.BufferedReader", stream).readinto(self.buffer[at : at + PIECE])
            if not count:
                raise EOFError
            at += count
            self._reached(at)
        self.is_full = True


def place_of(url: BucketUrl, environ: Mapping[str, str], *, has_settings: bool) -> Place | None:
    """Where plain requests can go; None where boto3 has to say how. Pure.

    That is: the endpoint is in the URL, the keys are in the environment, and nothing else (a
    profile, a file of settings: `has_settings`, a proxy, certificates) may mean something.
    """
    unknown = {name for name, value in environ.items() if name.startswith("AWS_") and value}
    unknown -= KNOWN
    other = {name.upper() for name, value in environ.items() if value} & ELSEWHERE
    plain = url.addressing in ("", "path") and not (url.profile or url.anonymous)
    if unknown or other or has_settings or not plain or url.checksums == "on":
        return None
    key_id = environ.get("AWS_ACCESS_KEY_ID", "")
    secret = environ.get("AWS_SECRET_ACCESS_KEY", "")
    parts = urlsplit(url.endpoint_url)
    if not (key_id and secret and parts.hostname) or parts.path not in ("", "/"):
        return None
    tls = parts.scheme == "https"
    bundle = environ.get("AWS_CA_BUNDLE", "") if tls else ""
    if tls and environ.get("REQUESTS_CA_BUNDLE", bundle) != bundle:
        return None
    region = url.region or environ.get("AWS_DEFAULT_REGION", "") or "us-east-1"
    token = environ.get("AWS_SESSION_TOKEN", "")
    said = (key_id, secret, token, region, url.bucket, parts.hostname)
    if not all(text.isascii() and text.isprintable() and " " not in text for text in said):
        return None
    port = parts.port or (443 if tls else 80)
    return Place(parts.hostname, port, tls, url.bucket, region, key_id, secret, token, bundle)


class Direct:
    """Asks a service. May be used from several threads, each of which gets its own connection."""

    def __init__(self, look: Callable[[], Place | None]) -> None:
        """look: called at the first request, as boto3 looks for credentials then."""
        self._look: Callable[[], Place | None] | None = look
        self._place: Place | None = None
        self._idle: list[tuple[float, _Connection]] = []
        self._lock = threading.Lock()

    def ask(
        self,
        method: str,
        key: str,
        plain: Iterable[int],
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | memoryview = b"",
        seal: str = "",
        into: Into | None = None,
    ) -> Answer | None:
        """One request; None where boto3 is to be asked instead, as after any other status.

        key: the service's, "" for the bucket. plain: the statuses that are an answer. seal: the
        SHA-256 of the body in hex, where it is known. into: where a body of its size goes.
        """
        place = self._there()
        if place is None:
            return None
        path = f"/{place.bucket}/{quote(key, safe='/~')}" if key else f"/{place.bucket}"
        said = quoted(query or {})
        if not seal and place.tls and "Content-MD5" in (headers or ()):
            seal = UNSIGNED  # as botocore does: the body's MD5 is signed, and nobody reads along
        seal = seal or (hashlib.sha256(body).hexdigest() if body else EMPTY)
        signed = sign(place, method, path, said, headers or {}, seal, s3_errors.now())
        try:
            answer = self._sent(
                place, method, f"{path}?{said}" if said else path, signed, body, into
            )
        except (OSError, ValueError, LookupError, EOFError):
            answer = None
        if answer is not None and answer.status in plain:
            return answer
        self.end()
        if answer is not None and answer.status in (429, 503):
            from mcgitops.store.s3_wire import retry_after

            time.sleep(retry_after({"Retry-After": answer.headers.get("retry-after", "")}) or 0)
        return None

    def end(self) -> None:
        """Ask nothing more: something is not as plain as it seemed."""
        with self._lock:
            self._look = self._place = None
        while self._idle:
            with suppress(IndexError):
                self._idle.pop()[1].close()

    def _there(self) -> Place | None:
        with self._lock:
            if self._look is not None:
                self._place, self._look = self._look(), None
            return self._place

    def _sent(
        self,
        place: Place,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | memoryview,
        into: Into | None,
    ) -> Answer:
        connection = self._connection(place)
        try:
            connection.send(method, target, headers, body)
            answer, again = connection.answer(method, into)
        except BaseException:
            connection.close()
            raise
        if again:
            self._idle.append((time.monotonic(), connection))
        else:
            connection.close()
        return answer

    def _connection(self, place: Place) -> _Connection:
        while True:
            try:
                since, connection = self._idle.pop()
            except IndexError:
                return _Connection(place)
            if time.monotonic() - since < IDLE_SECONDS:
                return connection
            connection.close()


class _Connection:
    """HTTP/1.1 (RFC 9112) as far as S3's services speak it: lengths or chunks, nothing folded."""

    def __init__(self, place: Place) -> None:
        # as bytes, since text would be encoded by rules for names that take long to import
        host = place.host.encode("ascii")
        plain = socket.create_connection(
            cast("tuple[str, int]", (host, place.port)), CONNECT_SECONDS
        )
        plain.settimeout(READ_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket: socket.socket = plain
        if place.tls:
            import ssl

            try:
                context = ssl.create_default_context(cafile=place.bundle or None)
                self._socket = context.wrap_socket(plain, server_hostname=place.host)
            except BaseException:
                plain.close()
                raise
        self._stream = cast("BinaryIO", self._socket.makefile("rb"))

    def close(self) -> None:
        with suppress(OSError):
            self._stream.close()
        with suppress(OSError):
            self._socket.close()

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | memoryview
    ) -> None:
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        if body or method == "PUT":
            lines.append(f"Content-Length: {len(body)}")
        head = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"
        if len(body) < LONGEST_LINE:
            self._socket.sendall(head + body)
        else:
            self._socket.sendall(head)
            with memoryview(body) as view:
                for at in range(0, len(view), PIECE):
                    go_on()
                    self._socket.sendall(view[at : at + PIECE])

    def answer(self, method: str, into: Into | None = None) -> tuple[Answer, bool]:
        """What came, and whether another request may follow on this connection."""
        self._wait()
        status = 100
        while status == 100:  # "go on", which wasn't asked for
            match = SPOKEN.match(self._line())
            if match is None:
                raise ValueError("no HTTP/1.1")
            status = int(match[1])
            headers = self._headers()
        again = "close" not in headers.get("connection", "").lower()
        if method == "HEAD" or status in (204, 304):
            return Answer(status, headers, b""), again
        if "transfer-encoding" in headers:
            if headers["transfer-encoding"].lower() != "chunked" or "content-length" in headers:
                raise ValueError("encoding")
            return Answer(status, headers, self._chunks()), again
        length = _number(headers["content-length"])
        ranged = status in (200, 206) and "content-range" in headers  # some say 200 to a range
        if into is not None and ranged and length == len(into.buffer):
            into.take(self._stream)
            return Answer(status, headers, b""), again
        return Answer(status, headers, self._exactly(length)), again

    def _wait(self) -> None:
        """Until something comes."""
        waiting = select.poll()
        waiting.register(self._socket, select.POLLIN)
        until = time.monotonic() + READ_SECONDS
        while not waiting.poll(LOOK_SECONDS * 1000):
            go_on()
            if time.monotonic() > until:
                raise TimeoutError

    def _headers(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for _ in range(MOST_LINES):
            line = self._line()
            if not line:
                return found
            name, colon, value = line.partition(":")
            name = name.lower()
            if not colon or name.strip() != name or (name in found and name in ONCE):
                raise ValueError("headers")
            found[name] = value.strip()
        raise ValueError("headers")

    def _chunks(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while length := _number(self._line().partition(";")[0].strip(), 16):
            size += length
            parts.append(self._exactly(length if size <= LARGEST else LARGEST + 1))
            if self._line():
                raise ValueError("chunk")
        self._headers()
        return b"".join(parts)

    def _exactly(self, length: int) -> bytes:
        if length > LARGEST:
            raise ValueError("large")
        parts: list[bytes] = []
        while length:
            go_on()
            parts.append(self._stream.read(min(length, PIECE)))
            if not parts[-1]:
                raise EOFError
            length -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _line(self) -> str:
        line = self._stream.readline(LONGEST_LINE)
        if not line.endswith(b"\r\n"):
            raise ValueError("line")
        return line[:-2].decode("latin-1")


def _number(text: str, base: int = 10) -> int:
    if not re.fullmatch(r"[0-9a-fA-F]{1,12}", text):
        raise ValueError("number")
    return int(text, base)


def quoted(query: Mapping[str, str]) -> str:
    """A query as it is signed: sorted, with all but unreserved characters encoded."""
    pairs = ((quote(name, safe="~"), quote(value, safe="~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def sign(
    place: Place,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    seal: str,
    now: float,
) -> dict[str, str]:
    """All headers of a request, signed.

    seal: the body's SHA-256 in hex. now: seconds since 1970.
    """
    time_ = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    usual = 443 if place.tls else 80
    host = f"[{place.host}]" if ":" in place.host else place.host
    given = {
        "host": host if place.port == usual else f"{host}:{place.port}",
        **{name.lower(): value for name, value in headers.items()},
        "x-amz-content-sha256": seal,
        "x-amz-date": time_,
        **({"x-amz-security-token": place.token} if place.token else {}),
    }
    names = ";".join(sorted(given))
    canonical = "\n".join(
        (method, path, query, *(f"{name}:{given[name]}" for name in sorted(given)), "", names, seal)
    )
    scope = f"{time_[:8]}/{place.region}/s3/aws4_request"
    text = "\n".join(
        ("AWS4-HMAC-SHA256", time_, scope, hashlib.sha256(canonical.encode()).hexdigest())
    )
    key = f"AWS4{place.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    given["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={place.key_id}/{scope}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    given["user-agent"] = f"mcgitops/{__version__}"
    return given


def is_absent(answer: Answer) -> bool:
    """Whether a 404 says that there is no such key, and not that there is no such bucket."""
    return answer.status == 404 and b"<Code>NoSuchKey</Code>" in answer.body


def listing(body: bytes, top: str, own: int = 0) -> list[Entry] | None:
    """The entries of a whole listing (`list-type=2`, `encoding-type=url`).

    top: what was asked for, all keys begin with it. own: so many characters are cut off in front of
    them. None where the listing goes on, or can't be the answer: nothing else tells that a byte of
    it was harmed on its way.
    """
    if b"<ListBucketResult" not in body or b"<IsTruncated>false</IsTruncated>" not in body:
        return None
    count = _KEY_COUNT.search(body)
    if b"Contents" not in body and b"CommonPrefixes" not in body:  # not even half of a tag
        return [] if count is None or int(count[1]) == 0 else None
    from xml.etree import ElementTree

    found: list[Entry] = []
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  (as botocore does)
        encoded = any(one.tag.rpartition("}")[2] == "EncodingType" for one in root)
        number = 0
        for one in root:
            kind = one.tag.rpartition("}")[2]
            number += kind in ("Contents", "CommonPrefixes")
            if kind != "Contents":
                continue
            fields = {field.tag.rpartition("}")[2]: field.text or "" for field in one}
            key = unquote(fields["Key"]) if encoded else fields["Key"]
            if not key.startswith(top):
                return None
            tag = fields.get("ETag", "").strip('"')
            found.append(Entry(key[own:], int(fields["Size"]), tag))
    except (ElementTree.ParseError, LookupError, ValueError):
        return None
    return found if count is None or int(count[1]) == number else None
