"""A plan is what is executed: saved and executed, refused when a fact changed, exported as a script
that does the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.train.conftest import Make, Trial

pytestmark = pytest.mark.engine

TWO_STAGES = """
after:
  image: MINI
  working_dir: /app
  command: [sh, -ec, "cat out/model.txt > after/copy; echo '{\\"n\\": 2}' > after/m.json"]
  depends_on: [train]
  volumes: ["./out:/app/out:ro", "./after:/app/after"]
  x-mcgitops: {outputs: [after/copy], metrics: [after/m.json]}
"""
SCRIPT = (
    'echo "$(cat data/train.csv) it\'s $NOTE" > out/model.txt; echo \'{"a": 1}\' > out/metrics.json'
)
KEYS = """
metrics: [out/metrics.json]
outputs: [out/model.txt]
matrix: {NOTE: ["a 'b' \\"c\\" $$(touch /tmp/never) é", "# plain"]}
"""


def runs_of(project: Trial) -> dict[str, dict[str, object]]:
    """All runs of the local store: by fingerprint, without what differs between executions."""
    found = {}
    for path in (project.folder / ".mcgitops/store/runs").rglob("*.json"):
        record = json.loads(path.read_text())
        for volatile in ("started", "resources", "log", "commit", "dirty", "seal"):
            record.pop(volatile)
        found[record["fingerprint"]] = record
    return found


def program_on_path(folder: Path) -> str:
    """A PATH on which `mcgitops` is this checkout's program."""
    folder.mkdir()
    program = folder / "mcgitops"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m mcgitops "$@"\n')
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_the_exported_script_does_the_same_as_train(trial: Make, tmp_path: Path) -> None:
    project = trial(SCRIPT, keys=KEYS, more=TWO_STAGES, files={"params.txt": ""})
    copy = tmp_path / "copy"
    shutil.copytree(project.folder, copy)
    by_hand = Trial(copy, project.name, project.run, project.factory)
    script = by_hand("plan", "--shell").stdout
    assert not (copy / "out").exists()
    done = subprocess.run(
        ["bash"], input=script, cwd="/", text=True, capture_output=True, check=False,
        env={**os.environ, "PATH": program_on_path(tmp_path / "bin")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    project("train")
    assert runs_of(by_hand) == runs_of(project)
    assert len(runs_of(project)) == 3
    assert by_hand.snapshot() == project.snapshot()
    assert by_hand.text("after/copy").startswith("1,2 it's ")
    assert not Path("/tmp/never").exists()
    assert "Nothing to do" in by_hand("train").stdout
    assert project.left_in_engine() == []
    assert "# Nothing to do." in by_hand("plan", "--shell").stdout


def test_a_script_whose_stage_fails_stops_there(trial: Make, tmp_path: Path) -> None:
    project = trial("exit 3", more=TWO_STAGES)
    script = project("plan", "--shell").stdout
    done = subprocess.run(
        ["bash"], input=script, cwd="/", text=True, capture_output=True, check=False,
        env={**os.environ, "PATH": program_on_path(tmp_path / "bin")},
    )  # fmt: skip
    assert done.returncode == 4
    assert "train failed with exit code 3" in done.stderr
    assert "after" not in done.stderr


def test_a_saved_plan_is_executed_or_refused_by_the_fact_that_changed(trial: Make) -> None:
    project = trial(files={"params.yaml": "lr: 0.1\n"}, keys="""
        params: [params.yaml]
        metrics: [out/metrics.json]
        """)  # fmt: skip
    project("plan", "--out", "plan.json")
    # a new file in the project folder that no stage reads changes nothing
    project.write({"data/train.csv": "3,4\n"})
    refused = project("train", "--plan", "plan.json", check=False)
    assert refused.code == 2
    assert refused.stderr.strip() == (
        "data has changed since the plan was made. Nothing was started. Plan again."
    )
    assert not (project.folder / "out").exists()
    project.write({"data/train.csv": "1,2\n", "params.yaml": "lr: 0.2\n"})
    refused = project("train", "--plan", "plan.json", check=False)
    assert refused.stderr.startswith("params.yaml has changed since")
    project.write({"params.yaml": "lr: 0.1\n"})
    text = project.text("compose.yml")
    project.write({"compose.yml": text.replace("working_dir: /app", "working_dir: /app/")})
    refused = project("train", "--plan", "plan.json", check=False)
    assert refused.stderr.startswith("definition of train has changed since")
    project.write({"compose.yml": text})
    project("train", "--plan", "plan.json")
    assert (project.folder / "out/metrics.json").is_file()
    # executed once; now the store has its run, which the plan was made without
    refused = project("train", "--plan", "plan.json", check=False)
    assert refused.code == 2
    assert "has changed since the plan was made" in refused.stderr or "have" in refused.stderr


def test_a_plan_of_something_else_is_refused(trial: Make) -> None:
    project = trial()
    project.write({"plan.json": "{}", "other.json": '{"format": 1, "project": "x", "facts": {}}'})
    for name, said in (
        ("nope.json", "nope.json: No such file or directory. Make one: mcgitops plan --out."),
        ("plan.json", "plan.json is not a plan. Make one: mcgitops plan --out FILE."),
        ("other.json", f"other.json is a plan of x, and this is {project.name}. Plan again."),
    ):
        done = project("train", "--plan", name, check=False)
        assert (done.code, done.stderr.strip()) == (2, said)


def test_planning_changes_nothing_and_says_the_same_twice(trial: Make) -> None:
    project = trial(SCRIPT, keys=KEYS, more=TWO_STAGES)
    before = project.snapshot()
    first = project("plan").stdout
    assert project("plan").stdout == first
    assert project.snapshot() == before
    assert project.left_in_engine() == []
    assert "after" in first
    assert "pending" in first
    as_json = json.loads(project("plan", "--json").stdout)
    assert as_json == json.loads(project("plan", "--json").stdout)
    assert project.factory.git(project.folder, "status", "--porcelain") == ""
