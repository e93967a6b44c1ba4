"""`mcgitops rerun`: who may have a pull request judged again, and which run is done again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcgitops.cli.main import run as mcgitops
from tests.lab.github import FakeGitHub

HEAD = "c" * 40


@pytest.fixture
def rerun(
    hub: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., str]:  # fmt: skip
    """Run the verb for an event, in a folder without anything; returns what it said."""
    hub.pulls.clear()
    hub.add_pull(7, head_sha=HEAD)
    hub.permissions = {"ada": "admin", "mallory": "read"}

    def call(
        event: str, payload: Any, *options: str, code: int = 0, token: str = "actions-token"
    ) -> str:
        path = tmp_path / "event.json"
        path.write_text(json.dumps(payload))
        for name, value in {
            "GITHUB_API_URL": hub.url,
            "GITHUB_EVENT_NAME": event,
            "GITHUB_EVENT_PATH": str(path),
            "GITHUB_REPOSITORY": "octo/wine",
            "GITHUB_TOKEN": token,
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        ended = mcgitops(["rerun", *options])
        said = capsys.readouterr()
        assert ended == code, said.out + said.err
        return said.out + said.err

    return call


def comment(body: str = "/mcgitops waive accuracy", by: str = "ada") -> dict[str, Any]:
    return {
        "action": "created",
        "issue": {"number": 7, "pull_request": {"url": "x"}},
        "comment": {"body": body},
        "sender": {"login": by},
    }


def label(action: str = "labeled", name: str = "mcgitops/waive-all") -> dict[str, Any]:
    return {
        "action": action,
        "pull_request": {"number": 7},
        "label": {"name": name},
        "sender": {"login": "ada"},
    }


def test_the_failed_jobs_of_the_heads_run_are_done_again(
    hub: FakeGitHub, rerun: Callable[..., str]
) -> None:
    hub.add_run(50, HEAD, workflow="mcgitops.yml")
    hub.add_run(51, HEAD, workflow="mcgitops.yml")
    hub.add_run(60, "d" * 40, workflow="mcgitops.yml")
    assert "rerun-failed-jobs of" in rerun("issue_comment", comment())
    rerun("pull_request", label())
    assert hub.rerun == [("rerun-failed-jobs", 51)] * 2


def test_a_label_that_is_removed_has_all_of_it_done_again(
    hub: FakeGitHub, rerun: Callable[..., str]
) -> None:
    hub.add_run(51, HEAD, workflow="models.yml", conclusion="success")
    rerun("pull_request", label("unlabeled"), "--of", "models.yml")
    assert hub.rerun == [("rerun", 51)]
    assert "didn't fail" in rerun("pull_request", label(), "--of", "models.yml")


@pytest.mark.parametrize(
    ("event", "payload", "says"),
    [
        ("issue_comment", comment("nice work"), "no waiver"),
        ("issue_comment", comment() | {"issue": {"number": 7}}, "not on a pull request"),
        ("issue_comment", comment() | {"action": "edited"}, "neither a new comment"),
        ("pull_request", label(name="bug"), "no waiver"),
        ("push", {}, "neither a new comment"),
    ],
)
def test_other_words_ask_for_nothing(
    hub: FakeGitHub, rerun: Callable[..., str], event: str, payload: Any, says: str
) -> None:
    assert says in rerun(event, payload)
    assert hub.requests == []


def test_who_may_not_write_has_nothing_done_again(
    hub: FakeGitHub, rerun: Callable[..., str]
) -> None:
    hub.add_run(51, HEAD, workflow="mcgitops.yml")
    assert "mallory may not write" in rerun("issue_comment", comment(by="mallory"))
    assert (hub.rerun, hub.writes()) == ([], [])


def test_a_run_that_goes_on_is_left_alone(hub: FakeGitHub, rerun: Callable[..., str]) -> None:
    hub.add_run(51, HEAD, workflow="mcgitops.yml", status="in_progress", conclusion=None)
    assert "hasn't ended" in rerun("issue_comment", comment())
    assert hub.writes() == []


def test_a_closed_pull_request_is_left_alone(hub: FakeGitHub, rerun: Callable[..., str]) -> None:
    hub.pulls[7]["state"] = "closed"
    assert "is closed" in rerun("issue_comment", comment())


def test_a_token_without_the_right_says_which_it_takes(
    hub: FakeGitHub, rerun: Callable[..., str]
) -> None:
    hub.add_run(51, HEAD, workflow="mcgitops.yml")
    said = rerun("issue_comment", comment(), code=1, token="fork-token")
    assert "actions: write" in said


def test_a_wrong_file_name_is_refused_before_anything(
    hub: FakeGitHub, rerun: Callable[..., str]
) -> None:
    said = rerun("issue_comment", comment(), "--of", "../../user", code=2)
    assert "is no workflow's file name" in said
    assert hub.requests == []


@pytest.mark.parametrize("verb", ["rerun", "hand-over"])
def test_the_workflow_can_be_printed(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert mcgitops([verb, "--workflow"]) == 0
    assert f"actions/{verb}@" in capsys.readouterr().out
