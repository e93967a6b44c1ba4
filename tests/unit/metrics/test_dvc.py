"""A `dvc.yaml` among a stage's files, against what DVC itself draws of the same project."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from mcgitops.metrics import detect
from mcgitops.metrics.files import Folder
from mcgitops.metrics.values import Findings

FIXTURES = Path(__file__).parents[2] / "fixtures" / "readers"
DRAWN = json.loads((FIXTURES / "dvc_drawn.json").read_text())


def found(folder: Path) -> Findings:
    return detect.find(Folder.of(folder))


@pytest.fixture
def project(tmp_path):
    return Path(shutil.copytree(FIXTURES / "dvc_project", tmp_path / "project"))


def test_curves_have_the_points_that_dvc_draws():
    findings = found(FIXTURES / "dvc_project")
    assert findings.warnings == ()
    drawn = {
        (each["title"], value.get("filename", "")): []
        for each in DRAWN["plots"].values()
        for value in each["values"]
    }
    for each in DRAWN["plots"].values():
        for value in each["values"]:
            drawn[each["title"], value.get("filename", "")].append(value)
    del drawn["eval/classes.csv", ""]
    assert len(findings.plots) == len(drawn)
    for plot in findings.plots:
        title, _, file = plot.name.partition(" (eval/")
        values = drawn.pop((title, file.rstrip(")")))
        (series,) = plot.series
        x = "step" if plot.x == "row" else plot.x  # what DVC calls the number of a row
        assert list(plot.xs) == [float(value[x]) for value in values]
        assert list(plot.series[series]) == [float(value[series]) for value in values]
    assert drawn == {}


def test_a_confusion_plot_is_a_matrix_of_the_pairs_that_dvc_counts():
    pairs = [
        (value["actual"], value["predicted"])
        for value in DRAWN["plots"]["eval/classes.csv"]["values"]
    ]
    (matrix,) = found(FIXTURES / "dvc_project").matrices
    assert matrix.source == "eval/classes.csv"
    for truth, row in zip(matrix.labels, matrix.counts, strict=True):
        assert row == tuple(pairs.count((truth, guess)) for guess in matrix.labels)


def test_metrics_and_params_are_those_that_dvc_shows():
    findings = found(FIXTURES / "dvc_project")
    data = DRAWN["metrics"][""]["data"]
    assert findings.metrics == {path: one["data"] for path, one in data.items()}
    assert findings.params == {"params.yaml": {"lr": 0.1}}


def test_what_the_stage_did_not_keep_is_not_missed(project):
    shutil.rmtree(project / "eval")
    findings = found(project)
    assert findings.warnings == ()
    assert findings.plots == findings.matrices == ()


def test_a_column_that_is_not_there_is_named(project):
    (project / "eval/history.csv").write_text("epoch,step,other\n0,10,0.5\n1,20,0.2\n")
    (project / "eval/classes.csv").write_text("truth,predicted\na,b\n")
    findings = found(project)
    assert findings.warnings == (
        "dvc.yaml: the plot eval/classes.csv needs the column 'actual' of eval/classes.csv, which "
        "it doesn't have.",
        "dvc.yaml: the plot eval/history.csv needs loss, which eval/history.csv doesn't have.",
    )
    assert len(findings.plots) == 4


def test_damaged_plots_are_named_and_the_others_drawn(project):
    (project / "eval/train.json").write_text('{"roc": [{"fpr": 0')
    (project / "eval/last.tsv").write_bytes(b"\xff\xfe\x00")
    findings = found(project)
    assert len(findings.warnings) == 2
    assert "the plot Curves is not valid JSON" in findings.warnings[0]
    assert "the plot eval/last.tsv is not UTF-8" in findings.warnings[1]
    assert {plot.name for plot in findings.plots} == {"eval/history.csv", "Where they are"}


PIPELINE = """
stages:
  fit:
    cmd: fit
    wdir: sub
    metrics: [both.csv]
    plots:
    - both.csv: {x: step, y: [loss, val]}
    - picture.png
    - "${where}/x.csv"
  many:
    foreach: [a]
    do: {cmd: x, plots: ["${item}.csv"]}
plots:
- folder: {x: size}
"""


def test_folders_working_folders_and_variables(tmp_path):
    (tmp_path / "dvc.yaml").write_text(PIPELINE)
    for folder in ("sub", "folder"):
        (tmp_path / folder).mkdir()
    (tmp_path / "sub/both.csv").write_text("step,loss,val\n0,1,2\n1,0.5,1\n")
    (tmp_path / "sub/picture.png").write_bytes(b"\x89PNG")
    (tmp_path / "folder/a.csv").write_text("size,x,y\n1,2,3\n2,4,5\n")
    findings = found(tmp_path)
    assert findings.warnings == (
        "dvc.yaml: names paths with variables (${…}, foreach, matrix); those are left out.",
    )
    assert findings.metrics == {"sub/both.csv": {"step": 1, "loss": 0.5, "val": 1}}
    shown = {plot.name: (plot.x, plot.xs, dict(plot.series)) for plot in findings.plots}
    assert shown == {
        "sub/both.csv": ("step", (0, 1), {"loss": (1, 0.5), "val": (2, 1)}),
        "folder/a.csv": ("size", (1, 2), {"y": (3, 5)}),
    }


@pytest.mark.parametrize("text", ["[]", "a: [", "stages: {a: 3}\nplots: 5\nmetrics: {a: {b: c}}"])
def test_what_is_no_pipeline_breaks_nothing(tmp_path, text):
    (tmp_path / "dvc.yaml").write_text(text + "\n")
    findings = found(tmp_path)
    assert findings.plots == ()
    assert findings.metrics == {}
