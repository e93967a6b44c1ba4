"""Projects with runs in their store that nobody trained: records as a training leaves them.

Written as files, not through the store, which makes each of them durable: that takes minutes.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import random
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.support import projects
from benchmarks.support.measure import clean_environment
from mcgitops.store.folder import FolderBackend
from mcgitops.store.journal import Journal
from mcgitops.store.records import CommitRecord, FileRef, ImageRef, Resources, RunRecord
from mcgitops.store.store import key_of

SEEDS = 5
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
NOTHING = "sha256:" + "0" * 64
STORE = Path(".mcgitops/store")
METRICS = "out/metrics.json"

COMPOSE = """\
name: wine
services:
  train:
    profiles: [train]
    image: example
    volumes: ["./out:/app/out"]
    x-mcgitops:
      params: [params.yaml]
      metrics: [out/metrics.json]
      outputs: [out/model.bin]
      replicates: {SEED: [0, 1, 2, 3, 4]}
x-mcgitops:
  metrics:
    accuracy: {goal: maximize}
"""


def make(folder: Path, compose: str = COMPOSE) -> Path:
    """A project in git without any run."""
    folder.mkdir(parents=True)
    (folder / "compose.yml").write_text(compose)
    (folder / "params.yaml").write_text("lr: 0.1\n")
    (folder / ".gitignore").write_text("/out\n/.mcgitops\n")
    projects.commit(folder)
    return folder


def many_runs(folder: Path, runs: int) -> list[str]:
    """A project with `runs` runs, five at each commit of its main branch; gives the commits."""
    make(folder)
    rng = random.Random(1)
    commits = _commits(folder, runs // SEEDS - 1)
    for number, sha in enumerate(commits):
        records = []
        for seed in range(SEEDS):
            metrics = {f"metric{index}": rng.random() for index in range(18)}
            metrics["accuracy"] = 0.9 + 0.05 * number / len(commits) + rng.gauss(0, 0.01)
            metrics["loss"] = rng.random()
            records.append(
                record(
                    f"{number}-{seed}",
                    seed,
                    sha,
                    metrics,
                    {"lr": 0.1 / (1 + number % 7), "epochs": 10, "model.depth": number % 9},
                    START + datetime.timedelta(hours=number, minutes=seed),
                )
            )
        publish(folder, sha, records)
    return commits


def record(
    name: str,
    seed: int,
    commit: str,
    metrics: Mapping[str, float],
    params: Mapping[str, float],
    started: datetime.datetime = START,
    *,
    fingerprint: str = "",
    stage: str = "train",
    file: str = METRICS,
    project: str = "wine",
) -> RunRecord:
    """A run with what runs have; its fingerprint comes from `name` unless it is given."""
    return RunRecord(
        project=project,
        stage=stage,
        fingerprint=fingerprint or hashlib.sha256(name.encode()).hexdigest(),
        state="succeeded",
        replicate={"SEED": str(seed)} if seed >= 0 else {},
        exit_code=0,
        commit=commit,
        started=started,
        image=ImageRef(reference="example", digest=NOTHING, size=400_000_000),
        resources=Resources(
            wall_seconds=40.0 + seed, cpu_seconds=70.0, peak_memory_bytes=500_000_000
        ),
        facts={f"data/part{index}": NOTHING for index in range(12)},
        metrics={file: dict(metrics)},
        params={"params.yaml": dict(params)},
        outputs=(FileRef(path="out/model.bin", digest=NOTHING, size=1_000_000),),
        log_tail=tuple(f"epoch {index}: loss 0.{index:03}" for index in range(30)),
    )


def publish(folder: Path, commit: str, records: Sequence[RunRecord]) -> None:
    """Put runs, and the commit that has them, into the project's own store."""
    first = records[0]
    fingerprints = tuple(one.fingerprint for one in records)
    commit_record = CommitRecord(
        project=first.project,
        stage=first.stage,
        commit=commit,
        runs=fingerprints,
        selected=fingerprints[0],
    )
    for one in (*records, commit_record):
        path = folder / STORE / key_of(one)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(one.model_dump_json() + "\n")


def journal(store: Path, at_once: int = 100) -> None:
    """The journal of a bucket with these records, as many pushes leave it."""
    backend = FolderBackend(store)
    keys = [entry.key for top in ("runs/", "commits/") for entry in backend.entries(top)]
    for start in range(0, len(keys), at_once):
        Journal(backend).append(records=keys[start : start + at_once])
    shutil.rmtree(store / "tmp", ignore_errors=True)  # a bucket has none


def fingerprints(program: Path, folder: Path) -> dict[str, list[str]]:
    """What a project's runs are called in its present state, by stage, as the plan has it."""
    done = subprocess.run(
        [program, "plan", "--json"], cwd=folder, env=clean_environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"mcgitops plan --json:\n{done.stderr}")
    plan = json.loads(done.stdout)
    return {
        stage["name"]: [run["fingerprint"] for run in stage["runs"]] for stage in plan["stages"]
    }


def head(folder: Path) -> str:
    """The commit that is checked out."""
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, env=clean_environment(),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def _commits(folder: Path, more: int) -> list[str]:
    """So many more commits on main, an hour apart; gives all of them, the oldest first."""
    lines = []
    for number in range(more):
        moment = int(START.timestamp()) + 3600 * number
        start = f"from {head(folder)}\n" if number == 0 else ""
        text = f"change {number}\n"
        lines.append(
            f"commit refs/heads/main\ncommitter Ada <ada@example.org> {moment} +0000\n"
            f"data 6\nChange\n{start}M 100644 inline notes\ndata {len(text)}\n{text}\n"
        )
    subprocess.run(
        ["git", "fast-import", "--quiet"], cwd=folder, env=clean_environment(),
        input="".join(lines), text=True, check=True,
    )  # fmt: skip
    projects.git(folder, "reset", "--quiet", "--hard", "main")
    done = subprocess.run(
        ["git", "rev-list", "--reverse", "--first-parent", "main"], cwd=folder,
        env=clean_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.split()
