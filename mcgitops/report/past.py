"""A metric's past on the base's branch as a few bars, to stand beside base and head."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from mcgitops.compare import numbers
from mcgitops.compare.model import MetricChange, MetricHistory
from mcgitops.report.model import Report
from mcgitops.report.spark import sparkline

LEAST = 3
"""Values: fewer have no course."""
WIDTH = 12
Spark = Callable[[MetricChange], str]


def sparks(report: Report, changes: Sequence[MetricChange]) -> Spark | None:
    """What gives a change's sparkline, "" where it has none; None where none of `changes` has one.

    The last bar is the base's. The scale holds the head as well: where it is far off, the bars are
    all high, or all low.
    """
    find = _finder(report)

    def spark(change: MetricChange) -> str:
        past = find(change)
        return _bars(past, change.head_mean) if past is not None else ""

    return spark if any(map(spark, changes)) else None


def in_words(report: Report) -> Spark:
    """What gives the same values as numbers, for those who don't see bars: `0.912, 0.93, 0.941`."""
    find = _finder(report)

    def told(change: MetricChange) -> str:
        past = find(change)
        return ", ".join(map(numbers.plain, past.means[-WIDTH:])) if past is not None else ""

    return told


def _finder(report: Report) -> Callable[[MetricChange], MetricHistory | None]:
    known = {}
    if report.base is not None:
        known = {(p.stage, p.variant, p.file, p.name): p for p in report.history}
    return lambda change: known.get((change.stage, change.variant, change.file, change.name))


def _bars(past: MetricHistory, head: float | None) -> str:
    means = past.means[-WIDTH:]
    finite = [mean for mean in means if math.isfinite(mean)]
    if len(finite) < LEAST:
        return ""
    if head is not None and math.isfinite(head):
        finite.append(head)
    return sparkline(means, min(finite), max(finite), WIDTH)
