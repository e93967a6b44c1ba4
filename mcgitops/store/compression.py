"""Zstandard where it pays: decided by looking at the data, never for what doesn't shrink.

What is compressed is one frame (RFC 8878) that says how large its content is.
"""

from __future__ import annotations

from typing import Any

from mcgitops.errors import StoreError

LEVEL = 3
SAMPLE = 16 * 1024
"""Bytes that are looked at in each of three places of what is larger."""
PAYS = 0.9
"""A sample that shrinks to less than this is worth the time that reading it will take."""
_idle: list[Any] = []
"""Compressors that no thread uses: to make one takes longer than to compress some KiB."""


def compressed(data: bytes | memoryview) -> bytes | None:
    """One frame that is clearly shorter than the data, or None where there is none."""
    if not shrinks(data):
        return None
    frame = _frame(data)
    return frame if len(frame) < len(data) * PAYS else None


def shrinks(data: bytes | memoryview) -> bool:
    """Whether a sample of the data does: its beginning, middle and end."""
    if len(data) <= 3 * SAMPLE:
        return len(data) > 64  # a frame has a head; and trying costs no more than a sample
    return sample_shrinks(b"".join(data[at : at + SAMPLE] for at in samples(len(data))))


def samples(size: int) -> tuple[int, int, int]:
    """Where the samples of so many bytes begin; each has `SAMPLE` bytes."""
    return 0, (size - SAMPLE) // 2, size - SAMPLE


def sample_shrinks(sample: bytes) -> bool:
    """Whether what was taken from these places clearly does."""
    return len(_frame(sample)) < len(sample) * PAYS


def expanded(stored: bytes, size: int) -> bytes:
    """The content of a frame, which has to be `size` bytes.

    What it claims is looked at before memory is taken for it. Raises `StoreError`.
    """
    import zstandard

    try:
        if zstandard.frame_content_size(stored) == size:
            data = zstandard.ZstdDecompressor().decompress(stored, allow_extra_data=False)
            if len(data) == size:
                return data
    except zstandard.ZstdError as error:
        raise StoreError(f"It is no Zstandard frame: {error}.") from error
    raise StoreError(f"It is no Zstandard frame of {size} bytes.")


def _frame(data: bytes | memoryview) -> bytes:
    try:
        compressor = _idle.pop()
    except IndexError:
        import zstandard

        compressor = zstandard.ZstdCompressor(level=LEVEL)
    try:
        frame: bytes = compressor.compress(data)
    finally:
        _idle.append(compressor)
    return frame
