"""`mcgitops init` as people call it: scaffold and train; adopt without a change for Compose."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.conftest import ProjectFactory, Runner
from tests.lab.program import ROOT

pytestmark = pytest.mark.engine

ACTION = "acme/mcgitops@" + "a" * 40


def _config(folder: Path) -> str:
    done = subprocess.run(
        ["docker", "compose", "--profile", "*", "config"],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout


def _without_ours(value):
    if isinstance(value, dict):
        return {k: _without_ours(v) for k, v in value.items() if k != "x-mcgitops"}
    return [_without_ours(v) for v in value] if isinstance(value, list) else value


@pytest.fixture
def own_images(engine):
    """Remove the images that a project's training tagged."""
    projects: list[str] = []
    yield projects.append
    for project in projects:
        listed = subprocess.run(
            ["docker", "image", "ls", "--quiet", f"mcgitops/{project}"],
            capture_output=True, text=True, check=True,
        ).stdout.split()  # fmt: skip
        if listed:
            subprocess.run(["docker", "image", "rm", "--force", *listed], capture_output=True)


def test_an_empty_folder_becomes_a_project_that_trains_at_once(
    run_mcgitops: Runner, project_factory: ProjectFactory, base_image: str, own_images
):
    name = "mclab-scaffold"
    own_images(name)
    folder = project_factory({}, git=False, name=name)
    made = run_mcgitops("init", "--action", ACTION, cwd=folder)
    assert f"{name}: a small project that trains at once" in made.stdout
    assert ACTION in (folder / ".github/workflows/mcgitops.yml").read_text()

    project_factory.git(folder, "init", "--quiet", "--initial-branch=main")
    project_factory.commit(folder, {}, "Start")
    env = {"BASE_IMAGE": base_image}
    assert "1 stage: train. No problems." in run_mcgitops("check", cwd=folder, env=env).stdout
    trained = run_mcgitops("train", cwd=folder, env=env)
    assert "3 trained" in trained.stdout
    assert json.loads((folder / "out/metrics.json").read_text())["accuracy"] > 0.9
    report = json.loads(run_mcgitops("report", "--json", cwd=folder, env=env).stdout)
    assert {metric["name"] for metric in report["metrics"]} >= {"accuracy", "log_loss"}
    assert project_factory.git(folder, "status", "--porcelain") == ""


def test_a_second_scaffolding_writes_nothing_and_says_what_is_there(
    run_mcgitops: Runner, project_factory: ProjectFactory
):
    folder = project_factory({"train.py": "print('mine')\n"}, git=False)
    first = run_mcgitops("init", cwd=folder)
    assert "there         train.py" in first.stdout
    assert "train.py is yours" in first.stdout
    assert (folder / "train.py").read_text() == "print('mine')\n"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    second = run_mcgitops("init", cwd=folder)
    assert "Nothing to propose" in second.stdout
    assert "there         .github/workflows/mcgitops.yml" in second.stdout
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_dry_run_writes_nothing(run_mcgitops: Runner, project_factory: ProjectFactory):
    folder = project_factory({}, git=False)
    shown = run_mcgitops("init", "--dry-run", cwd=folder)
    assert "would create  compose.yml" in shown.stdout
    assert list(folder.iterdir()) == []


@pytest.fixture
def shop(project_factory: ProjectFactory, tmp_path: Path) -> Path:
    """The larger example as it was before mcgitops was adopted."""
    folder = tmp_path / "shop"
    shutil.copytree(ROOT / "examples/shop", folder)
    subprocess.run(["git", "apply", "--reverse", "adoption.diff"], cwd=folder, check=True)
    project_factory.git(folder, "init", "--quiet", "--initial-branch=main")
    project_factory.commit(folder, {}, "Before")
    return folder


