"""The three events for real: our actions on a runner, real containers, GitHub's API."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.forge.conftest import Repository
from tests.lab.github import FakeGitHub
from tests.lab.hosts import Hosts
from tests.lab.runner import ACTION, ActRunner, Run, workflow

pytestmark = [pytest.mark.runner, pytest.mark.engine]

MakeRepository = Callable[..., Repository]


@pytest.fixture
def job(runner: ActRunner, hub: FakeGitHub) -> Callable[..., Run]:
    """Run the action for an event of a repository."""

    def run(
        repository: Repository,
        event: str,
        payload: dict[str, Any],
        *,
        uses: str = ACTION,
        inputs: Mapping[str, str] | None = None,
        **more: Any,
    ) -> Run:
        given = {"store": str(repository.store), **(inputs or {})}
        if "artifacts" not in more:  # nobody is there to take one
            given["html-artifact"] = "false"
        text = workflow(uses, inputs=given, on=event)
        return runner.run(repository.folder, text, event, payload, api_url=hub.url, **more)

    return run


def test_a_push_trains_and_reports_in_the_summary(
    job: Callable[..., Run], repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    run = job(repo, "push", repo.pushed())
    assert run.ok, run.ours.text
    assert "accuracy" in run.ours.summary
    assert run.ours.outputs["gate"] == "passed"
    commit = repo.git("rev-parse", "HEAD")
    assert list(repo.store.glob(f"commits/{commit}/*/train.json"))
    assert hub.requests == []
    # What the script printed reached the runner only while it had been told not to listen.
    said = run.ours.commands
    forged = [number for number, line in enumerate(said) if "forged" in line]
    stopped = next(n for n, line in enumerate(said) if line.startswith("::stop-commands::"))
    resumed = said.index("::" + said[stopped].strip().removeprefix("::stop-commands::") + "::\n")
    assert forged
    assert all(stopped < number < resumed for number in forged)


def test_a_pull_request_has_one_comment_edited_in_place(
    job: Callable[..., Run], repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    assert job(repo, "push", repo.pushed()).ok

    worse = repo.pull_request({"params.yaml": "lr: 0.30\n"})
    run = job(repo, "pull_request", worse, run_id=11)
    assert not run.ok
    assert run.ours.outputs["exit-code"] == "3"
    (comment,) = hub.comments_of(7)
    head = worse["pull_request"]["head"]["sha"]
    assert comment["body"].startswith("<!-- mcgitops:report:mclab-ci-")
    assert f"run=11 attempt=1 sha={head} -->" in comment["body"].splitlines()[0]
    assert "accuracy fell below its gate" in comment["body"]
    assert head[:7] in comment["body"]
    assert worse["pull_request"]["base"]["sha"][:7] in comment["body"]
    assert "lr" in comment["body"]

    better = repo.pull_request({"params.yaml": "lr: 0.05\n"})
    run = job(repo, "pull_request", better, run_id=12)
    assert run.ok, run.ours.text
    (edited,) = hub.comments_of(7)
    assert edited["id"] == comment["id"]
    assert run.ours.outputs["comment-url"] == edited["html_url"]
    assert "fell below" not in edited["body"]

    writes = len(hub.writes())
    assert job(repo, "pull_request", better, run_id=13).ok
    assert len(hub.writes()) == writes


def test_a_read_only_token_stays_green_with_the_report_in_the_summary(
    job: Callable[..., Run], repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository(subfolder="models/wine")
    payload = repo.pull_request({"params.yaml": "lr: 0.05\n"}, fork=True)
    inputs = {"working-directory": "models/wine"}
    run = job(repo, "pull_request", payload, token="fork-token", inputs=inputs)
    assert run.ok, run.ours.text
    assert "accuracy" in run.ours.summary
    assert hub.comments_of(7) == []
    assert "No comment" in run.ours.text
    assert "read-only" in run.ours.text


def test_without_a_bucket_the_html_report_is_an_artifact_that_the_comment_links(
    job: Callable[..., Run], repository: MakeRepository, hub: FakeGitHub, tmp_path: Path
) -> None:
    repo = repository()
    assert job(repo, "push", repo.pushed()).ok
    worse = repo.pull_request({"params.yaml": "lr: 0.30\n"})
    run = job(repo, "pull_request", worse, run_id=21, artifacts=tmp_path)
    assert run.ours.outputs["exit-code"] == "3"  # the page is kept where a gate failed, too
    (packed,) = tmp_path.rglob("*.zip")
    key = re.match(r"<!-- mcgitops:report:(\S+) ", hub.comments_of(7)[0]["body"])
    assert key is not None
    assert packed.parts[-3:-1] == ("21", f"mcgitops-{key[1]}")
    with zipfile.ZipFile(packed) as archive:
        assert {"report.html", "report.svg"} <= set(archive.namelist())
        page = archive.read("report.html").decode()
    assert "accuracy fell below its gate" in page
    address = "https://github.com/octo/wine/actions/runs/21#artifacts"
    assert f"[full report](<{address}>)" in hub.comments_of(7)[0]["body"]
    assert f"[full report](<{address}>)" in run.ours.summary


def test_a_failed_training_is_reported_on(
    job: Callable[..., Run], repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    payload = repo.pull_request({"train.sh": "echo @everyone look; exit 7\n"})
    run = job(repo, "pull_request", payload)
    assert not run.ok
    assert run.ours.outputs["exit-code"] == "4"
    (comment,) = hub.comments_of(7)
    assert "failed with exit code 7" in comment["body"]
    assert "look" in comment["body"]


@pytest.mark.hosts
def test_a_tag_is_released_and_deployed_over_ssh(
    job: Callable[..., Run], repository: MakeRepository, fresh_hosts: Hosts, hub: FakeGitHub
) -> None:
    host = fresh_hosts[0]
    repo = repository([host.url])
    assert job(repo, "push", repo.pushed(), env=fresh_hosts.env).ok
    run = job(repo, "push", repo.tagged("v1.0.0"), env=fresh_hosts.env)
    assert run.ok, run.ours.text
    assert run.ours.outputs["release"] == "v1.0.0"
    assert run.ours.outputs["environments"] == "production"
    assert "Released v1.0.0" in run.ours.summary
    answer = requests.get(f"{host.http(18080)}/model", timeout=10)
    assert answer.text == "model of lr 0.10\n"
    [(number, deployment)] = hub.deployments.items()
    assert (deployment["environment"], deployment["sha"]) == (
        "production", repo.git("rev-parse", "HEAD"),
    )  # fmt: skip
    states = [status["state"] for status in hub.deployment_statuses[number]]
    assert states == ["success", "in_progress"]


def test_a_tag_off_the_default_branch_is_not_deployed(
    job: Callable[..., Run], repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    hub.git = repo.folder
    repo.git("checkout", "--quiet", "-b", "elsewhere")
    repo.commit({"params.yaml": "lr: 0.01\n"})
    run = job(repo, "push", repo.tagged("v9"))
    assert not run.ok
    assert run.ours.outputs["exit-code"] == "2"
    assert "is not on main" in run.ours.summary
    assert not list(repo.store.glob("releases/**/*.json"))


def test_the_parts_work_as_actions_of_their_own(
    job: Callable[..., Run], repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    payload = repo.pull_request({"params.yaml": "lr: 0.20\n"})
    trained = job(repo, "pull_request", payload, uses=f"{ACTION}/actions/train")
    assert trained.ok, trained.ours.text
    assert trained.ours.outputs == {"exit-code": "0"}
    assert hub.requests == []
    reported = job(repo, "pull_request", payload, uses=f"{ACTION}/actions/report")
    assert reported.ok, reported.ours.text
    assert len(hub.comments_of(7)) == 1
    wanted = {"environment": "production", "dry-run": "true", "release": "v3"}
    shown = job(repo, "pull_request", payload, uses=f"{ACTION}/actions/deploy", inputs=wanted)
    assert shown.ok, shown.ours.text
    assert "mcgitops deploy production --release v3" in shown.ours.text


@pytest.mark.parametrize("event", ["pull_request_target", "workflow_run"])
def test_privileged_events_start_nothing(
    job: Callable[..., Run], repository: MakeRepository, event: str
) -> None:
    repo = repository()
    run = job(repo, event, repo.pull_request({"params.yaml": "lr: 0.20\n"}))
    assert not run.ok
    assert f"under {event}" in run.ours.text
    assert not repo.store.exists()
