"""The headline: the verdict in words, before anything else."""

from __future__ import annotations

import pytest

from mcgitops.compare import Gate, MetricRule, RunView, Side, compare
from mcgitops.report.build import build


def side(*rows: dict, commit: str = "b" * 40, state: str = "succeeded") -> Side:
    return Side(
        commit,
        runs=tuple(
            RunView("t", f"{commit}{i}", state, commit=commit, metrics={"m": row})
            for i, row in enumerate(rows)
        ),
    )


LOW = ({"accuracy": 0.80}, {"accuracy": 0.81}, {"accuracy": 0.82})
HIGH = ({"accuracy": 0.90}, {"accuracy": 0.91}, {"accuracy": 0.92})
BOTH = tuple({**low, "f1": 1 - high["accuracy"]} for low, high in zip(LOW, HIGH, strict=True))


@pytest.mark.parametrize(
    ("base", "head", "gate", "status", "headline"),
    [
        (HIGH, LOW, Gate(max_drop=0.01), "gate failed", "accuracy fell below its gate"),
        (HIGH, LOW, Gate(max_drop=0.01, level="warn"), "warning", "accuracy fell below its gate"),
        (HIGH, LOW, Gate(min=0.85), "gate failed", "accuracy is below its gate"),
        (LOW, HIGH, Gate(max=0.85), "gate failed", "accuracy is above its gate"),
        (HIGH, ({},), Gate(min=0.1), "gate failed", "accuracy is missing, and its gate failed"),
        (HIGH, ({"accuracy": float("nan")},), Gate(min=0.1), "gate failed",
         "accuracy is NaN, and its gate failed"),
        (HIGH, LOW, None, "worse", "accuracy is worse"),
        (LOW, HIGH, None, "better", "accuracy is better"),
        (HIGH[:1], LOW[:1], None, "cannot tell", "accuracy differs; cannot tell if it is noise"),
        (HIGH, HIGH, None, "unchanged", "no metric changed"),
        (HIGH, HIGH, Gate(min=0.5), "unchanged", "no metric changed"),
        (HIGH, ({},), None, "warning", "accuracy is missing"),
        (({},), HIGH, None, "changed", "accuracy is new"),
        (({"note": "a"},), ({"note": "b"},), None, "changed", "note changed"),
        (({},), ({},), None, "unchanged", "no metrics"),
        (None, HIGH, None, "nothing to compare", "nothing to compare with yet"),
        (None, HIGH, Gate(min=0.95), "gate failed", "accuracy is below its gate"),
    ],
)  # fmt: skip
def test_headlines(base, head, gate, status, headline):
    rules = [MetricRule("accuracy", None, gate)] if gate else []
    before = side(*base) if base is not None else None
    report = build("x", compare(before, side(*head, commit="a" * 40), rules))
    assert (report.status, report.headline) == (status, headline)


def test_failures_come_before_gates():
    head = side({}, {}, commit="a" * 40, state="failed")
    report = build("x", compare(None, head, [MetricRule("accuracy", None, Gate(min=1))]))
    assert (report.status, report.headline) == ("failed", "t, t failed")
    both = Side("a" * 40, runs=(*head.runs[:1], RunView("later", "", "missing")))
    assert build("x", compare(None, both)).headline == "t failed"
    missing = build("x", compare(None, side({}, state="missing")))
    assert missing.headline == "t has not been trained"


def test_many_names_are_counted():
    names = [f"m{i}" for i in range(9)]
    rules = [MetricRule(name, None, Gate(min=1)) for name in names]
    report = build("x", compare(None, side(dict.fromkeys(names, 0.5)), rules))
    assert report.headline == "9 gates failed: m0, m1, m2 and 6 more"


def test_how_the_runs_came_about():
    base = side(*HIGH)
    head = Side("a" * 40, runs=(*base.runs, *side({"f1": 1}, commit="a" * 40).runs))
    (summary,) = build("x", compare(base, head)).stages
    assert (summary.runs, summary.trained, summary.from_store, summary.failed) == (4, 1, 3, 0)
