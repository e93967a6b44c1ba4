"""JSON, with the `NaN` and `Infinity` that Python writes although JSON has none."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

from mcgitops.metrics.formats.content import stem, text_of
from mcgitops.metrics.formats.series import plot_of
from mcgitops.metrics.values import MAX_DIGITS, Plot, Scalar, UnreadableError, Warnings, flatten

LIMIT = 32 << 20


def values(path: str, stream: BinaryIO, warnings: Warnings) -> dict[str, Scalar]:
    """The file's values by flattened name."""
    return flatten(load(stream, warnings), warnings, root=stem(path))


def plot(path: str, stream: BinaryIO, warnings: Warnings) -> Plot:
    """A list of rows, or lists by name."""
    return plot_of(path, load(stream, warnings), warnings)


def load(stream: BinaryIO, warnings: Warnings) -> Any:
    """The file's data as it is nested. Raises `UnreadableError`."""

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            for key, _ in pairs:
                if key in seen:
                    warnings.add(f"{key[:80]} occurs more than once; the last one counts.")
                seen.add(key)
        return found

    def integer(digits: str) -> int | str:
        return int(digits) if len(digits) <= MAX_DIGITS else f"an integer of {len(digits)} digits"

    content = text_of(stream, LIMIT)
    try:
        return json.loads(content, object_pairs_hook=mapping, parse_int=integer)
    except json.JSONDecodeError as error:
        cut = " It seems to be cut off." if error.pos >= len(content.rstrip()) else ""
        raise UnreadableError(
            f"is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno}).{cut}"
        ) from None
    except RecursionError:
        raise UnreadableError("is nested too deeply to be read.") from None
