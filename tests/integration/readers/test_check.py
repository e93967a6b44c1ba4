"""`mcgitops check` knows what readers know."""

from __future__ import annotations

import json

from tests.conftest import ProjectFactory, Runner

STAGE = """\
name: n
services:
  train:
    image: i@sha256:{digest}
    volumes: ["./out:/app/out"]
    x-mcgitops:
      metrics: {metrics}
      readers: {readers}
"""


def project(metrics: list[str], readers: dict[str, str]) -> dict[str, str]:
    return {
        "compose.yml": STAGE.format(
            digest="0" * 64, metrics=json.dumps(metrics), readers=json.dumps(readers)
        )
    }


def test_an_unknown_reader_is_a_mistake_that_names_the_known_ones(
    project_factory: ProjectFactory, run_mcgitops: Runner
) -> None:
    folder = project_factory(project(["out/a", "out/b"], {"out/a": "wandb", "out/b": "mlflo"}))
    done = run_mcgitops("check", cwd=folder, check=False)
    assert done.code == 2
    (said, _) = done.stderr.strip().splitlines()
    assert said.startswith(
        "compose.yml:8: service train: readers: out/b: there is no reader mlflo. Known: "
    )
    for known in ("mlflow_db", "mlflow_files", "tensorboard", "wandb"):
        assert known in said


def test_a_reader_of_a_path_that_is_not_declared_is_a_mistake(
    project_factory: ProjectFactory, run_mcgitops: Runner
) -> None:
    folder = project_factory(project(["out/a"], {"out/other": "wandb"}))
    done = run_mcgitops("check", cwd=folder, check=False)
    assert done.code == 2
    assert "readers: out/other is in neither metrics nor plots. Name one of" in done.stderr


def test_files_and_folders_that_a_reader_knows_are_no_warning(
    project_factory: ProjectFactory, run_mcgitops: Runner
) -> None:
    paths = ["out/mlflow.db", "out/e.out.tfevents.1", "out/wandb", "out/runs.d", "out/odd.xyz"]
    files = project([*paths, "out/none.xyz"], {"out/odd.xyz": "wandb"})
    folder = project_factory({**files, "out/runs.d/keep": ""})
    done = run_mcgitops("check", cwd=folder)
    (warning,) = [line for line in done.stderr.splitlines() if "known kind" in line]
    assert "out/none.xyz is of no known kind" in warning
