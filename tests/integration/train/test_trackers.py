"""Scripts that log to MLflow or W&B are trained as they are: nothing in them knows of mcgitops."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import yaml

from mcgitops.metrics import detect
from mcgitops.metrics.files import Folder
from mcgitops.plan.tracking import tracking
from mcgitops.project.load import load
from mcgitops.project.source import Sources
from tests.conftest import ProjectFactory, Runner
from tests.integration.train.conftest import Make, Trial
from tests.lab import writers

SCRIPT = """\
import mlflow

with mlflow.start_run():
    mlflow.log_param("lr", 0.1)
    for step in range(4):
        mlflow.log_metric("accuracy", 0.5 + step / 10, step=step)
"""


def test_an_unchanged_script_that_logs_to_mlflow(
    mlflow_image: str,
    project_factory: ProjectFactory,
    run_mcgitops: Runner,
    unique_name: Callable[..., str],
) -> None:
    name = unique_name("mlflow")
    keys = {"metrics": ["out/mlflow.db"]}
    service = {
        "image": mlflow_image,
        "working_dir": "/app",
        "command": ["python3", "train.py"],
        "volumes": ["./train.py:/app/train.py:ro", "./out:/app/out"],
        "x-mcgitops": keys,
    }
    compose = yaml.safe_dump({"name": name, "services": {"train": service}})
    folder = project_factory({"compose.yml": compose, "train.py": SCRIPT, ".gitignore": "out/\n"})
    trial = Trial(folder, name, run_mcgitops, project_factory)
    trained = trial.train()
    (run,) = trained["runs"]["train"]
    assert run["metrics"] == {"out/mlflow.db": {"accuracy": 0.8}}
    assert run["params"] == {"out/mlflow.db": {"lr": 0.1}}
    assert run["warnings"] == []
    assert (folder / "out" / "mlflow.db").is_file()
    report = json.loads(trial("report", "--json").stdout)
    (curve,) = report["curves"]
    assert (curve["series"], curve["x"]) == ("accuracy", "step")
    assert curve["head"][0] == 0.5
    assert trial.left_in_engine() == []


def test_the_variables_lead_the_real_tools_to_what_is_declared(tmp_path: Path) -> None:
    service = {
        "image": "i",
        "volumes": [{"type": "bind", "source": str(tmp_path), "target": str(tmp_path)}],
        "x-mcgitops": {"metrics": ["o u t/mlruns", "o u t/wandb"]},
    }
    text = yaml.safe_dump({"name": "n", "services": {"train": service}})
    project = load(text, Sources(), tmp_path, (tmp_path / "compose.yml",))
    variables = tracking(project, project.services["train"])
    (tmp_path / "o u t").mkdir()
    (tmp_path / "elsewhere").mkdir()
    wandb = 'import wandb\nwith wandb.init(project="p") as run:\n    run.log({"loss": 0.25})\n'
    quiet = writers.environment(tmp_path / "elsewhere")
    del quiet["WANDB_MODE"]
    subprocess.run(
        [writers.python(), "-c", SCRIPT + wandb],
        env={"PATH": os.environ["PATH"], **quiet, **variables},
        cwd=tmp_path / "elsewhere",
        check=True,
        capture_output=True,
        timeout=240,
    )
    found = detect.find(Folder.of(tmp_path / "o u t"))
    assert found.metrics == {"mlruns": {"accuracy": 0.8}, "wandb": {"loss": 0.25}}
    assert found.warnings == ()


def test_links_that_a_tracker_makes_in_its_folder_are_no_warning(trial: Make) -> None:
    script = (
        "mkdir out/runs; echo '{\"accuracy\": 0.9}' >out/runs/m.json; ln -s m.json out/runs/latest"
    )
    project = trial(script, keys="metrics: [out/runs]")
    (run,) = project.train()["runs"]["train"]
    assert run["metrics"] == {"out/runs/m.json": {"accuracy": 0.9}}
    assert run["warnings"] == []
    assert not (project.folder / "out" / "runs" / "latest").exists()
