"""The fake itself: what GitHub's description doesn't allow must fail a test."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from tests.lab.github import FakeGitHub

COMMENTS = "/repos/octo/wine/issues/7/comments"
TOKEN = {"Authorization": "Bearer actions-token"}


def call(hub: FakeGitHub, method: str, path: str, **more: Any) -> requests.Response:
    return requests.request(method, hub.url + path, headers=TOKEN, timeout=10, **more)


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("GET", "/repos/octo/wine/issue/7", None, "no such operation"),
        ("PUT", COMMENTS, {"body": "x"}, "no such operation"),
        ("POST", COMMENTS, None, "has no body"),
        ("POST", COMMENTS, {"text": "x"}, "'body' is a required property"),
        ("POST", COMMENTS, {"body": 5}, "5 is not of type 'string'"),
        ("POST", COMMENTS, {"body": "x", "bodi": "y"}, "unknown property bodi"),
        ("GET", COMMENTS + "?perpage=5", None, "unknown query parameter perpage"),
        ("GET", COMMENTS + "?page=two", None, "not a whole number"),
        ("GET", "/repos/octo/wine/issues/seven/comments", None, "not a whole number"),
    ],
)
def test_a_request_that_github_doesnt_know_is_a_violation(
    method: str, path: str, body: Any, says: str
) -> None:
    with pytest.raises(AssertionError, match=says), FakeGitHub() as hub:
        hub.add_pull(7)
        call(hub, method, path, json=body)


def test_an_answer_that_github_wouldnt_give_is_a_violation() -> None:
    with (
        pytest.raises(AssertionError, match="'html_url' is a required property"),
        FakeGitHub() as hub,
    ):
        hub.add_pull(7)
        hub.comments[1] = {"id": 1, "issue_url": "https://x/issues/7"}
        call(hub, "GET", COMMENTS)


@pytest.mark.parametrize(
    "path",
    [
        "/user",
        "/repos/octo/wine",
        "/repos/octo/wine/pulls",
        "/repos/octo/wine/pulls?head=octo:feature",
        COMMENTS,
        "/repos/octo/wine/deployments",
        "/repos/octo/wine/pulls/7",
        "/repos/octo/wine/issues/7/labels",
        "/repos/octo/wine/issues/7/events",
        "/repos/octo/wine/collaborators/ada/permission",
        "/repos/octo/wine/actions/workflows/mcgitops.yml/runs?head_sha=" + "c" * 40,
        "/repos/octo/wine/actions/runs/5/artifacts?name=mcgitops-report",
    ],
)
def test_what_the_fake_answers_is_what_github_describes(hub: FakeGitHub, path: str) -> None:
    hub.accounts["actions-token"] = hub.accounts["someone-token"]
    hub.add_comment(7, "x")
    hub.labels[7] = {"bug": "ada"}
    hub.permissions["ada"] = "write"
    hub.add_run(5, "c" * 40, workflow="mcgitops.yml")
    hub.add_artifact(5, "c" * 40, b"x")
    assert call(hub, "GET", path).status_code == 200


def test_what_of_graphql_the_fake_does_not_know_is_a_violation() -> None:
    with pytest.raises(AssertionError, match="the fake doesn't know"), FakeGitHub() as hub:
        call(hub, "POST", "/graphql", json={"query": "{ viewer { login } }", "variables": {}})
    mutation = "mutation M($input: X!) { minimizeComment(input: $input) { clientMutationId } }"
    with pytest.raises(AssertionError, match="minimizeComment"), FakeGitHub() as hub:
        hub.add_pull(7)
        node = hub.comments[hub.add_comment(7, "x")]["node_id"]
        variables = {"input": {"subjectId": node, "classifier": "OLD"}}
        call(hub, "POST", "/graphql", json={"query": mutation, "variables": variables})


def test_a_token_that_reaches_the_storage_is_a_violation() -> None:
    with pytest.raises(AssertionError, match="sends the token"), FakeGitHub() as hub:
        number = hub.add_artifact(5, "c" * 40, b"x")
        call(hub, "GET", f"/repos/octo/wine/actions/artifacts/{number}/zip")


def test_pages_link_to_the_next(hub: FakeGitHub) -> None:
    for number in range(31):
        hub.add_comment(7, str(number))
    first = call(hub, "GET", COMMENTS)
    assert len(first.json()) == 30
    second = requests.get(first.links["next"]["url"], headers=TOKEN, timeout=10)
    assert [comment["body"] for comment in second.json()] == ["30"]
    assert "next" not in second.links


def test_one_character_too_many_is_refused(hub: FakeGitHub) -> None:
    assert call(hub, "POST", COMMENTS, json={"body": "x" * 65_536}).status_code == 201
    assert call(hub, "POST", COMMENTS, json={"body": "x" * 65_537}).status_code == 422


def test_a_deployment_and_its_states(hub: FakeGitHub) -> None:
    path = "/repos/octo/wine/deployments"
    body = {"ref": "v1", "environment": "production", "required_contexts": [], "auto_merge": False}
    made = call(hub, "POST", path, json=body).json()
    states = f"{path}/{made['id']}/statuses"
    for state in ("in_progress", "success"):
        assert call(hub, "POST", states, json={"state": state}).status_code == 201
    assert [status["state"] for status in call(hub, "GET", states).json()] == [
        "success",
        "in_progress",
    ]
    assert len(call(hub, "GET", f"{path}?environment=staging").json()) == 0
