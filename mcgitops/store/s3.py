"""A store in a bucket of any S3-compatible service, through boto3.

boto3 is imported, and the service contacted, at the first call that needs it. Credentials, region,
proxies and certificates come from where every AWS tool takes them. Plain requests to a plainly
named service do without boto3 for as long as they get plain answers: see `s3_direct`.

Nothing here lists the bucket to answer whether something exists. Uploads are streamed in parallel
parts and completed only when the source has been read to its verified end, so an object appears
whole or not at all; what arrived of one that was interrupted is not sent again. A download goes in
parallel ranges, and where its connection breaks, on at the byte that it had reached.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast
from urllib.parse import quote

from mcgitops.errors import StoreError, UsageError
from mcgitops.store.backend import Broken, Entry
from mcgitops.store.layout import check_key
from mcgitops.store.limits import Budget, Limits, Pace, limits_of
from mcgitops.store.s3_direct import Direct, Into, Place, is_absent, listing, place_of
from mcgitops.store.s3_direct_parts import none_begun
from mcgitops.store.s3_download import FIRST, Download, RangedDownload, total_of
from mcgitops.store.s3_errors import code_of, explain, is_foreign
from mcgitops.store.s3_upload import PART, Upload, end_abandoned, part_size, unfinished
from mcgitops.store.s3_url import BucketUrl, parse
from mcgitops.store.s3_wire import EtagTrust, Seal, again, watch
from mcgitops.store.streams import CHUNK, read_fully
from mcgitops.store.threads import PIECE, THREADS, each

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

    from botocore.config import _RetryDict
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CopySourceTypeDef

MIB = 1024 * 1024
SMALL = 1 * MIB  # uploads up to this size are bounded by the threads alone
LARGE_AT_ONCE = 2  # multipart uploads at once
MIDDLE_AT_ONCE = 4  # uploads between SMALL and PART at once
RETRIES: _RetryDict = {"mode": "standard", "total_max_attempts": 5}  # waits 7.5 s on average
LARGEST = 32 * MIB  # of a part that is read by one plain request
LARGEST_COPY = 4 * 1024 * MIB  # by one request; S3 allows 5 GiB
ABSENT = {"NoSuchKey", "404", "NotFound"}
UNKNOWN = {"NotImplemented", "501", "MethodNotAllowed", "405"}
PARTS_AT_ONCE = 8
TRIES = 4  # of what is damaged on its way
EXPECTED = {("Key",), ("Size",), ("ETag",), ("UploadId",), ("PartNumber",), ("ContentLength",)}
"""Names that every answer of a service has, unless it was damaged."""
NAMED_BY_CONTENT = ("objects/", "packs/")
Done = TypeVar("Done")


def open_bucket(url: str, keys: Mapping[str, str] | None = None) -> S3Backend:
    """The backend for an `s3://` URL.

    keys: credentials as boto3 names them, where another program's configuration holds them.
    """
    return S3Backend(parse(url, os.environ), keys, limits_of(os.environ))


class S3Backend:
    """Bytes by key in a bucket. May be used from several threads."""

    def __init__(
        self,
        place: BucketUrl,
        keys: Mapping[str, str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        limits = limits or Limits()
        self._place = place
        self._keys = keys
        self._opening = threading.Lock()
        self._opened: S3Client | None = None
        self._limits = limits
        self.budget = Budget(limits.memory)
        self.pace = Pace(limits.bandwidth) if limits.bandwidth else None
        self.trust = EtagTrust()
        # The pace that was set is kept to by boto3's client; so are keys of another's settings.
        self._direct = Direct(lambda: None if limits.bandwidth or keys else _plain(place))
        self._threads: ThreadPoolExecutor | None = None  # for parts
        self._begun: dict[str, Mapping[str, Any]] | None = None  # uploads to go on with
        self._opening_uploads = threading.Lock()
        self._large = threading.BoundedSemaphore(LARGE_AT_ONCE)
        self._middle = threading.BoundedSemaphore(MIDDLE_AT_ONCE)
        # Whether the service keeps to If-None-Match; None until it has shown it.
        self._conditional: bool | None = None if place.endpoint_url else True

    @property
    def url(self) -> str:
        """The bucket, prefix and endpoint."""
        return str(self._place)

    @property
    def path(self) -> Path | None:
        """It is no folder."""
        return None

    @property
    def scratch(self) -> Path | None:
        """It has none."""
        return None

    @property
    def raw(self) -> tuple[S3Client, str, str]:
        """The client, the bucket and the prefix: for what `doctor` tries and nobody else does."""
        return self._client, self._place.bucket, self._place.prefix

    @property
    def client(self) -> S3Client:
        """The client."""
        return self._client

    @property
    def direct(self) -> Direct:
        """What is asked before the client."""
        return self._direct

    def get(self, key: str, limit: int | None = None) -> bytes | None:
        """The whole value, or None.

        Records have no digest to verify them by, but the service's ETag is mostly the MD5 of what
        it has. Where it is not that of what arrived, the value is read until it comes twice alike.
        """
        answer: Any = self._direct.ask("GET", self._key(key), (200, 404))
        if answer is not None:
            if is_absent(answer):
                return None
            fits = Seal(answer.body).hex == answer.headers.get("etag", "").strip('"')
            if answer.status == 200 and fits and (limit is None or len(answer.body) <= limit):
                return bytes(answer.body)
            self._direct.end()
        last: bytes | None = None
        for _ in range(TRIES):
            answer = self._answer(key)
            if answer is None:
                return None
            with closing(Download(self, key, answer)) as stream:
                most = -1 if limit is None else limit + 1
                value = stream.read() if most < 0 else read_fully(cast("BinaryIO", stream), most)
            if limit is not None and len(value) > limit:
                raise StoreError(f"{key} in {self.url} is larger than {limit} bytes.")
            if self.trust.lost or not Seal(value).differs(answer.get("ETag")):
                return value
            if value == last:
                self.trust.is_other()
                return value
            last = value
        raise self._garbled(key)

    def open(self, key: str) -> AbstractContextManager[BinaryIO] | None:
        """The value as a stream, or None. It survives broken connections."""
        answer = self._answer(key, f"bytes=0-{FIRST - 1}")
        if answer is None:
            return None
        total = total_of(answer)
        if total is not None and total > FIRST:
            return closing(cast("BinaryIO", RangedDownload(self, key, answer, total)))
        return closing(cast("BinaryIO", Download(self, key, answer)))

    def read_range(self, key: str, offset: int, length: int) -> bytes | None:
        """A part of the value, or None. It survives broken connections."""
        if length <= 0:
            return b""
        if length <= LARGEST and (part := self._part(key, offset, length)) is not None:
            return part
        answer = self._answer(key, f"bytes={offset}-{offset + length - 1}")
        if answer is None:
            return None
        skipped = 0 if "ContentRange" in answer else offset  # a service that knows no ranges
        total = total_of(answer)
        end = offset + length if total is None else min(offset + length, total)
        with closing(Download(self, key, answer, offset - skipped, end)) as stream:
            while skipped and (part := stream.read(min(skipped, CHUNK))):
                skipped -= len(part)
            return read_fully(cast("BinaryIO", stream), end - offset)

    def fill(self, key: str, offset: int, buffer: memoryview, told: Callable[[int], None]) -> bool:
        """Read a part of the value into memory. It survives broken connections."""
        seen = 0

        def reached(count: int) -> None:  # from the start again, where another request is made
            nonlocal seen
            told(max(0, count - seen))
            seen = max(seen, count)

        if self._filled(key, offset, buffer, reached):
            return True
        end = offset + len(buffer)
        answer = self._answer(key, f"bytes={offset}-{end - 1}")
        if answer is None or "ContentRange" not in answer or (total_of(answer) or 0) < end:
            return False
        with closing(Download(self, key, answer, offset, end)) as stream:
            at = 0
            while at < len(buffer) and (part := stream.read(min(PIECE, len(buffer) - at))):
                buffer[at : at + len(part)] = part
                at += len(part)
                reached(at)
        return at == len(buffer)

    def size(self, key: str) -> int | None:
        """How many bytes the value has, or None."""
        with self.explained("look into"):
            return self._head(key)

    def put(self, key: str, value: bytes | memoryview, kind: str = "") -> None:
        """Write or replace a value."""
        arguments: dict[str, Any] = {"ContentType": kind} if kind else {}
        with self.explained("write to"):
            self._put(key, value, arguments)

    def signed_link(self, key: str, seconds: int, name: str = "") -> str:
        """An address signed with our credentials; it ends with them where they are temporary."""
        wanted = {"Bucket": self._place.bucket, "Key": self._key(key)}
        if name:  # as RFC 6266 and RFC 8187 write it: nothing of the name but its bytes in hex
            encoded = quote(name.encode("utf-8", "replace"), safe="")
            wanted["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{encoded}"
        with self.explained("sign an address of"):
            return _connect(self._place, signature="s3v4").generate_presigned_url(
                "get_object", Params=wanted, ExpiresIn=seconds
            )

    def create(self, key: str, value: bytes) -> bool:
        """Write a value unless the key exists.

        The check comes first since not every service keeps to `If-None-Match`; where it does (as
        AWS), the write is exact. Where it has not shown that, the value is read back, so that most
        of what two writers could do to each other is seen.
        """
        with self.explained("write to"):
            if not self._absent(key):
                return False
            for attempt in range(4):
                outcome = self._put_if_absent(key, value)
                if outcome != "busy":
                    break
                time.sleep(0.05 * 2**attempt)
            else:
                raise StoreError(f"Others keep writing {key} in {self.url}.", "Run it again.")
        if outcome == "created" and self._conditional:
            return True
        # "exists" may also be our own write, repeated by the client after a lost answer.
        return self.get(key) == value

    def put_stream(self, key: str, stream: BinaryIO, size: int) -> None:
        """Write what the stream gives; large ones in parallel parts, with bounded memory.

        Raises `Broken` where it may be done again with a new stream.
        """
        with self.explained("write to"):
            if size <= SMALL:
                self._upload(key, stream, size)
                return
            with self._middle if size <= PART else self._large:
                try:
                    self._upload(key, stream, size)
                except Broken:
                    # ended by somebody else: by having completed it, mostly
                    if self._head(key) != size:
                        raise

    def put_many(self, values: Iterable[tuple[str, bytes]]) -> None:
        """Write values one after the other: a bucket is given packs instead."""
        for key, value in values:
            self.put(key, value)

    def adopt(self, key: str, path: Path) -> None:
        """Upload a file and remove it."""
        with path.open("rb") as stream:
            self.put_stream(key, stream, os.fstat(stream.fileno()).st_size)
        path.unlink()

    def missing(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that don't exist, asked one by one, many at once."""
        wanted = list(dict.fromkeys(keys))
        with self.explained("look into"):
            absent = each(self._absent, wanted, THREADS)
        return {key for key, is_absent in zip(wanted, absent, strict=True) if is_absent}

    def move(self, key: str, to: str, *, keep: bool = False) -> bool:
        """Copy a value inside the bucket, then remove it where it was."""
        bucket = self._place.bucket
        with self.explained("write to"):
            size = self._head(key)
            if size is None:
                return False
            source: CopySourceTypeDef = {"Bucket": bucket, "Key": self._key(key)}
            try:
                if size < LARGEST_COPY or not self._copied_in_parts(source, to, size):
                    self._client.copy_object(CopySource=source, Bucket=bucket, Key=self._key(to))
            except self._client.exceptions.ClientError as error:
                if code_of(_response(error)) not in ABSENT:
                    raise
                return False  # somebody else has moved it meanwhile
            if not keep:
                self._client.delete_object(Bucket=bucket, Key=self._key(key))
            return True

    def freshen(self, key: str) -> bool:
        """A bucket has nothing like it: see `marks`."""
        return False

    def entries(self, prefix: str, starting: str = "") -> Iterator[Entry]:
        """All keys below `prefix` that go on with `starting`, sorted."""
        top = self._key(prefix.rstrip("/")) + "/" + starting
        own = len(self._place.prefix)
        wanted = {"list-type": "2", "encoding-type": "url", "prefix": top}
        answer = self._direct.ask("GET", "", (200,), query=wanted)
        if answer is not None and (found := listing(answer.body, top, own)) is not None:
            yield from found
            return
        with self.explained("list"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._place.bucket, Prefix=top
            )
            for page in pages:
                for item in page.get("Contents", []):
                    yield Entry(item["Key"][own:], item["Size"], item.get("ETag", "").strip('"'))

    def folders(self, prefix: str) -> list[str]:
        """The names directly below `prefix` that keys go on from, sorted."""
        top = self._key(prefix.rstrip("/")) + "/"
        with self.explained("list"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._place.bucket, Prefix=top, Delimiter="/"
            )
            return sorted(
                item["Prefix"].removeprefix(top).rstrip("/")
                for page in pages
                for item in page.get("CommonPrefixes", [])
            )

    def delete(self, key: str) -> None:
        """Remove a key."""
        with self.explained("delete from"):
            self._client.delete_object(Bucket=self._place.bucket, Key=self._key(key))

    def read_from(self, key: str, offset: int, end: int, version: str) -> Any:
        """The answer with the bytes from `offset` to before `end` (0: the last)."""
        last = end - 1 if end else ""
        # What is named by its digest is verified by it; all else must not change on the way.
        same: Any = {"IfMatch": version} if version and not key.startswith(NAMED_BY_CONTENT) else {}
        return self._client.get_object(
            Bucket=self._place.bucket, Key=self._key(key), Range=f"bytes={offset}-{last}", **same
        )

    def later(self, work: Callable[[], Done]) -> Future[Done]:
        """Have something done by one of the threads for parts."""
        from concurrent.futures import ThreadPoolExecutor

        with self._opening:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(
                    min(self._limits.requests, PARTS_AT_ONCE), "mcgitops-parts"
                )
        return self._threads.submit(work)

    @contextmanager
    def explained(self, action: str) -> Iterator[None]:
        """Errors of the service and the client as sentences."""
        try:
            yield
        except StoreError:
            raise
        except Exception as error:
            explained = self._explanation(error, action)
            if explained is None:
                raise
            raise explained from error

    def _explanation(self, error: Exception, action: str) -> StoreError | None:
        """What went wrong; None where it is no error of the service and none of the client."""
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.parsers import ResponseParserError
        from urllib3.exceptions import HTTPError

        if isinstance(error, ClientError | BotoCoreError):
            endpoint = self._opened.meta.endpoint_url if self._opened else self._place.endpoint_url
            return explain(error, action, self._place, endpoint)
        if isinstance(error, ResponseParserError | HTTPError | ValueError):
            return self._senseless(action)
        if isinstance(error, LookupError):  # of a name in the answer, or of its text's encoding
            expected = error.args[:1] in EXPECTED or "encoding" in str(error)
            return self._senseless(action) if expected else None
        if isinstance(error, OSError | EOFError):
            reason = getattr(error, "strerror", None) or str(error)
            return StoreError(
                f"Could not {action} {self.url}: {reason}.",
                "Run the same again: what has arrived stays.",
            )
        return None

    # private

    def _key(self, key: str) -> str:
        return self._place.prefix + check_key(key)

    def _answer(self, key: str, wanted: str = "") -> Any:
        """To a request for a value, or for a range of it; None where there is none."""
        place: dict[str, Any] = {"Bucket": self._place.bucket, "Key": self._key(key)}
        if wanted:
            place["Range"] = wanted
        with self.explained("read"):
            try:
                return again(lambda: self._client.get_object(**place))
            except self._client.exceptions.ClientError as error:
                code = code_of(_response(error))
                if code in ABSENT:
                    return None
                if wanted and code in ("InvalidRange", "416"):  # an empty value has no first byte
                    return {"Body": io.BytesIO(), "ContentRange": "bytes */0"}
                raise

    def _put(self, key: str, value: bytes | memoryview, arguments: Mapping[str, Any]) -> None:
        """Write or replace a value, again where the service says that it got another one."""
        seal = Seal(value)
        kind = arguments.get("ContentType", "")
        if self._put_plainly(key, value, seal, {"Content-Type": kind} if kind else {}) == 200:
            return
        last = ""
        for _ in range(TRIES):
            answer = self._client.put_object(
                Bucket=self._place.bucket,
                Key=self._key(key),
                Body=bytes(value),
                ContentMD5=seal.header,
                **arguments,
            )
            etag = str(answer.get("ETag"))
            if not seal.differs(etag):
                self.trust.fits()
                return
            if self.trust.lost or etag == last:  # the service's own, twice the same
                self.trust.is_other()
                return
            last = etag
        raise self._garbled(key)

    def _senseless(self, action: str) -> StoreError:
        return StoreError(
            f"Could not {action} {self.url}: the answer can't be understood.",
            "Something on the way damages it. Run the same again: what has arrived stays.",
        )

    def _garbled(self, key: str) -> StoreError:
        return StoreError(
            f"{key} has other bytes each time that it goes to or from {self.url}.",
            "Something on the way damages it: a proxy, the network, this machine's memory. Run "
            "the same again: what has arrived stays.",
        )

    def _absent(self, key: str) -> bool:
        return self._head(key) is None

    def _put_plainly(
        self, key: str, value: bytes | memoryview, seal: Seal, headers: Mapping[str, str]
    ) -> int:
        """The status of a plain request that writes a value; 0 where boto3 is to make another."""
        named = key.startswith(NAMED_BY_CONTENT) and not key.endswith(".index")
        answer = self._direct.ask(
            "PUT",
            self._key(key),
            (200, 412) if "If-None-Match" in headers else (200,),
            headers={"Content-MD5": seal.header, **headers},
            body=value,
            seal=key.rpartition("/")[2] if named else "",
        )
        if answer is None or answer.status != 200:
            return answer.status if answer else 0
        if answer.headers.get("etag", "").strip('"') != seal.hex:
            self._direct.end()  # another one's, or damaged on its way: boto3 finds out
            return 0
        self.trust.fits()
        return 200

    def _part(self, key: str, offset: int, length: int) -> bytes | None:
        """A part of a value by a plain request; None where boto3 is to be asked."""
        wanted = {"Range": f"bytes={offset}-{offset + length - 1}"}
        answer = self._direct.ask("GET", self._key(key), (200, 206), headers=wanted)
        if answer is None:
            return None
        said = answer.headers.get("content-range", "")
        end = offset + len(answer.body)
        total = total_of({"ContentRange": said})
        whole = total is not None and end == min(offset + length, total)
        if whole and said.startswith(f"bytes {offset}-{end - 1}/"):
            return answer.body
        self._direct.end()
        return None

    def _filled(
        self, key: str, offset: int, buffer: memoryview, reached: Callable[[int], None]
    ) -> bool:
        """Whether a plain request brought a part of a value; else boto3 is to be asked."""
        last = offset + len(buffer) - 1
        wanted = {"Range": f"bytes={offset}-{last}"}
        into = Into(buffer, reached)
        answer = self._direct.ask("GET", self._key(key), (200, 206), headers=wanted, into=into)
        if answer is None:
            return False
        said = answer.headers.get("content-range", "")
        if into.is_full and said.startswith(f"bytes {offset}-{last}/"):
            return True
        self._direct.end()
        return False

    def _head(self, key: str) -> int | None:
        if (plain := self._direct.ask("HEAD", self._key(key), (200, 404))) is not None:
            size = plain.headers.get("content-length", "")
            if plain.status == 404:
                return None
            if size.isascii() and size.isdigit():
                return int(size)
        try:
            answer = self._client.head_object(Bucket=self._place.bucket, Key=self._key(key))
        except self._client.exceptions.ClientError as error:
            if code_of(_response(error)) in ABSENT:
                return None
            # The answer to a HEAD has no body and so no reason: ask in a way that gives one.
            self._client.list_objects_v2(
                Bucket=self._place.bucket, Prefix=self._key(key), MaxKeys=1
            )
            raise
        return answer["ContentLength"]

    def _put_if_absent(self, key: str, value: bytes) -> str:
        if self._conditional is False:
            self._put(key, value, {})
            return "created"
        seal = Seal(value)
        plain = self._put_plainly(key, value, seal, {"If-None-Match": "*"})
        if plain == 412:
            self._conditional = True
        if plain:
            return "exists" if plain == 412 else "created"
        try:
            answer = self._client.put_object(
                Bucket=self._place.bucket,
                Key=self._key(key),
                Body=value,
                ContentMD5=seal.header,
                IfNoneMatch="*",
            )
        except self._client.exceptions.ClientError as error:
            code = code_of(_response(error))
            if code in ("PreconditionFailed", "412"):
                self._conditional = True
                return "exists"
            if code in ("ConditionalRequestConflict", "OperationAborted", "409"):
                return "busy"
            if code in ("NotImplemented", "501"):
                self._conditional = False
                return self._put_if_absent(key, value)
            raise
        if seal.differs(answer.get("ETag")) and not self.trust.lost and self.get(key) != value:
            self._put(key, value, {})  # ours, but damaged on its way
        return "created"

    def _copied_in_parts(self, source: CopySourceTypeDef, to: str, size: int) -> bool:
        """Whether the service copies in parts. Some know no such copies, and no limit either."""
        try:
            self._client.copy(source, self._place.bucket, self._key(to))
        except self._client.exceptions.ClientError as error:
            if code_of(_response(error)) not in UNKNOWN:
                raise
            return False
        except KeyError:  # of the client: rclone takes such a part for an empty one of an upload
            return False
        return self._head(to) == size  # before anything is removed

    def _upload(self, key: str, stream: BinaryIO, size: int) -> None:
        head = read_fully(stream, PART)
        if len(head) < PART:  # the end was reached, and verified
            self._put(key, head, {})
            return
        full = self._key(key)
        upload = Upload(self, self._place.bucket, full, part_size(size))
        upload.send(head, stream, self._earlier(full))

    def _earlier(self, key: str) -> Mapping[str, Any] | None:
        """The upload of a key that was interrupted; those that nobody went on with are ended.

        key: the service's. The service is asked once for all of them.
        """
        with self._opening_uploads:
            if self._begun is None:
                begun: dict[str, Mapping[str, Any]] = {}
                if not none_begun(self._direct, self._place.prefix):
                    found = unfinished(self._client, self._place.bucket, self._place.prefix)
                    begun = {str(one.get("Key")): one for one in found}
                    end_abandoned(self._client, self._place.bucket, found, self._own)
                self._begun = begun
            return self._begun.pop(key, None)

    def _own(self, key: str) -> bool:
        """Whether a key of the bucket is an object's or a pack's of this store."""
        return key.startswith(tuple(self._place.prefix + name for name in NAMED_BY_CONTENT))

    @property
    def _client(self) -> S3Client:
        with self._opening:
            if self._opened is None:
                client = _connect(self._place, keys=self._keys)
                watch(client, self.pace)
                self._opened = client
                self._direct.end()  # what it would have saved is spent
            return self._opened


