"""Runs side by side: what is a line, and what differs."""

from __future__ import annotations

import math
from typing import Any

from mcgitops.compare.model import Artifact, MetricRule, RunView
from mcgitops.compare.table import lines, numbers_of


def a_run(stage: str = "train", **changes: Any) -> RunView:
    values: dict[str, Any] = {
        "fingerprint": "f" * 64,
        "metrics": {"m.json": {"accuracy": 0.9}},
        "params": {"p.yaml": {"lr": 0.1}},
    }
    return RunView(stage=stage, **{**values, **changes})


def cells(found: list[Any]) -> dict[str, tuple[Any, ...]]:
    return {line.label: line.cells for line in found}


def test_single_runs_are_compared_by_name_whichever_stage_they_are_of() -> None:
    one = a_run(replicate={"SEED": "0"}, wall_seconds=2.0)
    two = a_run("evaluate", metrics={"other.json": {"f1": 0.5}}, replicate={"SEED": "1"})
    found = lines([[one], [two]], by_stage=False)
    assert {line.stage for line in found} == {""}
    assert cells(found) == {
        "SEED": (("0",), ("1",)),
        "accuracy": ((0.9,), ()),
        "f1": ((), (0.5,)),
        "lr": ((0.1,), (0.1,)),
        "wall time": ((2.0,), ()),
    }
    assert [line.label for line in found if line.differs] == ["SEED", "accuracy", "f1", "wall time"]


def test_commits_are_compared_by_stage_and_variant_over_their_replicates() -> None:
    def side(shift: float) -> list[RunView]:
        return [
            a_run(
                matrix={"MODEL": model},
                replicate={"SEED": str(seed)},
                metrics={"m.json": {"accuracy": 0.9 + shift + seed / 100}},
                outputs=(Artifact("a", "d", 2), Artifact("b", "d", 3)),
            )
            for model in ("rf", "gb")
            for seed in (0, 1)
        ]

    found = lines([side(0), side(0.01)], by_stage=True)
    metrics = [line for line in found if line.section == "metrics"]
    assert [(line.stage, line.variant) for line in metrics] == [
        ("train", "MODEL=rf"),
        ("train", "MODEL=gb"),
    ]
    assert metrics[0].cells == ((0.9, 0.91), (0.91, 0.92))
    (lr, _) = [line for line in found if line.label == "lr"]
    assert lr.cells == ((0.1,), (0.1,)) and not lr.differs  # once, not for each replicate
    sizes = [line for line in found if line.label == "size of all outputs"]
    assert sizes[0].cells == ((5, 5), (5, 5)) and sizes[0].unit == "bytes"


def test_equal_is_equal_whatever_the_order_and_nan_is_one_value() -> None:
    def differ(*values: tuple[Any, ...]) -> bool:
        sides = [[a_run(metrics={"m": {"x": value}}) for value in side] for side in values]
        (line,) = [line for line in lines(sides, by_stage=True) if line.section == "metrics"]
        return line.differs

    assert not differ((1, 2), (2, 1))
    assert not differ((math.nan,), (math.nan,))
    assert not differ((1,), (1.0,))
    assert differ((1,), (True,))
    assert differ(("1",), (1,))
    assert differ((None,), ("None",))


def test_a_name_in_two_files_has_its_file_and_its_direction() -> None:
    run = a_run(metrics={"a.json": {"loss": 1}, "b.json": {"loss": 2, "foo": 3}})
    rules = [MetricRule("foo", "maximize")]
    found = lines([[run], [run]], by_stage=False, rules=rules)
    directions = {line.label: line.direction for line in found if line.section == "metrics"}
    assert directions == {"a.json:loss": "lower", "b.json:loss": "lower", "foo": "higher"}


def test_numbers_of_a_cell() -> None:
    assert numbers_of(()) is None
    assert numbers_of((1, "x")) is None
    assert numbers_of((True,)) is None
    assert numbers_of((10**400,)) is None
    found = numbers_of((1, 3.0))
    assert found is not None and (found.mean, found.n) == (2.0, 2)
