"""The table of gates: what is judged, how it ends, and what it says."""

from __future__ import annotations

import math

import pytest

from mcgitops.compare import Gate, MetricRule, RunView, Side, compare

NAN, INF = math.nan, math.inf


def runs(values, state="succeeded", name="accuracy") -> tuple[RunView, ...]:
    return tuple(
        RunView(
            "train",
            str(index),
            state,
            replicate={"SEED": str(index)},
            metrics={"m.json": {} if value is None else {name: value}},
        )
        for index, value in enumerate(values)
    )


def judged(base, head, gate: Gate, goal="maximize", key="accuracy"):
    side = None if base is None else Side(runs=runs(base))
    comparison = compare(side, Side(runs=runs(head)), [MetricRule(key, goal, gate)])
    (result,) = comparison.gates
    return result


ONE = "one run each: cannot tell if it is noise"


@pytest.mark.parametrize(
    ("base", "head", "gate", "state", "text"),
    [
        # a minimum and a maximum look at the head alone
        ([0.9], [0.95], Gate(min=0.9), "passed", "0.95 ≥ 0.9"),
        ([0.9], [0.9], Gate(min=0.9), "passed", "0.9 ≥ 0.9"),
        ([0.9], [0.85], Gate(min=0.9), "failed", "0.85 < 0.9, gate failed"),
        ([0.9], [0.8999999], Gate(min=0.9), "failed", "0.8999999 < 0.9, gate failed"),
        ([0.9], [0.95], Gate(max=0.9), "failed", "0.95 > 0.9, gate failed"),
        ([0.9], [0.85], Gate(max=0.9), "passed", "0.85 ≤ 0.9"),
        ([0.9], [0.85], Gate(min=0.9, level="warn"), "warned", "0.85 < 0.9, gate warns"),
        (None, [0.85], Gate(min=0.9), "failed", "0.85 < 0.9, gate failed"),
        # the mean over replicates is judged
        ([0.9], [0.8, 1.0], Gate(min=0.9), "passed", "0.9 ≥ 0.9"),
        ([0.9], [0.8, 0.9], Gate(min=0.9), "failed", "0.85 < 0.9, gate failed"),
        # drops
        (
            [0.9722], [0.9444], Gate(max_drop=0.005), "failed",
            f"drop 0.0278 > 0.005, gate failed; {ONE}",
        ),
        ([0.9722], [0.9672], Gate(max_drop=0.005), "passed", "drop 0.005 ≤ 0.005"),
        ([0.3], [0.1], Gate(max_drop=0.2), "passed", "drop 0.2 ≤ 0.2"),
        ([0.97], [0.99], Gate(max_drop=0.005), "passed", "no drop; at most 0.005"),
        ([0.97], [0.97], Gate(max_drop=0), "passed", "no drop; at most 0"),
        ([0.97], [0.9699], Gate(max_drop=0), "failed", f"drop 0.0001 > 0, gate failed; {ONE}"),
        (
            [0.8], [0.7], Gate(max_drop_percent=10), "failed",
            f"drop 12.5 % > 10 %, gate failed; {ONE}",
        ),
        ([0.8], [0.72], Gate(max_drop_percent=10), "passed", "drop 10 % ≤ 10 %"),
        ([-0.8], [-0.9], Gate(max_drop_percent=10), "failed",
         f"drop 12.5 % > 10 %, gate failed; {ONE}"),
        ([0.0], [0.1], Gate(max_drop_percent=10), "passed", "no drop; at most 10 %"),
        ([0.0], [-0.1], Gate(max_drop_percent=10), "failed",
         f"drop ∞ % > 10 %, gate failed; {ONE}"),
        (
            [0.97, 0.971], [0.94, 0.941], Gate(max_drop=0.005), "failed",
            "drop 0.03 > 0.005, gate failed; p < 0.001 (Welch, 2 + 2)",
        ),
        # nothing to drop from
        (None, [0.9], Gate(max_drop=0.1), "not judged",
         "there is nothing to compare: no drop to judge"),
        ([None], [0.9], Gate(max_drop=0.1), "not judged",
         "the base has no such metric: no drop to judge"),
        ([NAN], [0.9], Gate(max_drop=0.1), "not judged",
         "the base is not a finite number: no drop to judge"),
        # never by accident
        ([0.9], [None], Gate(max_drop=0.1), "failed", "the metric is missing, gate failed"),
        ([0.9], [0.9, None], Gate(min=0.1), "failed",
         "the metric is missing in 1 of 2 runs, gate failed"),
        ([0.9], [NAN], Gate(max=1), "failed", "the value is NaN, gate failed"),
        ([0.9, 0.9], [0.9, NAN], Gate(max_drop=1), "failed", "the value is NaN, gate failed"),
        ([0.9], [NAN], Gate(min=0, level="warn"), "warned", "the value is NaN, gate warns"),
        ([0.9], ["high"], Gate(min=0), "failed", "the value is not a number, gate failed"),
        ([0.9], [True], Gate(min=0), "failed", "the value is not a number, gate failed"),
        ([0.9], [INF], Gate(max=1), "failed", "∞ > 1, gate failed"),
        ([0.9], [-INF], Gate(max_drop=1), "failed", "drop ∞ > 1, gate failed; infinite"),
        ([0.9], [10**400], Gate(max=1), "failed", "∞ > 1, gate failed"),
    ],
)  # fmt: skip
def test_the_table(base, head, gate, state, text):
    result = judged(base, head, gate)
    assert (result.state, result.text) == (state, text)


