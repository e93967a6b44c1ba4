"""The workflow that init writes, executed by a runner: a push to a fresh project trains it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ProjectFactory, Runner
from tests.lab.runner import ACTION, ActRunner

PINNED = f"{ACTION}@{'a' * 40}"


@pytest.mark.runner
@pytest.mark.engine
def test_a_push_of_the_scaffolded_project_trains_it(
    run_mcgitops: Runner,
    project_factory: ProjectFactory,
    base_image: str,
    unique_name: Callable[..., str],
    tmp_path: Path,
):
    folder = project_factory({}, git=False, name=unique_name("init"))
    run_mcgitops("init", "--action", PINNED, cwd=folder)
    project_factory.git(folder, "init", "--quiet", "--initial-branch=main")
    commit = project_factory.commit(folder, {}, "Start")
    text = (folder / ".github/workflows/mcgitops.yml").read_text()
    store = tmp_path / "store"
    run = ActRunner(tmp_path / "runner").run(
        folder,
        text.replace(PINNED, f"{ACTION}@v1"),  # under which name the runner has our action
        "push",
        {"ref": "refs/heads/main", "after": commit, "before": "0" * 40,
         "repository": {"full_name": "octo/flowers", "default_branch": "main"}},
        api_url="http://127.0.0.1:9",  # a push asks nothing of GitHub
        env={"BASE_IMAGE": base_image, "MCGITOPS_STORE": str(store)},
        artifacts=tmp_path / "artifacts",
    )  # fmt: skip
    assert run.ok, run.raw
    ours = run.steps["1"]
    assert "accuracy" in ours.summary, ours.text
    assert list(store.glob(f"commits/{commit}/*/train.json"))
    (page,) = (tmp_path / "artifacts").rglob("*.zip")
    assert page.stat().st_size > 10_000
    assert not list(store.glob("releases/**/*.json"))  # that is the tag's job
