"""What a change leaves for later is what computing it at once gives."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import random

import pytest

from mcgitops.compare.metrics import compare_metric
from mcgitops.compare.model import Interval, MetricChange
from mcgitops.compare.statistics import sample
from mcgitops.compare.student import is_significant, student_p, student_quantile
from mcgitops.compare.verdict import SIGNIFICANT, evidence


def change(base: list[float], head: list[float], name: str = "accuracy") -> MetricChange:
    pairing = tuple((i, i) for i in range(len(base))) if len(base) == len(head) else ()
    return compare_metric(
        "train", "", "m.json", name, name, base, head, runs=len(head), has_base=True,
        pairing=pairing,
    )  # fmt: skip


def cases() -> list[tuple[list[float], list[float]]]:
    rng = random.Random(5)
    found = []
    for _ in range(300):
        step = rng.choice((0.0, 0.1, 1.0, 2.0, 5.0))
        base = [rng.gauss(0, 1) for _ in range(rng.randint(2, 6))]
        head = [rng.gauss(step, rng.choice((0.3, 1, 3))) for _ in range(rng.randint(2, 6))]
        found.append((base, head))
    return found


def test_late_values_are_those_of_the_whole_evidence() -> None:
    verdicts = set()
    for base, head in cases():
        for name in ("accuracy", "loss", "thing"):
            made = change(base, head, name)
            before, after = sample(base), sample(head)
            pairs = [b - a for a, b in zip(base, head, strict=False)]
            known = evidence(before, after, pairs if len(base) == len(head) else [])
            assert (made.p, made.evidence, made.tests) == (known.p, known.text, known.tests)
            assert (made.verdict != "cannot tell") == known.is_clear
            bounds = (before.interval(), after.interval())
            assert (made.base_interval, made.head_interval) == tuple(
                Interval(*ends) if ends else None for ends in bounds
            )
            assert made.has_evidence
            verdicts.add(made.verdict)
    assert verdicts == {"better", "worse", "changed", "cannot tell"}


def test_a_change_with_late_values_is_like_any_other() -> None:
    made, other = (change([0.1, 0.2, 0.4], [0.5, 0.8, 0.7]) for _ in range(2))
    assert made == other
    assert "welch" in repr(made)
    for same in (copy.copy(made), pickle.loads(pickle.dumps(made)), dataclasses.replace(made)):
        assert same == made
    with pytest.raises(AttributeError, match="has no nonsense"):
        _ = made.nonsense  # type: ignore[attr-defined]


def test_significance_is_that_of_the_probability() -> None:
    rng = random.Random(6)
    for _ in range(3000):
        degrees = rng.choice((rng.uniform(1, 12), rng.randint(1, 30), rng.uniform(0.5, 3000)))
        critical = student_quantile(1 - SIGNIFICANT, max(degrees, 1))
        t = critical * rng.choice((0.5, 1 - 1e-12, 1.0, 1 + 1e-12, rng.uniform(0.9, 1.1), -1.5))
        expected = student_p(t, degrees) < SIGNIFICANT
        assert is_significant(t, degrees, SIGNIFICANT) == expected, (t, degrees)
