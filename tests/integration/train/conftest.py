"""Small real trainings: a busybox image and a shell script, so that a run costs about a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ProjectFactory, Result, Runner
from tests.lab import down
from tests.lab.engine import Engine


@dataclass
class Trial:
    """A project folder, its compose name, and the program run in it."""

    folder: Path
    name: str
    run: Runner
    factory: ProjectFactory

    def __call__(self, *arguments: str, **options: Any) -> Result:
        """`mcgitops ARGUMENT…` in the folder."""
        return self.run(*arguments, cwd=self.folder, **options)

    def train(self, *arguments: str, **options: Any) -> dict[str, Any]:
        """`mcgitops train --json`, parsed."""
        done = self("train", "--json", *arguments, **options)
        parsed: dict[str, Any] = json.loads(done.stdout)
        return parsed

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files without committing them."""
        self.factory.write(self.folder, files)

    def text(self, path: str) -> str:
        """A file's text."""
        return (self.folder / path).read_text()

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """The program as a process that goes on."""
        return subprocess.Popen(
            [sys.executable, "-m", "mcgitops", *arguments], cwd=self.folder, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **(env or {})},
        )  # fmt: skip

    def left_in_engine(self) -> list[str]:
        """Containers, volumes and networks that carry the project's name."""
        return left_in_engine(self.name)

    def snapshot(self) -> dict[str, bytes]:
        """Every file of the folder that isn't our own state or git's, with its content."""
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not {".mcgitops", ".git"} & set(path.parts)
        }


def left_in_engine(name: str) -> list[str]:
    """Containers, volumes and networks whose name holds `name`."""
    api = down.api()
    names = {
        "container": [each for one in api.containers(all=True) for each in one["Names"] or ()],
        "volume": [one["Name"] for one in api.volumes()["Volumes"] or ()],
        "network": [one["Name"] for one in api.networks()],
    }
    return [f"{kind} {each}" for kind, all_ in names.items() for each in all_ if name in each]


Make = Callable[..., Trial]


@pytest.fixture
def trial(
    engine: Engine,
    mini_image: str,
    project_factory: ProjectFactory,
    run_mcgitops: Runner,
    unique_name: Callable[..., str],
) -> Iterator[Make]:
    """Make a project: `trial("sh commands")` has one stage, `train`, that runs them in /app.

    keys:  more lines of the stage's `x-mcgitops`.   service: more lines of the service itself.
    more:  more services.                            top: more top-level lines.
    """
    made: list[Trial] = []

    def make(
        script: str = "printf '{\"accuracy\": 0.9}' > out/metrics.json; echo model > out/model.txt",
        *,
        keys: str = "metrics: [out/metrics.json]\noutputs: [out/model.txt]",
        service: str = 'volumes: ["./data:/app/data:ro", "./out:/app/out"]',
        more: str = "",
        top: str = "",
        files: Mapping[str, str | bytes] | None = None,
        folder: str | None = None,
        git: bool = True,
    ) -> Trial:
        name = unique_name("train")
        text = f"name: {name}\nservices:\n  train:\n    image: {mini_image}\n"
        text += (
            "    working_dir: /app\n    command: [sh, -ec, "
            + json.dumps(script.replace("$", "$$"))
            + "]\n"
        )
        text += textwrap.indent(textwrap.dedent(service).strip() + "\n", "    ")
        text += "    x-mcgitops:\n" + textwrap.indent(textwrap.dedent(keys).strip() + "\n", " " * 6)
        text += textwrap.indent(textwrap.dedent(more).replace("MINI", mini_image), "  ")
        text += textwrap.dedent(top)
        place = project_factory(
            {
                "compose.yml": text,
                ".gitignore": "out/\n",
                "data/train.csv": "1,2\n",
                **(files or {}),
            },
            git=git,
            name=folder,
        )
        made.append(Trial(place, name, run_mcgitops, project_factory))
        return made[-1]

    yield make
    for each in made:
        assert each.left_in_engine() == [], "a training left something in the engine"
