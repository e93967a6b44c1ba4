"""Logins for registries: which registry is meant, and what a host's shell makes of it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

from mcgitops.deploy.shipping import registry
from mcgitops.errors import UsageError

WHO = {registry.USER: "ada", registry.PASSWORD: "canary"}


@pytest.mark.parametrize(
    ("prefix", "server"),
    [
        ("ghcr.io/acme", "ghcr.io"),
        ("127.0.0.1:5000/team", "127.0.0.1:5000"),
        ("localhost/team", "localhost"),
        ("acme", "https://index.docker.io/v1/"),
        ("docker.io/acme", "https://index.docker.io/v1/"),
    ],
)
def test_the_server_is_called_as_docker_calls_it(prefix: str, server: str) -> None:
    assert registry.server(prefix) == server


def test_a_login_is_what_docker_reads_and_never_prints_itself() -> None:
    who = registry.login(WHO)
    assert who is not None
    auth = json.loads(who.config("ghcr.io"))["auths"]["ghcr.io"]["auth"]
    assert base64.b64decode(auth) == b"ada:canary"
    assert "canary" not in repr(who)


def test_without_variables_dockers_own_login_counts() -> None:
    assert registry.login({}) is None


@pytest.mark.parametrize("missing", sorted(WHO))
def test_half_a_login_is_a_mistake(missing: str) -> None:
    with pytest.raises(UsageError, match=f"{missing} is not set"):
        registry.login({name: value for name, value in WHO.items() if name != missing})


DOCKER = """#!/bin/sh
echo "$*" >>"$LOG"
[ "$1 $2" = "context show" ] && echo rootless && exit
echo "$DOCKER_CONTEXT" >>"$LOG"
cat "$DOCKER_CONFIG/config.json" "$DOCKER_CONFIG/contexts/here" >>"$LOG"
ls -ld "$DOCKER_CONFIG" | cut -c 1-10 >>"$LOG"
[ "$2" != "$FAIL" ]
"""


@pytest.mark.parametrize("fail", ["", "pull", "tag"])
def test_on_a_host_the_login_lives_as_long_as_the_pull(tmp_path: Path, fail: str) -> None:
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER)
    program.chmod(0o755)
    (tmp_path / "own" / "contexts").mkdir(parents=True)
    (tmp_path / "own" / "contexts" / "here").write_text("the engine's own context\n")
    (tmp_path / "tmp").mkdir()
    script = registry.pull_script("r.example/a@sha256:1", "a:it's", private=True)
    env = {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path),
        "DOCKER_CONFIG": str(tmp_path / "own"), "TMPDIR": str(tmp_path / "tmp"),
        "LOG": str(tmp_path / "log"), "FAIL": fail,
    }  # fmt: skip
    done = subprocess.run(["sh", "-c", script], input=b'{"auths": {}}\n', env=env, check=False)
    assert (done.returncode == 0) is (not fail)
    said = (tmp_path / "log").read_text().splitlines()
    assert said[:6] == [
        "context show", "image pull --quiet r.example/a@sha256:1", "rootless", '{"auths": {}}',
        "the engine's own context", "drwx------",
    ]  # fmt: skip
    assert ("image tag r.example/a@sha256:1 a:it's" in said) is (fail != "pull")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_without_a_login_the_hosts_own_configuration_is_used() -> None:
    script = registry.pull_script("r.example/a@sha256:1", "a:1", private=False)
    assert script == (
        "docker image pull --quiet r.example/a@sha256:1 && "
        "docker image tag r.example/a@sha256:1 a:1"
    )
