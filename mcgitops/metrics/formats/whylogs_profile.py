"""whylogs' profiles, which start with `WHY1`: a few numbers for each column.

They hold sketches that only whylogs can read, so that package is an optional extra:
`pip install 'mcgitops[whylogs]'`. Format: whylogs 1, `DatasetProfileView`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from typing import Any

from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head, matching
from mcgitops.metrics.values import Findings, Scalar, UnreadableError, Warnings, flatten

_MAGIC = b"WHY1"
_LIMIT = 64 << 20


def claims(files: Files) -> Iterator[Claim]:
    """By the magic number."""
    for path in matching(files, "*.bin"):
        if head(files, path, len(_MAGIC)) == _MAGIC:
            yield Claim(path, (path,))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """`COLUMN.counts.n`, `COLUMN.distribution.mean` and so on."""
    os.environ.setdefault("WHYLOGS_NO_ANALYTICS", "True")  # its import tells its maker otherwise
    try:
        profiles: Any = importlib.import_module("whylogs.core")
    except ImportError:
        raise UnreadableError(
            "is a profile of whylogs. To read it, install mcgitops[whylogs] where mcgitops runs "
            "(Python 3.12 at most)."
        ) from None
    with files.open(claim.source) as stream:
        content = stream.read(_LIMIT + 1)
    if len(content) > _LIMIT:
        raise UnreadableError(f"is larger than {_LIMIT >> 20} MiB, too large for metrics.")
    values: dict[str, Scalar] = {}
    try:
        columns = profiles.DatasetProfileView.deserialize(content).get_columns()
        for name, column in columns.items():
            for key, value in column.to_summary_dict().items():
                if isinstance(value, (bool, int, float)) or value is None:
                    values[f"{name}.{key.replace('/', '.')}"] = value
    except Exception as error:  # noqa: BLE001 - what protobuf and the sketches raise is their own
        said = " ".join(str(error).split())[:200]
        raise UnreadableError(f"is no whole profile of whylogs: {said}") from None
    if not values:
        raise UnreadableError("holds no column.")
    return Findings(metrics={claim.source: flatten(values, warnings)})
