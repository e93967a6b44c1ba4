"""A small real project: a line is fitted in a container, and served over HTTP by another."""

from __future__ import annotations

import secrets
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.conftest import ProjectFactory, Result, Runner
from tests.lab import down, images
from tests.lab.engine import Engine
from tests.lab.program import LabError

COMPOSE = """
name: {name}

services:
  train:
    profiles: [train]
    build: ./train
    volumes: ["./data:/app/data:ro", "./out:/app/out"]
    x-mcgitops:
      metrics: [out/metrics.json]
      outputs: [out/model]

  api:
    build: {{context: ./serve, additional_contexts: {{model: ./out}}}}
    ports: ["${{PORT:-18080}}:8080"]
    env_file: [api.env]
    environment:
      TOKEN: ${{TOKEN:?}}
    configs: [{{source: banner, target: /www/banner.txt}}]
    healthcheck:
      test: ["CMD", "sh", "/app/healthy.sh"]
      interval: 5s
      retries: 1
      start_period: 7s
      start_interval: 500ms
    stop_grace_period: 1s

  proxy:
    image: {mini}
    command: httpd -f -p 8080 -h /pages
    volumes: ["./pages:/pages:ro", "./uploads:/uploads"]
    healthcheck:
      test: ["CMD", "true"]
      start_period: 5s
      start_interval: 400ms
    stop_grace_period: 0s

configs:
  banner: {{content: "served by ${{WHO:-nobody}}"}}

x-mcgitops:
  environments:
    production: {{trigger: {{tag: "v*"}}, hosts: {hosts}, health_timeout: 20s}}
"""

TRAIN_DOCKERFILE = """
FROM {mini}
WORKDIR /app
COPY train.sh ./
CMD ["sh", "train.sh"]
"""

SERVE_DOCKERFILE = """
FROM {mini}
WORKDIR /app
COPY serve.sh healthy.sh ./
COPY predict.sh /www/cgi-bin/predict
COPY --from=model model /app/model
RUN chmod 755 /www/cgi-bin/predict
LABEL mclab.test={name}
CMD ["sh", "serve.sh"]
"""

# least squares through the origin, and the mean error: a model, if a small one
TRAIN = """
mkdir -p out
awk -F, '{ xy += $1 * $2; xx += $1 * $1 }
  END { printf "%.4f\\n", xy / xx }' data/points.csv > out/model
awk -F, -v k=$(cat out/model) '{ d = $2 - k * $1; e += d < 0 ? -d : d }
  END { printf "{\\"mae\\": %.4f}\\n", e / NR }' data/points.csv > out/metrics.json
"""
PREDICT = """#!/bin/sh
echo "Content-Type: text/plain"; echo
awk -v k="$(cat /app/model)" -v x="${QUERY_STRING#x=}" 'BEGIN { printf "%.2f\\n", k * x }'
"""
SERVE = "exec httpd -f -p 8080 -h /www\n"
HEALTHY = "wget -q -O - 'http://127.0.0.1:8080/cgi-bin/predict?x=1'\n"
ENV = "CANARY=canary-in-env-file\n"