@pytest.mark.parametrize(
    ("head", "gate", "state", "text"),
    [
        (18.0, Gate(max=20), "passed", "18 ≤ 20"),
        (23.5, Gate(max=20), "failed", "23.5 > 20, gate failed"),
        (23.5, Gate(max=20, level="warn"), "warned", "23.5 > 20, gate warns"),
        (19.5, Gate(max_drop_percent=10), "failed", f"rise 30 % > 10 %, gate failed; {ONE}"),
        (16.0, Gate(max_drop=2), "passed", "rise 1 ≤ 2"),
        (12.0, Gate(max_drop_percent=10), "passed", "no rise; at most 10 %"),
    ],
)
def test_a_latency_has_a_budget_like_other_costs(head, gate, state, text):
    # nobody says which way is better: its name does
    before, after = (runs([value], name="latency_p95") for value in (15.0, head))
    rules = [MetricRule("train/latency_p*", None, gate)]
    (result,) = compare(Side(runs=before), Side(runs=after), rules).gates
    assert (result.state, result.text) == (state, text)
    assert result.bound.startswith(("at most", "rise ≤"))


def test_lower_is_better_turns_the_drop_round():
    gate = Gate(max_drop=0.1)
    assert judged([0.5], [0.7], gate, "minimize").state == "failed"
    assert judged([0.5], [0.3], gate, "minimize").state == "passed"


def test_a_drop_without_direction_fails_for_a_name_and_is_not_judged_for_a_pattern():
    side, head = Side(runs=runs([1.0], name="x")), Side(runs=runs([0.1], name="x"))
    named = compare(side, head, [MetricRule("x", None, Gate(max_drop=0.1))]).gates[0]
    assert (named.state, "give it a goal" in named.text) == ("failed", True)
    pattern = compare(side, head, [MetricRule("*", None, Gate(max_drop=0.1))]).gates[0]
    assert pattern.state == "not judged"


def test_every_bound_of_a_gate_is_judged():
    gate = Gate(min=0.5, max=1.0, max_drop=0.01, max_drop_percent=50)
    comparison = compare(
        Side(runs=runs([0.9])), Side(runs=runs([0.8])), [MetricRule("accuracy", None, gate)]
    )
    assert {(g.bound, g.state) for g in comparison.gates} == {
        ("at least 0.5", "passed"),
        ("at most 1", "passed"),
        ("drop ≤ 0.01", "failed"),
        ("drop ≤ 50 %", "passed"),
    }
    assert comparison.gates[0].state == "failed"


def test_a_gate_for_a_metric_that_nobody_wrote_fails():
    result = judged([0.9], [0.9], Gate(min=0.1), key="acuracy")
    assert (result.metric, result.state) == ("acuracy", "failed")
    assert "no run has a metric of this name" in result.text
    result = judged([0.9], [0.9], Gate(min=0.1, level="warn"), key="auc*")
    assert (result.state, result.text[-10:]) == ("warned", "gate warns")


def test_a_gate_whose_runs_all_failed_fails():
    head = Side(runs=runs([0.9], state="failed"))
    comparison = compare(Side(runs=runs([0.9])), head, [MetricRule("accuracy", None, Gate(min=0))])
    assert [gate.state for gate in comparison.gates] == ["failed"]
    comparison = compare(None, head, [MetricRule("accuracy", None, Gate(min=0))])
    assert [gate.state for gate in comparison.gates] == ["failed"]


def test_a_variant_that_left_the_matrix_is_not_judged():
    def side(*models: str) -> Side:
        return Side(
            runs=tuple(
                RunView("t", m, matrix={"M": m}, metrics={"m.json": {"accuracy": 0.9}})
                for m in models
            )
        )

    rule = MetricRule("accuracy", None, Gate(min=0.5))
    comparison = compare(side("rf", "svm"), side("rf"), [rule])
    assert [(g.variant, g.state) for g in comparison.gates] == [("M=rf", "passed")]


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("accuracy", {"train/accuracy", "evaluate/accuracy"}),
        ("evaluate/accuracy", {"evaluate/accuracy"}),
        ("out/m.json:accuracy", {"train/accuracy"}),
        ("train/out/m.json:accuracy", {"train/accuracy"}),
        ("acc*", {"train/accuracy", "evaluate/accuracy"}),
        ("*/eval.json:*", {"evaluate/accuracy", "f1[0]"}),
        ("f1[0]", {"f1[0]"}),
    ],
)
def test_keys_name_metrics_files_stages_and_patterns(key, found):
    head = Side(
        runs=(
            RunView("train", "1", metrics={"out/m.json": {"accuracy": 0.9}}),
            RunView("evaluate", "2", metrics={"out/eval.json": {"accuracy": 0.9, "f1[0]": 1}}),
        )
    )
    comparison = compare(None, head, [MetricRule(key, None, Gate(min=0.1))])
    assert {(gate.metric, gate.state) for gate in comparison.gates} == {
        (name, "passed") for name in found
    }


def test_an_exact_key_wins_over_patterns_and_the_first_pattern_over_others():
    head = Side(runs=(RunView("t", "1", metrics={"m.json": {"accuracy": 0.9, "acc": 0.9}}),))
    rules = [
        MetricRule("a*", None, Gate(min=0.1)),
        MetricRule("ac*", None, Gate(min=0.2)),
        MetricRule("accuracy", None, Gate(min=0.3)),
    ]
    comparison = compare(None, head, rules)
    found = {(gate.metric, gate.bound, gate.state) for gate in comparison.gates}
    assert {("accuracy", "at least 0.3", "passed"), ("acc", "at least 0.1", "passed")} <= found
