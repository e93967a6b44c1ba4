"""The composite action: from the start of its step to the first docker command.

On a runner that has run it before, which is what a self-hosted runner is from its second job on.
The step is started as a runner starts it: its own line, in `sh -e`, with its variables.
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

from benchmarks.support import projects
from benchmarks.support.measure import Sample, Series, clean_environment
from benchmarks.support.table import Row, verdict
from tests.lab.runner import action_checkout

REPEATS = 11
WARM_SECONDS = 2.0

# Stands before the real docker in PATH, notes when it was first called, and becomes it.
SHIM = """#!/bin/sh
[ -e "$FIRST_DOCKER" ] || date +%s.%N >"$FIRST_DOCKER"
exec {docker} "$@"
"""


def main() -> int:
    """1 where the bound is missed."""
    with projects.workplace() as folder:
        action = action_checkout(folder / "action")
        project = projects.make(folder / "project", f"{projects.PREFIX}-action")
        env = environment(folder, action)
        first = step(action, project, env)
        warm = Series(tuple(step(action, project, env) for _ in range(REPEATS)))
    rows = [
        Row("first start on a runner", Series((first,))),
        Row("every later one", warm, kind="seconds", bound=WARM_SECONDS),
    ]
    return verdict("The action: step start to first docker command", rows)


def environment(folder: Path, action: Path) -> dict[str, str]:
    """What a runner sets for a push to main."""
    docker = shutil.which("docker")
    if docker is None:
        raise SystemExit("There is no docker: make engine.")
    shims = folder / "bin"
    shims.mkdir()
    (shims / "docker").write_text(SHIM.format(docker=docker))
    (shims / "docker").chmod(0o755)
    (folder / "event.json").write_text(json.dumps({"ref": "refs/heads/main"}))
    inputs = yaml.safe_load((action / "action.yml").read_text())["runs"]["steps"][0]["env"]
    tools = Path(sys.executable).parent  # uv, as on a runner that has it
    return {
        **clean_environment(**dict.fromkeys(inputs, "")),
        "CI": "true",
        "FIRST_DOCKER": str(folder / "first"),
        "GITHUB_ACTION_PATH": str(action),
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_EVENT_PATH": str(folder / "event.json"),
        "GITHUB_REF": "refs/heads/main",
        "PATH": os.pathsep.join([str(shims), str(tools), os.environ["PATH"]]),
        "RUNNER_TEMP": str(folder),
        "RUNNER_TOOL_CACHE": str(folder / "tools"),
    }


def step(action: Path, project: Path, env: dict[str, str]) -> Sample:
    """Execute the action's step to its end; the time is that until the first docker command."""
    line = yaml.safe_load((action / "action.yml").read_text())["runs"]["steps"][0]["run"]
    seen = Path(env["FIRST_DOCKER"])
    seen.unlink(missing_ok=True)
    began = time.time()
    done = subprocess.run(
        ["sh", "-e", "-c", line],
        cwd=project,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or not seen.exists():
        raise SystemExit(f"The action failed:\n{done.stdout}{done.stderr}")
    return Sample(float(seen.read_text()) - began)


if __name__ == "__main__":
    sys.exit(main())
