"""The small project that is measured: one stage, a container that ends at once.

What is measured is what mcgitops adds, so the container does next to nothing.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.support.measure import clean_environment
from tests.lab import down, images
from tests.lab.program import LabError

PREFIX = "mclab-bench"
"""All that the benchmarks make in the engine has a name that starts so."""

COMPOSE = """\
name: {name}
services:
  train:
    profiles: [train]
    build: {{context: .}}
    command: sh train.sh
    volumes: ["./data:/app/data:ro", "./out:/app/out"]
    x-mcgitops:
      params: [params.yaml]
      metrics: [out/metrics.json]
      outputs: [out/model.txt]
"""
DOCKERFILE = """\
FROM {image}
WORKDIR /app
COPY params.yaml train.sh ./
"""
TRAIN = """\
set -e
ls data | wc -l >out/model.txt
echo '{"accuracy": 0.9}' >out/metrics.json
"""


def base_image() -> str:
    """A small image of the lab."""
    try:
        return images.mini_image()
    except LabError as error:
        raise SystemExit(str(error)) from None


def make(folder: Path, name: str) -> Path:
    """Write the project into `folder` and commit it. `data` and `out` are not git's."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in {
        "compose.yml": COMPOSE.format(name=name),
        "Dockerfile": DOCKERFILE.format(image=base_image()),
        "train.sh": TRAIN,
        "params.yaml": "lr: 0.1\nepochs: 3\n",
        ".dockerignore": "data\nout\n",
        ".gitignore": "/data\n/out\n",
    }.items():
        (folder / path).write_text(text)
    (folder / "data").mkdir(exist_ok=True)
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Commit everything, in a repository that is made where there is none."""
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet",
        "--allow-empty", "--message", "Change")  # fmt: skip


def git(folder: Path, *arguments: str) -> None:
    """Run git."""
    subprocess.run(["git", *arguments], cwd=folder, env=clean_environment(), check=True)


@contextmanager
def workplace() -> Iterator[Path]:
    """A temporary folder outside the repository; what carries our name in the engine goes too."""
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        # what ends a benchmark from outside (a CI's time limit) leaves nothing behind either
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
        try:
            yield folder
        finally:
            down.remove_named(PREFIX)
