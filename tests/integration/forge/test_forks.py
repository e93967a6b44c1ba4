"""The hand-over for real: a fork's job trains, and the default branch's workflow comments."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcgitops.adopt import workflow as workflows
from mcgitops.forge.handover import ARTIFACT, MEMBER
from mcgitops.report.model import Revision
from tests.integration.forge.conftest import Repository
from tests.integration.forge.test_hand_over import HEAD, OTHER, changed, packed, report
from tests.lab.github import FakeGitHub
from tests.lab.runner import ACTION, ActRunner

PINNED = f"{ACTION}@{'a' * 40}"


def called(text: str) -> str:
    """The workflow with our actions as the runner has them."""
    return text.replace("a" * 40, "v1")


def finished(head: str, run_id: int = 41, **changes: Any) -> dict[str, Any]:
    run = {
        "id": run_id,
        "run_attempt": 1,
        "event": "pull_request",
        "head_sha": head,
        "head_branch": "feature",
        "head_repository": {"full_name": "stranger/wine"},
        "repository": {"full_name": "octo/wine"},
        "actor": {"login": "stranger"},
    }
    return {"action": "completed", "workflow_run": run | changes}


@pytest.mark.runner
@pytest.mark.engine
def test_a_forks_report_reaches_its_pull_request(
    runner: ActRunner,
    repository: Callable[..., Repository],
    hub: FakeGitHub,
    tmp_path: Path,
) -> None:
    repo = repository()
    payload = repo.pull_request({"params.yaml": "lr: 0.30\n"}, fork=True)
    head = payload["pull_request"]["head"]["sha"]
    hub.pulls.clear()
    hub.add_pull(7, head_sha=head, head_repository="stranger/wine")
    text = called(workflows.render(PINNED, forks=True))
    trained = runner.run(
        repo.folder, text, "pull_request", payload, api_url=hub.url, token="fork-token", run_id=41,
        env={"MCGITOPS_STORE": str(repo.store)}, artifacts=tmp_path / "artifacts",
    )  # fmt: skip
    assert trained.ok, trained.raw
    assert len(hub.writes()) == 1  # the comment that its token may not make
    assert hub.comments_of(7) == []
    uploaded = {path.stem: path for path in (tmp_path / "artifacts/41").rglob("*.zip")}
    assert set(uploaded) == {ARTIFACT, f"mcgitops-{repo.name}"}  # the other is the HTML report
    archive = uploaded[ARTIFACT].read_bytes()
    hub.add_artifact(41, head, archive)

    # The default branch's workflow: a folder that has nothing of the pull request
    empty = repo.factory({"README": "the default branch"})
    text = called(workflows.render_forks(PINNED))
    answered = runner.run(empty, text, "workflow_run", finished(head), api_url=hub.url, run_id=42)
    assert answered.ok, answered.raw
    (comment,) = hub.comments_of(7)
    assert comment["body"].startswith("<!-- mcgitops:report:fork.mcgitops-report run=41 ")
    assert "Made by the fork's own run, and not checked." in comment["body"]
    assert "accuracy" in comment["body"]
    assert hub.statuses == []

    # A run of somebody else's artifact, in the same workflow
    hub.artifacts.clear()
    hub.add_artifact(40, "d" * 40, archive, listed_under=43)
    refused = runner.run(
        empty, text, "workflow_run", finished(head, 43), api_url=hub.url, run_id=44
    )
    assert not refused.ok
    assert "is refused" in hub.comments_of(7)[0]["body"]


@pytest.mark.runner
def test_what_a_hostile_run_hands_over_is_refused_by_the_workflow(
    runner: ActRunner, hub: FakeGitHub, project_factory: Any
) -> None:
    hub.pulls.clear()
    hub.add_pull(7, head_sha=OTHER)
    hub.add_pull(9, head_sha=HEAD, head_repository="stranger/wine")
    empty = project_factory({"README": "the default branch"})
    text = called(workflows.render_forks(PINNED))
    sound = packed(report())
    hub.add_artifact(61, HEAD, packed(report(), f"../../{MEMBER}"))
    hub.add_artifact(62, HEAD, packed(report(head=Revision(OTHER))))
    hub.add_artifact(63, HEAD, sound, size=2 << 30)
    hub.add_artifact(64, HEAD, sound)
    hub.add_artifact(65, HEAD, packed(changed(pull_request=7)))
    for run, changes, says in (
        (61, {}, f"The archive's member isn't {MEMBER}."),
        (62, {}, "reports on dddddddddddd"),
        (63, {}, "has 2,147,483,648 bytes"),
        (64, {"repository": {"full_name": "evil/wine"}}, "this job is of octo/wine"),
        (65, {}, "Where a report is posted isn't for it to say."),
    ):
        payload = finished(HEAD, run, **changes)
        done = runner.run(empty, text, "workflow_run", payload, api_url=hub.url, run_id=run + 100)
        assert not done.ok, done.raw
        assert says in done.raw
    assert hub.comments_of(7) == hub.comments_of(9) == []
    assert hub.writes() == []
    assert sorted(path.name for path in empty.iterdir()) == [".git", "README"]


@pytest.mark.runner
def test_a_comment_has_the_pull_requests_own_run_done_again(
    runner: ActRunner, hub: FakeGitHub, project_factory: Any
) -> None:
    hub.pulls.clear()
    hub.add_pull(7, head_sha="c" * 40)
    hub.permissions = {"ada": "write", "mallory": "read"}
    hub.add_run(51, "c" * 40, workflow="mcgitops.yml")
    hub.add_run(52, "c" * 40, workflow="other.yml")
    hub.add_run(53, "d" * 40, workflow="mcgitops.yml")
    text = called(workflows.render_waivers(PINNED))
    empty = project_factory({"README": "the default branch"})

    def said(by: str, body: str) -> Any:
        payload = {
            "action": "created",
            "issue": {"number": 7, "pull_request": {"url": "x"}},
            "comment": {"body": body},
            "sender": {"login": by},
        }
        return runner.run(empty, text, "issue_comment", payload, api_url=hub.url)

    command = "/mcgitops waive accuracy `$(touch pwned)` ${{ github.token }}"
    done = said("mallory", command)
    assert done.ok, done.raw
    assert hub.rerun == []
    done = said("ada", command)
    assert done.ok, done.raw
    assert hub.rerun == [("rerun-failed-jobs", 51)]
    assert not list(empty.glob("pwned"))
    assert hub.comments_of(7) == []


@pytest.mark.runner
@pytest.mark.engine
def test_each_leg_of_a_matrix_has_a_comment_by_itself(
    runner: ActRunner, repository: Callable[..., Repository], hub: FakeGitHub
) -> None:
    """The runner tells the action which leg it is; here of a project that nobody has trained."""
    repo = repository()
    payload = repo.pull_request({"params.yaml": "lr: 0.30\n"})
    job = {
        "runs-on": "ubuntu-latest",
        "strategy": {"max-parallel": 1, "fail-fast": False, "matrix": {"device": ["cpu", "gpu"]}},
        "steps": [
            {"uses": "actions/checkout@v4"},
            {"id": "mcgitops", "uses": f"{ACTION}/actions/report@v1"},
        ],
    }
    text = json.dumps({"on": "pull_request", "permissions": {}, "jobs": {"model": job}})
    done = runner.run(repo.folder, text, "pull_request", payload, api_url=hub.url)
    assert not done.ok
    headings = sorted(comment["body"].splitlines()[1] for comment in hub.comments_of(7))
    assert [heading.partition(", ")[2] for heading in headings] == [
        "cpu`: failed", "gpu`: failed",
    ]  # fmt: skip
