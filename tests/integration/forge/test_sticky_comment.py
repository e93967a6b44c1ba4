"""One comment, whatever happens: against a server held to GitHub's own description of its API."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from mcgitops.forge.comment import LIMIT, Marker
from mcgitops.forge.github import ForgeError, GitHub
from mcgitops.forge.sticky import Outcome
from tests.lab.github import FakeGitHub, Fault

SHA = "a" * 40


def marker(run: int = 5, key: str = "wine") -> Marker:
    return Marker(key, run, 1, SHA)


def client(hub: FakeGitHub, token: str = "actions-token", **more: Any) -> GitHub:
    return GitHub(hub.url, token, hub.repository, **more)


def post(hub: FakeGitHub, text: str, run: int = 5, token: str = "actions-token") -> Outcome:
    github = client(hub, token, patience=0.2, settle=0.3)
    return github.report_comment(7, marker(run), text)


def bodies(hub: FakeGitHub) -> list[str]:
    return [comment["body"] for comment in hub.comments_of(7)]


def test_created_once_then_edited_in_place(hub: FakeGitHub) -> None:
    first = post(hub, "one", run=5)
    second = post(hub, "two", run=6)
    assert (first.action, second.action) == ("created", "edited")
    assert first.url == second.url
    assert bodies(hub) == [f"{marker(6)}\ntwo"]


def test_an_unchanged_report_writes_nothing(hub: FakeGitHub) -> None:
    post(hub, "same", run=5)
    before = len(hub.writes())
    outcome = post(hub, "same", run=6)
    assert (outcome.action, outcome.reason) == ("kept", "nothing changed")
    assert outcome.url
    assert len(hub.writes()) == before


def test_found_beyond_the_first_page(hub: FakeGitHub) -> None:
    for number in range(150):
        hub.add_comment(7, f"discussion {number}")
    post(hub, "one")
    for number in range(150):
        hub.add_comment(7, f"more {number}")
    assert post(hub, "two", run=6).action == "edited"
    assert len(hub.comments_of(7)) == 301
    assert {request.query.get("per_page") for request in hub.requests if request.query} == {"100"}


def test_an_enterprise_servers_api_has_another_path() -> None:
    with FakeGitHub(prefix="/api/v3") as hub:
        hub.add_pull(7)
        for number in range(130):
            hub.add_comment(7, f"discussion {number}")
        assert post(hub, "one").action == "created"
        assert post(hub, "two", run=6).action == "edited"


def test_a_copy_by_somebody_else_is_not_touched(hub: FakeGitHub) -> None:
    hub.add_comment(7, f"{marker()}\nforged")
    post(hub, "report")
    assert bodies(hub) == [f"{marker()}\nforged", f"{marker()}\nreport"]


def test_a_token_of_a_person_finds_its_own_comment(hub: FakeGitHub) -> None:
    post(hub, "one", token="someone-token")
    assert post(hub, "two", run=6, token="someone-token").action == "edited"
    assert [comment["user"]["login"] for comment in hub.comments_of(7)] == ["someone"]


def test_another_apps_token_leaves_one_comment(hub: FakeGitHub) -> None:
    for run in (5, 6, 7):
        assert post(hub, f"run {run}", run=run, token="app-token").posted
    assert bodies(hub) == [f"{marker(7)}\nrun 7"]


def test_the_author_can_be_named(hub: FakeGitHub) -> None:
    post(hub, "one", token="app-token")
    app = client(hub, "app-token", author="release-helper[bot]")
    assert app.report_comment(7, marker(6), "two").action == "edited"
    assert len([r for r in hub.requests if r.method == "POST"]) == 1


def test_keys_have_a_comment_each(hub: FakeGitHub) -> None:
    github = client(hub)
    github.report_comment(7, marker(key="wine"), "a")
    github.report_comment(7, marker(key="wine-gpu"), "b")
    github.report_comment(7, marker(6, key="wine"), "c")
    assert bodies(hub) == [f"{marker(6)}\nc", f"{marker(key='wine-gpu')}\nb"]


def test_a_late_older_run_does_not_overwrite(hub: FakeGitHub) -> None:
    post(hub, "new", run=9)
    outcome = post(hub, "old", run=8)
    assert (outcome.action, outcome.posted) == ("kept", True)
    assert bodies(hub) == [f"{marker(9)}\nnew"]


def test_too_long_a_report_is_cut_not_refused(hub: FakeGitHub) -> None:
    assert post(hub, "| 🔴 row |\n" * 20_000).action == "created"
    assert post(hub, "| 🟢 row |\n" * 20_000, run=6).action == "edited"
    assert all(len(body) <= LIMIT for body in bodies(hub))


def test_a_read_only_token_is_an_outcome_not_an_error(hub: FakeGitHub) -> None:
    outcome = post(hub, "report", token="fork-token")
    assert outcome.action == "refused"
    assert "read-only" in outcome.reason
    assert "pull-requests: write" in outcome.reason
    assert bodies(hub) == []


@pytest.mark.parametrize("status", [403, 404])
def test_read_only_on_edit_too(hub: FakeGitHub, status: int) -> None:
    post(hub, "one")
    text = "Resource not accessible by integration"
    hub.faults.append(Fault("PATCH", "/comments/", status, text, times=9))
    outcome = post(hub, "two", run=6)
    assert outcome.action == "refused"
    assert "read-only" in outcome.reason


def test_without_a_token_nothing_is_asked(hub: FakeGitHub) -> None:
    outcome = client(hub, "").report_comment(7, marker(), "report")
    assert (outcome.action, hub.requests) == ("refused", [])
    assert "no token" in outcome.reason


def test_a_wrong_token_says_so(hub: FakeGitHub) -> None:
    assert "doesn't accept the token" in post(hub, "x", token="wrong").reason


def test_a_locked_conversation_says_so(hub: FakeGitHub) -> None:
    hub.locked.add(7)
    assert "locked" in post(hub, "x").reason


def test_a_server_that_is_not_there_says_so() -> None:
    github = GitHub("http://127.0.0.1:9", "token", "octo/wine", patience=0.05)
    outcome = github.report_comment(7, marker(), "x")
    assert outcome.action == "refused"
    assert "could not be reached" in outcome.reason


def test_passing_failures_are_retried(hub: FakeGitHub) -> None:
    hub.faults += [Fault("GET", "/comments$", 502), Fault("POST", "/comments$", 500)]
    assert post(hub, "x").action == "created"
    assert len(bodies(hub)) == 1


def test_a_create_whose_answer_was_lost_leaves_one_comment(hub: FakeGitHub) -> None:
    hub.faults.append(Fault("POST", "/comments$", 502, after=True))
    assert post(hub, "x").posted
    assert len(bodies(hub)) == 1


def test_lasting_failures_end(hub: FakeGitHub) -> None:
    hub.faults.append(Fault("GET", "/comments$", 503, times=99))
    started = time.monotonic()
    outcome = post(hub, "x")
    assert outcome.action == "refused"
    assert time.monotonic() - started < 5


def test_a_short_rate_limit_is_waited_for(hub: FakeGitHub) -> None:
    text = "You have exceeded a secondary rate limit. Please wait a few minutes."
    hub.faults.append(Fault("POST", "/comments$", 403, text, {"Retry-After": "1"}))
    outcome = client(hub, patience=2).report_comment(7, marker(), "x")
    assert outcome.action == "created"


def test_an_abuse_answer_without_a_header_is_waited_for(hub: FakeGitHub) -> None:
    hub.faults.append(Fault("POST", "/comments$", 403, "You have exceeded a secondary rate limit."))
    assert post(hub, "x").action == "created"


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "3600"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 3600)},
    ],
)
@pytest.mark.parametrize("status", [403, 429])
def test_a_long_rate_limit_is_not_waited_for(
    hub: FakeGitHub, headers: dict[str, str], status: int
) -> None:
    text = "API rate limit exceeded for installation ID 1."
    hub.faults.append(Fault("POST", "/comments$", status, text, headers, times=9))
    started = time.monotonic()
    outcome = post(hub, "x")
    assert outcome.action == "refused"
    assert "rate limit" in outcome.reason
    assert time.monotonic() - started < 3


def test_a_comment_deleted_under_our_hands_is_made_again(hub: FakeGitHub) -> None:
    post(hub, "one")

    def somebody_deletes(request: Any) -> None:
        if request.method == "GET" and "/issues/comments/" in request.path:
            hub.comments.clear()

    hub.before = somebody_deletes
    assert post(hub, "two", run=6).posted
    hub.before = lambda request: None
    assert bodies(hub) == [f"{marker(6)}\ntwo"]


def test_two_runs_that_both_found_none_leave_one(hub: FakeGitHub) -> None:
    both = threading.Barrier(2)
    waited: set[int] = set()

    def meet(request: Any) -> None:
        me = threading.get_ident()
        if request.method == "POST" and me not in waited:
            waited.add(me)
            both.wait(10)

    hub.before = meet
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda run: post(hub, f"run {run}", run=run), [5, 6]))
    assert bodies(hub) == [f"{marker(6)}\nrun 6"]


def wait_until(state: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not state():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_slow_older_run_that_writes_last_has_not_the_last_word(hub: FakeGitHub) -> None:
    post(hub, "run 4", run=4)

    def hold_back(request: Any) -> None:
        if request.method == "PATCH" and "run=5 " in request.body["body"]:
            wait_until(lambda: "run=6 " in bodies(hub)[0])

    hub.before = hold_back
    with ThreadPoolExecutor(2) as pool:
        older = pool.submit(post, hub, "run 5", run=5)
        wait_until(lambda: any(request.path.endswith("/1001") for request in hub.requests))
        newer = pool.submit(post, hub, "run 6", run=6)
        assert older.result().posted
        assert newer.result().posted
    # In order of arrival: run 5's was held back until run 6's had been written.
    said = [request.body["body"].splitlines()[1] for request in hub.writes()]
    assert said == ["run 4", "run 5", "run 6", "run 6"]
    assert bodies(hub) == [f"{marker(6)}\nrun 6"]


def test_a_slow_older_run_that_creates_last_leaves_nothing(hub: FakeGitHub) -> None:
    done = threading.Event()

    def hold_back(request: Any) -> None:
        if request.method == "POST" and "run=5 " in request.body["body"]:
            assert done.wait(10)

    hub.before = hold_back
    with ThreadPoolExecutor(2) as pool:
        older = pool.submit(post, hub, "run 5", run=5)
        wait_until(lambda: any(request.method == "POST" for request in hub.requests))
        post(hub, "run 6", run=6)
        done.set()
        assert older.result().posted
    assert bodies(hub) == [f"{marker(6)}\nrun 6"]


def test_twenty_runs_at_once_leave_the_newest(hub: FakeGitHub) -> None:
    with ThreadPoolExecutor(20) as pool:
        outcomes = list(
            pool.map(
                lambda run: client(hub).report_comment(7, marker(run), f"run {run}"), range(1, 21)
            )
        )
    assert all(outcome.posted for outcome in outcomes)
    assert bodies(hub) == [f"{marker(20)}\nrun 20"]


def test_a_status_is_set_and_shortened(hub: FakeGitHub) -> None:
    outcome = client(hub).set_status(SHA, "failure", "mcgitops/wine", "long " * 100)
    assert outcome.posted
    (status,) = hub.statuses
    assert (status["state"], status["context"]) == ("failure", "mcgitops/wine")
    assert len(status["description"]) == 140


def test_a_status_without_the_right_is_an_outcome(hub: FakeGitHub) -> None:
    assert not client(hub, "fork-token").set_status(SHA, "success", "mcgitops", "ok").posted


def test_the_pull_request_of_a_push_is_found(hub: FakeGitHub) -> None:
    hub.add_pull(8, head_sha=SHA)
    assert client(hub).pulls_of(SHA) == (8,)
    assert client(hub).pulls_of("b" * 40) == ()


def test_a_question_that_fails_is_an_error_with_a_sentence(hub: FakeGitHub) -> None:
    with pytest.raises(ForgeError, match="GitHub refused comparing aaaaaaa with main: 404"):
        client(hub).is_on_branch(SHA, "main")