def _plain(place: BucketUrl) -> Place | None:
    """Where plain requests go, as the environment is now."""
    return place_of(place, os.environ, has_settings=_has_settings(os.environ))


def _has_settings(environ: Mapping[str, str]) -> bool:
    """Whether there is a file of settings, in which more may be said than the environment does."""
    home = environ.get("HOME", "")
    named = [
        environ.get(variable) or (f"{home}/.aws/{name}" if home else "")
        for variable, name in (
            ("AWS_CONFIG_FILE", "config"),
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
        )
    ]
    return any(name != os.devnull and (not name or Path(name).exists()) for name in named)


def _connect(
    place: BucketUrl, signature: str | None = None, keys: Mapping[str, str] | None = None
) -> S3Client:
    """A client with our settings; the credentials are asked for at its first request.

    signature: `s3v4` for signed addresses, which boto3 else signs in the old way in some regions.
    """
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config

    from mcgitops import __version__

    own = keys or {}
    session = boto3.Session(
        own.get("aws_access_key_id"),
        own.get("aws_secret_access_key"),
        own.get("aws_session_token"),
        profile_name=place.profile or None,
    )
    retries: _RetryDict = {"mode": "standard"} if os.environ.get("AWS_MAX_ATTEMPTS") else RETRIES
    style: Any = {"addressing_style": place.addressing or "path"}
    config = Config(
        user_agent_extra=f"mcgitops/{__version__}",
        connect_timeout=10,
        read_timeout=60,
        retries=retries,
        max_pool_connections=2 * limits_of(os.environ).requests,
        request_checksum_calculation=_checksums(place, "AWS_REQUEST_CHECKSUM_CALCULATION"),
        response_checksum_validation=_checksums(place, "AWS_RESPONSE_CHECKSUM_VALIDATION"),
        s3=style if place.addressing or place.endpoint_url else None,
        signature_version=UNSIGNED if place.anonymous else signature,
    )
    try:
        client: S3Client = session.client(
            "s3",
            config=config,
            endpoint_url=place.endpoint_url or None,
            region_name=place.region or session.region_name or "us-east-1",
        )
    except ValueError as error:  # botocore's own check of endpoint and region
        raise UsageError(f"{place}: {error}", "Correct the store's URL.") from error
    # A star for the service comes before botocore's own, which take a web page for an overload.
    client.meta.events.register_first("before-parse.*", _refuse_foreign)
    client.meta.events.register("before-parse.s3.ListObjectsV2", _listed_quickly)
    return client


