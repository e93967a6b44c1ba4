"""Files of predictions hold no metrics of their own: claimed, so that nobody takes them for a
history. What they say is compared example by example (`mcgitops.metrics.predictions`).
"""

from __future__ import annotations

from collections.abc import Iterator

from mcgitops.metrics.detect import Claim
from mcgitops.metrics.files import Files, head
from mcgitops.metrics.predictions import ENDINGS, looks_like
from mcgitops.metrics.values import Findings, Warnings


def claims(files: Files) -> Iterator[Claim]:
    """Each table with a column of truths and one of predictions."""
    for path in files.sizes:
        if path.lower().endswith(ENDINGS) and looks_like(path, head(files, path)):
            yield Claim(path, (path,))


def read(files: Files, claim: Claim, warnings: Warnings) -> Findings:
    """Nothing."""
    return Findings()
