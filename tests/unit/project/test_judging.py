"""The keys that say how a stage is judged: sizes, budgets, predictions, folds."""

from __future__ import annotations

import pytest

from mcgitops.project.judging import StageBudget, size_bytes
from mcgitops.project.spec import Gate, ProjectSpec, StageSpec
from mcgitops.typed.mistakes import ValidationError


@pytest.mark.parametrize(
    ("text", "count"),
    [("0", 0), ("512", 512), ("1kB", 1000), ("1.5 MB", 1_500_000), ("2GiB", 2 << 30),
     ("3T", 3 * 10**12), ("1KiB", 1024), ("10B", 10)],
)  # fmt: skip
def test_sizes(text, count):
    assert size_bytes(text) == count
    assert StageBudget(image_size={"max": text}).image_size.max == text


@pytest.mark.parametrize("text", ["", "x", "-1MB", "1 XB", "1..2MB", "MB", True, 1.5])
def test_what_is_no_size(text):
    with pytest.raises(ValidationError):
        StageBudget(image_size={"max": text})


def test_a_number_is_bytes():
    assert size_bytes(StageBudget(artifact_size={"max": 1024}).artifact_size.max) == 1024


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({}, "names no cost"),
        ({"wall_time": {"level": "warn"}}, "names no bound. Give max or max_increase_percent."),
        ({"wall_time": {"max_increase_percent": -1}}, "greater than or equal to 0"),
        ({"disk": {"max": "1GB"}}, "Extra inputs"),
        ({"latency": {"metric": "latency_p99"}}, "names no bound"),
        ({"latency": {"max": -1}}, "greater than or equal to 0"),
        ({"latency": {"max": 20, "metric": ""}}, "at least 1 character"),
    ],
)
def test_budgets_that_say_nothing(budget, said):
    with pytest.raises(ValidationError, match=said):
        ProjectSpec(budgets={"train": budget})


def test_predictions_may_be_a_list_or_say_nothing():
    named = StageSpec(predictions={"out/a.csv": None, "out/b.csv": {"truth": "y"}})
    assert named.predictions["out/a.csv"].truth == ""
    assert named.predictions["out/b.csv"].truth == "y"
    listed = StageSpec(predictions=["out/a.csv"])
    assert list(listed.predictions) == ["out/a.csv"]
    assert listed.produced == ("out/a.csv",)
    with pytest.raises(ValidationError, match="outside the project folder"):
        StageSpec(predictions=["../a.csv"])


def test_predictions_among_outputs_are_declared_once():
    spec = StageSpec(outputs=["out"], predictions={"out/a.csv": {}, "other/b.csv": {}})
    assert spec.own_predictions == ("other/b.csv",)
    assert spec.produced == ("out", "other/b.csv")


def test_folds_are_a_variable_of_the_replicates():
    assert StageSpec(replicates={"FOLD": [0, 1]}, folds="FOLD").folds == "FOLD"
    with pytest.raises(ValidationError, match="FOLD is not in replicates"):
        StageSpec(replicates={"SEED": [0, 1]}, folds="FOLD")
    with pytest.raises(ValidationError, match="one value only"):
        StageSpec(replicates={"FOLD": [0]}, folds="FOLD")


def test_a_gate_may_ask_for_evidence_alone():
    assert Gate(outside_noise=True).outside_noise
    assert Gate(non_inferiority=0.01).non_inferiority == 0.01
    with pytest.raises(ValidationError):
        Gate(non_inferiority=0)
