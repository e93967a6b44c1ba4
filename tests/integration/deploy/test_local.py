"""Releases on the engine of this machine: what goes wrong, and what a host is left with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.deploy.conftest import App, MakeApp, get, points
from tests.lab.s3 import S3Server, free_port

pytestmark = pytest.mark.engine


@pytest.fixture
def local_app(make_app: MakeApp, tmp_path: Path) -> App:
    return make_app(["local://"], local_env(tmp_path))


@pytest.fixture
def releasing_app(make_app: MakeApp, tmp_path: Path) -> App:
    """For what is about making a release, too."""
    return make_app(["local://"], local_env(tmp_path), afresh=True)


def local_env(folder: Path) -> dict[str, str]:
    return {"XDG_DATA_HOME": str(folder / "höst folder"), "PORT": str(free_port())}


def docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def containers(app: App) -> dict[str, str]:
    """Service → container id."""
    listed = docker(
        "ps", "--all", "--no-trunc", "--filter",
        f"label=com.docker.compose.project={app.name}-production", "--format",
        '{{.Label "com.docker.compose.service"}} {{.ID}}',
    )  # fmt: skip
    return dict(line.split() for line in listed.splitlines())


def answer(app: App, path: str = "/cgi-bin/predict?x=3") -> str:
    return get(f"http://127.0.0.1:{app.env['PORT']}{path}")


def release_again(app: App, tag: str, files: dict[str, str]) -> None:
    """A release whose training is the same."""
    app.release(tag, files)


def host_folder(app: App) -> Path:
    return Path(app.env["XDG_DATA_HOME"]) / "mcgitops" / app.name / "production"


def test_a_release_is_what_was_trained_for_the_tag_and_never_changes(releasing_app: App) -> None:
    app = releasing_app
    app.factory.git(app.folder, "tag", "v0")
    untrained = app("release", "v0", check=False)
    assert untrained.code == 2
    assert "mcgitops train" in untrained.stderr
    app.release("v1")
    # whatever lies in the folder by now is not what was released
    (app.folder / "out" / "model").write_text("99\n")
    (app.folder / "pages" / "index.html").write_text("changed since\n")
    assert app("release", "v1").stdout.startswith("Already released: v1")
    app("deploy", "--release", "v1")
    assert answer(app) == "6.00"
    record = json.loads(app("release", "v1", "--json").stdout)
    assert [image["service"] for image in record["images"]] == ["api", "proxy"]
    assert [file["path"] for file in record["artifacts"]] == ["out/model"]
    assert [file["path"] for file in record["files"]] == ["pages/index.html"]
    app.factory.git(app.folder, "commit", "-q", "--allow-empty", "-m", "later")
    app.factory.git(app.folder, "tag", "--force", "v1")
    moved = app("release", "v1", check=False)
    assert moved.code == 2
    assert "never changes" in moved.stderr


def test_only_what_changed_is_recreated(local_app: App) -> None:
    app = local_app
    app.release("v1")
    app("deploy", "--release", "v1")
    first = containers(app)
    assert answer(app, "/banner.txt") == "served by nobody"
    # a value of an inline config: Compose alone would not notice
    app("deploy", "--release", "v1", WHO="ada")
    second = containers(app)
    assert answer(app, "/banner.txt") == "served by ada"
    assert second["proxy"] == first["proxy"]
    assert second["api"] != first["api"]
    # content of a mounted folder
    app.release("v2", {"pages/index.html": "new page\n"})
    app("deploy", "--release", "v2", WHO="ada")
    third = containers(app)
    assert third["proxy"] != second["proxy"]
    assert third["api"] == second["api"]
    # what a service wrote stays
    (host_folder(app) / "state" / "uploads" / "kept").write_text("x")
    app("deploy", "--release", "v1", WHO="ada")
    assert (host_folder(app) / "state" / "uploads" / "kept").read_text() == "x"
    assert docker("exec", containers(app)["proxy"], "cat", "/uploads/kept") == "x"


def test_a_rollback_brings_back_the_values_too(local_app: App) -> None:
    app = local_app
    app.release("v1")
    app("deploy", "--release", "v1", WHO="ada")
    app.release("v2", {"serve/healthy.sh": "exit 1\n"})
    failed = app("deploy", "--release", "v2", check=False, WHO="eve")
    assert failed.code == 5
    assert "Now local runs v1" in failed.stderr
    assert answer(app, "/banner.txt") == "served by ada"
    assert not (host_folder(app) / "attempt").exists()


def test_a_first_deployment_that_fails_leaves_nothing_running(local_app: App) -> None:
    app = local_app
    app.release("v1", {"serve/healthy.sh": "exit 1\n"})
    failed = app("deploy", "--release", "v1", check=False)
    assert failed.code == 5
    assert "is unhealthy" in failed.stderr
    assert containers(app) == {}
    shown = json.loads(app("status", "--json").stdout)[0]
    assert (shown["release"], shown["drift"]) == ("", [])


def test_a_failure_that_is_to_pause_leaves_all_as_it_is_until_it_is_healed(local_app: App) -> None:
    app = local_app
    compose = (app.folder / "compose.yml").read_text()
    grace = "    stop_grace_period: 1s\n"
    paused = f"{grace}    deploy: {{update_config: {{failure_action: pause}}}}\n"
    app.release("v1", {"compose.yml": compose.replace(grace, paused, 1)})
    app("deploy", "--release", "v1")
    before = containers(app)["api"]
    app.release("v2", {"serve/healthy.sh": "exit 1\n"})
    failed = app("deploy", "--release", "v2", check=False)
    assert failed.code == 6
    assert "failure_action is pause" in failed.stderr
    assert "mcgitops heal production" in failed.stderr
    left = containers(app)["api"]
    assert left != before
    assert answer(app) == "6.00"  # it answers, and whoever looks can ask it why it is not well
    assert app("status", check=False).code == 1
    assert containers(app)["api"] == left
    app("heal", "production")
    assert json.loads(app("status", "--json").stdout)[0]["release"] == "v1"
    assert containers(app)["api"] != left


def test_a_missing_value_is_found_before_a_host_is_touched(local_app: App) -> None:
    app = local_app
    app.release("v1")
    del app.env["TOKEN"]
    refused = app("deploy", "--release", "v1", check=False)
    assert refused.code == 2
    assert "TOKEN" in refused.stderr
    (app.folder / "api.env").unlink()
    refused = app("deploy", "--release", "v1", check=False, TOKEN="x")
    assert refused.code == 2
    assert "api.env" in refused.stderr
    assert containers(app) == {}


def test_one_shot_services_and_crash_loops_are_told_apart(local_app: App) -> None:
    app = local_app
    compose = (app.folder / "compose.yml").read_text()
    extra = "  once:\n    image: {image}\n    command: {command}\n    restart: {restart}\nconfigs:"
    image = docker("image", "inspect", "--format", "{{index .RepoTags 0}}", _mini(compose))
    once = extra.format(image=image, command="sh -c 'sleep 0.5; echo migrated'", restart='"no"')
    app.release("v1", {"compose.yml": compose.replace("\nconfigs:", f"\n{once}")})
    app("deploy", "--release", "v1")
    assert "once 1/1" in app("status").stdout
    loop = extra.format(image=image, command="sh -c 'sleep 0.2; exit 3'", restart="always")
    app.release("v2", {"compose.yml": compose.replace("\nconfigs:", f"\n{loop}")})
    failed = app("deploy", "--release", "v2", check=False)
    assert failed.code == 5
    assert "keeps restarting" in failed.stderr
    assert "once 1/1" in app("status").stdout


def _mini(compose: str) -> str:
    line = next(line for line in compose.splitlines() if "image:" in line)
    return line.split("image:")[1].strip()


def test_status_shows_drift_and_deploy_mends_it(local_app: App) -> None:
    app = local_app
    app.release("v1")
    app("deploy", "--release", "v1")
    docker("kill", containers(app)["api"])
    drifted = app("status", check=False)
    assert drifted.code == 1
    assert "(137)" in drifted.stdout
    app("deploy", "--release", "v1")
    assert answer(app) == "6.00"
    assert app("status").code == 0


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_deployment_heals(local_app: App, ending: signal.Signals) -> None:
    app = local_app
    app.release("v1")
    app("deploy", "--release", "v1")
    app.release("v2", {"data/points.csv": points(5), "serve/healthy.sh": "sleep 1; exit 1\n"})
    process = subprocess.Popen(
        [sys.executable, "-m", "mcgitops", "deploy", "--release", "v2"],
        cwd=app.folder, env={**os.environ, **app.env}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _wait(lambda: (host_folder(app) / "attempt").exists())
    time.sleep(0.5)
    process.send_signal(ending)
    code = process.wait(60)
    if ending == signal.SIGKILL:
        assert (host_folder(app) / "attempt").exists()
        shown = app("status", check=False)
        assert "a rollout of v2" in shown.stdout
    else:
        assert code == 130
        assert answer(app) == "6.00"
        assert not (host_folder(app) / "attempt").exists()
    app("deploy", "--release", "v1")
    assert answer(app) == "6.00"
    assert not (host_folder(app) / "attempt").exists()
    assert not (host_folder(app) / "lock").exists()
    assert app("status").code == 0


def _wait(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def test_two_deployments_at_once_end_one_after_the_other_or_are_refused(local_app: App) -> None:
    app = local_app
    app.release("v1")
    app.release("v2", {"data/points.csv": points(5)})
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "mcgitops", "deploy", "--release", release],
            cwd=app.folder, env={**os.environ, **app.env}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for release in ("v1", "v2")
    ]  # fmt: skip
    for process in started:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0 or "is locked by" in said, said
    assert app("status").code == 0
    expected = {"v1": "6.00", "v2": "15.00"}
    assert answer(app) == expected[json.loads(app("status", "--json").stdout)[0]["release"]]


def test_exported_plans_deploy_and_go_back_when_run_by_hand(local_app: App) -> None:
    app = local_app
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"

    def by_hand(script: str) -> subprocess.CompletedProcess[str]:
        assert "canary" not in script
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-s"], input=script, cwd=app.folder, text=True,
            capture_output=True, check=False, env={**os.environ, **app.env, "PATH": path},
        )  # fmt: skip

    app.release("v1")
    done = by_hand(app("plan", "--event", "tag", "--tag", "v1", "--shell").stdout)
    assert done.returncode == 0, done.stderr
    assert answer(app) == "6.00"
    assert app("status").code == 0
    assert not (host_folder(app) / "lock").exists()
    assert "Nothing to do" in app("deploy", "--release", "v1").stdout
    app.release("v2", {"data/points.csv": points(5)})
    app("deploy", "--release", "v2")
    assert answer(app) == "15.00"
    done = by_hand(app("rollback", "--shell").stdout)
    assert (done.returncode, answer(app)) == (0, "6.00"), done.stderr
    docker("kill", containers(app)["api"])
    done = by_hand(app("heal", "--shell").stdout)
    assert (done.returncode, answer(app)) == (0, "6.00"), done.stderr
    assert app("status").code == 0
    assert not (host_folder(app) / "lock").exists()


def test_without_a_name_the_tag_of_head_is_deployed(local_app: App) -> None:
    app = local_app
    none = app("deploy", check=False)
    assert none.code == 2
    assert "HEAD has no tag like v*" in none.stderr
    app.release("v1")
    assert "production runs v1 on local." in app("deploy").stdout
    unknown = app("deploy", "staging", check=False)
    assert unknown.code == 2
    assert "There is production" in unknown.stderr
    unmade = app("deploy", "--release", "v9", check=False)
    assert unmade.code == 2
    assert "mcgitops release v9" in unmade.stderr


@pytest.mark.s3
def test_any_machine_that_reaches_the_bucket_can_deploy(
    local_app: App, moto_s3: S3Server, tmp_path: Path
) -> None:
    app = local_app
    app.env |= {**moto_s3.env, "MCGITOPS_STORE": moto_s3.url(app.name)}
    app.factory.commit(app.folder, {}, "v1")
    app("train")
    app.factory.git(app.folder, "tag", "v1")
    app("push")
    app("release", "v1")
    for image in docker("image", "ls", "--quiet", f"mcgitops/{app.name}/api").split():
        docker("image", "rm", "--force", image)
    # another machine: a clone of the repository, and the values that its CI holds
    app.factory.git(tmp_path, "clone", "--quiet", str(app.folder), "elsewhere")
    app.folder = tmp_path / "elsewhere"
    (app.folder / "api.env").write_text("A=b\n")
    app("deploy", "--release", "v1")
    assert answer(app) == "6.00"
    recorded = moto_s3.client().list_objects_v2(
        Bucket=moto_s3.bucket, Prefix=f"{app.name}/deployments/"
    )
    assert recorded["KeyCount"] == 1
