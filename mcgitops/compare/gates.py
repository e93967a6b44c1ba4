"""Judges the bounds that a project puts on its metrics: each gives a state and a whole sentence.

A gate judges the mean over replicates, and says beside it what the evidence is worth. What can't be
judged because the metric is missing, isn't a number or is NaN fails: a gate never passes by
accident. Only a drop without anything to drop from passes, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from mcgitops.compare import numbers
from mcgitops.compare.model import Direction, Gate, GateResult, GateState
from mcgitops.compare.statistics import Sample
from mcgitops.compare.verdict import LEAST_BAND, Band
from mcgitops.deferred import dataclass

TOLERANCE = 1e-9
"""Relative: 0.9722 - 0.9672 is 0.0050000000000000044 and not more than 0.005."""


@dataclass(frozen=True)
class Judged:
    """What a gate looks at. `missing` counts the head's runs that lack the metric.

    inner: the 90 % interval of the difference head minus base: its ends are one-sided 95 % bounds.
    band, earlier: the noise band, and how many earlier runs there are for one.
    """

    metric: str
    variant: str
    direction: Direction
    base: Sample | None
    head: Sample | None
    runs: int
    missing: int
    evidence: str
    has_base: bool
    by_name: bool = True  # the rule names this metric, rather than matching it by a pattern
    inner: tuple[float, float] | None = None
    band: Band | None = None
    earlier: int = 0


def judge(gate: Gate, judged: Judged) -> tuple[GateResult, ...]:
    """Each bound of the gate, judged."""
    return tuple(
        GateResult(judged.metric, judged.variant, bound, _state(gate, passed), text)
        for bound, passed, text in _bounds(gate, judged)
    )


def no_such_metric(gate: Gate, key: str) -> tuple[GateResult, ...]:
    """The gate's metric is in no run at all."""
    text = f"no run has a metric of this name, {_word(gate)}"
    return tuple(GateResult(key, "", bound, _state(gate, False), text) for bound in _names(gate))


def _state(gate: Gate, passed: bool | None) -> GateState:
    if passed is None:
        return "not judged"
    if passed:
        return "passed"
    return "failed" if gate.level == "fail" else "warned"


def _word(gate: Gate) -> str:
    return "gate failed" if gate.level == "fail" else "gate warns"


def _worsening(direction: Direction) -> str:
    """What a metric does that gets worse. Where nobody knows: the gates' own name of it."""
    return "rise" if direction == "lower" else "drop"


def _names(gate: Gate, direction: Direction = "") -> Iterator[str]:
    drop = _worsening(direction)
    if gate.min is not None:
        yield f"at least {numbers.bound(gate.min)}"
    if gate.max is not None:
        yield f"at most {numbers.bound(gate.max)}"
    if gate.max_drop is not None:
        yield f"{drop} ≤ {numbers.bound(gate.max_drop)}"
    if gate.max_drop_percent is not None:
        yield f"{drop} ≤ {numbers.bound(gate.max_drop_percent)} %"
    if gate.non_inferiority is not None:
        yield f"worse by less than {numbers.bound(gate.non_inferiority)}"
    if gate.outside_noise:
        yield "not worse than the noise"


def _bounds(gate: Gate, judged: Judged) -> Iterator[tuple[str, bool | None, str]]:
    names = tuple(_names(gate, judged.direction))
    word = _word(gate)
    head = judged.head
    problem = ""
    if judged.missing:
        of = f" in {judged.missing} of {judged.runs} runs" if judged.runs > 1 else ""
        problem = f"the metric is missing{of}"
    elif head is None:
        problem = "the value is not a number"
    elif math.isnan(head.mean):
        problem = "the value is NaN"
    if problem or head is None:
        for name in names:
            yield name, False, f"{problem}, {word}"
        return
    index = iter(names)
    if gate.min is not None:
        yield next(index), *_limit(head.mean, gate.min, below=False, word=word)
    if gate.max is not None:
        yield next(index), *_limit(head.mean, gate.max, below=True, word=word)
    if gate.max_drop is not None:
        yield next(index), *_drop(judged, head, gate.max_drop, relative=False, word=word)
    if gate.max_drop_percent is not None:
        yield next(index), *_drop(judged, head, gate.max_drop_percent, relative=True, word=word)
    if gate.non_inferiority is not None:
        yield next(index), *_non_inferiority(judged, gate.non_inferiority, word)
    if gate.outside_noise:
        yield next(index), *_noise(judged, head, word)