def test_adopting_a_teams_project_leaves_compose_as_it_was(
    run_mcgitops: Runner, project_factory: ProjectFactory, shop: Path
):
    before_text, before = (shop / "compose.yaml").read_text(), _config(shop)
    proposed = run_mcgitops("init", "--action", ACTION, cwd=shop)
    assert proposed.stdout in (ROOT / "docs/how-to/adopt.md").read_text()
    assert "recommender looks like a stage" in proposed.stdout
    assert "deployed as they are: db, migrate, web, worker" in proposed.stdout
    assert (shop / "compose.yaml").read_text() == before_text

    written = run_mcgitops("init", "--write", cwd=shop)
    assert "docker compose config prints the same as before" in written.stdout
    assert "x-mcgitops" not in before
    after = yaml.safe_load(_config(shop))
    assert after["services"]["recommender"]["x-mcgitops"]["metrics"] == ["models/metrics.json"]
    assert _without_ours(after) == yaml.safe_load(before)
    numbers = project_factory.git(shop, "diff", "--numstat", "compose.yaml").split()
    assert int(numbers[0]) > 0
    assert numbers[1] == "0"  # not one line taken away
    assert "1 stage: recommender" in run_mcgitops("check", cwd=shop).stdout
    assert "stages already: recommender" in run_mcgitops("init", cwd=shop).stdout


def test_a_file_with_uncommitted_changes_is_not_touched(run_mcgitops: Runner, shop: Path):
    with (shop / "compose.yaml").open("a") as file:
        file.write("# mine\n")
    before = (shop / "compose.yaml").read_text()
    refused = run_mcgitops("init", "--write", "--ci", "none", cwd=shop, check=False)
    assert refused.code == 2
    assert "has uncommitted changes: nothing was written." in refused.stderr
    assert (shop / "compose.yaml").read_text() == before


def test_a_value_that_a_newline_at_the_end_would_change_is_not_touched(
    run_mcgitops: Runner, project_factory: ProjectFactory
):
    text = "services:\n  train:\n    volumes: [./out:/out]\n    labels:\n      a: |\n        b"
    text = text.replace("  train:\n", "  train:\n    image: x\n")
    folder = project_factory({"compose.yml": text, "out/metrics.json": '{"auc": 1}'})
    refused = run_mcgitops("init", "--write", "--ci", "none", cwd=folder, check=False)
    assert refused.code == 1
    assert "docker compose config would print something else" in refused.stderr
    assert (folder / "compose.yml").read_text() == text


def test_an_anchor_that_would_carry_our_keys_elsewhere_is_not_touched(
    run_mcgitops: Runner, project_factory: ProjectFactory
):
    text = (
        "services:\n  train: &t\n    image: x\n    volumes: [./out:/out]\n"
        "  other:\n    <<: *t\n    volumes: [./else:/else]\n"
    )
    folder = project_factory({"compose.yml": text, "out/metrics.json": '{"auc": 1}'})
    refused = run_mcgitops("init", "--write", "--ci", "none", cwd=folder, check=False)
    assert refused.code == 1
    assert "can't be inserted safely" in refused.stderr
    assert (folder / "compose.yml").read_text() == text


def test_outputs_in_a_build_context_get_an_ignore_file_unless_another_image_needs_them(
    run_mcgitops: Runner, project_factory: ProjectFactory
):
    train = "  train:\n    build: .\n    volumes: [./out:/app/out]\n"
    files = {"Dockerfile": "FROM scratch\n", "out/model.pkl": "x", ".gitignore": ".mcgitops\n"}
    alone = project_factory({"compose.yml": "services:\n" + train, **files})
    run_mcgitops("init", "--write", "--ci", "none", cwd=alone)
    assert (alone / ".dockerignore").read_text() == "/out\n"
    assert run_mcgitops("check", cwd=alone).code == 0

    api = "  api:\n    build: .\n    ports: ['80']\n"
    shared = project_factory({"compose.yml": "services:\n" + train + api, **files})
    said = run_mcgitops("init", "--write", "--ci", "none", cwd=shared)
    assert not (shared / ".dockerignore").exists()
    assert "api build with it, too" in said.stdout


def test_the_proposal_as_json(run_mcgitops: Runner, shop: Path):
    data = json.loads(run_mcgitops("init", "--json", "--dry-run", cwd=shop).stdout)
    assert data["mode"] == "adopt"
    assert data["stages"]["recommender"]["x-mcgitops"]["params"] == ["recommender/config.json"]
    assert {"path": ".github/workflows/mcgitops.yml", "done": "would create"} in data["files"]
    assert not (shop / ".github").exists()


