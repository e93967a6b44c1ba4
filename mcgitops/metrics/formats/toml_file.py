"""TOML, through the standard library."""

from __future__ import annotations

import tomllib
from typing import Any, BinaryIO

from mcgitops.metrics.formats.content import UNENDED, stem, text_of
from mcgitops.metrics.formats.series import plot_of
from mcgitops.metrics.values import Plot, Scalar, UnreadableError, Warnings, flatten

LIMIT = 4 << 20


def values(path: str, stream: BinaryIO, warnings: Warnings) -> dict[str, Scalar]:
    """The file's values by flattened name."""
    return flatten(_load(stream, warnings), warnings, root=stem(path))


def plot(path: str, stream: BinaryIO, warnings: Warnings) -> Plot:
    """Lists by name, or an array of tables."""
    return plot_of(path, _load(stream, warnings), warnings)


def _load(stream: BinaryIO, warnings: Warnings) -> dict[str, Any]:
    content = text_of(stream, LIMIT)
    try:
        data = tomllib.loads(content)
    except ValueError as error:  # TOMLDecodeError, and integers with thousands of digits
        raise UnreadableError(f"is not valid TOML: {error}.") from None
    except RecursionError:
        raise UnreadableError("is nested too deeply to be read.") from None
    if not content.endswith(("\n", "\r")):
        warnings.add(UNENDED)
    return data
