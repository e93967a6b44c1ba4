"""The composite action, from the start of its step to the first docker command that it executes.

The step is executed as the runner does it: its own script, in a fresh copy of the action (a runner
downloads it for each job, so nothing in it is compiled yet), with the tool cache that a runner
keeps. A `docker` before the real one on PATH writes down when it is called, and calls it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import yaml

from benchmarks.support import programs, projects
from benchmarks.support.measure import Sample, Series, clean_environment, measured
from benchmarks.support.table import Row, verdict

REPEATS = 7
SECONDS = 2.0
SHIPPED = ("actions", "mcgitops", "templates", "requirements")

WRAPPER = """\
#!/bin/sh
date "+%s.%N $*" >>"{calls}"
exec "{docker}" "$@"
"""


def main() -> int:
    """1 where the bound is missed."""
    with projects.workplace() as folder:
        project = projects.make(folder / "project", f"{projects.PREFIX}-action")
        runner = Runner(folder / "runner", project)
        first = runner.step()
        warm = [runner.step() for _ in range(REPEATS)]
    rows = [
        Row("first docker command", _series(warm, 0), kind="seconds", bound=SECONDS),
        Row("first build", _series(warm, 1), kind="seconds"),
        Row("the step in all: it trains", _series(warm, 2), kind="seconds"),
        Row("a runner's first time: first docker command", _series([first], 0), kind="seconds"),
    ]
    return verdict("The action train, from the start of its step", rows)


def _series(steps: list[tuple[Sample, Sample, Sample]], which: int) -> Series:
    return Series(tuple(step[which] for step in steps))


class Runner:
    """What a runner keeps from job to job, and what it lays anew."""

    def __init__(self, folder: Path, project: Path) -> None:
        self._folder = folder
        self._project = project
        self._calls = folder / "calls"
        self._bin = folder / "bin"
        self._bin.mkdir(parents=True)
        (folder / "temp").mkdir()
        wrapper = self._bin / "docker"
        wrapper.write_text(WRAPPER.format(calls=self._calls, docker=shutil.which("docker")))
        wrapper.chmod(0o755)
        self._number = 0

    def step(self) -> tuple[Sample, Sample, Sample]:
        """One job's step, with a changed parameter: until docker, until the build, in all."""
        self._number += 1
        (self._project / "params.yaml").write_text(f"lr: 0.2\nepochs: {self._number}\n")
        projects.commit(self._project)
        action = self._fresh_action()
        script = self._folder / "step.sh"
        script.write_text(_script(action / "actions" / "train" / "action.yml"))
        self._calls.unlink(missing_ok=True)
        env = self._environment(action)
        began = time.time()
        whole = measured(("sh", "-e", script), self._project, env)
        calls = [line.split(" ", 1) for line in self._calls.read_text().splitlines()]
        first = float(calls[0][0])
        build = next(float(at) for at, words in calls if words.startswith("buildx build"))
        return Sample(first - began), Sample(build - began), whole

    def _fresh_action(self) -> Path:
        action = self._folder / "action"
        shutil.rmtree(action, ignore_errors=True)
        for name in SHIPPED:
            shutil.copytree(
                programs.ROOT / name, action / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        return action

    def _environment(self, action: Path) -> dict[str, str]:
        sha = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=self._project, capture_output=True, text=True, check=True,
        ).stdout.strip()  # fmt: skip
        event = self._folder / "event.json"
        event.write_text(
            json.dumps(
                {
                    "ref": "refs/heads/main",
                    "before": "0" * 40,
                    "after": sha,
                    "repository": {"full_name": "ada/bench", "default_branch": "main"},
                }
            )
        )
        return clean_environment(
            PATH=f"{self._bin}{os.pathsep}{_system_path()}",
            CI="true",
            GITHUB_ACTIONS="true",
            GITHUB_ACTION_PATH=str(action / "actions" / "train"),
            GITHUB_API_URL="http://127.0.0.1:9",  # nobody there: training asks the API nothing
            GITHUB_EVENT_NAME="push",
            GITHUB_EVENT_PATH=str(event),
            GITHUB_OUTPUT=str(self._folder / "output"),
            GITHUB_REF="refs/heads/main",
            GITHUB_REPOSITORY="ada/bench",
            GITHUB_SHA=sha,
            GITHUB_STEP_SUMMARY=str(self._folder / "summary"),
            GITHUB_WORKSPACE=str(self._project),
            RUNNER_TEMP=str(self._folder / "temp"),
            RUNNER_TOOL_CACHE=str(self._folder / "tools"),
        )


def _script(action: Path) -> str:
    """The script of the action's own step."""
    (step,) = yaml.safe_load(action.read_text())["runs"]["steps"]
    return str(step["run"])


def _system_path() -> str:
    """PATH without this development environment: a runner has none."""
    own = str(Path(sys.executable).parent)
    return os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != own)


if __name__ == "__main__":
    sys.exit(main())
