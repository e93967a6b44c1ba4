"""Small JSON values that say by themselves whether they are as they were written. Pure.

A sealed value is an object whose last key is the SHA-256 of the object without it. A reader that
doesn't know the seal ignores it, and a value without one, of an older version, is accepted.
"""

from __future__ import annotations

import hashlib

_BEFORE = b',"seal":"'
_AFTER = b'"}\n'
_LENGTH = len(_BEFORE) + 64 + len(_AFTER)


def sealed(value: bytes) -> bytes:
    """A JSON object (which ends in `}`), sealed."""
    return value[:-1] + _BEFORE + hashlib.sha256(value).hexdigest().encode() + _AFTER


def is_whole(value: bytes) -> bool:
    """Whether a sealed value is as it was written; one that isn't sealed counts as such.

    A flipped bit in the word `seal` itself doesn't make a value one that isn't sealed.
    """
    head, seal = value[:-_LENGTH], value[-_LENGTH:]
    alike = sum(one == other for one, other in zip(_BEFORE, seal, strict=False))
    if alike < len(_BEFORE) - 2:
        return True
    return sealed(head + b"}") == value