def _checksums(place: BucketUrl, variable: str) -> Any:
    """Whether the client adds checksums of its own; None where the caller's environment says it.

    Newer boto3 adds some that services other than AWS often don't know; content is verified by its
    digest anyway.
    """
    if place.checksums:
        return "when_supported" if place.checksums == "on" else "when_required"
    return None if os.environ.get(variable) else "when_required"


def _refuse_foreign(operation_model: Any, response_dict: dict[str, Any], **_: object) -> None:
    """Answers that no S3 service gives are none, before they are taken for "not there"."""
    from botocore.exceptions import ClientError

    status, name = response_dict["status_code"], operation_model.name
    headers = response_dict["headers"]
    if is_foreign(status, headers, response_dict["body"], name):
        metadata: Any = {"HTTPStatusCode": status, "HTTPHeaders": dict(headers)}
        response: Any = {"Error": {"Code": "NotS3"}, "ResponseMetadata": metadata}
        raise ClientError(response, name)


def _listed_quickly(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Take the keys out of a listing before botocore parses it.

    It takes seven times as long for a thousand of them, mostly for dates that nobody asked for.
    Anything unusual is left to it.
    """
    from xml.etree import ElementTree

    if response_dict.get("status_code") != 200:
        return
    try:
        root = ElementTree.fromstring(response_dict["body"])  # noqa: S314  (as botocore does)
        found = [child for child in root if child.tag.rpartition("}")[2] == "Contents"]
        contents = []
        for child in found:
            fields = {field.tag.rpartition("}")[2]: field.text or "" for field in child}
            contents.append(
                {"Key": fields["Key"], "Size": int(fields["Size"]), "ETag": fields.get("ETag", "")}
            )
    except (ElementTree.ParseError, LookupError, ValueError):
        return
    for child in found:
        root.remove(child)
    response_dict["body"] = ElementTree.tostring(root)
    if contents:
        customized_response_dict["Contents"] = contents


def _response(error: Exception) -> dict[str, Any]:
    response = getattr(error, "response", {})
    return response if isinstance(response, dict) else {}
