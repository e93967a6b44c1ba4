"""What differs: verdicts and their evidence, names, order, parameters, facts, costs, curves."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mcgitops.compare import RunView, Side, compare
from mcgitops.compare.model import Artifact
from mcgitops.metrics import Plot


def runs(*values, name="accuracy", stage="train") -> tuple[RunView, ...]:
    return tuple(
        RunView(stage, f"{stage}{i}", metrics={"m.json": {name: value}})
        for i, value in enumerate(values)
    )


def change(base, head, name="accuracy"):
    comparison = compare(Side(runs=runs(*base, name=name)), Side(runs=runs(*head, name=name)))
    (found,) = comparison.metrics
    return found


@pytest.mark.parametrize(
    ("base", "head", "verdict", "evidence", "moved"),
    [
        ([0.9], [0.9], "same", "", ""),
        ([1], [1.0], "same", "", ""),
        ([0.1 + 0.2], [0.3], "same", "", "worse"),
        ([0.9], [0.8], "cannot tell", "one run each: cannot tell if it is noise", "worse"),
        ([0.9], [0.95], "cannot tell", "one run each: cannot tell if it is noise", "better"),
        ([0.9] * 2, [0.8], "cannot tell", "2 + 1 runs: cannot tell if it is noise", "worse"),
        ([0.9] * 2, [0.8] * 2, "worse", "no spread within either side (2 + 2)", "worse"),
        ([0.90, 0.91, 0.92], [0.80, 0.81, 0.82], "worse", "p < 0.001 (Welch, 3 + 3)", "worse"),
        ([0.90, 0.91, 0.92], [0.96, 0.97, 0.98], "better", "p = 0.002 (Welch, 3 + 3)", "better"),
        ([0.90, 0.95, 0.92], [0.91, 0.93, 0.96], "cannot tell", "p = 0.65 (Welch, 3 + 3)",
         "better"),
        ([0.9], [math.nan], "worse", "NaN", "worse"),
        ([0.9, 0.9], [0.9, math.nan], "worse", "NaN in 1 of 2 runs", "worse"),
        ([math.nan], [0.9], "better", "base: NaN", "better"),
        ([math.nan], [math.nan], "same", "NaN", ""),
        ([0.9], [-math.inf], "worse", "infinite", "worse"),
        ([math.inf], [math.inf], "same", "infinite", ""),
        (["a"], ["a"], "same", "", ""),
        (["a"], ["b"], "changed", "", ""),
        ([True], [False], "changed", "", ""),
        ([True], [1], "changed", "", ""),
        ([None], [0.5], "changed", "", ""),
        ([None], [None], "same", "", ""),
    ],
)  # fmt: skip
def test_verdicts(base, head, verdict, evidence, moved):
    found = change(base, head)
    assert (found.verdict, found.evidence, found.moved) == (verdict, evidence, moved)


def test_a_neutral_metric_changes_without_being_better_or_worse():
    found = change([1.0, 1.1, 1.2], [9.0, 9.1, 9.2], name="rows")
    assert (found.verdict, found.direction, found.moved) == ("changed", "", "")


def test_new_and_missing_metrics():
    base = Side(runs=runs(0.9, name="old"))
    comparison = compare(base, Side(runs=runs(0.9, name="fresh")))
    assert {(c.label, c.verdict) for c in comparison.metrics} == {
        ("old", "missing"),
        ("fresh", "new"),
    }


def test_difference_and_percentage():
    found = change([0.8, 0.9], [0.4, 0.45])
    assert found.difference == pytest.approx(-0.425)
    assert found.percent == pytest.approx(-50)
    assert change([0.0], [1.0]).percent is None
    assert change([-2.0], [-1.0], name="x").percent == pytest.approx(50)


def test_labels_are_the_shortest_that_are_unambiguous():
    head = Side(
        runs=(
            RunView("train", "1", metrics={"a.json": {"loss": 1, "acc": 1, "x": 1}}),
            RunView("train", "2", metrics={"b.json": {"loss": 1}}),
            RunView("evaluate", "3", metrics={"c.json": {"acc": 1}}),
        )
    )
    assert {change.label for change in compare(None, head).metrics} == {
        "x", "a.json:loss", "b.json:loss", "train/acc", "evaluate/acc",
    }  # fmt: skip


def test_worst_comes_first():
    names = ("accuracy", "f1", "recall", "rows", "auc", "note")
    base = [(0.9, 0.9, 0.9, 5, 0.5, "a"), (0.91, 0.92, 0.91, 6, 0.51, "a")]
    head = [(0.8, 0.5, 0.99, 50, 0.52, "b"), (0.81, 0.52, 1.0, 51, 0.5, "b")]

    def side(rows):
        return Side(
            runs=tuple(
                RunView("t", str(i), metrics={"m": dict(zip(names, row, strict=True))})
                for i, row in enumerate(rows)
            )
        )

    labels = [change.label for change in compare(side(base), side(head)).metrics]
    assert labels == ["f1", "accuracy", "rows", "note", "auc", "recall"]


def test_matrix_variants_are_rows_of_their_own():
    def side(offset):
        return Side(
            runs=tuple(
                RunView("t", m + s, matrix={"M": m}, replicate={"SEED": s},
                        metrics={"m": {"accuracy": value + offset}})
                for m, s, value in [("rf", "0", 0.9), ("rf", "1", 0.91), ("svm", "0", 0.7)]
            )
        )  # fmt: skip

    found = {c.variant: c for c in compare(side(0), side(0.05)).metrics}
    assert found["M=rf"].head == (0.9500000000000001, 0.9600000000000001)
    assert found["M=svm"].evidence.startswith("one run each")


def test_parameters_are_compared_by_value_and_kind():
    def side(**params):
        return Side(runs=(RunView("t", "1", params={"p.yaml": params}),))

    base = side(lr=0.1, same=1, gone=2, flag=1, nothing=None, bad=math.nan)
    head = side(lr=0.05, same=1, fresh="x", flag=True, nothing=0, bad=math.nan)
    found = {c.label: (c.base, c.head) for c in compare(base, head).params}
    assert found == {
        "lr": (0.1, 0.05),
        "gone": (2, None),
        "fresh": (None, "x"),
        "flag": (1, True),
        "nothing": ("null", 0),
    }


def test_facts_that_are_shown_elsewhere_are_left_out():
    def side(**facts):
        return Side(runs=(RunView("t", "1", facts=facts["f"], params={"params.yaml": {"lr": 1}}),))

    base = {"image": "a", "params.yaml": "1", "variable SEED": "0", "upstream x": "1", "data": "1"}
    head = {
        "image": "b",
        "params.yaml": "2",
        "variable SEED": "1",
        "upstream x": "2",
        "volumes": "3",
    }
    found = compare(side(f=base), side(f=head)).facts
    assert [(fact.name, fact.base, fact.head) for fact in found] == [
        ("data", "1", ""),
        ("image", "a", "b"),
        ("volumes", "", "3"),
    ]


def test_costs_and_artifacts():
    def side(wall, peak, size, digest):
        return Side(
            runs=tuple(
                RunView("t", str(i), selected=i == 1, wall_seconds=wall + i,
                        peak_memory_bytes=peak + i, image_size=100,
                        outputs=(Artifact("model", f"{digest}{i}", size + i),))
                for i in range(2)
            )
        )  # fmt: skip

    comparison = compare(side(10, 500, 44, "a"), side(20, 600, 11, "b"))
    costs = {c.name: (c.base, c.head, c.exact) for c in comparison.costs}
    assert costs == {
        "wall time": (10.5, 20.5, False),
        "peak memory": (501, 601, False),
        "image size": (100, 100, True),
        "size of model": (45, 12, True),
    }
    (artifact,) = comparison.artifacts
    assert (artifact.state, artifact.base_digest, artifact.head_digest) == ("changed", "a1", "b1")


def test_curves_are_put_on_the_range_that_both_have():
    def side(xs, ys):
        plot = Plot("h.csv", "epoch", xs, {"loss": ys})
        return Side(runs=(RunView("t", "1", plots=(plot,)),))

    (curve,) = compare(
        side((1, 2, 3, 4, 5), (5.0, 4.0, None, 2.0, math.nan)), side((2, 3), (9.0, 8.0))
    ).curves
    assert (curve.xs[0], curve.xs[-1]) == (2, 3)
    assert (curve.base[0], curve.base[-1]) == (4.0, 3.0)
    assert (curve.head[0], curve.head[-1]) == (9.0, 8.0)
    assert all(map(math.isfinite, (*curve.base, *curve.head)))


def test_a_curve_has_no_more_points_than_were_measured_and_validation_comes_first():
    def side(count):
        xs = tuple(range(1, count + 1))
        series = {"train_loss": tuple(1 / x for x in xs), "val_loss": tuple(2 / x for x in xs)}
        return Side(runs=(RunView("t", "1", plots=(Plot("h.csv", "epoch", xs, series),)),))

    curves = compare(side(30), side(5)).curves
    assert [curve.series for curve in curves] == ["val_loss", "train_loss"]
    assert curves[0].xs == (1, 2, 3, 4, 5)


def test_without_a_base_the_head_stands_alone():
    comparison = compare(None, Side(runs=runs(0.9, 0.91)))
    (found,) = comparison.metrics
    assert (found.verdict, found.base, found.head_mean) == ("new", (), pytest.approx(0.905))


def test_ten_thousand_metrics_of_five_seeds_take_a_moment():
    def side(offset):
        return Side(
            runs=tuple(
                RunView("t", str(seed), metrics={
                    "m.json": {f"class{i}.f1": 0.5 + offset + seed / 100 for i in range(10_000)}
                })
                for seed in range(5)
            )
        )  # fmt: skip

    base, head = side(0.0), side(0.02)
    began = time.process_time()
    comparison = compare(base, head)
    assert len(comparison.metrics) == 10_000
    assert time.process_time() - began < 2.0  # 0.5 s; benchmarks hold it closer


def test_the_package_gives_the_function_and_not_the_module_of_its_name() -> None:
    # which holds for as long as all get it from there
    code = "from mcgitops.compare import compare, Side; import sys; sys.exit(not callable(compare))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    root = Path(__file__).parents[3]
    importers = [
        file
        for file in (*root.glob("mcgitops/**/*.py"), *root.glob("tests/**/*.py"))
        if "mcgitops.compare.compare " + "import" in file.read_text()
    ]
    assert importers == [root / "mcgitops/compare/__init__.py"]
