"""Decides what a difference is worth: which evidence speaks, and what it says.

The order is fixed before anything is seen, so that nobody, us included, picks the test that says
what they hoped for:

1. runs on both sides: Welch's test; the paired test where the file says that replicates pair; the
   corrected one where they are folds of a cross-validation;
2. one run each, or replicates that don't differ at all: the examples, where predictions were kept;
3. the noise band of earlier runs of the base's code;
4. else nothing can be told.

All that was computed is kept as evidence; two uncertainties (training again, a finite test set) are
shown beside each other and never merged.
"""

from __future__ import annotations

from collections.abc import Sequence

from mcgitops.compare import numbers
from mcgitops.compare.model import Interval, Movement, Test, Verdict
from mcgitops.compare.paired import Measure
from mcgitops.compare.policy import Design
from mcgitops.compare.statistics import (
    Estimate,
    Sample,
    corrected,
    paired,
    prediction_interval,
    sample,
    welch,
)
from mcgitops.deferred import dataclass

SIGNIFICANT = 0.05
LEAST_BAND = 3
"""Earlier runs: the band of two would be 13 deviations wide on either side, and hold anything."""
NO_DESIGN = Design()


@dataclass(frozen=True)
class Band:
    """Where a run (or the mean of several) is expected if nothing changed; `n` earlier runs."""

    low: float
    high: float
    n: int

    @property
    def text(self) -> str:
        """`0.951 to 0.972 of 5 earlier runs`."""
        low, high = numbers.plain(self.low), numbers.plain(self.high)
        return f"{low} to {high} of {self.n} earlier runs"


@dataclass(frozen=True)
class Evidence:
    """What is known of a difference. `is_clear`: the deciding test says that there is one.

    inner: the deciding method's 90 % interval of the difference, whose ends are one-sided 95 %
           bounds: what equivalence and non-inferiority are judged by. None where there is none.
    """

    text: str
    is_clear: bool = False
    p: float | None = None
    tests: tuple[Test, ...] = ()
    inner: tuple[float, float] | None = None


def evidence(
    before: Sample,
    after: Sample,
    differences: Sequence[float],
    *,
    design: Design = NO_DESIGN,
    folds: int = 0,
    inner: bool = False,
    measure: Measure | None = None,
    band: Band | None = None,
) -> Evidence:
    """What can be said of the difference of two finite samples that differ.

    differences: head minus base of each replicate, where both sides have the same ones; else none.
    folds: how many the cross-validation has, where `design` says that it is one.
    inner: whether anybody will ask for that interval.
    """
    tests: list[Test] = []
    deciding: Estimate | None = None
    counts = f"{before.n} + {after.n}"
    if design.folds:
        deciding = corrected(differences, folds)
        if deciding:
            of = f"corrected t, {len(differences)} folds"
            tests.append(_test("corrected t", of, deciding, before, after))
    else:
        unpaired = welch(before, after)
        if unpaired:
            tests.append(_test("welch", f"Welch, {counts}", unpaired, before, after))
        matched = paired(differences)
        if matched:
            of = f"paired t, {len(differences)} pairs"
            tests.append(_test("paired t", of, matched, before, after))
        if design.paired and len(tests) > 1:
            tests.reverse()
        deciding = matched if design.paired else unpaired
    by_examples = _of_examples(measure)
    by_band = _of_band(band, before, after)
    tests += [*by_examples, *by_band]
    if deciding and tests:
        p = tests[0].p
        return Evidence(
            tests[0].text,
            p is not None and p < SIGNIFICANT,
            p,
            tuple(tests),
            deciding.interval(0.90) if inner else None,
        )
    return _without_runs(before, after, design, measure, by_examples, by_band, tuple(tests))


def verdict(found: Evidence, moved: Movement, margin: float | None) -> tuple[Verdict, str]:
    """Verdict and evidence in words. `margin`: differences below it don't matter (TOST)."""
    if margin is not None and found.inner is not None:
        low, high = found.inner
        if -margin < low and high < margin:
            shown = f"{_signed(low)} to {_signed(high)}"
            text = f"within ±{numbers.bound(margin)}: 90 % interval {shown}"
            return "no difference", f"{text}; {found.text}" if found.text else text
    if found.is_clear:
        return moved or "changed", found.text
    return "cannot tell", found.text


def band_of(earlier: Sequence[float], future: int) -> Band | None:
    """The noise band of earlier values; None where there are too few, or one isn't finite."""
    if len(earlier) < LEAST_BAND or not future:
        return None
    found = prediction_interval(sample(earlier), future)
    return Band(*found, len(earlier)) if found else None


def _without_runs(
    before: Sample,
    after: Sample,
    design: Design,
    measure: Measure | None,
    by_examples: list[Test],
    by_band: list[Test],
    tests: tuple[Test, ...],
) -> Evidence:
    """Where replicates can't decide, since there are too few, or none of them differ."""
    difference = after.mean - before.mean
    agrees = measure and measure.base is not None and (measure.head - measure.base) * difference > 0
    if by_examples and measure and agrees:
        first = by_examples[0]
        clear = first.p < SIGNIFICANT if first.p is not None else _excludes_zero(first.interval)
        inner = (measure.inner.low, measure.inner.high) if measure.inner else None
        return Evidence(first.text, clear, first.p, tests, inner)
    if not design.folds and before.sd == 0 and after.sd == 0:  # without any spread, and apart
        return Evidence(f"no spread within either side ({before.n} + {after.n})", True, None, tests)
    if by_band:
        outside = by_band[0].text.startswith("outside")
        return Evidence(by_band[0].text, outside, None, tests)
    if design.folds and (before.n > 1 or after.n > 1):
        return Evidence("the folds don't pair: cannot tell if it is noise", False, None, tests)
    who = "one run each" if before.n == after.n == 1 else f"{before.n} + {after.n} runs"
    return Evidence(f"{who}: cannot tell if it is noise", False, None, tests)


def _test(method: str, of: str, estimate: Estimate, before: Sample, after: Sample) -> Test:
    p = estimate.p
    text = f"{numbers.p_value(p)} ({of})"
    return Test(method, text, p, Interval(*estimate.interval()), before.n, after.n)


def _of_examples(measure: Measure | None) -> list[Test]:
    if measure is None or measure.test is None:
        return []
    return [measure.test, *measure.others]


def _of_band(band: Band | None, before: Sample, after: Sample) -> list[Test]:
    if band is None:
        return []
    mean = after.mean
    is_outside = not band.low <= mean <= band.high
    # outside, but towards the base from an odd base: that isn't this change's doing
    if is_outside and (mean > band.high) != (mean > before.mean):
        is_outside = False
    where = "outside" if is_outside else "within"
    text = f"{where} the noise band {band.text}"
    return [Test("noise band", text, None, None, band.n, after.n)]


def _excludes_zero(interval: Interval | None) -> bool:
    return interval is not None and (interval.low > 0 or interval.high < 0)


def _signed(value: float) -> str:
    return numbers.signed(numbers.plain(value, 3), value)
