"""For the tests of this folder: the fake GitHub, a runner, and a project that both work on."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ProjectFactory, Result, Runner, hide_caller, run_program
from tests.lab import down
from tests.lab.github import FakeGitHub
from tests.lab.runner import ActRunner

COMPOSE = """
name: {name}

services:
  train:
    profiles: [train]
    build: {{context: ., target: train}}
    volumes: ["./out:/app/out"]
    x-mcgitops:
      params: [params.yaml]
      metrics: [out/metrics.json]
      outputs: [out/model]

  api:
    build: {{context: ., target: serve, additional_contexts: {{model: ./out}}}}
    command: httpd -f -p 8080 -h /www
    ports: ["18080:8080"]
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/model"]
      interval: 2s
      start_period: 5s
      start_interval: 200ms
    stop_grace_period: 0s

x-mcgitops:
  metrics:
    accuracy: {{goal: maximize, gate: {{max_drop: 0.01}}}}
  environments:
    production: {{trigger: {{tag: "v*"}}, hosts: {hosts}, health_timeout: 20s}}
"""

DOCKERFILE = """
FROM {mini} AS train
WORKDIR /app
COPY train.sh params.yaml ./
CMD ["sh", "train.sh"]

FROM {mini} AS serve
COPY --from=model model /www/model
"""

# What it prints is what no runner may obey.
TRAIN = """
echo "::error::forged by the training script"
echo "::stop-commands::guess"
lr=$(sed -n 's/^lr: //p' params.yaml)
echo "model of lr $lr" > out/model
awk -v lr="$lr" 'BEGIN { printf "{\\"accuracy\\": %.4f, \\"loss\\": %.4f}", 1 - lr, lr }' \\
  > out/metrics.json
"""


@pytest.fixture
def hub() -> Iterator[FakeGitHub]:
    """A repository with pull request 7; leaving the test checks all that passed."""
    with FakeGitHub() as github:
        github.add_pull(7)
        yield github


@pytest.fixture(scope="session")
def runner(tmp_path_factory: pytest.TempPathFactory) -> ActRunner:
    """A self-hosted runner: what it installed for one job is there for the next."""
    return ActRunner(tmp_path_factory.mktemp("runner"))


@dataclass
class Repository:
    """The project's working tree, and the events that GitHub would send for it."""

    folder: Path
    store: Path
    factory: ProjectFactory
    name: str = ""
    subfolder: str = ""  # of the project, in the repository

    def commit(self, files: dict[str, str], message: str = "Change") -> str:
        """A commit on what is checked out. Paths are the project's."""
        moved = {str(Path(self.subfolder, path)): text for path, text in files.items()}
        return self.factory.commit(self.folder, moved, message)

    def git(self, *arguments: str) -> str:
        """Git's answer."""
        return self.factory.git(self.folder, *arguments)

    def pushed(self) -> dict[str, Any]:
        """The event of a push to main."""
        return {"ref": "refs/heads/main", "repository": {"default_branch": "main"}}

    def tagged(self, tag: str) -> dict[str, Any]:
        """Tag what is checked out; the event."""
        self.git("tag", tag)
        return {"ref": f"refs/tags/{tag}", "repository": {"default_branch": "main"}}

    def pull_request(
        self, files: dict[str, str], number: int = 7, fork: bool = False
    ) -> dict[str, Any]:
        """Commit on a branch, check out its merge with main as GitHub does; the event."""
        exists = "feature" in self.git("branch", "--list", "feature")
        self.git("checkout", "--quiet", *([] if exists else ["-b"]), "feature")
        head = self.commit(files, "On the branch")
        self.git("checkout", "--quiet", "--detach", "main")
        self.git("merge", "--quiet", "--no-ff", "--no-edit", "feature")
        ours = {"full_name": "octo/wine"}
        theirs = {"full_name": "stranger/wine"} if fork else ours
        base = {"sha": self.git("rev-parse", "main"), "ref": "main", "repo": ours}
        pull = {"number": number, "base": base}
        pull["head"] = {"sha": head, "ref": "feature", "repo": theirs}
        return {
            "action": "synchronize",
            "number": number,
            "pull_request": pull,
            "repository": {"default_branch": "main", **ours},
        }


