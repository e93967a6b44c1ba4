"""Comments that are hidden, made anew, or only made where something changed; many at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mcgitops.forge.comment import Marker, Way, read_marker
from mcgitops.forge.github import GitHub
from mcgitops.forge.sticky import Outcome
from tests.lab.github import FakeGitHub, Fault

A, B = "a" * 40, "b" * 40


def post(
    hub: FakeGitHub, text: str, run: int, way: Way = "edit", sha: str = A, **more: Any
) -> Outcome:
    github = GitHub(hub.url, "actions-token", hub.repository, patience=0.2, settle=0.1)
    return github.report_comment(7, Marker("wine", run, 1, sha), text, way=way, **more)


def said(bodies: list[str]) -> list[str]:
    return [body.partition("\n")[2] for body in bodies]


def everything(hub: FakeGitHub) -> list[str]:
    return said([comment["body"] for comment in hub.comments_of(7)])


def test_a_hidden_comment_stays_and_the_new_one_is_the_last(hub: FakeGitHub) -> None:
    post(hub, "one", 5, "hide")
    hub.add_comment(7, "a discussion")
    outcome = post(hub, "two", 6, "hide")
    assert outcome.action == "created"
    assert everything(hub)[0] == "one"
    assert said(hub.visible(7)) == ["", "two"]
    post(hub, "three", 7, "hide")
    assert said(hub.visible(7)) == ["", "three"]
    hides = [r for r in hub.writes() if "minimizeComment" in str(r.body)]
    assert len(hides) == 2  # the first isn't hidden twice
    assert {r.body["variables"]["input"]["classifier"] for r in hides} == {"OUTDATED"}


def test_recreated_there_is_one_at_the_end(hub: FakeGitHub) -> None:
    first = post(hub, "one", 5, "recreate")
    hub.add_comment(7, "a discussion")
    second = post(hub, "two", 6, "recreate")
    assert first.url != second.url
    assert everything(hub) == ["", "two"]


@pytest.mark.parametrize("way", ["hide", "recreate"])
def test_what_says_the_same_is_left_alone(hub: FakeGitHub, way: Way) -> None:
    post(hub, "same", 5, way)
    before = len(hub.writes())
    assert post(hub, "same", 6, way).action == "kept"
    assert len(hub.writes()) == before


@pytest.mark.parametrize("way", ["edit", "hide", "recreate"])
def test_a_late_older_run_changes_nothing(hub: FakeGitHub, way: Way) -> None:
    post(hub, "new", 9, way)
    before = len(hub.writes())
    outcome = post(hub, "old", 8, way)
    assert (outcome.action, outcome.reason) == ("kept", "run 9 is newer and has reported already")
    assert (everything(hub), len(hub.writes())) == (["new"], before)


def test_where_nothing_can_be_hidden_the_earlier_one_is_deleted(hub: FakeGitHub) -> None:
    hub.has_graphql = False
    post(hub, "one", 5, "hide")
    assert post(hub, "two", 6, "hide").action == "created"
    assert everything(hub) == ["two"]


def test_a_token_that_may_not_hide_says_so_and_nothing_outdated_stays(hub: FakeGitHub) -> None:
    post(hub, "one", 5, "hide")
    hub.faults.append(Fault("DELETE", "/comments/", 403, "Resource not accessible", times=9))
    hub.has_graphql = False
    outcome = post(hub, "two", 6, "hide")
    assert outcome.action == "refused"
    assert "read-only" in outcome.reason


@pytest.mark.parametrize("way", ["edit", "hide", "recreate"])
def test_quiet_makes_no_comment(hub: FakeGitHub, way: Way) -> None:
    outcome = post(hub, "nothing new", 5, way, quiet=True)
    assert (outcome.action, outcome.posted) == ("not needed", False)
    assert "wanted only for changes" in outcome.reason
    assert hub.writes() == []


@pytest.mark.parametrize(("way", "left"), [("edit", ["calm"]), ("hide", []), ("recreate", [])])
def test_quiet_leaves_no_comment_stale(hub: FakeGitHub, way: Way, left: list[str]) -> None:
    post(hub, "worse", 5, way, sha=A)
    outcome = post(hub, "calm", 6, way, sha=B, quiet=True)
    assert outcome.action == ("edited" if left else "removed")
    assert said(hub.visible(7)) == left
    assert post(hub, "better", 7, way, sha=B).posted
    assert said(hub.visible(7)) == ["better"]


@pytest.mark.parametrize("way", ["edit", "hide", "recreate"])
def test_the_marker_says_since_when_its_head_is_reported_on(hub: FakeGitHub, way: Way) -> None:
    def since() -> int:
        newest = hub.comments_of(7)[-1]
        found = read_marker(newest["body"])
        assert found is not None
        return found.since

    post(hub, "one", 5, way, sha=A)
    (first,) = hub.comments_of(7)
    assert since() == 0  # then it is as old as the comment
    first["created_at"] = first["updated_at"] = "2020-01-01T00:00:00Z"
    hub.comments[first["id"]] = first
    post(hub, "two", 6, way, sha=A)
    if way != "edit":
        assert since() == 1_577_836_800
    post(hub, "three", 7, way, sha=B)
    assert since() > 1_577_836_800 if way == "edit" else since() == 0
    at = since()
    post(hub, "four", 8, way, sha=B)
    assert since() == at if way == "edit" else since() > 1_577_836_800


@pytest.mark.parametrize("way", ["hide", "recreate"])
def test_runs_at_once_leave_one_that_is_seen(hub: FakeGitHub, way: Way) -> None:
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda run: post(hub, f"run {run}", run, way), range(1, 9)))
    assert all(outcome.posted for outcome in outcomes)
    assert said(hub.visible(7)) == ["run 8"]


# A program of its own for each: what they share is the server, as with jobs on runners.
REPORTERS = """
import json, os, sys
from mcgitops.forge.comment import Marker
from mcgitops.forge.github import GitHub

url, repository, way, count = sys.argv[1:]
ready, go = os.pipe()
children = []
for run in range(1, int(count) + 1):
    if child := os.fork():
        children.append(child)
        continue
    os.close(go)
    os.read(ready, 1)  # all begin when the parent closes the pipe
    github = GitHub(url, "actions-token", repository)
    marker = Marker("wine", run, 1, "a" * 40)
    outcome = github.report_comment(7, marker, f"run {run}", way=way)
    os.write(1, json.dumps([run, os.getpid(), outcome.action]).encode() + b"\\n")
    os._exit(0 if outcome.posted else 1)
os.close(go)
sys.exit(any([os.waitpid(child, 0)[1] for child in children]))
"""


@pytest.mark.parametrize("way", ["edit", "hide", "recreate"])
def test_twenty_programs_at_once_leave_one_comment_with_the_newest_content(
    hub: FakeGitHub, way: Way
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REPORTERS, hub.url, hub.repository, way, "20"],
        env=os.environ, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({process for _, process, _ in told}) == 20
    assert said(hub.visible(7)) == ["run 20"]
    if way != "hide":
        assert everything(hub) == ["run 20"]
