"""A project in git whose runs are in its store, published as a training would."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mcgitops.facts import git
from mcgitops.facts.compose import load_project
from mcgitops.metrics import read, read_params
from mcgitops.plan.planner import all_reads
from mcgitops.run.gather import look_at, make_plan
from mcgitops.run.workspace import Workspace
from mcgitops.store.records import CommitRecord, FileRef, ImageRef, Resources, RunRecord
from mcgitops.store.store import open_store

COMPOSE = """
name: wine
services:
  train:
    image: ${MCLAB_IMAGE:-mclab-base:dev}
    command: python3 train.py
    volumes: ["./:/app"]
    x-mcgitops:
      params: [params.yaml]
      metrics: [out/metrics.json]
      plots: [out/history.csv]
      outputs: [out/model.bin]
      replicates: {SEED: [0, 1, 2]}
x-mcgitops:
  metrics:
    accuracy: {goal: maximize, gate: {max_drop: 0.005}}
"""


class Wine:
    """The project, and a stand-in for its training: the same records without a container."""

    def __init__(self, folder: Path, commit: Callable[..., str], git_: Callable[..., str]) -> None:
        self.folder = folder
        self._commit = commit
        self.git = git_

    def commit(self, files: Mapping[str, str], message: str = "Change") -> str:
        return self._commit(self.folder, files, message)

    def branch(self, name: str) -> None:
        self.git(self.folder, "switch", "--quiet", "--create", name)

    def train(self, accuracy: float, *, state: str = "succeeded", losses: bool = True) -> None:
        """Publish the runs that the planner asks for, from files as a script writes them."""
        project = load_project(self.folder)
        store = open_store(str(self.folder / ".mcgitops" / "store"))
        workspace = Workspace(project, store)
        head = git.head(self.folder, project.produced())
        for read_ in all_reads(project, ()):  # what the runs read is kept, as training does
            store.put_bytes(look_at(workspace, read_).manifest.encode())
        for stage in make_plan(workspace).stages:
            for seed, run in enumerate(stage.runs):
                metrics = {"accuracy": accuracy + 0.001 * seed, "log_loss": 0.1 + 0.03 * seed}
                files = {
                    "out/metrics.json": json.dumps(metrics if losses else {"accuracy": accuracy}),
                    "out/history.csv": "epoch,val_loss\n"
                    + "".join(f"{epoch},{accuracy / epoch}\n" for epoch in range(1, 6)),
                    "out/model.bin": f"model {accuracy} {seed}",
                }
                references = {}
                for path, content in files.items():
                    digest, size = store.put_bytes(content.encode())
                    references[path] = FileRef(path=path, digest=digest, size=size)
                values, params = self._read("out/metrics.json", files), self._params()
                record = RunRecord(
                    project=project.name,
                    stage=stage.name,
                    fingerprint=run.fingerprint,
                    state="succeeded" if state == "succeeded" or seed == 0 else "failed",
                    replicate=dict(run.combination.replicate),
                    exit_code=0 if state == "succeeded" or seed == 0 else 1,
                    commit=head.commit,
                    started=datetime.now(UTC),
                    image=ImageRef(reference=run.image, digest="sha256:" + "ab" * 32, size=1000),
                    resources=Resources(wall_seconds=1.5, peak_memory_bytes=10_000_000),
                    facts=dict(run.facts),
                    metrics=values,
                    params=params,
                    plots=(references["out/history.csv"],),
                    outputs=(references["out/model.bin"],),
                    metric_files=(references["out/metrics.json"],),
                    log_tail=("epoch 5", "ValueError: boom"),
                )
                if record.state == "succeeded":
                    store.publish(record)
                else:
                    store.attempt(record)
            if state == "succeeded" and head.commit and not head.dirty:
                store.publish_commit(
                    CommitRecord(
                        project=project.name,
                        stage=stage.name,
                        commit=head.commit,
                        runs=tuple(run.fingerprint for run in stage.runs),
                        selected=stage.runs[0].fingerprint,
                    )
                )

    def _read(self, path: str, files: Mapping[str, str]) -> dict[str, dict[str, object]]:
        import io

        return {path: dict(read(path, io.BytesIO(files[path].encode())).values)}

    def _params(self) -> dict[str, dict[str, object]]:
        with (self.folder / "params.yaml").open("rb") as stream:
            return {"params.yaml": dict(read_params("params.yaml", stream).values)}


@pytest.fixture
def wine(project_factory) -> Wine:  # type: ignore[no-untyped-def]
    folder = project_factory(
        {
            "compose.yml": COMPOSE,
            "params.yaml": "lr: 0.1\ndepth: 3\n",
            "train.py": "print('training')\n",
            ".gitignore": "out/\n.mcgitops/\n",
        }
    )
    return Wine(folder, project_factory.commit, project_factory.git)
