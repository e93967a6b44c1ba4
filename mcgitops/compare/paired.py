"""What the same examples say of two models, as plain values; `examples` makes them."""

from __future__ import annotations

from mcgitops.compare.model import Interval, SliceChange, Test
from mcgitops.deferred import dataclass


@dataclass(frozen=True)
class Measure:
    """A metric over the examples that both models saw.

    base: None where the base has no predictions.
    interval, inner: of the difference head minus base, at 95 % and at 90 %, where it can be had.
    p: of McNemar's test, where what counts is right or wrong.
    base_values, head_values: of all replicates, this run among them, where there are several.
    """

    name: str
    base: float | None
    head: float
    test: Test | None = None  # the one that decides
    others: tuple[Test, ...] = ()
    interval: Interval | None = None
    inner: Interval | None = None
    p: float | None = None
    base_values: tuple[float, ...] = ()
    head_values: tuple[float, ...] = ()


@dataclass(frozen=True)
class PairedExamples:
    """A file of predictions on both sides, compared. `run` says of which replicate."""

    stage: str
    variant: str
    source: str
    run: str = ""
    examples: int = 0
    measures: tuple[Measure, ...] = ()
    slices: tuple[SliceChange, ...] = ()
    warnings: tuple[str, ...] = ()