def _limit(value: float, limit: float, *, below: bool, word: str) -> tuple[bool, str]:
    passed = value <= limit if below else value >= limit
    sign = ("≤" if passed else ">") if below else ("≥" if passed else "<")
    text = f"{_shown(value, limit, passed=passed)} {sign} {numbers.bound(limit)}"
    return passed, text if passed else f"{text}, {word}"


def _drop(
    judged: Judged, head: Sample, limit: float, *, relative: bool, word: str
) -> tuple[bool | None, str]:
    if (why := _not_comparable(judged, word)) or judged.base is None:
        return why or (None, "")
    base = judged.base.mean
    drop = base - head.mean if judged.direction == "higher" else head.mean - base
    slack = TOLERANCE * limit + 1e-12 * max(abs(base), abs(head.mean), 0.0)
    unit = ""
    if relative:
        unit = " %"
        drop = 100 * drop / abs(base) if base else math.copysign(math.inf, drop) if drop else 0.0
        slack = TOLERANCE * max(limit, 1.0)
    what = _worsening(judged.direction)
    if drop <= (limit if math.isinf(drop) else limit + slack):
        shown = f"{what} {_shown(drop, limit, passed=True)}{unit} ≤"
        said = shown if drop > 0 else f"no {what}; at most"
        return True, f"{said} {numbers.bound(limit)}{unit}"
    evidence = f"; {judged.evidence}" if judged.evidence else ""
    shown = _shown(drop, limit, passed=False)
    return False, f"{what} {shown}{unit} > {numbers.bound(limit)}{unit}, {word}{evidence}"


def _not_comparable(judged: Judged, word: str) -> tuple[bool | None, str] | None:
    """Why nothing can be said of a drop, and whether that fails; None where it can."""
    if not judged.direction:
        if judged.by_name:
            return False, f"has no direction: give it a goal (maximize or minimize), {word}"
        return None, "has no direction, so a drop can't be judged"
    if judged.base is None:
        why = "the base has no such metric" if judged.has_base else "there is nothing to compare"
        return None, f"{why}: no drop to judge"
    if not judged.base.is_finite:
        return None, "the base is not a finite number: no drop to judge"
    return None


def _non_inferiority(judged: Judged, margin: float, word: str) -> tuple[bool | None, str]:
    """It must be shown; what no test can show fails, unlike a drop, which is only looked at."""
    if why := _not_comparable(judged, word):
        return why
    if judged.inner is None:
        evidence = f"; {judged.evidence}" if judged.evidence else ""
        limit = numbers.bound(margin)
        return False, f"not shown to be worse by less than {limit}, {word}{evidence}"
    low, high = judged.inner
    worst = -low if judged.direction == "higher" else high
    if worst < margin:
        if worst <= 0:
            return True, "not worse, at 95 %"
        shown = _shown(worst, margin, passed=True)
        return True, f"worse by less than {shown} < {numbers.bound(margin)}, at 95 %"
    shown, limit = _shown(worst, margin, passed=False), numbers.bound(margin)
    evidence = f"; {judged.evidence}" if judged.evidence else ""
    return False, f"may be worse by {shown} ≥ {limit} at 95 %, {word}{evidence}"


def _noise(judged: Judged, head: Sample, word: str) -> tuple[bool | None, str]:
    """Without a direction both sides of the band fail."""
    band = judged.band
    if judged.base is None:
        why = "the base has no such metric" if judged.has_base else "there is nothing to compare"
        return None, f"{why}: no noise band"
    if band is None:
        return None, (
            f"no noise band: earlier runs with the same code, data and image: {judged.earlier} of "
            f"at least {LEAST_BAND}"
        )
    if band.low <= head.mean <= band.high:
        return True, f"within the noise band {band.text}"
    above = head.mean > band.high
    if judged.direction and above == (judged.direction == "higher"):
        return True, f"better than the noise band {band.text}"
    how = "worse than" if judged.direction else "outside"
    return False, f"{numbers.plain(head.mean)} is {how} the noise band {band.text}, {word}"


def _shown(value: float, limit: float, *, passed: bool) -> str:
    """The value; one that fails with as many digits as it takes to differ from the limit."""
    for digits in (3, 6, 12):
        text = numbers.plain(value, digits)
        if text != numbers.plain(limit, digits):
            return text
    return numbers.plain(value, 12 if passed else 17)