def test_the_workflow_stands_at_the_top_of_the_repository(
    run_mcgitops: Runner, project_factory: ProjectFactory
):
    top = project_factory({"README.md": ""})
    (top / "models/churn").mkdir(parents=True)
    run_mcgitops("init", "--action", ACTION, cwd=top / "models/churn")
    path = top / ".github/workflows/mcgitops-models-churn.yml"
    workflow = yaml.safe_load(path.read_text())
    step = workflow["jobs"]["model"]["steps"][-1]
    assert step == {"uses": ACTION, "with": {"working-directory": "models/churn"}}
    assert not (top / "models/churn/.github").exists()


def test_a_service_of_an_included_file_gets_lines_that_fit_there(
    run_mcgitops: Runner, project_factory: ProjectFactory
):
    train = "services:\n  train:\n    image: x\n    volumes: [./out:/app/out]\n"
    files = {
        "compose.yml": "include: [ml/compose.yml]\nservices: {web: {image: y}}\n",
        "ml/compose.yml": train,
        "ml/out/metrics.json": '{"auc": 1}',
    }
    folder = project_factory(files)
    said = run_mcgitops("init", "--write", "--ci", "none", cwd=folder).stdout
    assert "Paste into service train of ml/compose.yml" in said
    assert (folder / "ml/compose.yml").read_text() == train
    shown = said.splitlines()
    start = shown.index("  x-mcgitops:")
    lines = [shown[start][2:], shown[start + 1][2:]]
    project_factory.write(
        folder, {"ml/compose.yml": train + "".join(f"    {line}\n" for line in lines)}
    )
    assert "1 stage: train" in run_mcgitops("check", cwd=folder).stdout


def test_files_with_windows_line_endings_keep_them(
    run_mcgitops: Runner, project_factory: ProjectFactory
):
    text = b"services:\r\n  train:\r\n    image: x\r\n    volumes: ['./out:/app/out']\r\n"
    folder = project_factory({"compose.yml": text, "out/metrics.json": '{"auc": 1}'})
    run_mcgitops("init", "--write", "--ci", "none", cwd=folder)
    after = (folder / "compose.yml").read_bytes()
    assert after.startswith(text)
    assert after.count(b"\n") == after.count(b"\r\n")


def test_the_workflows_for_forks_and_waivers_are_written_where_they_are_wanted(
    run_mcgitops: Runner, project_factory: ProjectFactory
):
    folder = project_factory({"compose.yml": "services: {api: {image: caddy}}\n"})
    made = folder / ".github/workflows"
    run_mcgitops("init", "--action", ACTION, cwd=folder)
    assert [path.name for path in made.iterdir()] == ["mcgitops.yml"]
    asked = ("init", "--action", ACTION, "--forks", "--waivers")
    shown = run_mcgitops(*asked, "--dry-run", cwd=folder).stdout
    assert "would create  .github/workflows/mcgitops-forks.yml" in shown
    # The one that is there uploads nothing yet; it isn't touched, and what it lacks is said.
    before = (made / "mcgitops.yml").read_bytes()
    shown = run_mcgitops(*asked, cwd=folder).stdout
    assert "Let it upload what a fork's job hands over" in shown
    assert (made / "mcgitops.yml").read_bytes() == before
    assert len(list(made.iterdir())) == 3

    (made / "mcgitops.yml").unlink()
    shown = run_mcgitops(*asked, cwd=folder).stdout
    assert "hands over" not in shown
    assert "steps.model.outputs.hand-over" in (made / "mcgitops.yml").read_text()
    printed = run_mcgitops("hand-over", "--workflow", cwd=folder).stdout
    written = (made / "mcgitops-forks.yml").read_text()
    assert printed.partition("uses: ")[0] == written.partition("uses: ")[0]

    refused = run_mcgitops("init", "--ci", "none", "--forks", cwd=folder, check=False)
    assert refused.code == 2
    assert "--ci none writes no workflow" in refused.stderr
