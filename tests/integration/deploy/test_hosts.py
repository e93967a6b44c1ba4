"""Releases on two SSH hosts with engines of their own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.deploy.conftest import App, MakeApp, get, points
from tests.lab.hosts import Host, Hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts]
SECRETS = ("canary-in-env-file", "canary-in-variable", "canary-in-secret-file")


@pytest.fixture
def app(make_app: MakeApp, fresh_hosts: Hosts) -> App:
    return make_app([host.url for host in fresh_hosts], fresh_hosts.env)


def begun(host: Host, app: App) -> None:
    """Wait until a rollout touches the host; there, since each new connection costs it a lot."""
    attempt = f".local/share/mcgitops/{app.name}/production/attempt"
    host.ssh("timeout", "60", "sh", "-c", f"until [ -f {attempt} ]; do sleep 0.1; done",
             timeout=70)  # fmt: skip


def prediction(host: Host) -> str:
    return get(host.http(18080) + "/cgi-bin/predict?x=3")


def test_a_released_model_answers_on_both_hosts_and_a_bad_release_goes_back(
    app: App, fresh_hosts: Hosts
) -> None:
    app.release("v1")

    dry = app("deploy", "--dry-run", "--release", "v1")
    assert "docker compose" in dry.stdout
    assert "nothing executed" in dry.stdout
    assert fresh_hosts[0].docker("ps", "-q").stdout == ""

    done = app("deploy", "production", "--release", "v1")
    assert "✔" in done.stderr
    for host in fresh_hosts:
        assert prediction(host) == "6.00"
        assert get(host.http(18080) + "/banner.txt") == "served by nobody"

    # the same again has nothing to do
    before = fresh_hosts[0].docker("ps", "--format", "{{.ID}}").stdout
    assert "Nothing to do" in app("deploy", "production", "--release", "v1").stdout
    assert fresh_hosts[0].docker("ps", "--format", "{{.ID}}").stdout == before

    # a better model replaces it, and only its layers travel
    app.release("v2", {"data/points.csv": points(5)})
    done = app("deploy", "--release", "v2")
    assert re.search(r"ship \d+ kB of 4.0 MB", done.stderr), done.stderr
    for host in fresh_hosts:
        assert prediction(host) == "15.00"

    # one that never gets healthy leaves the former one on both
    app.release("v3", {"data/points.csv": points(7), "serve/healthy.sh": "echo no model; exit 1\n"})
    failed = app("deploy", "--release", "v3", "--json", check=False)
    assert failed.code == 5, failed
    report = json.loads(failed.stdout)
    assert report["state"] == "rolled-back"
    assert [host["outcome"] for host in report["hosts"]] == ["rolled back", "untouched"]
    assert "no model" in failed.stderr
    for host in fresh_hosts:
        assert prediction(host) == "15.00"
    status = json.loads(app("status", "--json").stdout)
    assert [host["release"] for host in status] == ["v2", "v2"]
    assert [host["drift"] for host in status] == [[], []]
    table = app("status").stdout.splitlines()
    assert len(table) == 3
    assert "api 1/1 proxy 1/1" in table[1]


def test_a_failure_on_the_second_host_takes_the_first_one_back(
    app: App, fresh_hosts: Hosts, mini_image: str
) -> None:
    first, second = fresh_hosts
    app.release("v1")
    app("deploy", "--release", "v1")
    app.release("v2", {"data/points.csv": points(5)})
    second.load(mini_image)
    second.docker("run", "--detach", "--publish", "18081:1", mini_image, "sleep", "600")
    failed = app("deploy", "--release", "v2", check=False, PORT="18081")
    assert failed.code == 5, failed
    assert "port is already allocated" in failed.stderr
    assert failed.stderr.count("rolled back to v1") == 2
    assert [prediction(host) for host in fresh_hosts] == ["6.00", "6.00"]
    assert get(first.http(18081)).startswith("no answer")
    assert app("status").code == 0


def test_hosts_whose_key_is_not_pinned_are_refused(
    app: App, fresh_hosts: Hosts, tmp_path: Path
) -> None:
    app.release("v1")
    pinned = fresh_hosts[0].known_hosts.read_text().splitlines()
    known = tmp_path / "known_hosts"
    known.write_text("")
    refused = app("deploy", "--release", "v1", check=False, MCGITOPS_KNOWN_HOSTS=str(known))
    assert refused.code == 6
    assert "its host key is not known. Nothing was sent." in refused.stderr
    # the keys of two hosts, exchanged: what somebody in between would look like
    ports = [f"[127.0.0.1]:{host.port}" for host in fresh_hosts]
    keys = {line.split()[0]: line.split(" ", 1)[1] for line in pinned if " " in line}
    swapped = "".join(
        f"{port} {keys[other]}\n" for port, other in zip(ports, reversed(ports), strict=True)
    )
    refused = app("deploy", "--release", "v1", check=False, MCGITOPS_KNOWN_HOSTS=swapped)
    assert refused.code == 6
    assert "its host key is not the pinned one" in refused.stderr
    assert all(host.docker("ps", "-q").stdout == "" for host in fresh_hosts)


def test_the_key_may_come_as_text_and_the_pins_from_the_repository(
    app: App, fresh_hosts: Hosts
) -> None:
    pins = fresh_hosts[0].known_hosts.read_text()
    compose = (app.folder / "compose.yml").read_text()
    compose = compose.replace("health_timeout", "known_hosts: ops/known hosts, health_timeout")
    app.release("v1", {"compose.yml": compose, "ops/known hosts": pins})
    app.env = {name: value for name, value in app.env.items() if name != "MCGITOPS_KNOWN_HOSTS"}
    key = fresh_hosts[0].key.read_text().strip()
    done = app("deploy", "--release", "v1", MCGITOPS_SSH_KEY=key, SSH_AUTH_SOCK="")
    assert key.splitlines()[1] not in done.stdout + done.stderr
    assert [prediction(host) for host in fresh_hosts] == ["6.00", "6.00"]


def test_a_host_out_of_reach_is_named_and_finished_later(app: App, fresh_hosts: Hosts) -> None:
    first, second = fresh_hosts
    app.release("v1")
    app("deploy", "--release", "v1")
    app.release("v2", {"data/points.csv": points(5), "serve/healthy.sh": "sleep 2; exit 1\n"})
    # before anything was touched
    with second.disconnected():
        lost = app("deploy", "--release", "v2", check=False)
        assert lost.code == 6
        assert str(second.port) in lost.stderr
        assert prediction(first) == "6.00"
        shown = app("status", check=False)
        assert shown.code == 1
        assert "can't be reached" in shown.stdout
        assert "v1" in shown.stdout
    # in the middle: it dies while the new release starts
    process = subprocess.Popen(
        [sys.executable, "-m", "mcgitops", "deploy", "--release", "v2"],
        cwd=app.folder, env={**os.environ, **app.env}, text=True, stderr=subprocess.PIPE,
    )  # fmt: skip
    begun(first, app)
    first.kill()
    _, said = process.communicate(timeout=120)
    first.start()
    assert process.returncode == 6, said
    assert f"{first.port} could not be brought back to v1" in said
    assert prediction(second) == "6.00"
    app("deploy", "--release", "v1")
    assert [prediction(host) for host in fresh_hosts] == ["6.00", "6.00"]
    assert app("status").code == 0


def test_a_killed_deployment_heals_with_the_next_call(app: App, fresh_hosts: Hosts) -> None:
    app.release("v1")
    app("deploy", "--release", "v1")
    app.release("v2", {"data/points.csv": points(5)})
    process = subprocess.Popen(
        [sys.executable, "-m", "mcgitops", "deploy", "--release", "v2"],
        cwd=app.folder, env={**os.environ, **app.env}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    begun(fresh_hosts[0], app)
    process.send_signal(signal.SIGKILL)
    process.wait()
    app("deploy", "--release", "v2")
    assert [prediction(host) for host in fresh_hosts] == ["15.00", "15.00"]
    assert app("status").code == 0


def test_values_reach_the_hosts_and_nothing_else(app: App, fresh_hosts: Hosts) -> None:
    compose = (app.folder / "compose.yml").read_text()
    compose = compose.replace("    configs: [", "    secrets: [password]\n    configs: [").replace(
        "\nconfigs:", "\nsecrets: {password: {file: ./password.txt}}\n\nconfigs:"
    )
    (app.folder / "password.txt").write_text("canary-in-secret-file\n")
    (app.folder / ".gitignore").write_text(".mcgitops/\nout/\napi.env\npassword.txt\n")
    app.release("v1", {"compose.yml": compose})
    plan = app("deploy", "--release", "v1", "--dry-run", "--json")
    seen = _watch_arguments(app, fresh_hosts)
    record = app("show", "v1", check=False)
    for text in (plan.stdout, plan.stderr, *seen, record.stdout):
        assert not [secret for secret in SECRETS if secret in text]
    # they work where they belong
    host = fresh_hosts[0]
    container = f"{app.name}-production-api-1"
    assert "canary-in-env-file" in host.docker("exec", container, "env").stdout
    assert "canary-in-variable" in host.docker("exec", container, "env").stdout
    inside = host.docker("exec", container, "cat", "/run/secrets/password").stdout
    assert inside.strip() == "canary-in-secret-file"
    modes = host.ssh(
        "sh", "-c", "cd .local/share/mcgitops/*/production && stat -c '%a %n' . "
        "current/.env current/env/* current/compose.yml",
    ).stdout  # fmt: skip
    assert {line.split()[0] for line in modes.splitlines()} == {"700", "600"}
    # and are nowhere in the store
    for path in (app.folder / ".mcgitops").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not [secret for secret in SECRETS if secret.encode() in content], path
    # a container that prints its own secrets when it fails doesn't get them into our output
    bad = 'echo "$TOKEN $CANARY" > /proc/1/fd/1; echo "$TOKEN"; exit 1\n'
    app.release("v2", {"serve/healthy.sh": bad})
    failed = app("deploy", "--release", "v2", check=False)
    assert failed.code == 5
    assert "***" in failed.stderr
    assert not [secret for secret in SECRETS if secret in failed.stdout + failed.stderr]


def _watch_arguments(app: App, hosts: Hosts) -> list[str]:
    """Deploy; gives what it printed, and all command lines seen here meanwhile."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mcgitops", "deploy", "--release", "v1"],
        cwd=app.folder, env={**os.environ, **app.env}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    seen: set[str] = set()
    while process.poll() is None:
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                seen.add(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue
        time.sleep(0.02)
    assert process.stdout is not None
    said = process.stdout.read()
    assert process.returncode == 0, said
    assert any("docker compose" in line and "up --detach" in line for line in seen)
    return [said, *seen]
