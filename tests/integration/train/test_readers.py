"""What real tools left in a stage's folder arrives in its record and its report."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.train.conftest import Make

FIXTURES = Path(__file__).parents[2] / "fixtures" / "readers"
TOOLS = ("dvclive_run", "evidently", "hf_trainer", "keras", "lightning", "model_card", "sklearn")


def test_a_folder_of_several_tools_files_is_read_and_a_failed_check_fails_the_report(
    trial: Make,
) -> None:
    files = {
        f"data/{path.relative_to(FIXTURES).as_posix()}": path.read_bytes()
        for tool in TOOLS
        for path in sorted((FIXTURES / tool).rglob("*"))
        if path.is_file()
    }
    files["data/sklearn/cut.json"] = files["data/sklearn/report.json"][:200]
    project = trial("cp -r data/. out/", keys="metrics: [out]", files=files)
    project.train()
    done = project("report", "--format", "json", check=False)
    assert done.code == 3
    report = json.loads(done.stdout)
    assert {gate["metric"]: gate["state"] for gate in report["gates"]} == {
        "Mean value of 'length': Less or Equal 5.500": "failed",
        "Value Drift for column length": "failed",
        "Mean value of 'width': Less or Equal 0.100": "warned",
        "Column 'width' missing values: Less or Equal 0.000": "passed",
        "Row count in dataset: Greater or Equal 100.000": "passed",
    }
    metrics = {(each["file"], each["name"]): each["head"] for each in report["metrics"]}
    assert metrics["out/dvclive_run/dvclive/metrics.json", "val.accuracy"] == [0.85]
    assert metrics["out/hf_trainer/trainer_state.json", "best_metric"] == [0.75]
    assert metrics["out/keras/training.log", "epoch"] == [5.0]
    assert metrics["out/model_card/README.md", "imdb.f1"] == [0.907]
    assert metrics["out/sklearn/report.json", "macro avg.recall"] == [0.8952608522500997]
    classes = {(each["source"], each["name"]) for each in report["classes"]}
    assert ("out/sklearn/report.json", "virginica") in classes
    matrices = {each["head"]["source"] for each in report["matrices"]}
    assert "out/dvclive_run/dvclive/plots/sklearn/cm.json" in matrices
    assert "out/sklearn/matrix.csv" in matrices
    assert any(curve["plot"].startswith("out/hf_trainer") for curve in report["curves"])
    assert any("out/sklearn/cut.json: is not valid JSON" in text for text in report["warnings"])
