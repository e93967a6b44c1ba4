"""A host that somebody changed by hand: `status` finds it, and the same release mends it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ProjectFactory, Result, Runner
from tests.lab.hosts import Host, Hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts]

COMPOSE = """
name: {name}
services:
  api:
    image: {image}
    command: ["httpd", "-f", "-p", "8080"]
    init: true
    env_file: [api.env]
    environment: {{WHO: "${{WHO:-nobody}}", VERSION: "{version}"}}
    healthcheck: {{test: ["CMD", "true"], interval: 30s, start_interval: 300ms, start_period: 9s}}
    deploy: {{replicas: {replicas}}}
  worker:
    image: {image}
    command: ["sleep", "infinity"]
    init: true
    environment: {{TOKEN: "${{TOKEN:?}}"}}
  proxy:
    image: {image}
    command: ["haproxy", "-W", "-db", "-f", "/etc/haproxy.cfg"]
    ports: ["18090:80"]
    configs: [{{source: haproxy, target: /etc/haproxy.cfg}}]
    depends_on: {{api: {{condition: service_healthy}}}}
    stop_grace_period: 1s
    x-mcgitops: {{proxy: {{switches: [api]}}}}
configs:
  haproxy: {{file: ./haproxy.cfg}}
x-mcgitops:
  environments:
    production: {{hosts: {hosts}, health_timeout: 20s}}
