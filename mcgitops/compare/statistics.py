"""Samples, and what can be said of the difference of two: Welch, paired, corrected for folds.

Each method gives an `Estimate`: a difference, its standard error, its degrees of freedom. p-value,
interval, equivalence and non-inferiority all follow from these three. Without scipy: importing that
would cost every start. Sources are named at each method, and in docs/explanation/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from mcgitops.compare.student import student_p, student_quantile
from mcgitops.deferred import dataclass

__all__ = [
    "Estimate",
    "Sample",
    "corrected",
    "paired",
    "prediction_interval",
    "sample",
    "student_p",
    "welch",
    "welch_p",
]


@dataclass(frozen=True)
class Sample:
    """Some numbers in brief. `sd` is the sample's standard deviation, None below two numbers."""

    n: int
    mean: float
    sd: float | None

    @property
    def is_finite(self) -> bool:
        """Whether the mean is a finite number."""
        return math.isfinite(self.mean)

    def interval(self, level: float = 0.95) -> tuple[float, float] | None:
        """Of the mean, by Student's t; None below two numbers, or where they aren't finite."""
        if self.sd is None or not (self.is_finite and math.isfinite(self.sd)):
            return None
        half = student_quantile(level, self.n - 1) * self.sd / math.sqrt(self.n)
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Estimate:
    """The difference head minus base with its standard error, on Student's t."""

    difference: float
    error: float
    degrees: float

    @property
    def p(self) -> float:
        """Two-sided, against no difference."""
        return student_p(self.difference / self.error, self.degrees)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Of the difference, in the metric's unit."""
        half = student_quantile(level, self.degrees) * self.error
        return self.difference - half, self.difference + half

    def p_beyond(self, bound: float) -> float:
        """One-sided, against a difference of at most `bound`: small where it is greater."""
        p = student_p((self.difference - bound) / self.error, self.degrees) / 2
        return p if self.difference >= bound else 1 - p


def sample(numbers: Sequence[float]) -> Sample:
    """Mean and standard deviation. NaN where a NaN is in it; never an exception."""
    n = len(numbers)
    first = numbers[0]
    if n == 1:
        return Sample(1, first, None)
    if numbers.count(first) == n:  # exact, where a sum would round
        return Sample(n, first, 0.0)
    try:
        mean = math.fsum(numbers) / n
        sd = math.sqrt(math.fsum([(number - mean) ** 2 for number in numbers]) / (n - 1))
    except (OverflowError, ValueError):  # sums beyond a float; inf - inf
        mean = sum(number / n for number in numbers)
        sd = math.inf if math.isfinite(mean) else math.nan
        return Sample(n, mean, sd)
    if sd < 1e-150:  # the squares have vanished, or lost their digits
        largest = max([abs(number - mean) for number in numbers])
        if largest:
            scaled = math.fsum([((number - mean) / largest) ** 2 for number in numbers])
            sd = largest * math.sqrt(scaled / (n - 1))
    return Sample(n, mean, sd)


def welch(a: Sample, b: Sample) -> Estimate | None:
    """Welch's t-test of b against a (B. L. Welch, Biometrika 34, 1947).

    None where it can't be had: fewer than two numbers, no spread, not finite.
    """
    if a.sd is None or b.sd is None or not (a.is_finite and b.is_finite):
        return None
    ea, eb = a.sd / math.sqrt(a.n), b.sd / math.sqrt(b.n)
    error = math.hypot(ea, eb)
    if not math.isfinite(error) or error <= 0:
        return None
    ra, rb = (ea / error) ** 2, (eb / error) ** 2  # ratios: squares of tiny variances would vanish
    degrees = 1 / (ra**2 / (a.n - 1) + rb**2 / (b.n - 1))
    return Estimate(b.mean - a.mean, error, degrees)


def welch_p(a: Sample, b: Sample) -> float | None:
    """Two-sided p of Welch's t-test; None where it can't be had (n < 2, no spread, not finite)."""
    estimate = welch(a, b)
    return None if estimate is None else estimate.p


def paired(differences: Sequence[float]) -> Estimate | None:
    """The paired t-test, of the differences head minus base of runs that belong together."""
    if len(differences) < 2:
        return None
    found = sample(differences)
    if not found.sd or not (found.is_finite and math.isfinite(found.sd)):
        return None
    return Estimate(found.mean, found.sd / math.sqrt(found.n), found.n - 1)


def corrected(differences: Sequence[float], folds: int) -> Estimate | None:
    """The corrected resampled t-test for cross-validation (Nadeau and Bengio, Machine Learning 52,
    2003; for repeated cross-validation Bouckaert and Frank, PAKDD 2004).

    Training sets of different folds overlap, so their results aren't independent: the variance of
    the mean is (1/J + n_test/n_train)·s², where n_test/n_train is 1/(folds - 1).

    differences: head minus base, of each fold (of each repetition): J of them.
    """
    plain = paired(differences)
    if plain is None or folds < 2:
        return None
    count = len(differences)
    wider = math.sqrt(1 + count / (folds - 1))
    return Estimate(plain.difference, plain.error * wider, plain.degrees)


def prediction_interval(
    earlier: Sample, future: int = 1, level: float = 0.95
) -> tuple[float, float] | None:
    """Where the mean of `future` new numbers lies, if nothing changed (Hahn and Meeker, 1991).

    mean ± t·s·√(1/future + 1/n): for one new number the familiar √(1 + 1/n).
    """
    if earlier.sd is None or not (earlier.is_finite and math.isfinite(earlier.sd)):
        return None
    width = math.sqrt(1 / future + 1 / earlier.n)
    half = student_quantile(level, earlier.n - 1) * earlier.sd * width
    return earlier.mean - half, earlier.mean + half
