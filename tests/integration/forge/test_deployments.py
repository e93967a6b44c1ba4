"""Deployments as GitHub shows them, against the fake that its own description keeps honest."""

from __future__ import annotations

from typing import Any

import pytest

from mcgitops.forge.deployments import DeploymentOnGitHub, is_shown
from mcgitops.forge.settings import Settings, read_settings
from tests.lab.github import FakeGitHub, Fault

SHA = "a" * 40
RUN = "https://github.com/octo/wine/actions/runs/5"


def settings(hub: FakeGitHub, token: str = "actions-token") -> Settings:
    return read_settings({
        "GITHUB_ACTIONS": "true", "GITHUB_API_URL": hub.url, "GITHUB_REPOSITORY": "octo/wine",
        "GITHUB_TOKEN": token, "GITHUB_RUN_ID": "5",
    })  # fmt: skip


def roll_out(
    hub: FakeGitHub, environment: str, *, token: str = "actions-token", succeeded: bool = True,
    release: str = "v2",
) -> list[str]:  # fmt: skip
    said: list[str] = []
    shown = DeploymentOnGitHub(settings(hub, token), said.append)
    shown.begin(SHA, environment, release, "https://wine.example.com")
    shown.end("production runs v2", succeeded=succeeded)
    return said


def states(hub: FakeGitHub, number: int) -> list[str]:
    return [status["state"] for status in hub.deployment_statuses[number]]


@pytest.mark.parametrize(("succeeded", "end"), [(True, "success"), (False, "failure")])
def test_a_rollout_is_in_progress_and_then_ends(hub: FakeGitHub, succeeded: bool, end: str) -> None:
    assert roll_out(hub, "production", succeeded=succeeded) == []
    [(number, deployment)] = hub.deployments.items()
    assert (deployment["ref"], deployment["environment"]) == (SHA, "production")
    assert deployment["production_environment"] is True
    assert states(hub, number) == [end, "in_progress"]
    for status in hub.deployment_statuses[number]:
        assert (status["log_url"], status["environment_url"]) == (RUN, "https://wine.example.com")
    created = hub.writes()[0].body
    assert (created["auto_merge"], created["required_contexts"]) == (False, [])


def test_the_next_one_makes_the_former_inactive_where_github_does_so(hub: FakeGitHub) -> None:
    for environment in ("staging", "production"):
        roll_out(hub, environment)
    hub.deployment_statuses = {n: [s | {"target_url": "", "log_url": ""} for s in found]
                               for n, found in hub.deployment_statuses.items()}  # fmt: skip
    for environment in ("staging", "production"):
        roll_out(hub, environment)
    shown = [(d["environment"], states(hub, n)[0]) for n, d in sorted(hub.deployments.items())]
    assert shown == [
        ("staging", "inactive"), ("production", "success"),
        ("staging", "success"), ("production", "success"),
    ]  # fmt: skip
    assert [d["production_environment"] for d in hub.deployments.values()] == [False, True] * 2


def test_the_deployment_that_github_made_for_the_job_is_used(hub: FakeGitHub) -> None:
    # as for a job with `environment: production`: its log is a page below the run's
    made = DeploymentOnGitHub(settings(hub), print)._github
    own = made.deployment(SHA, "production", "by GitHub")
    made.deployment_state(own, "in_progress", "", f"{RUN}/job/77")
    # one of an earlier run of the same commit, and one of a run whose number begins alike
    for log in (RUN.replace("/5", "/4"), f"{RUN}5/job/1"):
        other = made.deployment(SHA, "production", "an earlier run")
        made.deployment_state(other, "success", "", log)
    assert len(hub.deployments) == 3
    assert roll_out(hub, "production") == []
    assert len(hub.deployments) == 3
    assert states(hub, own.id) == ["success", "in_progress", "in_progress"]


def test_a_token_without_the_right_is_one_warning(hub: FakeGitHub) -> None:
    [warning] = roll_out(hub, "production", token="no-deployments-token")
    assert warning == (
        "Not shown as a deployment on GitHub: the token may not write the deployment to "
        "production: it is read-only, as in a fork's pull request. Elsewhere give the job "
        "`permissions: deployments: write`."
    )
    assert hub.deployments == {}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("POST", "/deployments$", 422, "No ref found for: " + SHA, times=9),
        Fault("GET", "/deployments$", 500, times=9),
        Fault("POST", "/statuses$", 422, "Validation Failed", times=9),
        Fault("POST", "/deployments$", 403, "rate limit", {"Retry-After": "3600"}, times=9),
    ],
    ids=str,
)
def test_whatever_github_says_is_one_warning(hub: FakeGitHub, fault: Fault) -> None:
    hub.faults.append(fault)
    [warning] = roll_out(hub, "production")
    assert warning.startswith("Not shown as a deployment on GitHub: ")


def test_an_end_that_is_lost_is_said(hub: FakeGitHub) -> None:
    said: list[str] = []
    shown = DeploymentOnGitHub(settings(hub), said.append)
    shown.begin(SHA, "production", "v2")
    hub.faults.append(Fault("POST", "/statuses$", 422, "Validation Failed"))
    shown.end("production runs v2", succeeded=True)
    assert [line.split(":")[0] for line in said] == ["Its end is not shown on GitHub"]


def test_nobody_there_is_a_warning() -> None:
    with FakeGitHub() as gone:
        known = settings(gone)
    said: list[str] = []
    DeploymentOnGitHub(known, said.append).begin(SHA, "production", "v2")
    assert len(said) == 1


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, True),
        ({"GITHUB_ACTIONS": ""}, False),
        ({"GITHUB_TOKEN": ""}, False),
        ({"GITHUB_REPOSITORY": ""}, False),
        ({"GITEA_ACTIONS": "true"}, False),
        ({"FORGEJO_ACTIONS": "true"}, False),
    ],
)
def test_only_jobs_of_github_show_deployments(more: dict[str, str], shown: bool) -> None:
    environ: dict[str, Any] = {
        "GITHUB_ACTIONS": "true", "GITHUB_TOKEN": "t", "GITHUB_REPOSITORY": "octo/wine", **more,
    }  # fmt: skip
    assert is_shown(read_settings(environ), environ) is shown
