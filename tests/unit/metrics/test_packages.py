"""What dvclive, the trainers, scikit-learn, Evidently, Croissant and others wrote is read right.

The files are those of tests/fixtures/readers, written by the real packages.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest

from mcgitops.metrics import detect
from mcgitops.metrics.files import Folder
from mcgitops.metrics.values import Findings

FIXTURES = Path(__file__).parents[2] / "fixtures" / "readers"


def found(folder: Path | str) -> Findings:
    return detect.find(Folder.of(FIXTURES / folder))


def clean(folder: Path | str) -> Findings:
    findings = found(folder)
    assert findings.warnings == ()
    return findings


def copied(tmp_path: Path, name: str) -> Path:
    return Path(shutil.copytree(FIXTURES / name, tmp_path / name))


def test_dvclive_with_its_dvc_yaml():
    findings = clean("dvclive_run")
    assert findings.metrics == {
        "dvclive/metrics.json": {
            "train.loss": 0.125,
            "val.accuracy": 0.85,
            "val.rare": 10.5,
            "step": 7,
            "best": 0.85,
        }
    }
    assert findings.params == {
        "dvclive/params.yaml": {
            "lr": 0.05,
            "optimizer.name": "adam",
            "optimizer.betas.0": 0.9,
            "optimizer.betas.1": 0.999,
        }
    }
    rare = next(plot for plot in findings.plots if "val.rare" in plot.series)
    assert (rare.x, rare.xs) == ("step", (1, 3, 5, 7))
    assert rare.series == {"val.rare": (1.5, 4.5, 7.5, 10.5)}
    roc = next(plot for plot in findings.plots if plot.x == "fpr")
    assert roc.name == "Receiver operating characteristic (ROC)"
    assert roc.series == {"tpr": (0.0, 1.0, 1.0)}
    (matrix,) = findings.matrices
    assert matrix.source == "dvclive/plots/sklearn/cm.json"
    assert matrix.labels == ("0", "1", "2")
    assert matrix.counts == ((15, 0, 0), (6, 13, 4), (0, 1, 21))


def test_dvclive_without_its_dvc_yaml_gives_the_same_values(tmp_path):
    folder = copied(tmp_path, "dvclive_run")
    (folder / "dvc.yaml").unlink()
    findings, whole = clean(folder), clean("dvclive_run")
    assert findings.metrics == whole.metrics
    assert findings.params == whole.params
    assert findings.matrices == whole.matrices
    assert {plot.x for plot in findings.plots} == {"step", "fpr"}


def test_of_dvclive_only_the_plots_may_be_declared(tmp_path):
    folder = copied(tmp_path, "dvclive_run")
    for path in ("dvc.yaml", "dvclive/metrics.json", "dvclive/params.yaml"):
        (folder / path).unlink()
    findings = clean(folder)
    assert findings.metrics == findings.params == {}
    assert len(findings.plots) == 4


def test_a_trainer_state_gives_last_values_the_best_metric_and_curves():
    findings = clean("hf_trainer")
    values = findings.metrics["trainer_state.json"]
    assert set(findings.metrics) == {"trainer_state.json", "eval_results.json"}  # no checkpoint
    assert values["best_metric"] == 0.75
    assert values["global_step"] == 18
    assert values["loss"] == pytest.approx(0.628021776676178, abs=0)
    assert values["eval_accuracy"] == 0.75
    (plot,) = findings.plots
    assert plot.x == "step"
    assert plot.xs == (4, 8, 12, 16, 18)  # a training and an evaluation row at a step are one point
    assert plot.series["eval_accuracy"] == (None, 0.6875, None, 0.75, 0.75)
    assert plot.series["loss"][:2] == (0.6902986764907837, 0.6838157176971436)
    assert "train_runtime" not in plot.series


def test_of_checkpoints_alone_the_last_counts(tmp_path):
    for step, loss in ((500, 0.5), (1500, 0.125), (1000, 0.25)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        state = {"log_history": [{"step": step, "loss": loss}], "best_metric": None}
        (folder / "trainer_state.json").write_text(json.dumps(state))
    findings = clean(tmp_path)
    assert findings.metrics == {"checkpoint-*/trainer_state.json": {"loss": 0.125}}


def test_lightning_rows_are_merged_by_step():
    findings = clean("lightning")
    first = "lightning_logs/version_0/metrics.csv"
    assert findings.metrics[first] == {
        "epoch": 3,
        "step": 31,
        "train_loss_epoch": 0.08044038712978363,
        "train_loss_step": 0.06931313127279282,
        "val_loss": 0.06613767892122269,
    }
    assert findings.params == {
        "lightning_logs/version_0/hparams.yaml": {"lr": 0.1, "width": 4},
        "lightning_logs/version_1/hparams.yaml": {"lr": 0.01, "width": 4},
    }
    plot = next(plot for plot in findings.plots if plot.name == first)
    assert plot.x == "step"
    assert len(set(plot.xs)) == len(plot.xs)
    at = plot.xs.index(7)
    assert plot.series["val_loss"][at] == 0.15153475105762482
    assert plot.series["train_loss_epoch"][at] == 0.6800040006637573
    assert plot.series["train_loss_step"][at] is None


@pytest.mark.parametrize("name", ["history.csv", "training.log"])
def test_keras_history_under_both_of_its_usual_names(name):
    findings = clean("keras")
    assert findings.metrics[name] == {
        "epoch": 5,
        "accuracy": 0.5166666507720947,
        "loss": 0.6791636943817139,
        "val_accuracy": 0.4000000059604645,
        "val_loss": 0.7643986344337463,
    }
    plot = next(plot for plot in findings.plots if plot.name == name)
    assert (plot.x, plot.xs) == ("epoch", (0, 1, 2, 3, 4, 5))
    assert plot.series["val_loss"][0] == 0.7882312536239624


def test_a_log_that_is_no_history_is_nobodys(tmp_path):
    (tmp_path / "train.log").write_text("epoch 1, loss 0.5\nepoch 2, loss 0.4\n")
    assert clean(tmp_path) == Findings()


def test_a_classification_report_is_a_table_and_averages():
    findings = clean("sklearn")
    assert findings.metrics["report.json"] == {
        "accuracy": 0.9,
        "macro avg.precision": 0.9098871616823168,
        "macro avg.recall": 0.8952608522500997,
        "macro avg.f1-score": 0.8980952380952382,
        "macro avg.support": 90.0,
        "weighted avg.precision": 0.9070613815899069,
        "weighted avg.recall": 0.9,
        "weighted avg.f1-score": 0.8990793650793651,
        "weighted avg.support": 90.0,
    }
    table = next(table for table in findings.tables if table.source == "report.json")
    assert [row.name for row in table.rows] == ["setosa", "versicolor", "virginica"]
    assert table.rows[0].values == {
        "precision": 0.9565217391304348,
        "recall": 0.8148148148148148,
        "f1-score": 0.88,
    }
    assert table.rows[0].support == 27


def test_what_stands_beside_a_report_stays_a_metric():
    findings = clean("sklearn")
    assert findings.metrics["report_indented.json"]["log_loss"] == 0.31
    assert findings.metrics["report_indented.json"]["model"] == "forest"
    assert findings.metrics["multilabel.json"]["samples avg.recall"] == 0.6888888888888889
    assert findings.metrics["with_matrix.json"] == {"accuracy": 0.9}


def test_confusion_matrices_in_each_of_their_forms():
    matrices = {matrix.source: matrix for matrix in clean("sklearn").matrices}
    counts = ((22, 2, 3), (1, 27, 3), (0, 0, 32))
    names = ("setosa", "versicolor", "virginica")
    numbered = ("0", "1", "2")
    shown = {source: (matrix.labels, matrix.counts) for source, matrix in matrices.items()}
    shares = shown.pop("shares_indented.json")
    assert shown == {
        "labelled_matrix.json": (names, counts),
        "matrix.json": (numbered, counts),
        "matrix.csv": (names, counts),
        "with_matrix.json": (numbered, counts),
    }
    assert shares[1][0] == (0.8148148148148148, 0.07407407407407407, 0.1111111111111111)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("correlation.csv", ",a,b\na,1.0,0.3\nb,0.3,1.0\n"),
        ("correlation.json", "[[1.0, 0.3], [0.3, 1.0]]"),
        ("rows.json", "[[1, 2, 3], [4, 5, 6]]"),
        ("negative.json", "[[1, -2], [3, 4]]"),
        ("table.csv", "name,a,b\nx,1,2\ny,3,4\n"),
    ],
)
def test_other_squares_are_no_confusion_matrix(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    assert found(tmp_path).matrices == ()
    assert found(tmp_path).metrics.keys() == {name}


def test_a_confusion_matrix_that_is_cut_off_is_said_and_not_shown(tmp_path):
    whole = (FIXTURES / "sklearn" / "matrix.csv").read_text()
    for size in range(len("setosa,versicolor,virginica") + 10, len(whole)):
        (tmp_path / "matrix.csv").write_text(whole[:size])
        findings = found(tmp_path)
        assert findings.matrices == ()
        assert findings.warnings, size


def test_evidently_tests_are_checks_and_metrics_are_values():
    findings = clean("evidently")
    assert findings.metrics["report.json"]["RowCount()"] == 200
    assert findings.metrics["report.json"]["MeanValue(column=length)"] == 5.9994825280041075
    assert findings.metrics["report.json"]["MissingValueCount(column=width).count"] == 0
    states = {check.name: check.state for check in findings.checks}
    assert states == {
        "Row count in dataset: Greater or Equal 100.000": "passed",
        "Mean value of 'length': Less or Equal 5.500": "failed",
        "Column 'width' missing values: Less or Equal 0.000": "passed",
        "Mean value of 'width': Less or Equal 0.100": "warned",
        "Value Drift for column length": "failed",
    }
    assert findings.checks[1].text == "Mean value of 'length': Actual value 5.999 >= 5.500"


@pytest.mark.parametrize(
    ("status", "state"), [("ERROR", "error"), ("SKIPPED", "skipped"), ("odd", "error")]
)
def test_evidently_tests_that_were_not_judged_did_not_pass(tmp_path, status, state):
    data = json.loads((FIXTURES / "evidently" / "report.json").read_text())
    data["tests"][0]["status"] = status
    (tmp_path / "report.json").write_text(json.dumps(data))
    findings = found(tmp_path)
    assert findings.checks[0].state == state
    assert len(findings.warnings) == (status == "odd")


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 0.999])
def test_a_report_of_evidently_that_is_cut_off_is_an_error_not_a_pass(tmp_path, share):
    content = (FIXTURES / "evidently" / "report.json").read_bytes()
    (tmp_path / "report.json").write_bytes(content[: int(len(content) * share)])
    findings = found(tmp_path)
    assert [check.state for check in findings.checks] == ["error"]
    assert "is not valid JSON" in findings.warnings[0]
    assert findings.metrics == {}


def test_other_json_with_metrics_and_tests_is_left_alone(tmp_path):
    (tmp_path / "a.json").write_text('{"metrics": {"accuracy": 0.9}, "tests": {"passed": 3}}')
    (tmp_path / "b.json").write_text('{"metrics": [{"value": 1}], "tests": [], "more": 1}')
    findings = clean(tmp_path)
    assert findings.checks == ()
    assert findings.metrics["a.json"] == {"metrics.accuracy": 0.9, "tests.passed": 3}
    assert findings.metrics["b.json"]["more"] == 1


def test_a_croissant_description_names_the_data():
    findings = clean("croissant")
    assert findings.params == {"metadata.json": {"name": "lengths", "version": "1.2.0"}}
    assert "metadata.json" not in findings.metrics


def test_a_model_card_gives_its_results():
    findings = clean("model_card")
    assert findings.metrics == {
        "README.md": {"imdb.accuracy": 0.913, "imdb.f1": 0.907, "sst2.accuracy": 0.881}
    }


def test_a_model_card_that_is_cut_off_in_its_results_is_said(tmp_path):
    content = (FIXTURES / "model_card" / "README.md").read_bytes()
    end = content.rindex(b"---")
    for size in range(content.index(b"model-index") + 20, end, 7):
        (tmp_path / "README.md").write_bytes(content[:size])
        findings = found(tmp_path)
        assert findings.metrics == {}
        assert "cut off" in findings.warnings[0]


def test_models_and_configurations_of_a_card_keep_apart(tmp_path):
    (tmp_path / "README.md").write_text(
        "---\nmodel-index:\n"
        "- name: a\n  results:\n  - dataset: {type: glue, config: sst2, split: test}\n"
        "    metrics: [{type: f1, value: 0.5}, {type: f1, value: .nan}, {value: 1}]\n"
        "- name: b\n  results:\n  - dataset: {type: glue, config: sst2, split: test}\n"
        "    metrics: [{type: f1, value: 0.75}]\n---\n"
    )
    findings = found(tmp_path)
    values = findings.metrics["README.md"]
    assert values["glue/sst2/test.f1"] == 0.5
    assert math.isnan(values["a.glue/sst2/test.f1"])
    assert values["b.glue/sst2/test.f1"] == 0.75
    assert findings.warnings == ("README.md: has a metric without a type or a value.",)


def test_a_readme_without_results_is_nobodys(tmp_path):
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Hello\n")
    assert clean(tmp_path) == Findings()


def test_a_whylogs_profile_without_the_package_says_what_to_install():
    findings = found("whylogs")
    assert findings.metrics == {}
    assert findings.warnings == (
        "profile_lengths.bin: is a profile of whylogs. To read it, install mcgitops[whylogs] "
        "where mcgitops runs (Python 3.12 at most).",
    )


def test_a_bin_file_that_is_no_profile_is_nobodys(tmp_path):
    (tmp_path / "model.bin").write_bytes(b"\0" * 100)
    assert clean(tmp_path) == Findings()


@pytest.mark.parametrize("folder", sorted(p.name for p in FIXTURES.iterdir() if p.is_dir()))
def test_the_order_of_the_readers_decides_nothing_but_for_dvc_yaml(folder, monkeypatch):
    before = found(folder)
    order = {"dvc": detect.KNOWN["dvc"], **dict(reversed(detect.KNOWN.items()))}
    monkeypatch.setattr(detect, "KNOWN", order)
    after = found(folder)
    assert after.metrics == before.metrics
    assert after.params == before.params
    for kind in ("plots", "tables", "matrices", "checks", "warnings"):
        assert sorted(getattr(after, kind), key=repr) == sorted(getattr(before, kind), key=repr)