"""
TEMPLATE = Path(__file__).parents[3] / "templates/proxy/haproxy.cfg"
SECRETS = ("canary-in-env-file", "canary-in-variable")


class Site:
    """The project, the program run in it, and its one host."""

    def __init__(self, folder: Path, name: str, image: str, run: Runner, factory: ProjectFactory,
                 host: Host, env: dict[str, str]) -> None:  # fmt: skip
        self.folder, self.name, self.image, self.run = folder, name, image, run
        self.factory, self.host, self.env = factory, host, env

    def __call__(self, *arguments: str, check: bool = True, **env: str) -> Result:
        done = self.run(*arguments, cwd=self.folder, env={**self.env, **env}, check=check)
        assert not [each for each in SECRETS if each in done.stdout + done.stderr]
        return done

    def release(self, tag: str, replicas: int = 2) -> None:
        compose = COMPOSE.format(name=self.name, image=self.image, version=tag, replicas=replicas,
                                 hosts=[self.host.url])  # fmt: skip
        self.factory.commit(self.folder, {"compose.yml": compose}, tag)
        self.factory.git(self.folder, "tag", tag)
        self("release", tag)

    def hand(self, text: str) -> None:
        """What somebody types on the host; $P is the compose project."""
        place = f".local/share/mcgitops/{self.name}/production"
        self.host.ssh("sh", "-ec", (
            f"P={self.name}-production; cd {place}; F=$PWD/$(readlink current)\n"
            "compose() { docker compose --project-name $P --project-directory $F"
            " --env-file $F/.env --file $F/compose.yml \"$@\"; }\n"
            "image() { docker inspect --format '{{.Config.Image}}' $P-worker-1; }\n" + text
        ))  # fmt: skip

    def drift(self) -> list[str]:
        """What status says, with the exit code that goes with it."""
        done = self("status", "--json", check=False)
        (found,) = json.loads(done.stdout)
        assert found["problem"] == ""
        said = [text.replace(f"{self.name}-production-", "") for text in found["drift"]]
        assert done.code == (1 if said else 0)
        return said

    def made(self) -> dict[str, str]:
        """Container → id."""
        lines = self.host.docker("ps", "--all", "--format", "{{.Names}} {{.ID}}").stdout
        pairs = dict(line.split() for line in lines.splitlines())
        return {name.removeprefix(f"{self.name}-production-"): id_ for name, id_ in pairs.items()}


@pytest.fixture
def site(
    project_factory: ProjectFactory, run_mcgitops: Runner, ssh_hosts: Hosts, proxy_image: str,
    unique_name: Callable[..., str],
) -> Site:  # fmt: skip
    host = ssh_hosts[0]
    host.wipe()
    files = {"haproxy.cfg": TEMPLATE.read_text(), ".gitignore": ".mcgitops/\napi.env\n"}
    folder = project_factory(files)
    (folder / "api.env").write_text(f"FROM_FILE={SECRETS[0]}\n")
    return Site(folder, unique_name("site"), proxy_image, run_mcgitops, project_factory, host,
                {**ssh_hosts.env, "TOKEN": SECRETS[1]})  # fmt: skip


# Each round: what somebody does → what status says of it; and the containers that mending may make
# anew or remove. What stands in one round is independent.
ROUNDS: list[tuple[list[tuple[str, str]], set[str]]] = [
    (
        [
            ("docker kill $P-worker-1", r"worker-1 exited \d+ s ago \(137\)"),
            ("compose up -d --no-deps --no-recreate --scale api=3 api",
             "api: 3 containers, 2 wanted"),
            ("echo X=1 >> current/.env; rm current/env/0-api.env",
             r"the release folder: \.env was changed"),
            ("true", r"the release folder: env/0-api\.env is missing"),
            ("docker run -d --name stranger --label com.docker.compose.project=$P"
             " --label com.docker.compose.service=guest --label com.docker.compose.oneoff=False"
             " --label com.docker.compose.container-number=1"
             " --label com.docker.compose.config-hash=x $(image) sleep 900",
             "stranger is not part of the release"),
            # api-1's server is one of the first three
            ("for n in 1 2 3; do echo \"set server api/api$n state drain\" |"
             " docker exec -i $P-proxy-1 sh -c 'if command -v bash >/dev/null; then"
             " bash -c \"exec 3<>/dev/tcp/127.0.0.1/9999; cat >&3; cat <&3\"; else"
             " nc 127.0.0.1 9999; fi'; done",
             "api-1 gets no requests: its server in proxy-1 is drained"),
        ],
        {"worker-1", "api-3", "stranger"},
    ),
    (
        [
            ("WHO=somebody compose up -d --no-deps api",
             "api-1 was not made from the release folder's values"),
            ("docker pause $P-worker-1", "worker-1 is paused"),
            ("tar -cf - -T /dev/null | docker import - $(image)",
             "the image name of worker was given to another image"),
        ],
        {"worker-1", "api-1", "api-2"},
    ),
]  # fmt: skip


def killed_while_watched(site: Site) -> None:
    """Somebody who watches is told that a container ended; afterwards it runs again."""
    watching = subprocess.Popen(
        [sys.executable, "-m", "mcgitops", "status", "--watch", "0.5"], cwd=site.folder,
        env={**os.environ, **site.env}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watching.stdout is not None
    worker = f"{site.name}-production-worker-1"
    try:
        assert "v1 api 2/2 proxy 1/1 worker 1/1: as it should be" in watching.stdout.readline()
        site.host.docker("kill", worker)
        line = watching.stdout.readline()
        assert re.match(r"\d{4}-\d\d-\d\dT\S+ production .*worker-1 exited", line), line
    finally:
        watching.send_signal(signal.SIGINT)
    assert watching.wait(30) == 1
    site.host.docker("start", worker)


def test_what_was_changed_by_hand_is_told_found_and_mended(site: Site) -> None:
    site.release("v1")
    site("deploy", "--release", "v1")
    killed_while_watched(site)
    assert site.drift() == []
    for number, (breaks, touched) in enumerate(ROUNDS):
        before = site.made()
        for text, _ in breaks:
            site.hand(text)
        said = site.drift()
        for _, sentence in breaks:
            assert any(re.fullmatch(sentence, each) for each in said), (number, sentence, said)
        site("deploy", "--release", "v1")
        assert site.drift() == []
        after = site.made()
        assert {name for name in {*before, *after} if before.get(name) != after.get(name)} <= (
            touched
        ), number
    assert "Nothing to do" in site("deploy", "--release", "v1").stdout


def test_diff_says_what_a_deployment_then_does(site: Site) -> None:
    site.release("v1")
    first = json.loads(site("diff", "--release", "v1", "--json").stdout)
    assert {one["action"] for one in first["groups"][0]["services"].values()} == {"added"}
    site("deploy", "--release", "v1")
    assert site("diff", "--release", "v1", "--exit-code").stdout == (
        "Nothing would change: production runs v1.\n"
    )
    site.release("v2", replicas=3)
    (site.folder / "api.env").write_text("FROM_FILE=canary-in-env-file-2\n")
    text = site("diff", "--release", "v2").stdout
    print(text)
    done = site("diff", "--release", "v2", "--json", "--exit-code", check=False)
    assert done.code == 1
    data = json.loads(done.stdout)
    (group,) = data["groups"]
    assert group["services"] == {
        "api": {
            "action": "replaced",
            "reasons": [
                "env_file api.env changed (value hidden)",
                "environment.VERSION changed (value hidden)",
                "replicas 2 → 3",
            ],
            "how": "start-first behind proxy",
        },
        "proxy": {"action": "untouched", "reasons": [], "how": ""},
        "worker": {"action": "untouched", "reasons": [], "how": ""},
    }
    assert group["layers"] == []
    assert [len(one["commits"]) for one in data["releases"]] == [1]
    # a value only: the same release, and another word for the worker
    other = site("diff", "--release", "v1", "--json", TOKEN="canary-in-variable-2")
    worker = json.loads(other.stdout)["groups"][0]["services"]["worker"]
    assert worker["action"] == "replaced"
    assert worker["reasons"] == ["environment.TOKEN changed (value hidden)"]
    assert worker["how"].startswith("stop-first: ")
    # it does what was said
    before = site.made()
    site("deploy", "--release", "v2")
    after = site.made()
    assert {name for name in before if after.get(name) == before[name]} == {"worker-1", "proxy-1"}
    assert sum(name.startswith("api-") for name in after) == 3
    assert "Nothing would change" in site("diff", "--release", "v2").stdout
