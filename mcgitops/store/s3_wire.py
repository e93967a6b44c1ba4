"""What every request of a bucket's client meets on its way, whatever asks for it.

- Bodies go out in large pieces rather than in blocks of 16 KiB, at the pace that was set, and no
  further where the program is to end; without waiting for leave first, which costs a round trip
  each. Not those that botocore streams itself: with a checksum behind, over https.
- `Retry-After` is kept to, which botocore doesn't know, and what was damaged on its way to the
  service is sent again.
- What the service says it got is held against what was sent: its ETag is mostly the MD5.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from mcgitops.store.limits import Pace
from mcgitops.store.threads import PIECE, go_on

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

DAMAGED = {"BadDigest", "IncompleteBody", "XAmzContentSHA256Mismatch", "InvalidDigest"}
LONGEST_WAIT = 60.0  # seconds, whatever a service asks for
ATTEMPTS = 6
Answer = TypeVar("Answer")
_MD5 = re.compile(r'"?([0-9a-f]{32})"?\Z')


def watch(client: S3Client, pace: Pace | None) -> None:
    """Have the requests of a client do all that."""

    def before(request: Any, **_: object) -> None:
        if isinstance(request.body, io.BytesIO):
            request.body = request.body.getvalue()
        if isinstance(request.body, bytes | bytearray):
            with suppress(KeyError):
                del request.headers["Expect"]
            if len(request.body) > PIECE or (pace and request.body):
                request.body = _Pieces(bytes(request.body), pace)

    client.meta.events.register("before-send.s3", before, unique_id="mcgitops-wire")
    hook: Any = _wait  # whose result the types don't know
    client.meta.events.register_first("needs-retry.s3", hook, unique_id="mcgitops-wait")


def _wait(response: Any = None, attempts: int = 1, **_: object) -> float | None:
    """How many seconds to wait before the next attempt, where botocore wouldn't know."""
    if response is None or attempts >= ATTEMPTS:
        return None
    http, parsed = response
    if http.status_code in (429, 503) and (seconds := retry_after(http.headers)) is not None:
        return seconds
    if parsed.get("Error", {}).get("Code") in DAMAGED:
        return _spread(0.1 * 2**attempts)
    return None


def _spread(seconds: float) -> float:
    """Up to so many seconds, so that not all come again at once."""
    import random  # takes long, and is rarely needed

    return random.uniform(0, seconds)  # noqa: S311


def retry_after(headers: Any) -> float | None:
    """How many seconds the service wants us to wait, if it says so; a date counts as unsaid."""
    value = str(headers.get("Retry-After", "")).strip()
    if not (value.isascii() and value.isdigit()):
        return None
    return min(float(value), LONGEST_WAIT) if len(value) < 6 else LONGEST_WAIT


def again(call: Callable[[], Answer]) -> Answer:
    """What a request for a value gives, made again where the answer is cut off.

    botocore repeats a request whose connection breaks, but for the text of a refusal ("there is no
    such key") that comes instead of a value: that it reads when it no longer looks for such errors.
    """
    from botocore.parsers import ResponseParserError
    from urllib3.exceptions import HTTPError

    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except (HTTPError, ResponseParserError):
            time.sleep(_spread(0.05 * 2**attempt))
    return call()


class Seal:
    """The MD5 of what is sent: the service may check it, and mostly says what it got."""

    def __init__(self, value: bytes | bytearray | memoryview) -> None:
        found = hashlib.md5(value, usedforsecurity=False)
        self.header = base64.b64encode(found.digest()).decode()
        self.hex = found.hexdigest()

    def differs(self, etag: object) -> bool:
        """Whether an ETag looks like an MD5, and is another one."""
        match = _MD5.match(str(etag))
        return match is not None and match[1] != self.hex


class EtagTrust:
    """Whether a service's ETags are the MD5 of what it has. Where they aren't, they say nothing.

    They are others where the service encrypts with keys of its own, for instance. That shows by an
    ETag that is no MD5 of it and comes again for the same bytes.
    """

    SURE = 3

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._others = 0

    @property
    def lost(self) -> bool:
        """Whether nothing can be told from them."""
        return self._others >= self.SURE

    def fits(self) -> None:
        """One was the MD5."""
        with self._lock:
            self._others = min(self._others, 0) - 1  # from now on one that isn't tells much

    def is_other(self) -> None:
        """One was not, though the bytes were right."""
        with self._lock:
            self._others += 1


class _Pieces:
    """A body that is sent in pieces, no quicker than it may be. Its length is in the headers."""

    def __init__(self, value: bytes, pace: Pace | None) -> None:
        self._value = value
        self._pace = pace

    def __iter__(self) -> Iterator[memoryview]:
        """The pieces, when it is time for them; from the start again for another attempt."""
        size = self._pace.piece if self._pace else PIECE
        view = memoryview(self._value)
        for at in range(0, len(view), size):
            go_on()
            part = view[at : at + size]
            if self._pace:
                self._pace.spend(len(part))
            yield part

    def seek(self, offset: int, whence: int = 0) -> int:
        """To the start, which botocore asks for before another attempt."""
        return 0
