"""Very many files at once: each verb that has to do with stores, executed on so many of them.

A run with one folder of so many outputs, and as many files of pinned data, of a few bytes each; to
the bucket, into a fresh clone, verified, lost in part and repaired. What it takes is measured, and
each has to end as it does with few.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.support import projects
from benchmarks.support.measure import CommandFailed, clean_environment, measured
from mcgitops.store.records import CommitRecord, FileRef, ImageRef, RunRecord
from mcgitops.store.store import open_store
from tests.lab.program import ROOT
from tests.lab.s3 import S3Server

A_FOLDER = 1000
FINGERPRINT = "e" * 64
COMPOSE = """\
name: entries
services:
  train:
    profiles: [train]
    image: example
    volumes: ["./out:/app/out", "./data:/app/data:ro"]
    x-mcgitops: {metrics: [out/metrics.json], outputs: [out/made]}
"""


@dataclass(frozen=True)
class Step:
    """One call: what it took (seconds, bytes of its memory), and what was wrong with it."""

    name: str
    seconds: float
    peak_bytes: int
    problem: str = ""


def steps(folder: Path, server: S3Server, count: int) -> Iterator[Step]:
    """All of them, in the order in which a team comes to need them."""
    ours, clone = folder / "ours", folder / "clone"
    # by another process: what is measured begins with the memory that this one has
    making = [sys.executable, "-m", "tests.lab.store_entries", str(ours), str(count)]
    subprocess.run(making, cwd=ROOT, check=True)
    env = {
        **clean_environment(**server.env, MCGITOPS_STORE=server.url(f"entries-{os.getpid()}")),
        "PYTHONPATH": str(ROOT),
    }

    def step(
        name: str, words: Sequence[str], where: Path, wrong: Callable[[], str] = lambda: ""
    ) -> Step:
        try:
            took = measured([sys.executable, "-m", "mcgitops", *words], where, env)
        except CommandFailed as error:
            return Step(name, 0.0, 0, str(error)[-2000:])
        return Step(name, took.seconds, took.peak_bytes, wrong())

    def lacks(below: Path) -> Callable[[], str]:
        return lambda: "" if (there := _files(below)) == count else f"{there} files in {below}"

    yield step("push", ["push"], ours)
    yield step("push --again", ["push", "--again"], ours)
    yield step("data add", ["data", "add", "data/set"], ours)
    yield step("data add, nothing new", ["data", "add", "data/set"], ours)
    yield step("push of the data", ["push"], ours)
    yield step("data status", ["data", "status"], ours)
    projects.commit(ours)
    _publish_commit(ours)
    yield step("push of the commit", ["push"], ours)
    projects.git(folder, "clone", "--quiet", str(ours), str(clone))
    yield step("pull", ["pull"], clone, lacks(clone / "out" / "made"))
    yield step("pull, nothing new", ["pull"], clone)
    yield step("data pull", ["data", "pull"], clone, lacks(clone / "data" / "set"))
    yield step("report", ["report", "--head", "HEAD"], clone)
    yield step("compare", ["compare", FINGERPRINT[:12], "HEAD"], clone)
    yield step("runs", ["runs"], clone)
    yield step("gc --dry-run", ["gc", "--offline", "--dry-run"], clone)
    yield step("verify", ["verify"], clone)
    for part in ("0", "1"):  # an eighth of the objects
        for lost in (clone / ".mcgitops/store/objects/sha256").glob(f"{part}?"):
            shutil.rmtree(lost)
    yield step("verify --repair", ["verify", "--repair"], clone)
    yield step("verify afterwards", ["verify"], clone)


def make(folder: Path, count: int) -> None:
    """A project whose commit has one run, as a training leaves it, and data beside it."""
    folder.mkdir()
    (folder / "compose.yml").write_text(COMPOSE)
    (folder / ".gitignore").write_text("/.mcgitops\n/out\n")
    projects.commit(folder)
    refs = []
    objects = folder / ".mcgitops" / "store" / "objects" / "sha256"
    for number in range(256):
        (objects / f"{number:02x}").mkdir(parents=True)
    for number in range(count):
        # as files, not through the store, which makes each of them durable
        content = b"%d\n" % number
        name = hashlib.sha256(content).hexdigest()
        (objects / name[:2] / name).write_bytes(content)
        path = f"out/made/part{number // A_FOLDER:04}/item{number:07}"
        refs.append(FileRef(path=path, digest=f"sha256:{name}", size=len(content)))
        data = folder / "data" / "set" / f"part{number // A_FOLDER:04}"
        if number % A_FOLDER == 0:
            data.mkdir(parents=True)
        (data / f"item{number:07}").write_bytes(b"data %d\n" % number)
    open_store(str(folder / ".mcgitops" / "store")).publish(
        RunRecord(
            project="entries", stage="train", fingerprint=FINGERPRINT, state="succeeded",
            exit_code=0, commit=_head(folder), started=datetime.datetime.now(datetime.UTC),
            image=ImageRef(reference="example"), outputs=tuple(refs),
        )
    )  # fmt: skip


def _publish_commit(folder: Path) -> None:
    open_store(str(folder / ".mcgitops" / "store")).publish_commit(
        CommitRecord(
            commit=_head(folder), project="entries", stage="train",
            runs=(FINGERPRINT,), selected=FINGERPRINT,
        )
    )  # fmt: skip


def _head(folder: Path) -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, env=clean_environment(),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def _files(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
