"""Small JSON values that say by themselves whether they are as they were written. Pure.

A sealed value is an object whose last key is the SHA-256 of the object without it. A reader that
doesn't know the seal ignores it, and a value without one, of an older version, is accepted.
"""

from __future__ import annotations

import hashlib
import re

# A last value that is about as long as a seal: also where a bit of its key or itself is flipped.
_LAST = re.compile(rb'"([^"]*)"\s*:\s*"[^"]{60,70}"\s*\}\s*\Z')
_NO_SEALS = {b"selected"}  # last keys of records that older versions wrote, with a fingerprint


def sealed(value: bytes) -> bytes:
    """A JSON object (which ends in `}`), sealed. Copied once: a run's may have 100 MB and more."""
    return b"".join((memoryview(value)[:-1], _seal(hashlib.sha256(value))))


def is_whole(value: bytes) -> bool:
    """Whether a sealed value is as it was written; one that isn't sealed counts as such.

    A flipped bit in the word `seal` itself doesn't make a value one that isn't sealed.
    """
    last = _LAST.search(value, max(0, len(value) - 200))
    return last is None or last[1] in _NO_SEALS or _fits(value, last)


def is_sealed(value: bytes) -> bool:
    """Whether a value is as it was written, and says so."""
    last = _LAST.search(value, max(0, len(value) - 200))
    return last is not None and _fits(value, last)


def _fits(value: bytes, last: re.Match[bytes]) -> bool:
    end = last.start()
    if value[end - 1 : end] == b",":
        end -= 1
    digest = hashlib.sha256(memoryview(value)[:end])
    digest.update(b"}")
    return value[end:] == _seal(digest)


def _seal(digest: hashlib._Hash) -> bytes:
    return b',"seal":"%s"}\n' % digest.hexdigest().encode()
