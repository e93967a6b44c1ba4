"""Pinned data and trainings: fingerprints without data, fetching what is read, changes by hand."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.conftest import ProjectFactory
from tests.integration.train.conftest import Make, Trial

SCRIPT = (
    "touch set/new 2> /dev/null && exit 9; cat set/train/*.csv > out/model.txt; "
    "printf '{\"rows\": 1}' > out/metrics.json"
)
FIXTURE = Path(__file__).parents[2] / "fixtures" / "dvc"
KEYS = "metrics: [out/metrics.json]\noutputs: [out/model.txt]"


def cloned(project: Trial, factory: ProjectFactory, name: str) -> Trial:
    """A fresh clone of the project, beside it, as CI has it."""
    folder = project.folder.parent / name
    subprocess.run(["git", "clone", "--quiet", project.folder, folder], check=True)
    return Trial(folder, project.name, project.run, factory)


def fingerprint(project: Trial) -> str:
    plan: dict[str, Any] = json.loads(project("plan", "--json").stdout)
    (stage,) = plan["stages"]
    return str(stage["runs"][0]["fingerprint"])


def test_a_clone_knows_the_fingerprints_from_the_pin_and_fetches_only_what_must_be_trained(
    trial: Make, project_factory: ProjectFactory
) -> None:
    project = trial(
        SCRIPT,
        keys=KEYS,
        # writable in the file: what is pinned is read-only in a run all the same
        service='volumes: ["./set:/app/set", "./out:/app/out"]',
        files={".gitignore": "/out\n"},
        top="x-mcgitops: {store: ../bucket}\n",
    )
    project.write({"set/train/a.csv": "1\n", "set/train/b ü.csv": "2\n", "set/test/c.csv": "3"})
    project("data", "add", "set")
    project_factory.commit(project.folder, {}, "Pin the data")
    assert project_factory.git(project.folder, "ls-files", "set") == ""
    project.train()
    assert project.text("out/model.txt") == "1\n2\n"

    # a clone has the run without a byte of the data
    clone = cloned(project, project_factory, "clone")
    assert fingerprint(clone) == fingerprint(project)
    assert clone.train()["trained"] == []
    assert clone.text("out/model.txt") == "1\n2\n"
    assert not (clone.folder / "set").exists()

    # and where it must train, it is said what is fetched, and the rest is as before
    plan = clone("plan", "--force", "train").stdout
    assert "mcgitops data pull --for train  # set: 3 files, 5 B" in plan
    clone("data", "pull", "--for", "train")
    assert (clone.folder / "set/train/b ü.csv").read_text() == "2\n"
    assert project.left_in_engine() == []


def test_only_declared_inputs_are_fetched_and_what_was_changed_by_hand_is_no_commits(
    trial: Make, project_factory: ProjectFactory
) -> None:
    project = trial(
        SCRIPT,
        keys=f"{KEYS}\ninputs: [set/train]",
        files={".gitignore": "/out\n"},
        service='volumes: ["./set:/app/set:ro", "./out:/app/out"]',
        top="x-mcgitops: {store: ../bucket}\n",
    )
    project.write({"set/train/a.csv": "1\n", "set/test/large.csv": "3" * 1000})
    project("data", "add", "--push", "set")
    project_factory.commit(project.folder, {}, "Pin the data")

    clone = cloned(project, project_factory, "clone")
    assert "set: 1 file, 2 B" in clone("plan").stdout
    clone.train()
    assert sorted(p.name for p in (clone.folder / "set").rglob("*.csv")) == ["a.csv"]
    assert "partly here" in clone("data", "status").stdout

    # a change by hand counts, is said, and the commit isn't given runs that it can't repeat
    head = project_factory.git(clone.folder, "rev-parse", "HEAD")
    before = fingerprint(clone)
    clone.write({"set/train/a.csv": "4\n"})
    plan = clone("plan").stdout
    assert "with uncommitted changes" in plan
    assert "warning: set is not as set.mcgitops says" in plan
    assert "mcgitops data add set pins it" in plan
    clone.train()
    assert clone.text("out/model.txt") == "4\n"
    commits = list((clone.folder / ".mcgitops/store/commits").glob("*/*/train.json"))
    assert [path.parts[-3] for path in commits] == [head]
    assert json.loads(commits[0].read_text())["selected"] == before
    assert json.loads(clone("report", "--format", "json").stdout)["head"]["dirty"] is True

    # the change would undo what was never fetched, unless that is meant
    refused = clone("data", "add", "set", check=False)
    assert refused.code == 2
    assert "mcgitops data pull set" in refused.stderr
    clone("data", "pull", "set")
    assert Path(clone.folder / "set/test/large.csv").stat().st_size == 1000
    clone("data", "add", "set")
    difference = clone("data", "diff").stdout
    assert difference.splitlines() == ["set  1 changed, 1.0 kB", "  ~ train/a.csv  2 B → 2 B"]

    # the report says what changed of the data, from what both pins say
    project_factory.write(clone.folder, {"set/train/b.csv": "55\n"})
    clone("data", "add", "set")
    project_factory.commit(clone.folder, {}, "More data")
    clone.train()
    report = json.loads(clone("report", "--base", head, "--format", "json").stdout)
    (fact,) = (fact for fact in report["facts"] if fact["name"] == "set")
    assert fact["files"]["added"] == ["train/b.csv"]
    assert fact["files"]["changed"] == ["train/a.csv"]
    assert fact["files"]["sizes"]["train/b.csv"] == [None, 3]
    assert (fact["files"]["base_size"], fact["files"]["head_size"]) == (2, 5)


def test_a_dvc_projects_data_is_fetched_for_the_stage_that_reads_it(trial: Make) -> None:
    project = trial(
        "touch images/deep/x 2>/dev/null && exit 9; "  # what is pinned is mounted read-only
        "find images labels -type f | sort > out/model.txt; echo '{\"rows\": 1}' > "
        "out/metrics.json",
        keys=f"{KEYS}\ninputs: [images/deep, labels]",
        service='volumes: ["./images:/app/images", "./labels:/app/labels:ro", "./out:/app/out"]',
        files={".gitignore": "/out\n"},
        top="x-mcgitops: {store: ../bucket}\n",
    )
    shutil.copytree(FIXTURE / "project", project.folder, dirs_exist_ok=True)
    shutil.copytree(FIXTURE / "remote", project.folder.parent / "remote")
    before = fingerprint(project)
    project.train()
    made = project.text("out/model.txt").splitlines()
    assert [path for path in made if path.endswith((".bin", "empty", ".csv"))] == [
        "images/deep/empty", "images/deep/raw.bin", "labels/train.csv",
    ]  # fmt: skip
    assert not (project.folder / "images/a.txt").exists()
    assert fingerprint(project) == before
    assert project.train()["trained"] == []
