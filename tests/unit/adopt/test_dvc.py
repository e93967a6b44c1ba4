"""A `dvc.yaml` of the project decides what its files are; nothing is guessed of those."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcgitops.adopt import dvc
from mcgitops.adopt.dvc import Declared
from mcgitops.adopt.propose import propose

PIPELINE = """
stages:
  prepare:
    cmd: python prepare.py
    params: [prepare.seed, prepare.split]
    outs: [out/prepared]
  fit:
    cmd: python fit.py
    wdir: out
    params:
    - lr
    - config/model.yaml: [depth]
    outs:
    - weights.bin: {persist: true}
    metrics:
    - scores.json: {cache: false}
    plots:
    - roc.csv: {x: fpr, y: tpr}
    - picture.png
  many:
    foreach: [a, b]
    do: {cmd: run, outs: ["out/${item}"]}
params: [top.yaml]
metrics: [out/live/metrics.json]
plots:
- out/live/plots
- ROC: {x: fpr, y: {out/more.json: [tpr]}}
- ../elsewhere.csv
- ${folder}/x.csv
"""

FOUND = {
    "out/prepared": Declared("outputs", "prepare"),
    "params.yaml": Declared("params", "prepare"),
    "out/scores.json": Declared("metrics", "fit"),
    "out/roc.csv": Declared("plots", "fit"),
    "out/params.yaml": Declared("params", "fit"),
    "out/config/model.yaml": Declared("params", "fit"),
    "out/weights.bin": Declared("outputs", "fit"),
    "out/live/metrics.json": Declared("metrics"),
    "out/live/plots": Declared("plots"),
    "out/more.json": Declared("plots"),
    "top.yaml": Declared("params"),
}


def test_what_a_pipeline_declares(tmp_path):
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    assert dvc.declared(tmp_path) == FOUND


def test_only_parameter_files_that_are_there_count(tmp_path):
    (tmp_path / "params.yaml").write_text("lr: 1\n")
    found = {"x" * 5000: Declared("params"), **FOUND}
    assert list(dvc.params(tmp_path, found)) == ["params.yaml"]


@pytest.mark.parametrize("text", ["", "[1, 2]", "stages: 3", "a: [", "metrics: 5", "plots: {a: 1}"])
def test_what_is_no_pipeline_declares_little_and_breaks_nothing(tmp_path, text):
    (tmp_path / "dvc.yaml").write_text(text)
    assert set(dvc.declared(tmp_path)) <= {"a"}


@given(st.integers(0, len(PIPELINE)), st.characters())
def test_a_damaged_pipeline_breaks_nothing(tmp_path_factory, at, wrong):
    folder = tmp_path_factory.mktemp("dvc")
    for text in (PIPELINE[:at], PIPELINE[:at] + wrong + PIPELINE[at + 1 :]):
        (folder / "dvc.yaml").write_text(text, "utf-8", "replace")
        for path in dvc.declared(folder):
            assert not path.startswith(("/", ".."))


def test_the_declared_files_are_proposed_with_the_stage_of_their_name(seen):
    volumes = {"volumes": ["./out:/app/out", "./params.yaml:/app/params.yaml:ro"]}
    facts = seen(
        {"prepare": volumes, "fit": volumes, "shell": volumes},
        files={
            "out/scores.json": ("auc",),
            "out/weights.bin": (),
            "out/prepared/model.pkl": (),  # inside a declared folder: not by itself
            "out/extra.onnx": (),
        },
        params=("params.yaml",),
    )
    proposal = propose(replace(facts, dvc=FOUND))
    prepare, fit = proposal.stages
    assert prepare.service == "prepare"
    assert "out/prepared" in prepare.spec.outputs
    assert prepare.reasons["out/prepared"] == "outputs in dvc.yaml"
    assert fit.spec.metrics[0] == "out/scores.json"
    assert fit.spec.plots[0] == "out/roc.csv"
    assert "out/weights.bin" in fit.spec.outputs
    assert fit.spec.params == ("params.yaml",)
    everything = [path for stage in proposal.stages for path in stage.spec.produced]
    assert len(everything) == len(set(everything))
    assert "out/prepared/model.pkl" not in everything
    assert "out/extra.onnx" in everything
    assert "shell" in proposal.ordinary


def test_a_name_that_says_nothing_is_a_stage_if_dvc_has_one_of_it(seen):
    facts = seen({"cook": {"volumes": ["./out:/app/out"]}})
    assert propose(facts).stages == ()
    declared = {"out/soup.bin": Declared("outputs", "cook")}
    (stage,) = propose(replace(facts, dvc=declared)).stages
    assert stage.spec.outputs == ("out/soup.bin",)
    assert stage.why.startswith("dvc.yaml has a stage of its name")
