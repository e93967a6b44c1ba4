"""A project with runs in its local store, as a training leaves it; needs no engine."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

import pytest

from mcgitops.store.records import CommitRecord, FileRef, ImageRef, RunRecord
from mcgitops.store.store import Store, open_store
from tests.conftest import ProjectFactory

COMPOSE = """
name: wine
services:
  train:
    image: example
    volumes: ["./out:/app/out"]
    x-mcgitops: {metrics: [out/metrics.json], outputs: [out/model.bin]}
x-mcgitops:
  metrics: {accuracy: {goal: maximize}}
"""
NOON = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)


def fingerprint(number: int) -> str:
    """A fingerprint that starts with the number."""
    return f"{number:08x}" + "f" * 56


MakeRun = Callable[..., RunRecord]


@pytest.fixture(scope="session", autouse=True)
def reads_once(many_clients: None) -> None:
    """For all tests of this folder."""


@pytest.fixture
def make_run() -> MakeRun:
    """Put a run's files into a store and publish its record."""

    def make(store: Store, number: int = 1, *, commit: str = "", publish: bool = True) -> RunRecord:
        model, size = store.put_bytes(f"model {number}".encode())
        metrics, metrics_size = store.put_bytes(b'{"accuracy": %f}' % (1 / (number + 1)))
        log, log_size = store.put_bytes(f"log {number}".encode())
        record = RunRecord(
            project="wine",
            stage="train",
            fingerprint=fingerprint(number),
            state="succeeded",
            exit_code=0,
            commit=commit,
            started=NOON + datetime.timedelta(minutes=number),
            image=ImageRef(reference="example"),
            metrics={"out/metrics.json": {"accuracy": 1 / (number + 1), "loss": float("nan")}},
            outputs=(FileRef(path="out/model.bin", digest=model, size=size),),
            metric_files=(FileRef(path="out/metrics.json", digest=metrics, size=metrics_size),),
            log=FileRef(path="log", digest=log, size=log_size),
        )
        if publish:
            store.publish(record)
        return record

    return make


@pytest.fixture
def project(project_factory: ProjectFactory) -> Path:
    """A project folder in git."""
    return project_factory({"compose.yml": COMPOSE, ".gitignore": "/out\n"})


@pytest.fixture
def trained(project: Path, project_factory: ProjectFactory, make_run: MakeRun) -> Path:
    """The project, with one run of its commit in the local store."""
    store = open_store(str(project / ".mcgitops/store"))
    commit = project_factory.git(project, "rev-parse", "HEAD")
    run = make_run(store, 1, commit=commit)
    store.publish_commit(
        CommitRecord(
            project="wine",
            stage="train",
            commit=commit,
            runs=(run.fingerprint,),
            selected=run.fingerprint,
        )
    )
    return project
