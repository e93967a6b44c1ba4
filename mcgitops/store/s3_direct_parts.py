"""An upload in parts by plain requests, as far as the answers are plain; see `s3_direct`.

Each step gives what boto3's would, or nothing where boto3 is to take it instead: it can go on with
any upload that was begun here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcgitops.store.s3_direct import Direct
    from mcgitops.store.s3_wire import Seal

_ID = re.compile(rb"<UploadId>([^<>\s]{1,2048})</UploadId>")
_LISTED, _LISTED_END = b"<ListMultipartUploadsResult", b"</ListMultipartUploadsResult>"
_MORE = b"<IsTruncated>true"  # rclone leaves it out where there is no more
_NONE = b"<Code>NoSuchUpload</Code>"
_DONE = b"<CompleteMultipartUploadResult"


def none_begun(direct: Direct, prefix: str) -> bool:
    """Whether the service says that there is no unfinished upload below a prefix of the bucket."""
    answer = direct.ask("GET", "", (200, 404), query={"uploads": "", "prefix": prefix})
    if answer is None:
        return False
    body = answer.body
    if answer.status == 404:
        return _NONE in body  # as rclone says it
    whole = _LISTED in body and body.rstrip().endswith(_LISTED_END)
    return whole and _MORE not in body and b"<Upload>" not in body


def begin(direct: Direct, key: str) -> str:
    """The name of a new upload; "" where boto3 is to begin one."""
    import html  # as all here only where something large is sent

    answer = direct.ask("POST", key, (200,), query={"uploads": ""})
    match = _ID.search(answer.body) if answer is not None else None
    return html.unescape(match[1].decode("utf-8", "replace")) if match else ""


def send(direct: Direct, key: str, upload: str, number: int, body: bytes, seal: Seal) -> str:
    """Send a part; gives its ETag, which is the MD5 of what was sent. "": boto3 is to send it."""
    answer = direct.ask(
        "PUT",
        key,
        (200,),
        query={"partNumber": str(number), "uploadId": upload},
        headers={"Content-MD5": seal.header},
        body=body,
    )
    etag = answer.headers.get("etag", "") if answer is not None else ""
    return etag if etag.strip('"') == seal.hex else ""


def finish(direct: Direct, key: str, upload: str, parts: Iterable[tuple[int, str]]) -> bool:
    """Have the parts (number and ETag, in order) made one value. False: boto3 is to do it.

    It may be done all the same then, and the answer was lost.
    """
    import html

    items = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{html.escape(etag)}</ETag></Part>"
        for number, etag in parts
    )
    body = (
        '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{items}</CompleteMultipartUpload>"
    ).encode()
    headers: Mapping[str, str] = {"Content-Type": "application/xml"}
    answer = direct.ask("POST", key, (200,), query={"uploadId": upload}, headers=headers, body=body)
    return answer is not None and _DONE in answer.body  # a refusal may come with 200 as well
