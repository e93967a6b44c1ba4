"""Text in a terminal's cells: some characters take two, some none. Wraps, pads and lines up.

The widths are rich's, as of Unicode's tables; its import is paid for only where it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

GAP = "  "
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_UNSTEADY = re.compile("[\ufe00-\ufe0f\U0001f3fb-\U0001f3ff\U000e0100-\U000e01ef]")
_NARROW = re.compile(r"[ -~↑↓→–−·±≤≥∞…│✖✔▁▂▃▄▅▆▇█░▒▓╲�]*")


def steady(text: str) -> str:
    """The text without what terminals disagree about: looks and skin tones of emoji."""
    return _UNSTEADY.sub("", text)


def width(text: str) -> int:
    """The cells of a line on the screen, without its colours."""
    text = _COLOUR.sub("", text)
    if _NARROW.fullmatch(text):
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def wrap(text: str, most: int, indent: str = "", hanging: str | None = None) -> list[str]:
    """Lines of at most `most` cells. A word that is longer is broken.

    indent, hanging: what stands before the first line, and before the others (the same if None).
    """
    start, lines, line = indent, [], ""
    hanging = indent if hanging is None else hanging
    for word in text.split():
        room = most - width(start)
        if line and width(line) + 1 + width(word) <= room:
            line += f" {word}"
            continue
        if line:
            lines.append(start + line)
            start, line = hanging, ""
        *full, line = _chopped(word, most - width(start), most - width(hanging))
        for piece in full:
            lines.append(start + piece)
            start = hanging
    return [*lines, start + line] if line else lines


def pad(text: str, cells: int, align: str = "left") -> str:
    """With blanks up to that many cells."""
    blanks = " " * (cells - width(text))
    return blanks + text if align == "right" else text + blanks


def table(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    align: Sequence[str],
    most: int,
    last: int = 0,
) -> list[str]:
    """The lines of a table of at most `most` cells; [] where it doesn't fit.

    last: the last column may be wrapped to that many cells; 0 never wraps it.
    """
    columns = [max(map(width, column)) for column in zip(headers, *rows, strict=True)]
    taken = sum(columns[:-1]) + len(GAP) * (len(columns) - 1)
    if most - taken < min(last or columns[-1], columns[-1]):
        return []
    columns[-1] = min(columns[-1], most - taken)
    lines: list[str] = []
    for row in (headers, *rows):
        first, *more = wrap(row[-1], columns[-1]) or [""]
        cells = [pad(cell, n, a) for cell, n, a in zip(row[:-1], columns, align, strict=False)]
        lines.append(GAP.join((*cells, pad(first, columns[-1], align[-1]))).rstrip())
        lines += [" " * taken + line for line in more]
    return lines


def _chopped(word: str, first: int, rest: int) -> list[str]:
    """A word in pieces of at most so many cells; at least a character each, the last not empty."""
    if width(word) <= first:
        return [word]
    pieces, piece, room = [], "", max(first, 2)
    for character in word:
        if piece and width(piece + character) > room:
            pieces.append(piece)
            piece, room = "", max(rest, 2)
        piece += character
    return [*pieces, piece]
