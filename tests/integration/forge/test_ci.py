"""`mcgitops ci` as a runner starts it: variables, the event's file, the API; without act."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Runner
from tests.integration.forge.conftest import ANY_FAILURE, Ci, Repository, shallow
from tests.lab import webhook
from tests.lab.github import FakeGitHub
from tests.lab.s3 import S3Server

pytestmark = pytest.mark.engine

MakeRepository = Callable[..., Repository]


def test_what_would_be_done_is_said_and_not_done(
    ci: Ci, repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    payload = repo.pull_request({"params.yaml": "lr: 0.2\n"})
    shown = ci(repo, "pull_request", payload, "--dry-run")
    assert shown.stdout.splitlines() == [
        f"mcgitops: pull request 7 at {payload['pull_request']['head']['sha'][:7]}",
        "mcgitops train   # pull request 7",
        "mcgitops push   # pull request 7",
        "mcgitops report --format markdown   # pull request 7",
        "comment   # pull request 7",
    ]
    as_json = json.loads(ci(repo, "pull_request", payload, "--dry-run", "--json").stdout)
    assert as_json["event"]["number"] == 7
    assert as_json["activities"][0]["command"] == ["mcgitops", "train"]
    assert (hub.requests, repo.store.exists()) == ([], False)


@pytest.mark.parametrize("event", ["push", "tag"])
def test_a_plan_foresees_what_a_job_does(
    ci: Ci, repository: MakeRepository, run_mcgitops: Runner, event: str
) -> None:
    repo = repository()
    file = repo.folder / "compose.yml"
    other = '    staging: {trigger: {branch: main}, hosts: ["local://"]}\n'
    preview = '    preview: {trigger: {branch: "m*"}, hosts: ["local://"]}\n'
    repo.commit({"compose.yml": file.read_text() + other + preview})
    repo.git("tag", "v1")
    variables = {"MCGITOPS_STORE": str(repo.store)}

    def of(*arguments: str) -> Any:
        done = run_mcgitops(*arguments, "--event", event, "--json", cwd=repo.folder, env=variables)
        return json.loads(done.stdout)

    planned = [
        command["argv"]
        for section in of("plan")["sections"]
        for command in section["commands"]
        if command["argv"][1] in ("report", "release", "deploy")
    ]
    done = [activity["command"] for activity in of("ci", "--dry-run")["activities"]]
    assert planned == [argv for argv in done if argv[1] in ("report", "release", "deploy")]
    assert [argv[1] for argv in planned].count("release") == 1
    assert [argv[1] for argv in planned].count("deploy") == (2 if event == "push" else 1)


def test_the_result_as_json_is_all_of_standard_output(
    ci: Ci, repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    done = ci(repo, "pull_request", repo.pull_request({"params.yaml": "lr: 0.2\n"}), "--json")
    result = json.loads(done.stdout)
    assert result["comment"]["action"] == "created"
    assert result["outputs"]["comment-url"] == hub.comments_of(7)[0]["html_url"]
    assert result["code"] == 0


def test_a_failed_gate_on_the_branch_is_not_deployed(ci: Ci, repository: MakeRepository) -> None:
    repo = repository()
    file = repo.folder / "compose.yml"
    file.write_text(file.read_text().replace('{tag: "v*"}', "{branch: main}"))
    repo.commit({"params.yaml": "lr: 0.10\n"})
    ci(repo, "push", repo.pushed(), "--only", "train")
    repo.commit({"params.yaml": "lr: 0.40\n"})
    ci(repo, "push", repo.pushed(), code=3)
    assert "accuracy fell below its gate" in ci.summary
    assert not list(repo.store.glob("releases/**/*.json"))
    shown = ci(repo, "push", repo.pushed(), "--dry-run").stdout
    sha = repo.git("rev-parse", "HEAD")[:12]
    assert f"mcgitops release main-{sha}" in shown
    assert f"mcgitops deploy production --release main-{sha}" in shown


def test_a_rollout_is_told_to_github_and_to_webhooks_however_it_ends(
    ci: Ci, repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    text = (repo.folder / "compose.yml").read_text()
    told = "[started, succeeded, rolled-back]"
    keys = (
        f"url: 'https://wine.example.com', notify: [{{url_from: HOOK, template: json, on: {told}}}]"
    )
    repo.commit({"compose.yml": text.replace("health_timeout: 20s", f"health_timeout: 8s, {keys}")})
    with webhook.running() as hook:
        ci.more = {"HOOK": hook.url}
        ci(repo, "push", repo.pushed(), "--only", "train")
        ci(repo, "push", repo.tagged("v1"))
        assert hook.states == ["started", "succeeded"]

        # a release that never gets healthy
        file = repo.folder / "Dockerfile"
        repo.commit({"Dockerfile": file.read_text().replace("/www/model", "/www/other")})
        ci(repo, "push", repo.pushed(), "--only", "train")
        done = ci(repo, "push", repo.tagged("v2"), code=5)
        assert hook.states[2:] == ["started", "rolled-back"]
        end = hook.got[-1][2]
        assert end["headline"].endswith("v2 is not deployed to production, it runs v1 as before")
        assert (end["deployment"]["commit"], end["deployment"]["hosts"][0]["outcome"]) == (
            repo.git("rev-parse", "HEAD"), "rolled back",
        )  # fmt: skip
    assert "canary-secret" not in done.stdout + done.stderr + ci.summary

    shown = [
        (deployment["sha"], hub.deployment_statuses[number][0])
        for number, deployment in sorted(hub.deployments.items())
    ]
    assert [sha for sha, _ in shown] == [repo.git("rev-parse", tag) for tag in ("v1", "v2")]
    assert [last["state"] for _, last in shown] == ["success", "failure"]
    assert shown[0][1]["environment_url"] == "https://wine.example.com"
    assert shown[0][1]["log_url"].endswith("/octo/wine/actions/runs/5")


def test_a_fork_without_credentials_for_the_store_stays_green(
    ci: Ci, repository: MakeRepository, hub: FakeGitHub, rclone_s3: S3Server
) -> None:
    repo = repository()
    ci.more = {"MCGITOPS_STORE": rclone_s3.url("fork"), "GITHUB_TOKEN": "fork-token"}
    payload = repo.pull_request({"params.yaml": "lr: 0.2\n"}, fork=True)
    done = ci(repo, "pull_request", payload)
    assert "no credentials for the store" in done.stderr
    assert "No comment: the token may not write" in done.stderr
    assert "accuracy" in ci.summary
    assert hub.comments_of(7) == []


def test_a_fork_never_fills_the_store(ci: Ci, repository: MakeRepository) -> None:
    repo = repository()
    ci(repo, "pull_request", repo.pull_request({"params.yaml": "lr: 0.2\n"}, fork=True))
    assert not list(repo.store.rglob("*.json"))


def test_a_training_never_sees_the_key_to_the_hosts(ci: Ci, repository: MakeRepository) -> None:
    repo = repository()
    file = repo.folder / "compose.yml"
    given = 'train}\n    environment: {KEY: "${MCGITOPS_SSH_KEY:-none}"}'
    repo.commit({"compose.yml": file.read_text().replace("train}", given, 1)})
    repo.commit({"train.sh": "echo key is $KEY\n" + (repo.folder / "train.sh").read_text()})
    done = ci(repo, "push", repo.pushed(), MCGITOPS_SSH_KEY="-----BEGIN KEY-----\nsecret\n")
    assert "key is none" in done.stderr


def test_a_status_belongs_to_the_head(ci: Ci, repository: MakeRepository, hub: FakeGitHub) -> None:
    repo = repository()
    payload = repo.pull_request({"params.yaml": "lr: 0.2\n"})
    ci(repo, "pull_request", payload, "--status", "--no-comment")
    (status,) = hub.statuses
    assert status["sha"] == payload["pull_request"]["head"]["sha"]
    assert status["state"] == "success"
    assert status["target_url"].endswith("/octo/wine/actions/runs/5")
    assert hub.comments_of(7) == []


def test_jobs_with_keys_have_comments_of_their_own(
    ci: Ci, repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    payload = repo.pull_request({"params.yaml": "lr: 0.2\n"})
    ci(repo, "pull_request", payload, "--key", "cpu")
    for key in ("gpu", "cpu"):
        ci(repo, "pull_request", payload, "--only", "report", "--key", key)
    assert len(hub.comments_of(7)) == 2


def test_a_failed_build_replaces_the_report_of_an_earlier_commit(
    ci: Ci, repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    good = repo.pull_request({"params.yaml": "lr: 0.2\n"})
    ci(repo, "pull_request", good)
    file = (repo.folder / "Dockerfile").read_text()
    bad = repo.pull_request({"Dockerfile": file.replace("WORKDIR /app\n", "RUN exit 9\n")})
    ci.more = {"GITHUB_RUN_ID": "6"}
    done = ci(repo, "pull_request", bad, code=ANY_FAILURE)
    (comment,) = hub.comments_of(7)
    head = bad["pull_request"]["head"]["sha"]
    assert f"There is no report of `{head[:12]}`" in comment["body"]
    assert "exit code: 9" in comment["body"]
    assert "exit code: 9" in ci.summary
    assert "::error title=mcgitops::" in done.stderr


def test_a_mistake_in_the_file_is_shown_beside_its_line(ci: Ci, repository: MakeRepository) -> None:
    repo = repository()
    text = (repo.folder / "compose.yml").read_text()
    repo.commit({"compose.yml": text.replace("metrics: [out", "metric: [out")})
    ci.more = {"GITHUB_WORKSPACE": str(repo.folder.parent)}
    done = ci(repo, "push", repo.pushed(), code=2)
    place = f"file={repo.folder.name}/compose.yml,line=11"
    assert f"::error title=mcgitops,{place}::" in done.stderr
    assert "Did you mean metrics?" in ci.summary


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--environment", "prodction"], "Did you mean production?"),
        (["--environment", "production"], "Name a release"),
        (["--key", "a b"], "is not a key"),
        (["--only", "trian"], "trian"),
    ],
)
def test_a_wrong_option_is_a_sentence_before_anything_starts(
    ci: Ci, repository: MakeRepository, options: list[str], says: str
) -> None:
    repo = repository()
    payload = repo.pull_request({"params.yaml": "lr: 0.2\n"})
    assert says in ci(repo, "pull_request", payload, *options, code=2).stderr
    assert not repo.store.exists()


def test_other_events_end_well_and_say_why(ci: Ci, repository: MakeRepository) -> None:
    repo = repository()
    closed = repo.pull_request({"params.yaml": "lr: 0.2\n"}) | {"action": "closed"}
    assert "nothing to do: the pull request is closed" in ci(repo, "pull_request", closed).stderr
    assert "does nothing on this event" in ci(repo, "watch", {}).stderr
    assert "--event push does what a push would" in ci(repo, "", {}).stderr


def test_only_a_comment_needs_the_api_client(
    ci: Ci, repository: MakeRepository, hub: FakeGitHub
) -> None:
    repo = repository()
    variables = ci.variables(repo, "push", repo.pushed())
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mcgitops", "ci"],
        cwd=repo.folder, env={**os.environ, **variables}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "mcgitops.forge.workflow" in loaded
    assert not loaded & {"github", "boto3", "rich"}


def test_a_merge_queue_is_compared_with_its_base(ci: Ci, trained: Repository) -> None:
    repo = trained
    base = repo.git("rev-parse", "HEAD")
    repo.git("checkout", "--quiet", "-b", "gh-readonly-queue/main/pr-7")
    repo.commit({"README": "another pull request of the group"})
    repo.commit({"params.yaml": "lr: 0.50\n"})
    group = {"base_sha": base, "base_ref": "refs/heads/main"}
    ci(repo, "merge_group", {"action": "checks_requested", "merge_group": group}, code=3)
    assert "accuracy fell below its gate" in ci.summary
    assert "main, which the queue merges into" in ci.summary


def test_the_base_of_a_shallow_merge_is_its_first_parent(
    ci: Ci, trained: Repository, hub: FakeGitHub, tmp_path: Path
) -> None:
    repo = trained
    payload = repo.pull_request({"params.yaml": "lr: 0.05\n"})
    repo.git("branch", "merge")
    clone = shallow(repo, tmp_path / "clone", "merge")
    ci(clone, "pull_request", payload)
    (comment,) = hub.comments_of(7)
    assert payload["pull_request"]["base"]["sha"][:12] in comment["body"]
    assert "0.9" in comment["body"]


def test_an_ancestor_of_a_shallow_merges_base_is_fetched_where_git_may(
    ci: Ci, trained: Repository, tmp_path: Path
) -> None:
    repo = trained
    ancestor = repo.git("rev-parse", "HEAD")
    repo.commit({"README": "never trained"})
    payload = repo.pull_request({"params.yaml": "lr: 0.05\n"})
    repo.git("branch", "merge")
    clone = shallow(repo, tmp_path / "clone", "merge")
    clone.git("remote", "set-url", "origin", f"file://{repo.folder}")
    ci(clone, "pull_request", payload, "--no-comment")
    assert ancestor[:12] in ci.summary
    assert "1 commit before main" in ci.summary


def test_the_base_of_a_shallow_branch_is_asked_of_the_api(
    ci: Ci, trained: Repository, hub: FakeGitHub, tmp_path: Path
) -> None:
    repo = trained
    hub.git = repo.folder
    base = repo.git("rev-parse", "main")
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit({"README": "one"})
    repo.commit({"params.yaml": "lr: 0.05\n"})
    clone = shallow(repo, tmp_path / "clone", "topic")
    ci(clone, "push", repo.pushed() | {"ref": "refs/heads/topic"})
    assert base[:12] in ci.summary
    assert any("/compare/" in request.path for request in hub.requests)


def test_the_base_of_a_shallow_branch_is_fetched_where_git_may(
    ci: Ci, trained: Repository, hub: FakeGitHub, tmp_path: Path
) -> None:
    repo = trained
    base = repo.git("rev-parse", "main")
    repo.git("checkout", "--quiet", "-b", "topic")
    repo.commit({"README": "one"})
    repo.commit({"params.yaml": "lr: 0.05\n"})
    clone = shallow(repo, tmp_path / "clone", "topic")
    clone.git("remote", "set-url", "origin", f"file://{repo.folder}")
    ci(clone, "push", repo.pushed() | {"ref": "refs/heads/topic"}, "--no-comment")
    assert base[:12] in ci.summary
    assert hub.requests == []


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_job_leaves_no_container(
    ci: Ci, repository: MakeRepository, sent: signal.Signals
) -> None:
    repo = repository()
    repo.commit({"train.sh": "echo begun; sleep 60\n"})
    variables = ci.variables(repo, "push", repo.pushed())
    process = subprocess.Popen(
        [sys.executable, "-m", "mcgitops", "ci"],
        cwd=repo.folder,
        env={**os.environ, **variables},
    )
    try:
        deadline = time.monotonic() + 60
        while not (running := containers(repo)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert running
        process.send_signal(sent)
        assert process.wait(30) == 130
    finally:
        process.kill()
    assert containers(repo) == []


def containers(repo: Repository) -> list[str]:
    """The containers of the project that run."""
    done = subprocess.run(
        ["docker", "ps", "--quiet", "--filter", f"name={repo.name}"],
        capture_output=True,
        text=True,
    )
    return done.stdout.split()
