"""Which event means which activity, from the variables and JSON that GitHub sends."""

from __future__ import annotations

from typing import Any

import pytest

from mcgitops.errors import UsageError
from mcgitops.forge.event import (
    Event,
    MergeGroup,
    Other,
    Privileged,
    PullRequest,
    Push,
    Tag,
    Target,
    activities,
    pulling,
    read_event,
    release_name,
)

A, B, C = "a" * 40, "b" * 40, "c" * 40
ZERO = "0" * 40
STAGING = Target("staging", branch="main")
PRODUCTION = Target("production", tag="v*")
MANUAL = Target("manual")
TARGETS = (STAGING, PRODUCTION, MANUAL)


def environ(name: str, ref: str = "", sha: str = A) -> dict[str, str]:
    return {
        "GITHUB_EVENT_NAME": name,
        "GITHUB_REF": ref,
        "GITHUB_SHA": sha,
        "GITHUB_REPOSITORY": "octo/wine",
    }


def pushed(ref: str, name: str = "push", **payload: Any) -> Event:
    body = {"ref": ref, "before": B, "after": A, "repository": {"default_branch": "main"}}
    return read_event(environ(name, ref), body | payload)


def pull_payload(**changes: Any) -> dict[str, Any]:
    pull = {
        "number": 7,
        "base": {"sha": B, "ref": "main", "repo": {"full_name": "octo/wine"}},
        "head": {"sha": C, "ref": "feature/lr", "repo": {"full_name": "octo/wine"}},
    }
    return {"action": "synchronize", "pull_request": pull | changes}


def kinds(event: Event, targets: tuple[Target, ...] = TARGETS) -> list[str]:
    return [f"{a.kind} {a.target}".strip() for a in activities(event, targets)]


TRAINED = ["train", "push", "report"]
# A push to another branch than the default one may belong to a pull request.
SHOWN = [*TRAINED, "comment"]


def test_a_branch_push_trains_and_reports() -> None:
    event = pushed("refs/heads/feature/lr")
    assert event == Push("feature/lr", A, B, False, "main")
    assert kinds(event) == SHOWN
    assert activities(event, ())[-1].reason == (
        "the open pull requests of feature/lr, if there are any"
    )


def test_a_push_deploys_the_environments_of_its_branch() -> None:
    event = pushed("refs/heads/main")
    assert kinds(event) == [*TRAINED, "release main-aaaaaaaaaaaa", "deploy staging"]
    assert isinstance(event, Push)
    assert release_name(event) == "main-aaaaaaaaaaaa"


def test_an_environment_that_pulls_gets_a_release_and_no_deployment() -> None:
    targets = (PRODUCTION, Target("edge", tag="v*", pulls=True), Target("lab", "main", pulls=True))
    tag, main = pushed("refs/tags/v1"), pushed("refs/heads/main")
    assert kinds(tag, targets) == ["release v1", "deploy production"]
    assert activities(tag, targets)[0].reason == "tag v1; edge: the hosts pull it themselves"
    assert pulling(tag, targets) == ("edge",)
    assert kinds(main, targets) == [*TRAINED, "release main-aaaaaaaaaaaa"]
    assert activities(main, targets)[-1].reason == "lab: the hosts pull it themselves"
    assert pulling(main, targets) == ("lab",)
    # what doesn't deploy where CI pushes isn't told to those that pull
    nightly = Push("main", A, cause="schedule")
    assert (kinds(nightly, targets), pulling(nightly, targets)) == (TRAINED, ())
    assert pulling(pushed("refs/heads/other"), targets) == ()


def test_a_pattern_matches_branches() -> None:
    targets = (Target("previews", branch="feature/*"),)
    assert kinds(pushed("refs/heads/feature/x"), targets)[-1] == "deploy previews"
    assert kinds(pushed("refs/heads/main"), targets) == TRAINED


def test_nobody_is_told_of_what_no_push_began() -> None:
    assert kinds(pushed("refs/heads/feature/x", "schedule")) == TRAINED
    assert kinds(Push("feature/x", A)) == TRAINED  # on a machine of one's own


def test_a_new_branch_has_no_before() -> None:
    event = pushed("refs/heads/new", before=ZERO, created=True)
    assert event == Push("new", A, "", False, "main")
    assert kinds(event) == SHOWN


def test_a_forced_push_is_known_as_one() -> None:
    assert pushed("refs/heads/new", forced=True) == Push("new", A, B, True, "main")


@pytest.mark.parametrize("ref", ["refs/heads/old", "refs/tags/v1"])
@pytest.mark.parametrize("sign", [{"deleted": True}, {"after": ZERO}])
def test_deleting_a_branch_or_a_tag_asks_for_nothing(ref: str, sign: dict[str, Any]) -> None:
    event = pushed(ref, **sign)
    assert event == Other("push", f"{ref} was deleted")
    assert kinds(event) == []


def test_a_tag_is_released_and_deployed_where_a_trigger_matches() -> None:
    event = pushed("refs/tags/v1.2.0")
    assert event == Tag("v1.2.0", A, "main")
    assert kinds(event) == ["release v1.2.0", "deploy production"]
    assert kinds(pushed("refs/tags/nightly")) == ["release nightly"]