def make_repository(
    factory: ProjectFactory,
    mini_image: str,
    name: str,
    store: Path,
    hosts: list[str] | None = None,
    subfolder: str = "",
) -> Repository:
    """A project in git, and a place for its store."""
    listed = ", ".join(f'"{host}"' for host in hosts or ["local://"])
    files = {
        "compose.yml": COMPOSE.format(name=name, hosts=f"[{listed}]"),
        "Dockerfile": DOCKERFILE.format(mini=mini_image),
        "train.sh": TRAIN,
        "params.yaml": "lr: 0.10\n",
        ".dockerignore": "out\n.git\n",
        ".gitignore": "out/*\n!out/.keep\n",
        "out/.keep": "",
    }
    folder = factory({str(Path(subfolder, path)): text for path, text in files.items()})
    return Repository(folder, store, factory, name, subfolder)


@pytest.fixture
def repository(
    project_factory: ProjectFactory,
    mini_image: str,
    unique_name: Callable[..., str],
    tmp_path: Path,
) -> Callable[..., Repository]:
    """Make the project: `repository(["ssh://…"])`, `repository(subfolder="models/wine")`."""

    def make(hosts: list[str] | None = None, subfolder: str = "") -> Repository:
        name = unique_name("ci")
        return make_repository(
            project_factory, mini_image, name, tmp_path / "store", hosts, subfolder
        )

    return make


@pytest.fixture(scope="session")
def trained_once(mini_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    """A project whose main a job has trained. Don't change it: take `trained`."""
    place = tmp_path_factory.mktemp("trained")
    name = f"mclab-ci-{secrets.token_hex(4)}"
    for folder in ("projects", "runner"):
        (place / folder).mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        hide_caller(monkeypatch)
        factory = ProjectFactory(place / "projects")
        repo = make_repository(factory, mini_image, name, place / "store")
        with FakeGitHub() as hub:
            Ci(run_program, hub, place / "runner")(repo, "push", repo.pushed(), "--only", "train")
            assert hub.requests == []
    yield repo
    down.remove_named(name)


@pytest.fixture
def trained(
    trained_once: Repository, project_factory: ProjectFactory, tmp_path: Path
) -> Repository:
    """The project after its main was trained by `ci --only train`, with the store that it filled.

    A copy: what a test does to it stays with the test.
    """
    folder, store = tmp_path / "projects" / "trained", tmp_path / "store"
    shutil.copytree(trained_once.folder, folder, symlinks=True)
    shutil.copytree(trained_once.store, store, symlinks=True)
    return Repository(folder, store, project_factory, trained_once.name)


ANY_FAILURE = -1


@dataclass
class Ci:
    """The program with a runner's variables."""

    run: Runner
    hub: FakeGitHub
    folder: Path
    more: dict[str, str] = field(default_factory=dict)

    def variables(self, repo: Repository, event: str, payload: Any) -> dict[str, str]:
        path = self.folder / "event.json"
        path.write_text(json.dumps(payload))
        refs = {"pull_request": "refs/pull/7/merge"}
        for name in ("summary", "output"):
            (self.folder / name).write_text("")
        return {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_API_URL": self.hub.url,
            "GITHUB_EVENT_NAME": event,
            "GITHUB_EVENT_PATH": str(path),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_REF": refs.get(event, payload.get("ref", "")),
            "GITHUB_REPOSITORY": "octo/wine",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_RUN_ID": "5",
            "GITHUB_SHA": repo.git("rev-parse", "HEAD"),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "GITHUB_TOKEN": "actions-token",
            "MCGITOPS_STORE": str(repo.store),
            "RUNNER_TEMP": str(self.folder),
            **({"GITHUB_BASE_REF": "main"} if event == "pull_request" else {}),
            **self.more,
        }

    def __call__(
        self, repo: Repository, event: str, payload: Any, *options: str, code: int = 0,
        folder: str = "", **env: str,
    ) -> Result:  # fmt: skip
        variables = self.variables(repo, event, payload) | env
        result = self.run("ci", *options, cwd=repo.folder / folder, env=variables, check=False)
        expected = result.code in (1, 4) if code == ANY_FAILURE else result.code == code
        assert expected, result.stdout + result.stderr
        return result

    @property
    def summary(self) -> str:
        return (self.folder / "summary").read_text()


@pytest.fixture
def ci(run_mcgitops: Runner, hub: FakeGitHub, tmp_path: Path) -> Ci:
    folder = tmp_path / "runner"
    folder.mkdir()
    return Ci(run_mcgitops, hub, folder)


def shallow(repo: Repository, folder: Path, branch: str) -> Repository:
    """A clone as actions/checkout makes it: one commit, and git can't fetch more."""
    repo.git(
        "clone", "--quiet", "--depth=1", "--branch", branch, f"file://{repo.folder}", str(folder)
    )
    clone = Repository(folder, repo.store, repo.factory)
    clone.git("remote", "set-url", "origin", f"file://{folder}/nowhere")
    return clone
