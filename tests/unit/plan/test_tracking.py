"""What a run's second compose file tells tracking tools: the stage's keys in, variables out."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from mcgitops.plan.model import RunPlan
from mcgitops.plan.override import override
from mcgitops.project.model import Combination
from tests.unit.plan.world import project

OUT = "{type: bind, source: /p/out, target: /app/out}"
ALL = "{type: bind, source: /p, target: /work dir}"

CASES: dict[str, tuple[str, str, dict[str, str]]] = {
    # name: volumes, more of the service, variables
    "a database": (
        OUT,
        "x-mcgitops: {metrics: [out/mlflow.db]}",
        {"MLFLOW_TRACKING_URI": "sqlite:////app/out/mlflow.db"},
    ),
    "a database of any name, declared": (
        OUT,
        "x-mcgitops: {metrics: [out/x], readers: {out/x: mlflow_db}}",
        {"MLFLOW_TRACKING_URI": "sqlite:////app/out/x"},
    ),
    "a database of somebody else": (
        OUT,
        "x-mcgitops: {metrics: [out/mlflow.db], readers: {out/mlflow.db: other}}",
        {},
    ),
    "MLflow's folder": (
        ALL,
        "x-mcgitops: {metrics: [mlruns]}",
        {
            "MLFLOW_TRACKING_URI": "file:///work%20dir/mlruns",
            "MLFLOW_ALLOW_FILE_STORE": "true",
        },
    ),
    "MLflow's folder, mounted itself": (
        "{type: bind, source: /p/mlruns, target: /m}",
        "x-mcgitops: {metrics: [mlruns]}",
        {"MLFLOW_TRACKING_URI": "file:///m", "MLFLOW_ALLOW_FILE_STORE": "true"},
    ),
    "the first of two": (
        OUT,
        "x-mcgitops: {metrics: [out/mlflow.db, out/mlruns]}",
        {
            "MLFLOW_TRACKING_URI": "sqlite:////app/out/mlflow.db",
            "MLFLOW_ALLOW_FILE_STORE": "true",
        },
    ),
    "an address that the service sets": (
        OUT,
        "{environment: {MLFLOW_TRACKING_URI: http://tracker}, x-mcgitops: {metrics: [out/mlruns]}}",
        {"MLFLOW_TRACKING_URI": "http://tracker"},
    ),
    "an address that the matrix sets": (
        OUT,
        "x-mcgitops: {metrics: [out/mlflow.db], matrix: {MLFLOW_TRACKING_URI: [a]}}",
        {"MLFLOW_TRACKING_URI": "a"},
    ),
    "W&B": (
        ALL,
        "x-mcgitops: {metrics: [wandb]}",
        {"WANDB_MODE": "offline", "WANDB_DIR": "/work dir"},
    ),
    "W&B in a folder": (
        OUT,
        "x-mcgitops: {metrics: [out/wandb]}",
        {"WANDB_MODE": "offline", "WANDB_DIR": "/app/out"},
    ),
    "W&B in a folder of another name": (
        OUT,
        "x-mcgitops: {metrics: [out/tracked], readers: {out/tracked: wandb}}",
        {"WANDB_MODE": "offline", "WANDB_DIR": "/app/out/tracked"},
    ),
    "W&B that the service switched off": (
        OUT,
        "{environment: {WANDB_MODE: disabled}, x-mcgitops: {metrics: [out/wandb]}}",
        {"WANDB_MODE": "disabled", "WANDB_DIR": "/app/out"},
    ),
    "both tools": (
        OUT,
        "x-mcgitops: {metrics: [out/wandb, out/mlflow.db]}",
        {
            "WANDB_MODE": "offline",
            "WANDB_DIR": "/app/out",
            "MLFLOW_TRACKING_URI": "sqlite:////app/out/mlflow.db",
        },
    ),
    "other files": (OUT, "x-mcgitops: {metrics: [out/m.json, out/tb], plots: [out/wandb]}", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_stage_that_declares_a_trackers_place_has_the_tool_write_there(case: str) -> None:
    volume, more, expected = CASES[case]
    keys: dict[str, Any] = yaml.safe_load(more)
    service = {"image": "i", "volumes": [yaml.safe_load(volume)], **keys}
    made = project(yaml.safe_dump({"name": "n", "services": {"train": service}}))
    stage = made.services["train"]
    combination = stage.combinations()[0]
    run = RunPlan("train", combination, "f" * 64, {}, "i", cached=False, reason="")
    text = override(made, stage, run).replace("!reset", "").replace("!override", "")
    written = yaml.safe_load(text)["services"]["train"]["environment"]
    # what Compose makes of both files
    assert {**stage.environment, **written} == expected


def test_a_dollar_in_a_path_is_not_interpolated() -> None:
    service = {
        "image": "i",
        "volumes": [{"type": "bind", "source": "/p/out", "target": "/a$b"}],
        "x-mcgitops": {"metrics": ["out/mlflow.db"]},
    }
    text = yaml.safe_dump({"name": "n", "services": {"train": service}}).replace("$", "$$")
    made = project(text)
    run = RunPlan("train", Combination(), "f" * 64, {}, "i", cached=False, reason="")
    assert "sqlite:////a$$b/mlflow.db" in override(made, made.services["train"], run)
