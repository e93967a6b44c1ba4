"""What summaries of classes, slices and confusions say, and what stands beside the metrics."""

from __future__ import annotations

import dataclasses

import pytest

from mcgitops.compare.model import (
    ClassChange,
    CostChange,
    GateResult,
    Interval,
    MatrixPair,
    MetricChange,
    SliceChange,
    Waiver,
)
from mcgitops.metrics.values import Matrix
from mcgitops.report import breakdown, curves, markdown, words
from mcgitops.report.model import Report, Revision
from tests.unit.report import situations


def one(name: str, **values: tuple[float | None, float | None]) -> ClassChange:
    return ClassChange("t", "", "r.json", name, values)


@pytest.mark.parametrize(
    ("changes", "summary"),
    [
        ([one("a", recall=(0.9, 0.95)), one("b", recall=(0.91, 0.85))], "b lost 0.06 recall"),
        ([one("a", recall=(0.9, 0.95)), one("b", recall=(0.9, 0.9))], "a gained 0.05 recall"),
        ([one("a", error=(0.1, 0.3))], "a gained 0.2 error"),
        ([one("a", error=(0.3, 0.1))], "a lost 0.2 error"),
        ([one("a", recall=(0.9, 0.9))], "nothing changed"),
        ([one("a", recall=(None, 0.9)), one("b", recall=(None, 0.4))],
         "b has the lowest recall, 0.4"),
        ([one("a", x=(None, 0.9))], "1 classes"),
    ],
)  # fmt: skip
def test_the_summary_of_classes_tells_the_worst(changes, summary):
    assert "".join(breakdown.class_summary(changes)) == summary


def matrix(*rows: tuple[float, ...]) -> Matrix:
    return Matrix("m.json", tuple("abc"[: len(rows)]), rows)


@pytest.mark.parametrize(
    ("head", "base", "summary"),
    [
        (matrix((9, 1), (5, 5)), matrix((9, 1), (2, 8)), "b is taken for a more often (2 → 5)"),
        (matrix((9, 1), (2, 8)), matrix((9, 1), (5, 5)), "b is taken for a less often (5 → 2)"),
        (matrix((9, 1), (2, 8)), matrix((9, 1), (2, 8)), "nothing changed"),
        (matrix((9, 1), (2, 8)), None, "b is taken for a most often (2)"),
        (matrix((9, 0), (0, 8)), None, "no class is taken for another"),
    ],
)
def test_the_summary_of_confusions_tells_the_largest_step(head, base, summary):
    assert "".join(breakdown.matrix_summary([MatrixPair("t", "", head, base)])) == summary


def test_a_matrix_that_is_none_is_not_shown():
    bad = MatrixPair("t", "", Matrix("m.json", ("a", "b"), ((1.0,),)))
    assert breakdown.matrix_tables([bad]) == []
    assert breakdown.matrix_summary([bad]) == ("no class is taken for another",)


def cut(verdict: str, value: str, **more) -> SliceChange:
    return SliceChange(
        "t", "", "p.csv", "region", value, "f1", 9, 0.5, 0.4, verdict=verdict, **more
    )


def test_the_summary_of_slices_tells_what_is_worse():
    rows = [cut("better", "c"), cut("worse", "b", p_adjusted=0.04), cut("worse", "a", p_adjusted=0)]
    assert "".join(breakdown.slice_summary(rows)) == "region=a is worse in f1 and 1 more"
    assert "".join(breakdown.slice_summary(rows[:1])) == "region=c is better in f1"
    assert "".join(breakdown.slice_summary([cut("cannot tell", "x")])) == (
        "none of 1 differs beyond noise"
    )
    (table,) = breakdown.slice_tables(rows)
    assert ["".join(row.cells[0]) for row in table.rows] == ["region=a", "region=b", "region=c"]


def test_intervals_have_the_decimals_that_they_deserve():
    assert breakdown.interval(0.94213, Interval(0.9123, 0.9581)) == "0.9421 [0.9123, 0.9581]"
    assert breakdown.interval(0.5, Interval(float("nan"), 1)) == "0.5"
    assert breakdown.interval(None, None) == "–"


