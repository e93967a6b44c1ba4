"""From a container's predictions, and from earlier runs, to a verdict, gates and the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Runner
from tests.integration.train.conftest import Make
from tests.lab.s3 import S3Server

SCRIPT = """
awk -v q="$(cat data/quality)" -v seed="$SEED" 'BEGIN {
  print "id,y_true,y_pred,slice_kind" > "out/predictions.csv"
  for (i = 0; i < 200; i++) {
    truth = i % 2; right = (i * 37) % 100 < q + seed; sum += right
    print i "," truth "," (right ? truth : 1 - truth) "," (i % 4 ? "often" : "seldom") \
      > "out/predictions.csv"
  }
  printf "{\\"accuracy\\": %.4f, \\"latency_p95\\": 3}", sum / 200 > "out/metrics.json"
}'
"""
KEYS = """
metrics: [out/metrics.json]
predictions: [out/predictions.csv]
replicates: {SEED: [0, 1, 2]}
"""
TOP = """
x-mcgitops:
  budgets:
    train: {wall_time: {max: 10m}, image_size: {max: 1kB, level: warn}, latency: {max: 2.5}}
  metrics:
    accuracy: {gate: {non_inferiority: 0.05, outside_noise: true}}
"""


@pytest.mark.s3
def test_predictions_and_earlier_runs_decide_where_there_is_one_run_each(
    trial: Make, run_mcgitops: Runner, rclone_s3: S3Server, tmp_path: Path
) -> None:
    project = trial(SCRIPT, keys=KEYS, top=TOP, files={"data/quality": "90"})
    compose = project.text("compose.yml")
    project.train()
    first = json.loads(project("report", "--json", check=False).stdout)
    (f1,) = [metric for metric in first["metrics"] if metric["label"] == "f1"]
    assert (f1["verdict"], len(f1["head"])) == ("new", 3)  # of each seed's predictions
    # the branch goes on with one seed: the three runs before are of the same code and data
    alone = {"compose.yml": compose.replace("[0, 1, 2]", "[0]")}
    project.factory.commit(project.folder, alone)
    project.train()
    assert project.text("out/predictions.csv").startswith(
        "id,y_true,y_pred,slice_kind\n0,0,0,seldom"
    )

    project.factory.git(project.folder, "switch", "--quiet", "--create", "worse")
    project.factory.commit(project.folder, {"data/quality": "60"})
    project.train()
    done = project("report", "--json", check=False)
    assert done.code == 3
    report = json.loads(done.stdout)
    metrics = {metric["label"]: metric for metric in report["metrics"]}
    accuracy = metrics["accuracy"]
    assert (accuracy["file"], accuracy["verdict"]) == ("out/metrics.json", "worse")
    assert accuracy["evidence"] == "p < 0.001 (McNemar, 60 lost and 0 won of 200 examples)"
    assert [test["method"] for test in accuracy["tests"]] == ["mcnemar", "bootstrap", "noise band"]
    assert accuracy["tests"][2]["text"] == (
        "outside the noise band 0.8603 to 0.9597 of 3 earlier runs"
    )
    assert metrics["f1"]["file"] == "out/predictions.csv"
    assert metrics["f1"]["verdict"] == "worse"
    assert metrics["latency_p95"]["direction"] == "lower"
    gates = {(gate["metric"], gate["bound"]): gate["state"] for gate in report["gates"]}
    assert gates == {
        ("accuracy", "worse by less than 0.05"): "failed",
        ("accuracy", "not worse than the noise"): "failed",
        ("train/image_size", "image size at most 1.0 kB"): "warned",
        ("train/wall_time", "wall time at most 10 min 0 s"): "passed",
        ("train/latency", "latency_p95 at most 2.5"): "failed",
    }
    slices = {change["value"]: change for change in report["slices"]}
    assert {value: change["n"] for value, change in slices.items()} == {"often": 150, "seldom": 50}
    assert all(change["verdict"] == "worse" for change in slices.values())

    # a clone that trained nothing says the same, out of the bucket
    env = {**rclone_s3.env, "MCGITOPS_STORE": rclone_s3.url("evidence")}
    run_mcgitops("push", cwd=project.folder, env=env)
    clone = tmp_path / "clone"
    project.factory.git(tmp_path, "clone", "--quiet", str(project.folder), str(clone))
    for head in ((), ("--head", "HEAD")):
        done = run_mcgitops("report", "--json", *head, cwd=clone, env=env, check=False)
        assert done.code == 3, done.stderr
        there = json.loads(done.stdout)
        for key in ("metrics", "gates", "slices", "warnings", "headline"):
            assert there[key] == report[key], key


def test_of_several_seeds_each_is_measured_and_the_examples_are_of_one(trial: Make) -> None:
    project = trial(SCRIPT, keys=KEYS.replace("[0, 1, 2]", "[0, 1]"), files={"data/quality": "90"})
    project.train()
    project.factory.git(project.folder, "switch", "--quiet", "--create", "worse")
    project.factory.commit(project.folder, {"data/quality": "80"})
    project.train()
    report = json.loads(project("report", "--json").stdout)
    metrics = {metric["label"]: metric for metric in report["metrics"]}
    assert [len(metrics["f1"][side]) for side in ("base", "head")] == [2, 2]
    accuracy = metrics["accuracy"]
    assert (accuracy["base"], accuracy["head"]) == ([0.9, 0.91], [0.8, 0.81])
    assert [test["method"] for test in accuracy["tests"]] == ["welch", "mcnemar", "bootstrap"]
    assert accuracy["evidence"] == accuracy["tests"][0]["text"] == "p = 0.005 (Welch, 2 + 2)"
    assert accuracy["tests"][1]["text"] == (
        "p < 0.001 (McNemar, 20 lost and 0 won of 200 examples), SEED=0 alone"
    )


def test_predictions_that_are_cut_off_are_named_and_nothing_is_made_of_them(trial: Make) -> None:
    script = """
    printf '{"accuracy": 0.9}' > out/metrics.json
    printf 'y_true,y_pred\\n1,1\\n0' > out/predictions.csv
    """
    project = trial(script, keys="metrics: [out/metrics.json]\noutputs: [out/predictions.csv]")
    project.train()
    report = json.loads(project("report", "--json").stdout)
    assert [metric["label"] for metric in report["metrics"]] == ["accuracy"]
    assert report["warnings"] == [
        "out/predictions.csv: row 3 has 1 cells instead of 2; is it cut off?"
    ]
