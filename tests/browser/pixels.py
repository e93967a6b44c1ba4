"""Reads the screenshots that Chromium takes: what is drawn on a canvas can be seen nowhere else.

PNG as Chromium writes it: eight bits a channel, three or four channels, not interlaced
(https://www.w3.org/TR/png-3/, 9: Filtering).
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter

Colour = tuple[int, int, int]


def colours(png: bytes) -> Counter[Colour]:
    """How many pixels have each colour."""
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", png[16:29])
    assert (depth, interlaced) == (8, 0)
    size = {2: 3, 6: 4}[kind]
    raw = zlib.decompress(b"".join(data for name, data in _chunks(png) if name == b"IDAT"))
    found: Counter[Colour] = Counter()
    above = bytes(width * size)
    for row in range(height):
        start = row * (width * size + 1)
        above = _unfiltered(raw[start], raw[start + 1 : start + 1 + width * size], above, size)
        found.update(zip(above[::size], above[1::size], above[2::size], strict=True))
    return found


def near(found: Counter[Colour], colour: Colour, most: int = 24) -> int:
    """How many pixels have that colour, or nearly so: lines are smoothed at their edges."""
    return sum(
        number
        for other, number in found.items()
        if max(abs(a - b) for a, b in zip(other, colour, strict=True)) <= most
    )


def _chunks(png: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    place = 8
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        found.append((png[place + 4 : place + 8], png[place + 8 : place + 8 + length]))
        place += length + 12
    return found


def _unfiltered(kind: int, line: bytes, above: bytes, size: int) -> bytes:
    if kind == 0:
        return line
    row = bytearray(line)
    for i, value in enumerate(line):
        left = row[i - size] if i >= size else 0
        up = above[i]
        corner = above[i - size] if i >= size else 0
        if kind == 4:
            guess = left + up - corner
            nearest = min((left, up, corner), key=lambda other: abs(guess - other))
        else:
            nearest = (left, up, (left + up) // 2)[kind - 1]
        row[i] = (value + nearest) & 255
    return bytes(row)