def costs(*items: CostChange) -> Report:
    return Report("x", "unchanged", "no metric changed", Revision("a" * 40), Revision("b" * 40),
                  costs=items)  # fmt: skip


@pytest.mark.parametrize(
    ("cost", "is_notable"),
    [
        (CostChange("t", "", "size of m", "bytes", 100, 89, True), True),
        (CostChange("t", "", "size of m", "bytes", 100, 91, True), False),
        (CostChange("t", "", "wall time", "seconds", 40, 60), True),
        (CostChange("t", "", "wall time", "seconds", 4, 6), False),  # a few seconds are noise
        (CostChange("t", "", "wall time", "seconds", 1000, 1100), False),
        (CostChange("t", "", "CPU time", "seconds", 40, 90), False),  # goes with the wall's
        (CostChange("t", "", "peak memory", "bytes", 4e8, 6e8), True),
        (CostChange("t", "", "peak memory", "bytes", None, 6e8), False),
    ],
)
def test_which_costs_stand_beside_the_metrics(cost, is_notable):
    assert bool(words.notable_costs(costs(cost))) == is_notable


def test_a_size_that_changed_is_seen_though_no_metric_did():
    report = costs(CostChange("t", "", "size of m", "bytes", 44e6, 11e6, True))
    assert not words.is_quiet(report)
    assert "| 🟢 | size of m ↓ | 44.0 MB | 11.0 MB | −33.0 MB (−75.0 %) | |" in markdown.render(
        report
    )
    assert words.is_quiet(costs())
    slower = costs(CostChange("t", "", "wall time", "seconds", 40, 90))
    assert words.is_quiet(slower)  # time alone is noise
    assert not words.is_quiet(dataclasses.replace(costs(), warnings=("odd",)))
    assert not words.is_quiet(dataclasses.replace(costs(), slices=(cut("worse", "a"),)))
    assert not words.is_quiet(dataclasses.replace(costs(), classes=(one("a", recall=(1, 0)),)))


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"warnings": ("odd",)},
        {"waivers": (Waiver("*", "ada", "label"),)},
        {"slices": (cut("worse", "a"),)},
        {"classes": (one("a", recall=(1, 0)),)},
        {"costs": (CostChange("t", "", "size of m", "bytes", 44e6, 11e6, True),)},
        {"costs": (CostChange("t", "", "wall time", "seconds", 40, 90),)},
        {"status": "better"},
    ],
)
def test_what_is_worth_a_comment_has_a_heading_and_the_rest_is_folded(change):
    report = dataclasses.replace(costs(), **change)
    text = markdown.render(report)
    assert text.startswith("### ") == (not words.is_quiet(report))
    whole = dataclasses.replace(report, reproduce="mcgitops train")
    assert markdown.render(whole).startswith("<details>") == words.is_quiet(report)


def test_the_curve_of_a_metric_whose_gate_speaks_comes_first(regression):
    report = situations.curves()
    assert next(curve.series for curve in curves.ranked(report)) == "val_loss"
    names = [change.name for change in report.metrics]
    worse = tuple(
        dataclasses.replace(change, verdict="worse") if change.name == "accuracy" else change
        for change in report.metrics
    )
    assert "accuracy" in names
    ranked = curves.ranked(dataclasses.replace(report, metrics=worse))
    assert next(curve.series for curve in ranked) == "accuracy"
    assert [curve.series for curve in ranked][-1] == "flat"


def test_of_a_stage_that_failed_a_few_missing_metrics_lead_and_those_with_a_gate_all():
    def missing(number: int, *gates: GateResult) -> MetricChange:
        name = f"m{number}"
        return MetricChange("t", "", "m.json", name, name, (1.0,), (), "higher", "missing",
                            base_mean=1.0, gates=gates)  # fmt: skip

    gate = GateResult("m19", "", "at least 1", "failed", "the metric is missing, gate failed")
    changes = [*(missing(number) for number in range(19)), missing(19, gate)]
    first, rest = words.leading(changes)
    assert [change.name for change in first] == ["m0", "m1", "m2", "m3", "m4", "m19"]
    assert len(rest) == 14
