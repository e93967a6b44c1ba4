"""The bytes of a file, within a limit, as text."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import BinaryIO

from mcgitops.metrics.values import UnreadableError

UNENDED = "its last line has no end: if it was cut off, its last value isn't whole."
"""What is said of a file of lines that a program wrote; people often leave the last end away."""


def text_of(stream: BinaryIO, limit: int) -> str:
    """All of a small file as text. Larger than `limit` bytes, or not UTF-8: `UnreadableError`."""
    content = stream.read(limit + 1)
    if len(content) > limit:
        raise UnreadableError(
            f"is larger than {limit >> 20} MiB, too large for metrics. "
            "Write a summary, or a CSV file, which has no limit."
        )
    if not content.strip():
        raise UnreadableError("is empty.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableError(f"is not UTF-8 text (byte {error.start}).") from None


def stem(path: str) -> str:
    """`out/accuracy.json` → `accuracy`."""
    return PurePosixPath(path).stem