def test_a_tag_may_have_a_slash() -> None:
    assert pushed("refs/tags/wine/v1") == Tag("wine/v1", A, "main")


def test_a_branch_named_like_a_tag_is_a_branch() -> None:
    assert isinstance(pushed("refs/heads/v1.0"), Push)
    assert kinds(pushed("refs/heads/v1.0")) == SHOWN


def test_by_hand_does_what_a_push_would_have_done() -> None:
    assert "deploy staging" in kinds(pushed("refs/heads/main", "workflow_dispatch"))
    assert "deploy production" in kinds(pushed("refs/tags/v1", "workflow_dispatch"))


@pytest.mark.parametrize("name", ["schedule", "repository_dispatch"])
def test_a_timer_trains_but_never_deploys(name: str) -> None:
    assert kinds(pushed("refs/heads/main", name)) == TRAINED


def test_a_pull_request_is_reported_on() -> None:
    event = read_event(environ("pull_request", "refs/pull/7/merge"), pull_payload())
    assert event == PullRequest(7, B, "main", C, "feature/lr", "octo/wine", A, False, "synchronize")
    assert kinds(event) == [*TRAINED, "comment"]


def test_a_pull_request_that_isnt_open_yet_has_no_comment() -> None:
    assert kinds(PullRequest(0, "", "", A, "", "", A, False)) == TRAINED


def test_a_detached_checkout_deploys_nothing() -> None:
    assert kinds(Push("", A), (Target("all", branch="*"),)) == TRAINED


@pytest.mark.parametrize("repo", [{"full_name": "stranger/wine"}, None])
def test_a_fork_is_recognised_even_when_deleted(repo: dict[str, str] | None) -> None:
    payload = pull_payload(head={"sha": C, "ref": "main", "repo": repo})
    event = read_event(environ("pull_request"), payload)
    assert isinstance(event, PullRequest)
    assert event.is_fork
    assert event.has_no_secrets
    assert kinds(event) == [*TRAINED, "comment"]


def test_dependabot_has_no_secrets_though_it_is_no_fork() -> None:
    variables = environ("pull_request") | {"GITHUB_ACTOR": "dependabot[bot]"}
    event = read_event(variables, pull_payload())
    assert isinstance(event, PullRequest)
    assert (event.is_fork, event.has_no_secrets) == (False, True)


def test_a_closed_pull_request_asks_for_nothing() -> None:
    event = read_event(environ("pull_request"), pull_payload() | {"action": "closed"})
    assert isinstance(event, Other)


def test_a_merge_queue_is_trained_and_judged_without_comment_or_deployment() -> None:
    payload = {
        "action": "checks_requested",
        "merge_group": {"base_sha": B, "base_ref": "refs/heads/main", "head_sha": A},
    }
    event = read_event(environ("merge_group", "refs/heads/gh-readonly-queue/main/pr-7"), payload)
    assert event == MergeGroup(B, "main", A)
    assert kinds(event) == TRAINED


def test_a_push_to_the_queues_branch_deploys_nothing() -> None:
    event = pushed("refs/heads/gh-readonly-queue/main/pr-7")
    assert kinds(event, (Target("all", branch="*"),)) == TRAINED


@pytest.mark.parametrize("name", ["pull_request_target", "workflow_run"])
def test_privileged_events_are_refused(name: str) -> None:
    event = read_event(environ(name, "refs/heads/main"), pull_payload())
    assert event == Privileged(name)
    with pytest.raises(UsageError, match=f"under {name}"):
        activities(event, TARGETS)


def test_a_published_release_is_its_tag_and_a_draft_nothing() -> None:
    event = read_event(environ("release", "refs/tags/v1"), {"action": "published"})
    assert kinds(event) == ["release v1", "deploy production"]
    assert kinds(read_event(environ("release", "refs/tags/v1"), {"action": "created"})) == []


@pytest.mark.parametrize("name", ["issue_comment", "create", ""])
def test_other_events_ask_for_nothing_and_say_why(name: str) -> None:
    event = read_event(environ(name), {})
    assert isinstance(event, Other)
    assert event.reason
    assert kinds(event) == []


@pytest.mark.parametrize("payload", [None, [], "text", {"pull_request": []}, {"pull_request": 1}])
def test_a_damaged_pull_request_event_is_a_sentence(payload: Any) -> None:
    with pytest.raises(UsageError, match="names no pull request"):
        read_event(environ("pull_request"), payload)


@pytest.mark.parametrize("sha", ["--upload-pack=evil", "abc", 5, None, "A" * 40])
def test_what_is_no_commit_id_is_not_taken_for_one(sha: Any) -> None:
    payload = pull_payload(head={"sha": sha, "ref": 3, "repo": {"full_name": []}})
    event = read_event(environ("pull_request"), payload)
    assert isinstance(event, PullRequest)
    assert (event.head_sha, event.head_ref, event.head_repo) == ("", "", "")


def test_the_event_file_may_be_missing_for_a_push() -> None:
    assert read_event(environ("push", "refs/heads/main"), None) == Push("main", A)
