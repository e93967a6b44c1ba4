"""A large value to a bucket: parts side by side, out of one pass over its stream.

The stream is read once, in order (whoever hashes it does so on the way); each part is sent by
another thread while the next one is read. The value appears when all parts are there and the stream
was read to its verified end. What arrived of an upload that was interrupted is found by asking the
service, and isn't sent again where its ETag is the MD5 of what would be sent. Ctrl-C is such an
interruption, too. An upload whose source breaks is ended.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from mcgitops.deferred import dataclass
from mcgitops.store import s3_direct_parts as plainly
from mcgitops.store.backend import Broken, Stopped
from mcgitops.store.limits import Budget
from mcgitops.store.s3_errors import code_of, of_boto
from mcgitops.store.s3_wire import EtagTrust, Seal
from mcgitops.store.streams import read_fully
from mcgitops.store.threads import LOOK_SECONDS, go_on, waited

if TYPE_CHECKING:
    from concurrent.futures import Future

    from types_boto3_s3 import S3Client

    from mcgitops.store.s3_direct import Direct

MIB = 1024 * 1024
PART = 8 * MIB  # at least; larger where a file would need more parts than S3 allows
MOST_PARTS = 9_000  # S3 allows 10,000
LARGEST_PART = 512 * MIB  # whatever size a record claims
ABANDONED = datetime.timedelta(days=7)
TRIES = 4
GONE = {"NoSuchUpload", "404"}
DISPUTED = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall", "BadDigest", "MalformedXML"}


class Target(Protocol):
    """What an upload needs of the bucket."""

    budget: Budget
    trust: EtagTrust

    @property
    def client(self) -> S3Client:
        """The client."""
        ...

    @property
    def direct(self) -> Direct:
        """What is asked before the client."""
        ...

    def later(self, work: Callable[[], Part]) -> Future[Part]:
        """Have something done by one of the threads for parts."""
        ...


@dataclass(frozen=True)
class Part:
    """A part that the service has."""

    number: int
    etag: str
    size: int


def part_size(size: int) -> int:
    """How many bytes the parts of a value have: the same for the same value, each time."""
    return min(max(PART, -(-size // MOST_PARTS)), LARGEST_PART)


class Upload:
    """One value's upload. `bucket` and `key` are the service's."""

    def __init__(self, target: Target, bucket: str, key: str, step: int) -> None:
        self._target = target
        self._place: dict[str, Any] = {"Bucket": bucket, "Key": key}
        self._step = step
        self._id = ""
        self._there: Mapping[int, Part] = {}

    def send(self, head: bytes, stream: BinaryIO, earlier: Mapping[str, Any] | None) -> None:
        """Send `head` and what the stream gives; `earlier`: an upload that goes on, if there is.

        Raises `Broken` where somebody ended the upload meanwhile: it may be done again.
        """
        try:
            self._begin(earlier)
            self._complete(self._parts(head, stream))
        except of_boto() as error:
            from botocore.exceptions import ClientError

            # What arrived stays for the next call, unless it is what the service refuses.
            if code_of(_response(error)) in GONE:
                raise Broken(
                    "The upload was ended by somebody else.", "Run the same again."
                ) from error
            if self._there and isinstance(error, ClientError):
                self._abort()
                raise Broken(
                    "What an earlier call sent of a large file doesn't fit it, and was removed.",
                    "Run the same again.",
                ) from error
            if code_of(_response(error)) in DISPUTED:
                self._abort()
            raise
        except Stopped:  # as after Ctrl-C, the next call goes on with what has arrived
            raise
        except Exception:
            self._abort()
            raise

    # private

    def _begin(self, earlier: Mapping[str, Any] | None) -> None:
        if earlier is not None:
            from botocore.exceptions import BotoCoreError, ClientError

            with suppress(ClientError, BotoCoreError, KeyError, TypeError, ValueError):
                self._there = {part.number: part for part in self._list(earlier["UploadId"])}
                self._id = earlier["UploadId"]
                return
        self._id = plainly.begin(self._target.direct, self._place["Key"])
        if not self._id:
            created = self._target.client.create_multipart_upload(**self._place)
            self._id = created["UploadId"]

    def _list(self, upload: str) -> Iterator[Part]:
        pages = self._target.client.get_paginator("list_parts")
        for page in pages.paginate(**self._place, UploadId=upload):
            for part in page.get("Parts", []):
                yield Part(int(part["PartNumber"]), str(part["ETag"]), int(part["Size"]))

    def _parts(self, head: bytes, stream: BinaryIO) -> list[Part]:
        """Send all parts; the stream has been read to its end then."""
        from concurrent.futures import FIRST_COMPLETED, wait

        running: set[Future[Part]] = set()
        found: list[Part] = []
        budget = self._target.budget
        number, body = 0, b""
        try:
            while True:
                budget.take(self._step)
                try:
                    body = read_fully(stream, self._step - len(head))
                    body = head + body if head else body
                    head = b""
                    if not body:
                        budget.give(self._step)
                        break
                    number += 1
                    future = self._target.later(self._work(number, body))
                except BaseException:
                    budget.give(self._step)
                    raise
                future.add_done_callback(lambda _: budget.give(self._step))
                running.add(future)
                if len(body) < self._step:
                    break  # the end was reached, and verified
                done = {future for future in running if future.done()}
                running -= done
                found += [future.result() for future in done]
            while running:
                done, running = wait(running, LOOK_SECONDS, return_when=FIRST_COMPLETED)
                go_on()
                found += [future.result() for future in done]
        except BaseException as error:
            for future in running:
                future.cancel()
            waited(lambda: wait(running), error)
            raise
        return sorted(found, key=lambda part: part.number)

    def _work(self, number: int, body: bytes) -> Callable[[], Part]:
        return lambda: self._send(number, body)

    def _send(self, number: int, body: bytes) -> Part:
        seal = Seal(body)
        there = self._there.get(number)
        if there and there.size == len(body) and there.etag.strip('"') == seal.hex:
            return there
        plain = plainly.send(self._target.direct, self._place["Key"], self._id, number, body, seal)
        if plain:
            self._target.trust.fits()
            return Part(number, plain, len(body))
        last = ""
        for _ in range(TRIES):
            answer = self._target.client.upload_part(
                **self._place,
                UploadId=self._id,
                PartNumber=number,
                Body=body,
                ContentMD5=seal.header,
            )
            etag = answer["ETag"]
            if not seal.differs(etag):
                self._target.trust.fits()
                break
            if self._target.trust.lost or etag == last:  # the service's own, twice the same
                self._target.trust.is_other()
                break
            last = etag
        return Part(number, etag, len(body))

    def _complete(self, parts: list[Part]) -> None:
        try:
            self._finish(parts)
        except of_boto() as error:
            if code_of(_response(error)) not in DISPUTED:
                raise
            # An ETag may have been damaged on its way to us; sizes and the service's own ones tell.
            theirs = sorted(self._list(self._id), key=lambda part: part.number)
            if [(p.number, p.size) for p in theirs] != [(p.number, p.size) for p in parts]:
                raise
            self._finish(theirs)

    def _finish(self, parts: list[Part]) -> None:
        sent = ((part.number, part.etag) for part in parts)
        if plainly.finish(self._target.direct, self._place["Key"], self._id, sent):
            return
        self._target.client.complete_multipart_upload(
            **self._place,
            UploadId=self._id,
            MultipartUpload={
                "Parts": [{"PartNumber": part.number, "ETag": part.etag} for part in parts]
            },
        )

    def _abort(self) -> None:
        if self._id:
            from botocore.exceptions import BotoCoreError, ClientError

            with suppress(BotoCoreError, ClientError):
                self._target.client.abort_multipart_upload(**self._place, UploadId=self._id)


def unfinished(client: S3Client, bucket: str, prefix: str) -> list[Mapping[str, Any]]:
    """The uploads below a prefix that were begun and neither completed nor ended, oldest first.

    None where the service doesn't list them, or the credentials don't allow it.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    found: list[Mapping[str, Any]] = []
    try:
        pages = client.get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=bucket, Prefix=prefix):
            found += page.get("Uploads", [])
    except (ClientError, BotoCoreError):
        return []
    return sorted(found, key=lambda upload: str(upload.get("Initiated", "")))


def end_abandoned(
    client: S3Client,
    bucket: str,
    uploads: list[Mapping[str, Any]],
    is_ours: Callable[[str], bool],
) -> None:
    """End the uploads of ours that nobody went on with for `ABANDONED`: their parts cost money."""
    from botocore.exceptions import BotoCoreError, ClientError

    before = datetime.datetime.now(datetime.UTC) - ABANDONED
    for upload in uploads:
        begun, key = upload.get("Initiated"), str(upload.get("Key"))
        if isinstance(begun, datetime.datetime) and begun < before and is_ours(key):
            with suppress(BotoCoreError, ClientError):
                client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload["UploadId"])


def _response(error: Exception) -> dict[str, Any]:
    response = getattr(error, "response", {})
    return response if isinstance(response, dict) else {}
