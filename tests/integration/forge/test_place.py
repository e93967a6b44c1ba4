"""Where a job's report goes, and whether it goes there at all: `mcgitops ci` with real runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from mcgitops.report import json_view
from tests.integration.forge.conftest import Ci, Repository, shallow
from tests.lab.github import FakeGitHub, Fault

pytestmark = pytest.mark.engine

MakeRepository = Callable[..., Repository]
TOPIC = {"ref": "refs/heads/topic"}


def test_a_push_reports_to_its_pull_request_against_where_that_leads(
    ci: Ci, trained: Repository, hub: FakeGitHub
) -> None:
    repo = trained
    repo.git("checkout", "--quiet", "-b", "develop")
    develop = repo.commit({"params.yaml": "lr: 0.20\n"})
    ci(repo, "push", repo.pushed(), "--only", "train")
    repo.git("checkout", "--quiet", "-b", "topic")
    head = repo.commit({"params.yaml": "lr: 0.09\n"})
    hub.add_pull(8, head_sha=head, head_ref="topic", base_ref="develop")
    hub.add_pull(9, head_sha="9" * 40)
    done = ci(repo, "push", repo.pushed() | TOPIC)
    assert "pull request 8" in done.stderr
    (comment,) = hub.comments_of(8)
    assert f"sha={head} -->" in comment["body"]
    assert develop[:12] in comment["body"]
    assert "merge base with develop" in comment["body"]
    assert hub.comments_of(7) == hub.comments_of(9) == []

    # Another push to it, whose commit no pull request has as its head yet
    repo.commit({"params.yaml": "lr: 0.08\n"})
    done = ci(repo, "push", repo.pushed() | TOPIC)
    assert "no open pull request has this head" in done.stderr
    assert hub.comments_of(8) == [comment]

    # The question itself may be refused; the report is in the summary all the same.
    hub.faults.append(Fault("GET", "/pulls$", 403, "Resource not accessible by integration"))
    done = ci(repo, "push", repo.pushed() | TOPIC, "--only", "report")
    assert "No comment:" in done.stderr
    assert "accuracy" in ci.summary


def test_a_failed_gate_is_waived_for_as_long_as_somebody_says_so(
    ci: Ci, trained: Repository, hub: FakeGitHub
) -> None:
    repo = trained
    payload = repo.pull_request({"params.yaml": "lr: 0.30\n"})
    head = payload["pull_request"]["head"]["sha"]
    ci(repo, "pull_request", payload, code=3)
    hub.permissions = {"ada": "write"}

    def again(code: int, *options: str, run: int) -> str:
        ci.more = {"GITHUB_RUN_ID": str(run)}
        done = ci(repo, "pull_request", payload, "--only", "report", *options, code=code)
        return done.stderr

    hub.labels[7] = {"mcgitops/waive-accuracy": "ada"}
    assert "accuracy is waived by ada (label)" in again(0, "--status", run=6)
    assert "gate waived by" in ci.summary
    assert hub.statuses[-1]["state"] == "success"
    (comment,) = hub.comments_of(7)
    assert "accuracy failed its gate, which is waived" in comment["body"]
    outputs = (ci.folder / "output").read_text()
    kept = outputs.partition("report-json<<")[2].splitlines()[1]
    report = json_view.from_data(json.loads(Path(kept).read_text()))
    assert [(w.gate, w.by, w.how) for w in report.waivers] == [("accuracy", "ada", "label")]
    again(3, "--no-waivers", run=7)

    # A comment on this head does it as well.
    hub.labels.clear()
    said = "/mcgitops waive all <img src=x> @everyone [x](https://evil.example)"
    hub.add_comment(7, said, login="ada", later=30)
    assert "* is waived by ada (comment)" in again(0, run=9)
    body = hub.comments_of(7)[0]["body"]
    assert "@everyone" not in body
    assert "`[x](https://evil.example)`" in body
    assert f"sha={head}" in body

    # What was said of one head says nothing of the next.
    worse = repo.pull_request({"params.yaml": "lr: 0.40\n"})
    ci.more = {"GITHUB_RUN_ID": "10"}
    done = ci(repo, "pull_request", worse, code=3)
    assert "ada's waiver of all gates was made before the report on this head" in done.stderr


def test_only_changes_are_commented_on_where_that_is_wanted(
    ci: Ci, trained: Repository, hub: FakeGitHub
) -> None:
    repo = trained
    calm = repo.pull_request({"README": "only words\n"})
    done = ci(repo, "pull_request", calm, "--comment", "changes")
    assert "no comment: nothing changed in the model" in done.stderr
    assert hub.writes() == []
    worse = repo.pull_request({"params.yaml": "lr: 0.105\n"})
    ci.more = {"GITHUB_RUN_ID": "6"}
    ci(repo, "pull_request", worse, "--comment", "changes")
    assert len(hub.comments_of(7)) == 1
    back = repo.pull_request({"params.yaml": "lr: 0.10\n"})
    ci.more = {"GITHUB_RUN_ID": "7", "MCGITOPS_CI_COMMENT": "hide changes"}
    done = ci(repo, "pull_request", back)
    assert "the earlier one is gone" in done.stderr
    assert (len(hub.comments_of(7)), hub.visible(7)) == (1, [])


def test_projects_of_one_name_and_legs_of_one_matrix_have_a_comment_each(
    ci: Ci, repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository(subfolder="models/a")
    for path in repo.git("ls-files", "models/a").split():
        text = (repo.folder / path).read_text()
        target = repo.folder / path.replace("models/a", "models/b")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    payload = repo.pull_request({"params.yaml": "lr: 0.2\n"})
    for place in ("a", "b"):
        ci(repo, "pull_request", payload, "--only", "train", folder=f"models/{place}")
    cpu, gpu = '{"device": "cpu"}', '{"device": "gpu", "python": "3.11"}'
    legs = [("a", ""), ("a", cpu), ("a", gpu), ("b", "{}"), ("b", cpu), ("a", "null")]
    for place, leg in legs:
        ci.more = {"MCGITOPS_LEG": leg}
        ci(repo, "pull_request", payload, "--only", "report", folder=f"models/{place}")
    headings = [comment["body"].splitlines()[1] for comment in hub.comments_of(7)]
    shown = [
        re.sub("[`*]", "", heading).partition(":")[0].partition(" ")[2] for heading in headings
    ]
    places = ["models/a", "models/a, cpu", "models/a, gpu, 3.11", "models/b", "models/b, cpu"]
    assert [name.removeprefix("⚪ ") for name in shown] == [f"{repo.name}, {p}" for p in places]


def test_a_leg_that_is_no_matrix_is_a_sentence(ci: Ci, repository: MakeRepository) -> None:
    repo = repository()
    payload = repo.pull_request({"params.yaml": "lr: 0.2\n"})
    assert "MCGITOPS_LEG:" in ci(repo, "pull_request", payload, code=2, MCGITOPS_LEG="[1]").stderr


def test_a_shallow_clone_without_a_base_says_what_to_do(
    ci: Ci, repository: MakeRepository, tmp_path: Path
) -> None:
    repo = repository()
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit({"params.yaml": "lr: 0.05\n"})
    clone = shallow(repo, tmp_path / "clone", "topic")
    ci(clone, "push", repo.pushed() | TOPIC, "--no-comment")
    assert "this clone is shallow and holds no base" in ci.summary
    assert "fetch-depth: 0" in ci.summary


def test_the_base_of_a_shallow_branch_that_ends_with_a_merge_is_what_it_merged(
    ci: Ci, repository: MakeRepository, tmp_path: Path
) -> None:
    """Its first parent is its own commit before, and no base."""
    repo = repository()
    repo.git("checkout", "--quiet", "-b", "topic")
    own = repo.commit({"params.yaml": "lr: 0.05\n"})
    repo.git("checkout", "--quiet", "main")
    base = repo.commit({"README": "main went on"})
    ci(repo, "push", repo.pushed(), "--only", "train")
    repo.git("checkout", "--quiet", "topic")
    repo.git("merge", "--quiet", "--no-edit", "main")
    clone = shallow(repo, tmp_path / "clone", "topic")
    clone.git("remote", "set-url", "origin", f"file://{repo.folder}")
    ci(clone, "push", repo.pushed() | TOPIC, "--no-comment")
    assert f"against `{base[:12]}` (merge base with main)" in ci.summary
    assert own[:12] not in ci.summary


def test_a_fork_leaves_its_report_for_who_may_comment(
    ci: Ci, repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    payload = repo.pull_request({"params.yaml": "lr: 0.2\n"}, fork=True)
    ci(repo, "pull_request", payload, GITHUB_TOKEN="fork-token")
    outputs = (ci.folder / "output").read_text()
    path = Path(outputs.partition("hand-over<<")[2].splitlines()[1])
    assert path.name == "mcgitops-report.json"
    assert list(path.parent.iterdir()) == [path]
    report = json_view.from_data(json.loads(path.read_text()))
    assert report.head.commit == payload["pull_request"]["head"]["sha"]
    ours = repo.pull_request({"params.yaml": "lr: 0.3\n"})
    ci(repo, "pull_request", ours, "--only", "report", code=2)
    assert "hand-over" not in (ci.folder / "output").read_text()
