"""Which evidence decides, what it says, and the gates, budgets and checks that are judged by it."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import replace

import pytest

from mcgitops.compare import Gate, MetricRule, RunView, Side, compare, model
from mcgitops.compare.model import Artifact, GateResult, Interval
from mcgitops.compare.paired import Measure, PairedExamples
from mcgitops.compare.policy import Budget, Design, Policy
from mcgitops.metrics.values import Check


def runs(values, name="accuracy", variable="SEED", **more) -> tuple[RunView, ...]:
    return tuple(
        RunView(
            "train", str(i), replicate={variable: str(i)}, metrics={"m.json": {name: v}}, **more
        )
        for i, v in enumerate(values)
    )


def change(base, head, policy=Policy(), gate=None, equivalence=None, **more):  # noqa: B008
    rule = MetricRule("accuracy", None, gate, equivalence)
    sides = (Side(runs=runs(values, **more)) for values in (base, head))
    (found,) = compare(*sides, [rule], policy).metrics
    return found


BASE, HEAD = [0.90, 0.93, 0.96], [0.92, 0.95, 0.98]
"""Every seed gained about 0.02, while seeds differ by 0.03."""
HEAD_ = [0.921, 0.949, 0.980]


def test_both_tests_are_given_and_welch_s_decides():
    found = change(BASE, HEAD_)
    assert [test.method for test in found.tests] == ["welch", "paired t"]
    assert found.evidence == found.tests[0].text
    assert found.verdict == "cannot tell"
    assert found.tests[1].p < 0.01
    low, high = found.tests[0].interval.low, found.tests[0].interval.high
    assert low < 0 < found.difference < high
    assert found.base_interval.low < 0.93 < found.base_interval.high


def test_the_paired_test_decides_where_the_file_says_that_replicates_pair():
    found = change(BASE, HEAD_, Policy(designs={"train": Design(paired=True)}))
    assert found.verdict == "better"
    assert found.evidence == "p < 0.001 (paired t, 3 pairs)"
    assert [test.method for test in found.tests] == ["paired t", "welch"]


def test_replicates_that_differ_don_t_pair():
    other = tuple(replace(run, replicate={"SEED": f"9{i}"}) for i, run in enumerate(runs(HEAD_)))
    paired = Policy(designs={"train": Design(paired=True)})
    (found,) = compare(Side(runs=runs(BASE)), Side(runs=other), (), paired).metrics
    assert [test.method for test in found.tests] == ["welch"]
    assert found.verdict == "cannot tell"


def test_pairs_are_found_whatever_the_order_of_runs():
    mixed = tuple(reversed(runs(HEAD_)))
    (found,) = compare(Side(runs=runs(BASE)), Side(runs=mixed)).metrics
    assert found.tests[1].p == pytest.approx(change(BASE, HEAD_).tests[1].p)


def test_folds_have_the_corrected_test_and_no_other():
    policy = Policy(designs={"train": Design(folds="FOLD")})
    found = change(BASE, HEAD_, policy, variable="FOLD")
    assert [test.method for test in found.tests] == ["corrected t"]
    assert found.evidence == "p = 0.002 (corrected t, 3 folds)"
    unpaired = change(BASE, HEAD_[:2], policy, variable="FOLD")
    assert unpaired.evidence == "the folds don't pair: cannot tell if it is noise"
    assert unpaired.verdict == "cannot tell"


def test_three_against_three_of_one_order_need_more_than_their_order():
    # every value of one side is above every one of the other: a permutation test would give 0.10,
    # and Welch's says more only where the spread is small for the distance
    assert change([0.90, 0.91, 0.95], [0.951, 0.97, 0.99]).verdict == "cannot tell"


@pytest.mark.parametrize(
    ("margin", "verdict", "evidence"),
    [
        (0.1, "no difference",
         "within ±0.1: 90 % interval −0.0322 to +0.0722; p = 0.46 (Welch, 3 + 3)"),
        (0.05, "cannot tell", "p = 0.46 (Welch, 3 + 3)"),
    ],
)  # fmt: skip
def test_equivalence_is_shown_or_not(margin, verdict, evidence):
    found = change(BASE, HEAD, equivalence=margin)
    assert (found.verdict, found.evidence) == (verdict, evidence)
    assert found.is_changed == (verdict != "no difference")


def test_a_difference_that_is_clear_and_doesn_t_matter_is_none():
    found = change([0.900, 0.901, 0.902], [0.910, 0.911, 0.912], equivalence=0.02)
    assert found.verdict == "no difference"
    assert found.p < 0.001


def bands(values, head, gate=None, base=(0.9,), name="accuracy"):
    policy = Policy(earlier=runs(values, name=name))
    return change(base, head, policy, gate, name=name)


def test_one_run_each_is_told_from_noise_by_earlier_runs():
    earlier = [0.90, 0.91, 0.89, 0.905, 0.895]
    outside = bands(earlier, [0.80])
    assert outside.verdict == "worse"
    assert outside.evidence == "outside the noise band 0.876 to 0.924 of 5 earlier runs"
    within = bands(earlier, [0.88])
    assert within.verdict == "cannot tell"  # a band that is wide enough holds anything
    assert within.evidence == "within the noise band 0.876 to 0.924 of 5 earlier runs"
    assert bands(earlier[:2], [0.5]).evidence == "one run each: cannot tell if it is noise"


def test_a_head_beyond_the_band_on_the_other_side_than_the_base_s_change_proves_nothing():
    # the base's run was odd: the head fell from there, and still lies above the band
    assert bands([0.90, 0.901, 0.899], [0.95], base=[0.99]).verdict == "cannot tell"


def examples(base, head, *, interval=None, inner=None, p=None, name="accuracy", run="SEED=0"):
    test = model.Test("mcnemar", "p = …", p) if p is not None else None
    if interval:
        test = test or model.Test("bootstrap", "interval …", None, Interval(*interval))
    measure = Measure(
        name, base, head, test, (), Interval(*interval) if interval else None,
        Interval(*inner) if inner else None, p,
    )  # fmt: skip
    return Policy(examples=(PairedExamples("train", "", "p.csv", run, 500, (measure,)),))


def test_examples_decide_where_there_is_one_run_each():
    assert change([0.9], [0.8], examples(0.9, 0.8, p=0.001)).verdict == "worse"
    assert change([0.9], [0.8], examples(0.9, 0.8, p=0.2)).verdict == "cannot tell"
    assert change([0.9], [0.8], examples(0.9, 0.8, interval=(-0.2, -0.01))).verdict == "worse"
    assert change([0.9], [0.8], examples(0.9, 0.8, interval=(-0.2, 0.01))).verdict == "cannot tell"


def test_a_clear_answer_of_the_examples_doesn_t_overrule_the_seeds():
    found = change([0.90, 0.95, 0.92], [0.80, 0.99, 0.90], examples(0.9, 0.8, p=1e-9))
    assert found.verdict == "cannot tell"
    assert found.evidence.endswith("(Welch, 3 + 3)")
    assert [test.method for test in found.tests] == ["welch", "paired t", "mcnemar"]


def test_examples_stand_beside_the_metric_that_they_are_of():
    rounded = examples(0.90049, 0.80012, p=0.001)
    assert [c.file for c in compare(Side(runs=runs([0.9005])), Side(runs=runs([0.8001])), (),
                                    rounded).metrics] == ["m.json"]  # fmt: skip
    other = compare(Side(runs=runs([0.9])), Side(runs=runs([0.8])), (), examples(0.7, 0.6, p=0.001))
    assert {(c.label, c.verdict) for c in other.metrics} == {
        ("m.json:accuracy", "cannot tell"),
        ("p.csv:accuracy", "worse"),
    }


def test_two_files_that_say_the_same_have_the_same_evidence():
    def side(value):
        found = {"m.json": {"accuracy": value}, "report.json": {"accuracy": value, "f1": 0.5}}
        return Side(runs=(RunView("train", "0", replicate={"SEED": "0"}, metrics=found),))

    told = compare(side(0.9), side(0.8), (), examples(0.9, 0.8, p=0.001)).metrics
    assert {(c.file, c.verdict) for c in told if c.name == "accuracy"} == {
        ("m.json", "worse"),
        ("report.json", "worse"),
    }


def test_a_measure_of_the_head_alone_is_new():
    policy = examples(None, 0.8, name="f1")
    side = Side(runs=runs([0.9]))
    found = {c.label: c for c in compare(side, side, (), policy).metrics}
    assert found["f1"].verdict == "new"


def state(found) -> tuple[str, str]:
    (gate,) = found.gates
    return gate.state, gate.text


@pytest.mark.parametrize(
    ("base", "head", "margin", "expected"),
    [
        (BASE, HEAD, 0.05, ("passed", "worse by less than 0.0322 < 0.05, at 95 %")),
        (BASE, HEAD, 0.03, (
            "failed",
            "may be worse by 0.0322 ≥ 0.03 at 95 %, gate failed; p = 0.46 (Welch, 3 + 3)",
        )),
        ([0.90, 0.91, 0.92], [0.96, 0.97, 0.98], 0.01, ("passed", "not worse, at 95 %")),
        ([0.9], [0.9], 0.01, ("passed", "not worse, at 95 %")),
        ([0.9], [0.95], 0.01, (
            "failed",
            "not shown to be worse by less than 0.01, gate failed; "
            "one run each: cannot tell if it is noise",
        )),
    ],
)  # fmt: skip
def test_non_inferiority_must_be_shown(base, head, margin, expected):
    assert state(change(base, head, gate=Gate(non_inferiority=margin))) == expected


def test_equal_means_that_scatter_show_nothing_by_themselves():
    gate = Gate(non_inferiority=0.001)
    assert state(change([0.8, 0.9, 1.0], [1.0, 0.9, 0.8], gate=gate))[0] == "failed"


def test_non_inferiority_by_examples():
    gate = Gate(non_inferiority=0.02)
    close = examples(0.9, 0.895, p=0.4, interval=(-0.02, 0.01), inner=(-0.015, 0.005))
    assert state(change([0.9], [0.895], close, gate)) == (
        "passed", "worse by less than 0.015 < 0.02, at 95 %",
    )  # fmt: skip


def test_non_inferiority_without_a_base_is_not_judged():
    rule = MetricRule("accuracy", None, Gate(non_inferiority=0.01))
    (gate,) = compare(None, Side(runs=runs([0.9])), [rule]).gates
    assert (gate.state, gate.text) == (
        "not judged",
        "there is nothing to compare: no drop to judge",
    )


NOISE = "the noise band 0.8503 to 0.9497 of 3 earlier runs"


@pytest.mark.parametrize(
    ("earlier", "head", "expected"),
    [
        ([0.90, 0.91, 0.89], 0.89, ("passed", f"within {NOISE}")),
        ([0.90, 0.91, 0.89], 0.99, ("passed", f"better than {NOISE}")),
        ([0.90, 0.91, 0.89], 0.80, ("failed", f"0.8 is worse than {NOISE}, gate failed")),
        ([0.90, 0.91], 0.80, (
            "not judged",
            "no noise band: earlier runs with the same code, data and image: 2 of at least 3",
        )),
    ],
)  # fmt: skip
def test_outside_the_noise(earlier, head, expected):
    assert state(bands(earlier, [head], Gate(outside_noise=True))) == expected


def test_without_a_direction_both_sides_of_the_band_fail():
    rule = MetricRule("rows", None, Gate(outside_noise=True))
    policy = Policy(earlier=runs([1.0, 1.1, 0.9], name="rows"))
    sides = (Side(runs=runs([v], name="rows")) for v in (1.0, 5.0))
    (gate,) = compare(*sides, [rule], policy).gates
    assert gate.state == "failed"
    assert gate.text.startswith("5 is outside the noise band")


def costly(seconds, memory, size) -> Side:
    run = RunView(
        "train",
        "1",
        wall_seconds=seconds,
        peak_memory_bytes=memory,
        peak_memory_sampled=True,
        outputs=(Artifact("a", "x", size), Artifact("b", "y", 1)),
    )
    return Side(runs=(run,))


@pytest.mark.parametrize(
    ("budget", "state", "text"),
    [
        (Budget("train", "wall_time", 60), "passed", "wall time 50.0 s ≤ 1 min 0 s"),
        (Budget("train", "wall_time", 49.99), "failed", "wall time 50.000 s > 50.0 s, gate failed"),
        (Budget("train", "wall_time", None, 20), "failed",
         "wall time 40.0 s → 50.0 s (+25.0 %) > +20 %, gate failed"),
        (Budget("train", "wall_time", None, 25), "passed",
         "wall time 40.0 s → 50.0 s (+25.0 %), at most +25 %"),
        (Budget("train", "wall_time", None, 20, "warn"), "warned",
         "wall time 40.0 s → 50.0 s (+25.0 %) > +20 %, gate warns"),
        (Budget("train", "peak_memory", 1e6), "failed", "peak memory 2.0 MB > 1.0 MB, gate failed"),
        (Budget("train", "artifact_size", 500), "passed", "artifact size 301 B ≤ 500 B"),
        (Budget("train", "artifact_size", None, 100), "failed",
         "artifact size 101 B → 301 B (+198 %) > +100 %, gate failed"),
        (Budget("train", "cpu_time", 9), "failed", "CPU time was not measured, gate failed"),
        (Budget("other", "wall_time", 9), "failed", "wall time was not measured, gate failed"),
    ],
)  # fmt: skip
def test_budgets(budget, state, text):
    found = compare(costly(40, 1_000_000, 100), costly(50, 2_000_000, 300), (),
                    Policy(budgets=(budget,)))  # fmt: skip
    assert [(g.state, g.text, g.kind) for g in found.gates] == [(state, text, "budget")]
    assert found.gates[0].metric == f"{budget.stage}/{budget.cost}"


@pytest.mark.parametrize(
    ("values", "budget", "state", "text"),
    [
        ([18.0], {"max": 20}, "passed", "latency_p95 18 ≤ 20"),
        ([18.0, 25.0], {"max": 20}, "failed", "latency_p95 21.5 > 20, gate failed"),
        ([20.00001], {"max": 20}, "failed", "latency_p95 20.00001 > 20, gate failed"),
        ([23.5], {"max": 20, "level": "warn"}, "warned", "latency_p95 23.5 > 20, gate warns"),
        ([19.5], {"max_increase_percent": 10}, "failed",
         "latency_p95 15 → 19.5 (+30.0 %) > +10 %, gate failed"),
        ([16.5], {"max_increase_percent": 10}, "passed",
         "latency_p95 15 → 16.5 (+10.0 %), at most +10 %"),
        ([None], {"max": 20}, "failed", "latency_p95 was not measured, gate failed"),
        ([1.0, None], {"max": 20}, "failed", "latency_p95 was not measured, gate failed"),
        ([math.nan], {"max": 20}, "failed", "latency_p95 was not measured, gate failed"),
        ([math.inf], {"max": 20}, "failed", "latency_p95 ∞ > 20, gate failed"),
        (["slow"], {"max": 20}, "failed", "latency_p95 was not measured, gate failed"),
        ([18.0], {"max": 20, "metric": "m.json:latency_p95"}, "passed",
         "m.json:latency_p95 18 ≤ 20"),
        ([18.0], {"max": 20, "metric": "latency_p99"}, "failed",
         "latency_p99 was not measured, gate failed"),
    ],
)  # fmt: skip
def test_budgets_of_latency(values, budget, state, text):
    def side(*values) -> Side:
        return Side(
            runs=tuple(
                RunView(
                    "evaluate", str(i), replicate={"S": str(i)},
                    metrics={"m.json": {} if value is None else {"latency_p95": value}},
                )
                for i, value in enumerate(values)
            )
        )  # fmt: skip

    budget = Budget("evaluate", "latency", **{"metric": "latency_p95", **budget})
    (gate,) = compare(side(15.0), side(*values), (), Policy(budgets=(budget,))).gates
    assert (gate.metric, gate.kind) == ("evaluate/latency", "budget")
    assert (gate.state, gate.text) == (state, text)


def test_an_increase_without_a_base_is_not_judged():
    budget = Budget("train", "wall_time", None, 20)
    (gate,) = compare(None, costly(50, 1, 1), (), Policy(budgets=(budget,))).gates
    assert (gate.state, gate.text) == (
        "not judged",
        "wall time: there is no base's to compare with",
    )


def checked(*states, level="fail"):
    found = tuple(
        RunView(
            "t",
            str(i),
            replicate={"S": str(i)},
            checks=(Check("e.json", "drift", state, "0.4 > 0.3"),),
        )
        for i, state in enumerate(states)
    )
    return compare(None, Side(runs=found), (), Policy(checks=level)).gates


@pytest.mark.parametrize(
    ("states", "level", "expected"),
    [
        (["failed"], "fail", [("failed", "0.4 > 0.3, gate failed")]),
        (["error"], "fail", [("failed", "0.4 > 0.3, gate failed")]),
        (["failed"], "warn", [("warned", "0.4 > 0.3, gate warns")]),
        (["failed"], "ignore", []),
        (["warned"], "fail", [("warned", "0.4 > 0.3, gate warns")]),
        (["passed"], "fail", [("passed", "0.4 > 0.3")]),
        (["passed", "failed", "passed"], "fail",
         [("failed", "0.4 > 0.3 in 1 of 3 runs, gate failed")]),
        (["skipped"], "fail", [("not judged", "0.4 > 0.3 was skipped")]),
    ],
)  # fmt: skip
def test_checks_of_other_tools(states, level, expected):
    found = checked(*states, level=level)
    assert [(gate.state, gate.text) for gate in found] == expected
    assert all((gate.metric, gate.kind) == ("drift", "check") for gate in found)


def test_gates_come_worst_first():
    policy = Policy(budgets=(Budget("train", "wall_time", 1),))
    rule = MetricRule("accuracy", None, Gate(min=0.1))
    found = compare(None, Side(runs=runs([0.9], wall_seconds=50.0)), [rule], policy).gates
    assert [gate.state for gate in found] == ["failed", "passed"]
    assert isinstance(found[0], GateResult)


def test_no_verb_imports_numpy_without_predictions():
    code = """
import pkgutil, sys, importlib
import mcgitops.cli, mcgitops.compare, mcgitops.metrics.formats, mcgitops.report
from mcgitops.compare import RunView, Side, compare
for package in (mcgitops.cli, mcgitops.report):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
from mcgitops.metrics.formats import predictions
from mcgitops.report.build import build
def side(v):
    return Side(runs=tuple(
        RunView("t", str(i), replicate={"S": str(i)}, metrics={"m": {"accuracy": v + i}})
        for i in range(3)
    ))
assert build("x", compare(side(1.0), side(2.5))).metrics[0].tests
print([m for m in ("numpy", "scipy", "statsmodels", "pandas") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
