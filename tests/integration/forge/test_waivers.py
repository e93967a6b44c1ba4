"""Who may let a failed gate pass, and for which head: labels and comments on GitHub's API."""

from __future__ import annotations

import pytest

from mcgitops.compare.model import Waiver
from mcgitops.forge.comment import Marker
from mcgitops.forge.github import ForgeError, GitHub
from mcgitops.forge.waivers import MOST_PEOPLE, Waived, waived
from tests.lab.github import FakeGitHub, Fault

A, B = "a" * 40, "b" * 40


@pytest.fixture
def people(hub: FakeGitHub) -> FakeGitHub:
    """Ada and Grace may write; Mallory may read, as everybody may in public."""
    hub.permissions = {"ada": "admin", "grace": "write", "mallory": "read", "tri-age": "read"}
    return hub


def client(hub: FakeGitHub) -> GitHub:
    return GitHub(hub.url, "actions-token", hub.repository, patience=0.2, settle=0.05)


def report(hub: FakeGitHub, sha: str = A, run: int = 5, **more: str) -> None:
    """A report of ours on this head, made now."""
    way = "edit" if not more else "hide"
    outcome = client(hub).report_comment(7, Marker("wine", run, 1, sha), f"report {run}", way=way)  # type: ignore[arg-type]
    assert outcome.posted


def ask(hub: FakeGitHub, sha: str = A, key: str = "wine") -> Waived:
    return waived(client(hub), 7, Marker(key, 9, 1, sha))


def test_a_comment_of_who_may_write_waives(people: FakeGitHub) -> None:
    report(people)
    said = "Fine by me.\n/mcgitops waive accuracy the new data is harder\n"
    people.add_comment(7, said, login="grace", later=5)
    (waiver,) = ask(people).waivers
    assert waiver.url.endswith("#issuecomment-1002")
    assert (waiver.gate, waiver.by, waiver.how) == ("accuracy", "grace", "comment")
    assert waiver.reason == "the new data is harder"


@pytest.mark.parametrize("login", ["mallory", "tri-age", "nobody", "../../user", "some-app[bot]"])
def test_nobody_else_does(people: FakeGitHub, login: str) -> None:
    report(people)
    people.add_comment(7, "/mcgitops waive all", login=login, later=5)
    found = ask(people)
    assert found.waivers == ()
    assert "only people who may write can waive" in found.notes[0]


def test_our_own_comment_waives_nothing_whatever_a_log_in_it_says(people: FakeGitHub) -> None:
    report(people)
    people.permissions["github-actions[bot]"] = "admin"
    people.add_comment(7, "/mcgitops waive all", login="github-actions[bot]", kind="Bot", later=5)
    assert ask(people) == Waived()


def test_a_comment_counts_for_the_head_that_it_was_made_for(people: FakeGitHub) -> None:
    """A push brings a new model, whatever dates its commits bear."""
    report(people, A)
    people.add_comment(7, "/mcgitops waive accuracy", login="ada", later=-3600)
    assert "before the report on this head" in ask(people, A).notes[0]
    people.add_comment(7, "/mcgitops waive accuracy", login="ada", later=1)
    assert len(ask(people, A).waivers) == 1
    assert ask(people, B).waivers == ()  # no report on that head is there yet
    # The next report comes after what was said of the first.
    (ours, *_) = (c for c in people.comments.values() if c["body"].startswith("<!-- mcgitops"))
    report(people, B, run=6)
    since = int(ours["body"].partition("since=")[2].partition(" ")[0])
    ours["body"] = ours["body"].replace(f"since={since}", f"since={since + 2}")
    assert ask(people, B).waivers == ()
    people.add_comment(7, "/mcgitops waive loss", login="ada", later=10)
    assert [waiver.gate for waiver in ask(people, B).waivers] == ["loss"]


def test_it_still_counts_once_the_report_of_that_head_was_renewed(people: FakeGitHub) -> None:
    report(people, A)
    people.add_comment(7, "/mcgitops waive accuracy", login="ada", later=2)
    for run in (6, 7):
        report(people, A, run)
        assert len(ask(people, A).waivers) == 1
    report(people, A, 8, way="hide")
    assert len(ask(people, A).waivers) == 1


def test_a_marker_that_somebody_else_forged_is_none(people: FakeGitHub) -> None:
    people.add_comment(7, f"{Marker('wine', 1, 1, A)}\nforged", login="mallory", later=-9999)
    people.add_comment(7, "/mcgitops waive accuracy", login="ada", later=5)
    assert ask(people).waivers == ()


def test_each_key_has_its_own_report(people: FakeGitHub) -> None:
    report(people)
    people.add_comment(7, "/mcgitops waive accuracy", login="ada", later=5)
    assert ask(people, key="wine.gpu").waivers == ()


def test_a_label_holds_until_it_is_removed(people: FakeGitHub) -> None:
    people.labels[7] = {"mcgitops/waive-val/f1": "ada", "bug": "ada"}
    assert ask(people).waivers == (Waiver("val/f1", "ada", "label"),)
    report(people, B, 6)
    assert ask(people, B).waivers == (Waiver("val/f1", "ada", "label"),)
    people.labels[7] = {"mcgitops/waive-all": "grace"}
    assert ask(people).waivers == (Waiver("*", "grace", "label"),)
    del people.labels[7]
    assert ask(people) == Waived()


@pytest.mark.parametrize("login", ["mallory", "tri-age", "labeler[bot]"])
def test_a_label_of_who_may_not_write_waives_nothing(people: FakeGitHub, login: str) -> None:
    """GitHub lets a triage role set labels, and programs that look at a branch's name."""
    people.labels[7] = {"mcgitops/waive-all": login}
    found = ask(people)
    assert found.waivers == ()
    assert f"{login} may not write" in found.notes[0]


def test_without_waivers_only_labels_and_comments_are_asked_for(people: FakeGitHub) -> None:
    report(people)
    people.requests.clear()
    assert ask(people) == Waived()
    asked = [request.path.rpartition("/")[2] for request in people.requests]
    assert asked == ["labels", "comments", "user"]


def test_each_person_is_asked_for_once_and_not_without_end(people: FakeGitHub) -> None:
    report(people)
    for number in range(MOST_PEOPLE + 30):
        people.add_comment(7, "/mcgitops waive all", login=f"stranger{number}", later=5)
        people.add_comment(7, "/mcgitops waive all", login="mallory", later=5)
    assert ask(people).waivers == ()
    asked = [r.path for r in people.requests if r.path.endswith("/permission")]
    assert len(asked) == MOST_PEOPLE == len(set(asked))


def test_strangers_cannot_crowd_out_who_may_write(people: FakeGitHub) -> None:
    report(people)
    for number in range(MOST_PEOPLE + 5):
        people.add_comment(7, "/mcgitops waive all", login=f"stranger{number}", later=5)
    ours = people.add_comment(7, "/mcgitops waive all", login="ada", later=6)
    people.comments[ours]["author_association"] = "OWNER"
    assert [waiver.by for waiver in ask(people).waivers] == ["ada"]


def test_a_pull_request_that_cannot_be_read_is_an_error(people: FakeGitHub) -> None:
    people.faults.append(Fault("GET", "/labels$", 500, times=9))
    with pytest.raises(ForgeError, match="the waivers of pull request 7"):
        ask(people)
