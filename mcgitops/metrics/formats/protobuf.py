"""The wire format of protocol buffers, as far as the readers of logs need it.

https://protobuf.dev/programming-guides/encoding/: a message is a sequence of fields, each a varint
`number << 3 | kind` and a value: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
"""

from __future__ import annotations

from collections.abc import Iterator


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field; four and eight bytes stay bytes, a varint has no sign.

    Raises `ValueError` where the message ends early or isn't one.
    """
    position, end = 0, len(message)
    while position < end:
        tag = message[position]
        if tag < 0x80:  # one byte, as nearly all are: a call for each is a third of a log's time
            position += 1
        else:
            tag, position = varint(message, position)
        kind = tag & 7
        if kind == 0:
            number, position = varint(message, position)
            yield tag >> 3, number
            continue
        if kind == 2:
            if position < end and (size := message[position]) < 0x80:
                position += 1
            else:
                size, position = varint(message, position)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if position + size > end:
            raise ValueError("a field ends early")
        yield tag >> 3, message[position : position + size]
        position += size


def varint(message: bytes, position: int) -> tuple[int, int]:
    """The number at `position`, and where it ends. Raises `ValueError`."""
    value = shift = 0
    while shift < 70:
        if position >= len(message):
            raise ValueError("a number ends early")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position
        shift += 7
    raise ValueError("a number is too long")


def signed(value: int) -> int:
    """A varint as the `int64` that it stands for."""
    return value - (1 << 64) if value >> 63 else value


def bytes_of(message: bytes, number: int) -> list[bytes]:
    """All values of a field that are bytes. Raises `ValueError`."""
    return [value for n, value in fields(message) if n == number and isinstance(value, bytes)]


def string(message: bytes, number: int) -> str:
    """The last value of a text field; "" where there is none. Raises `ValueError`."""
    found = bytes_of(message, number)
    return found[-1].decode("utf-8", "replace") if found else ""
