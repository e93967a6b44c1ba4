"""What `doctor` asks of buckets only: conditions, uploads in parts, and the service's clock."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

from mcgitops.errors import StoreError
from mcgitops.store import s3_errors
from mcgitops.store.doctor import Limited, Trial, clock
from mcgitops.store.s3 import S3Backend

SMALLEST_PART = 5 * 1024 * 1024  # of all but the last, as S3 wants it


def trials(backend: S3Backend, key: Callable[[str], str]) -> Iterator[Trial]:
    """What to try; `key` gives keys that are removed afterwards."""
    bucket = _Bucket(backend, key)
    large = "Files over 8 MiB can't be pushed."
    yield Trial("conditions", "", bucket.conditions)
    yield Trial("same version", "", bucket.same_version)
    yield Trial("damage on the way", "", bucket.damage)
    yield Trial("pages", "Of many keys only the first are found.", bucket.pages)
    yield Trial("parts", large, bucket.parts)
    yield Trial("resumption", "", bucket.resumption)
    yield Trial("copy in parts", "", bucket.copy_in_parts)
    yield Trial("clock", "The service refuses every request.", bucket.clock)


class _Bucket:
    def __init__(self, backend: S3Backend, key: Callable[[str], str]) -> None:
        self._backend = backend
        self._own = key

    def conditions(self) -> str:
        place = self._place("condition")
        with self._backend.explained("write to"):
            self._client.put_object(**place, Body=b"first")
            try:
                self._client.put_object(**place, Body=b"second", IfNoneMatch="*")
            except self._client.exceptions.ClientError as error:
                code = s3_errors.code_of(_response(error))
                if code in ("PreconditionFailed", "412"):
                    return "If-None-Match is kept to"
                if code not in ("NotImplemented", "501", "InvalidArgument", "400"):
                    raise
                seen = "the service refuses If-None-Match"
            else:
                seen = "the service ignores If-None-Match"
        raise Limited(
            seen,
            "Records are looked for before and read back after they are written; two writers in "
            "the same instant may both succeed.",
            "Nothing is lost by it. A newer version of the service may know it.",
        )

    def same_version(self) -> str:
        """Whether the rest of a value is refused where it has been replaced meanwhile."""
        place = self._place("version")
        with self._backend.explained("write to"):
            etag = self._client.put_object(**place, Body=b"first")["ETag"]
        seen = ""
        with self._backend.explained("read"):
            try:
                answer: Any = self._client.get_object(**place, Range="bytes=2-", IfMatch=etag)
                if answer["Body"].read() not in (b"rst", b"first"):  # not all know ranges
                    seen = "another part comes back"
            except self._client.exceptions.ClientError as error:
                seen = f"the service says {s3_errors.code_of(_response(error))[:40]}"
            if seen:
                raise Limited(
                    f"where the rest of a value is asked for by If-Match, {seen}",
                    "What isn't named by its content, such as a large record, can't be read on "
                    "where the connection broke.",
                    "Run the same again then. A newer version of the service may know it.",
                )
            try:
                other = f'"{hashlib.md5(b"second", usedforsecurity=False).hexdigest()}"'
                self._client.get_object(**place, Range="bytes=2-", IfMatch=other)["Body"].read()
            except self._client.exceptions.ClientError as error:
                code = s3_errors.code_of(_response(error))
                if code in ("PreconditionFailed", "412"):
                    return "If-Match is kept to"
                raise
        raise Limited(
            "the service ignores If-Match",
            "A record that is replaced just while it is read may come as a mixture; its checksum "
            "shows that.",
            "Nothing is lost by it. A newer version of the service may know it.",
        )

    def damage(self) -> str:
        """Whether what was harmed on its way to the service is noticed before it counts."""
        place = self._place("harmed")
        sent, meant = (hashlib.md5(one, usedforsecurity=False) for one in (b"sent", b"meant"))
        with self._backend.explained("write to"):
            try:
                answer: Any = self._client.put_object(
                    **place, Body=b"sent", ContentMD5=base64.b64encode(meant.digest()).decode()
                )
            except self._client.exceptions.ClientError as error:
                status = _response(error).get("ResponseMetadata", {}).get("HTTPStatusCode")
                if status != 400:
                    raise
                return "the service refuses it"
        if str(answer.get("ETag", "")).strip('"') == sent.hexdigest():
            return "its ETag shows it"
        raise Limited(
            "the service neither refuses it nor has an ETag that shows it",
            "What is harmed on its way to the service is found when it is read, or by verify.",
            "Use https, which notices it.",
        )

    def copy_in_parts(self) -> str:
        """As `move` does with what is too large to be copied at once; here it is one small part."""
        from boto3.s3.transfer import TransferConfig

        here, there = self._place("parted/here"), self._place("parted/there")
        value = os.urandom(1000)
        with self._backend.explained("write to"):
            self._client.put_object(**here, Body=value)
            try:
                self._client.copy(
                    {**here},
                    there["Bucket"],
                    there["Key"],
                    Config=TransferConfig(multipart_threshold=1, use_threads=False),
                )
                same = self._backend.get(self._own("parted/there")) == value
                seen = "" if same else "what comes back isn't what was copied"
            except self._client.exceptions.ClientError as error:
                seen = f"the service says {s3_errors.code_of(_response(error))[:40]}"
            except KeyError:  # of the client, which looks for an ETag
                seen = "the service takes it for something else"
        if seen:
            raise Limited(
                seen,
                "gc can't remove, and verify can't set aside, files over 5 GB, unless the service "
                "copies these in one request, as some do.",
                "A newer version of the service may know UploadPartCopy.",
            )
        return ""

    def pages(self) -> str:
        """Whether a long listing goes on where a page of it ended."""
        places = [self._place(f"pages/{number}") for number in range(3)]
        keys = [place["Key"] for place in places]
        with self._backend.explained("write to"):
            for place in places:
                self._client.put_object(**place, Body=b"1")
        with self._backend.explained("list"):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=places[0]["Bucket"],
                Prefix=keys[0].removesuffix("0"),
                PaginationConfig={"PageSize": 2},
            )
            found = [one["Key"] for page in pages for one in page.get("Contents", [])]
        if found != keys:
            raise StoreError(
                "A listing in pages isn't whole, or isn't sorted.",
                "Use another service, or a newer version of this one.",
            )
        return ""

    def parts(self) -> str:
        place = self._place("parts")
        pieces = (os.urandom(SMALLEST_PART), os.urandom(1000))
        with self._backend.explained("write to"):
            upload: Any = {**place, "UploadId": self._begun(place)}
            try:
                sent = [
                    {"PartNumber": n, "ETag": self._sent(upload, n, piece)}
                    for n, piece in enumerate(pieces, 1)
                ]
                self._client.complete_multipart_upload(**upload, MultipartUpload={"Parts": sent})
            except BaseException:
                self._client.abort_multipart_upload(**upload)
                raise
        if self._backend.get(self._own("parts")) != b"".join(pieces):
            raise StoreError("What was sent in parts isn't what comes back.", "Report it there.")
        return ""

    def resumption(self) -> str:
        """Whether an interrupted upload is found, can be looked into, and can be given up."""
        place = self._place("interrupted")
        with self._backend.explained("write to"):
            upload: Any = {**place, "UploadId": self._begun(place)}
            failed = ""
            try:
                self._sent(upload, 1, b"first")
                listed: Any = self._client.list_parts(**upload)
                if [part["PartNumber"] for part in listed.get("Parts", [])] != [1]:
                    failed = "parts that arrived aren't listed"
                found: Any = self._client.list_multipart_uploads(
                    Bucket=place["Bucket"], Prefix=place["Key"]
                )
                if [one["Key"] for one in found.get("Uploads", [])] != [place["Key"]]:
                    failed = "uploads that were begun aren't listed"
            except self._client.exceptions.ClientError as error:
                failed = f"the service says {s3_errors.code_of(_response(error))[:40]}"
            finally:
                self._client.abort_multipart_upload(**upload)
        if failed:
            raise Limited(
                failed,
                "An interrupted upload of a large file begins anew, and what it left can't be "
                "found.",
                "Let a rule of the bucket abort incomplete uploads after some days.",
            )
        return ""

    def clock(self) -> str:
        with self._backend.explained("look into"):
            answer: Any = self._client.list_objects_v2(
                Bucket=self._place("x")["Bucket"], Prefix=self._place("x")["Key"], MaxKeys=1
            )
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        try:
            there = parsedate_to_datetime(headers.get("date", "")).timestamp()
        except (TypeError, ValueError):
            return "the service doesn't say its time"
        return clock(s3_errors.now() - there, "the service's")

    @property
    def _client(self) -> Any:
        return self._backend.raw[0]

    def _place(self, name: str) -> dict[str, str]:
        _, bucket, prefix = self._backend.raw
        return {"Bucket": bucket, "Key": prefix + self._own(name)}

    def _begun(self, place: dict[str, str]) -> str:
        return str(self._client.create_multipart_upload(**place)["UploadId"])

    def _sent(self, upload: Any, number: int, value: bytes) -> str:
        return str(self._client.upload_part(**upload, PartNumber=number, Body=value)["ETag"])


def _response(error: Exception) -> dict[str, Any]:
    response = getattr(error, "response", {})
    return response if isinstance(response, dict) else {}
