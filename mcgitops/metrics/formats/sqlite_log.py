"""Whether the log beside a SQLite database is whole. SQLite passes silently over what isn't.

The format is https://sqlite.org/fileformat2.html#the_write_ahead_log: a header of 32 bytes, then
frames of a header of 24 bytes and a page. A sum that runs over all of them is in each header. The
header's salts are in each frame that counts; older frames behind them have other salts.
"""

from __future__ import annotations

import struct
from pathlib import Path

CHECKED = 16 << 20
"""Bytes of the log that are looked at: the sum of a mebibyte takes a tenth of a second."""
HEADER, FRAME = 32, 24
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}  # by the order of bytes that the sum is made with


def fault(log: Path) -> str:
    """What is wrong with the log, as the end of a sentence; "" where nothing is."""
    with log.open("rb") as stream:
        data = stream.read(CHECKED)
        is_all = not stream.read(1)
    if not data:
        return ""
    if len(data) < HEADER:
        return "is cut off"
    magic, _, page, _, *salts_and_sum = struct.unpack(">8I", data[:HEADER])
    order = _MAGIC.get(magic)
    if order is None or page not in (1 << bits for bits in range(9, 17)):
        return "is damaged"
    total = _sum(data[:24], (0, 0), order)
    if list(total) != salts_and_sum[2:]:
        return "is damaged"
    position, is_older = HEADER, False
    while position + FRAME + page <= len(data):
        header = struct.unpack_from(">6I", data, position)
        if list(header[2:4]) != salts_and_sum[:2]:
            is_older = True
        elif is_older:
            return "is damaged"  # a frame that counts behind one that doesn't
        else:
            total = _sum(data[position : position + 8], total, order)
            total = _sum(data[position + FRAME : position + FRAME + page], total, order)
            if total != header[4:6]:
                return "is damaged"
        position += FRAME + page
    return "is cut off" if is_all and position < len(data) else ""


def _sum(data: bytes, start: tuple[int, int], order: str) -> tuple[int, int]:
    one, two = start
    for first, second in struct.iter_unpack(f"{order}II", data):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