@dataclass
class App:
    """The project, and the program run in it."""

    folder: Path
    name: str
    run: Runner
    factory: ProjectFactory
    env: dict[str, str]
    trained: Path  # the first training's store, for the other tests: the same data gives a hit
    made: Path  # what releases brought, for the tests that need one of just the same commit
    afresh: bool = False
    commits: int = field(default=0, repr=False)

    def __call__(self, *arguments: str, check: bool = True, **env: str) -> Result:
        return self.run(*arguments, cwd=self.folder, env={**self.env, **env}, check=check)

    def release(self, tag: str, files: dict[str, str] | None = None) -> None:
        """Commit, train, tag, release.

        Most tests need a release and aren't about making one. What the program put into the store
        for a commit, it would put there again: it does so once, and later tests get a copy.
        """
        self.commits += 1
        with dated(self.commits):
            commit = self.factory.commit(self.folder, files or {}, tag)
        kept = self.made / f"{commit}-{tag}"
        mine = not self.afresh and "MCGITOPS_STORE" not in self.env
        if mine and kept.is_dir() and self._fits(kept):
            self.factory.git(self.folder, "tag", tag)
            shutil.copytree(kept, self.folder, dirs_exist_ok=True)
            return
        before = self._stored()
        store = self.folder / ".mcgitops" / "store"
        if self.trained.exists() and not store.exists():
            shutil.copytree(self.trained, store)
        self("train")
        if not self.trained.exists():
            shutil.copytree(store, self.trained)
        self.factory.git(self.folder, "tag", tag)
        self("release", tag)
        new = self._stored() - before
        # notes to agents are numbered by what happened before
        if mine and not kept.exists() and not any("wanted" in path.parts for path in new):
            self._keep(kept, new)

    def _stored(self) -> set[Path]:
        store = self.folder / ".mcgitops" / "store"
        return {path.relative_to(self.folder) for path in store.rglob("*") if path.is_file()}

    def _fits(self, kept: Path) -> bool:
        """Whether the store has no other record in the place of one that would be copied."""
        records = (path.relative_to(kept) for path in kept.rglob("*.json"))
        store = Path(".mcgitops", "store")
        return not any(r.is_relative_to(store) and (self.folder / r).exists() for r in records)

    def _keep(self, kept: Path, new: set[Path]) -> None:
        last = {Path(".mcgitops", name) for name in (".gitignore", "last.json")}
        outputs = {p.relative_to(self.folder) for p in (self.folder / "out").iterdir()}
        for path in new | last | outputs:
            (kept / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.folder / path, kept / path)


@contextmanager
def dated(number: int) -> Iterator[None]:
    """Commits of the same have the same name, too: the n-th has a fixed time."""
    names = ("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE")
    with pytest.MonkeyPatch.context() as patch:
        for name in names:
            patch.setenv(name, f"{1_767_225_600 + 60 * number} +0000")
        yield


def points(slope: float) -> str:
    """Training data on a line."""
    return "".join(f"{x},{slope * x}\n" for x in range(1, 20))


def get(url: str, timeout: float = 5) -> str:
    """What a URL answers, or the reason why it doesn't."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer:
            text: str = answer.read().decode().strip()
            return text
    except (urllib.error.URLError, OSError) as error:
        return f"no answer: {error}"


MakeApp = Callable[..., App]


@pytest.fixture(scope="session")
def registry_image(engine: Engine) -> str:
    """A local image of Debian's own image registry."""
    try:
        return images.registry_image()
    except LabError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def deploy_name() -> str:
    """One name for all tests here, so that they can share a training."""
    return f"mclab-deploy-{secrets.token_hex(4)}"


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What tests here have of each other: stores, gone afterwards."""
    folder = tmp_path_factory.mktemp("shared")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def make_app(
    project_factory: ProjectFactory, run_mcgitops: Runner, mini_image: str, deploy_name: str,
    shared: Path,
) -> Iterator[MakeApp]:  # fmt: skip
    """Make the project for some hosts; with `afresh`, each release is really made in this test."""
    name = deploy_name
    trained, made = shared / "trained", shared / "made"

    def make(
        hosts: Sequence[str], env: dict[str, str] | None = None, *, afresh: bool = False
    ) -> App:
        folder = project_factory(
            {
                "compose.yml": COMPOSE.format(name=name, mini=mini_image, hosts=list(hosts)),
                "train/Dockerfile": TRAIN_DOCKERFILE.format(mini=mini_image),
                "serve/Dockerfile": SERVE_DOCKERFILE.format(mini=mini_image, name=name),
                ".gitignore": ".mcgitops/\nout/\napi.env\n",
                "train/train.sh": TRAIN,
                "serve/serve.sh": SERVE,
                "serve/predict.sh": PREDICT,
                "serve/healthy.sh": HEALTHY,
                "data/points.csv": points(2),
                "pages/index.html": "front page\n",
            },
            git=False,
        )
        project_factory.git(folder, "init", "--quiet", "--initial-branch=main")
        with dated(0):
            project_factory.commit(folder, {}, "Start")
        (folder / "api.env").write_text(ENV)
        variables = {"TOKEN": "canary-in-variable", **(env or {})}
        return App(folder, name, run_mcgitops, project_factory, variables, trained, made, afresh)

    yield make
    down.remove_named(name)
