"""The workflow that init writes: pinned, with the least permissions; zizmor finds nothing."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from mcgitops.adopt import workflow
from mcgitops.errors import UsageError
from mcgitops.forge.handover import ARTIFACT

ROOT = Path(__file__).parents[3]
PINNED = "acme/mcgitops@" + "a" * 40


@pytest.mark.parametrize("directory", ["", "models/churn", "a b: 'c\"#"])
def test_it_is_valid_and_calls_the_action_in_the_projects_folder(directory):
    loaded = yaml.safe_load(workflow.render(PINNED, directory))
    assert loaded["permissions"] == {}
    for job in loaded["jobs"].values():
        step = job["steps"][-1]
        assert step["uses"] == PINNED
        assert step.get("with", {}).get("working-directory", "") == directory
        assert job["permissions"]["contents"] == "read"
        assert job["steps"][0]["with"] == {"fetch-depth": 0, "persist-credentials": False}
    deploys = {name for name, job in loaded["jobs"].items() if "deployments" in job["permissions"]}
    assert deploys == {"deploy"}
    assert loaded["jobs"]["deploy"]["permissions"] == {"contents": "read", "deployments": "write"}


def test_projects_of_one_repository_have_workflows_that_do_not_cancel_each_other():
    one, two = (yaml.safe_load(workflow.render(PINNED, d)) for d in ("models/a", "models/b"))
    assert workflow.path("models/a") != workflow.path("models/b") != workflow.path()
    assert one["name"] != two["name"]
    assert one["concurrency"]["group"].startswith("${{ github.workflow }}-")
    assert re.fullmatch(r"\.github/workflows/mcgitops-[\w.-]+\.yml", workflow.path("a b/../ü"))


def test_it_passes_only_inputs_that_the_action_has():
    inputs = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    for job in yaml.safe_load(workflow.render(PINNED, "x"))["jobs"].values():
        assert set(job["steps"][-1]["with"]) <= set(inputs)


def test_only_the_tag_job_sees_the_key_of_the_hosts():
    jobs = yaml.safe_load(workflow.render(PINNED))["jobs"]
    assert "secrets." not in json.dumps(jobs["model"])
    assert "secrets.MCGITOPS_SSH_KEY" in json.dumps(jobs["deploy"])
    assert jobs["deploy"]["environment"] == "production"


@pytest.mark.parametrize("directory", ["", "models/churn", "a b: 'c\"#"])
def test_the_workflows_beside_it_name_it_and_take_what_it_uploads(directory):
    main = yaml.safe_load(workflow.render(PINNED, directory, forks=True))
    forks = yaml.safe_load(workflow.render_forks(PINNED, directory))
    waivers = yaml.safe_load(workflow.render_waivers(PINNED, directory))
    assert forks[True]["workflow_run"]["workflows"] == [main["name"]]  # YAML's `on` is true
    assert len({main["name"], forks["name"], waivers["name"]}) == 3
    *_, call, upload = main["jobs"]["model"]["steps"]
    assert call["id"] == "model"
    assert upload["with"]["name"] == ARTIFACT
    outputs = yaml.safe_load((ROOT / "action.yml").read_text())["outputs"]
    (output,) = re.findall(r"steps\.model\.outputs\.([\w-]+)", upload["with"]["path"])
    assert output in outputs
    (again,) = waivers["jobs"]["rerun"]["steps"]
    assert f".github/workflows/{again['with']['of']}" == workflow.path(directory)
    paths = {workflow.path(directory, kind) for kind in ("", *workflow.BESIDE)}
    assert len(paths) == 3
    assert "upload-artifact" not in workflow.render(PINNED, directory)


@pytest.mark.parametrize("forks", [False, True])
def test_zizmors_strictest_persona_finds_nothing(tmp_path, forks):
    path = tmp_path / ".github/workflows/mcgitops.yml"
    path.parent.mkdir(parents=True)
    path.write_text(workflow.render(PINNED, "sub/folder", forks=forks))
    done = subprocess.run(
        [str(Path(__import__("sys").executable).parent / "zizmor"), "--offline", "--persona",
         "auditor", "--format", "json", str(path)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == [], done.stdout
    assert done.returncode == 0


def test_an_action_that_is_not_pinned_is_refused():
    with pytest.raises(UsageError, match="not a pinned action"):
        workflow.action("acme/mcgitops@v1")
    assert workflow.action(PINNED).reference == PINNED


def test_the_action_is_known_from_where_the_package_was_installed_from(monkeypatch):
    class Installed:
        @staticmethod
        def read_text(name):
            assert name == "direct_url.json"
            return json.dumps(
                {"url": "https://github.com/acme/mcgitops.git", "vcs_info": {"commit_id": "b" * 40}}
            )

    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Installed)
    assert workflow.action() == workflow.Action("acme/mcgitops@" + "b" * 40)


def test_checkouts_are_named_by_commit_and_version():
    text = workflow.render(PINNED, forks=True)
    uses = re.findall(r"uses: (\S+) # (\S+)", text)
    assert all(re.fullmatch(r".+@[0-9a-f]{40}", reference) for reference, _ in uses)
    assert len(uses) == text.count("uses:")
