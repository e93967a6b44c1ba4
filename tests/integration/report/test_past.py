"""A metric's earlier values on the base's branch: from the folder's store, and from a bucket."""

from __future__ import annotations

import json
import subprocess

import pytest

from mcgitops.report.json_view import from_data

COURSE = (0.90, 0.93, 0.91, 0.95)


def trained(wine) -> None:
    """Four commits with runs on main, one that only has the runs before it, and a branch."""
    for number, accuracy in enumerate(COURSE):
        wine.commit({"params.yaml": f"lr: 0.{number + 1}\ndepth: 3\n"})
        wine.train(accuracy)
        if number == 1:
            wine.git(wine.folder, "commit", "--quiet", "--allow-empty", "--message", "Nothing")
            wine.train(accuracy)
    wine.branch("feature")
    wine.commit({"params.yaml": "lr: 0.05\ndepth: 3\n"})
    wine.train(0.94)


def past(report) -> list[tuple[str, list[float]]]:
    return [(p.name, [round(mean, 6) for mean in p.means]) for p in report.history]


def test_earlier_values_of_the_base_stand_beside_it(wine, run_mcgitops):
    trained(wine)
    result = run_mcgitops("report", "--json", cwd=wine.folder, check=False)
    report = from_data(json.loads(result.stdout))
    ((name, means), *_) = past(report)
    assert name == "accuracy"
    accuracy = next(change for change in report.metrics if change.name == "accuracy")
    assert means[-1] == round(accuracy.base_mean, 6)
    assert means == [round(accuracy + 0.001, 6) for accuracy in COURSE]  # of three seeds each
    commits = report.history[0].commits
    assert commits[-1] == report.base.commit
    assert len(set(commits)) == len(COURSE)
    text = run_mcgitops("report", "--format", "markdown", cwd=wine.folder, check=False).stdout
    assert "| | metric | history | base | head | change | evidence |" in text
    (row,) = [line for line in text.splitlines() if line.startswith("| 🔴 | **accuracy**")]
    assert row.split(" | ")[2] == "▁▅▂█"
    quick = run_mcgitops("metrics", "diff", "--json", cwd=wine.folder, check=False)
    assert "history" not in json.loads(quick.stdout)


def test_a_first_commit_has_no_past(wine, run_mcgitops):
    wine.train(0.9)
    wine.branch("feature")
    wine.commit({"params.yaml": "lr: 0.05\ndepth: 3\n"})
    wine.train(0.94)
    result = run_mcgitops("report", "--json", cwd=wine.folder, check=False)
    assert from_data(json.loads(result.stdout)).history == ()


@pytest.mark.s3
def test_a_fresh_clone_has_the_past_from_the_bucket(wine, run_mcgitops, rclone_s3, tmp_path):
    env = {**rclone_s3.env, "MCGITOPS_STORE": rclone_s3.url("past")}
    trained(wine)
    here = run_mcgitops("report", "--json", cwd=wine.folder, check=False)
    run_mcgitops("push", cwd=wine.folder, env=env)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", wine.folder, clone], check=True)
    for _ in range(2):  # as it is read, and as the index has it
        there = run_mcgitops("report", "--json", cwd=clone, env=env, check=False)
        assert json.loads(there.stdout)["history"] == json.loads(here.stdout)["history"]
    listed = run_mcgitops("runs", "--csv", "-n", "0", cwd=clone, env=env).stdout
    assert listed == run_mcgitops("runs", "--csv", "-n", "0", cwd=wine.folder).stdout
