"""What hosts remember: going back, healing, what is kept, who may change what, and the journal."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import ProjectFactory, Result, Runner
from tests.integration.deploy.conftest import get
from tests.lab.hosts import Host, Hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts]

COMPOSE = """
name: {name}
services:
  api:
    build: ./api
    command: ["sh", "/start.sh"]
    init: true
    ports: ["${{PORT:-18070}}:8080"]
    environment: {{WHO: "${{WHO:-nobody}}", SLOW: "{slow}"}}
    volumes: ["./pages:/www/pages:ro"]
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/version"]
      interval: 15s
      start_interval: 400ms
      start_period: 300s
    stop_grace_period: 1s
x-mcgitops:
  environments:
    production: {{hosts: {hosts}, health_timeout: 30s, retain: 2, parallel: all}}
    staging: {{hosts: {hosts}, health_timeout: 30s}}
"""
DOCKERFILE = """
FROM {mini}
COPY start.sh /start.sh
COPY version /www/version
LABEL mclab.test={name}
"""
START = "sleep ${SLOW:-0}; echo $WHO > /www/who; exec httpd -f -p 8080 -h /www\n"
NOWHERE = {
    "MCGITOPS_STORE": "s3://gone/wine?endpoint_url=http://127.0.0.1:1",
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_REGION": "eu-central-1",
}


@dataclass
class Site:
    """The project, the program run in it, and what its hosts have."""

    folder: Path
    name: str
    mini: str
    run: Runner
    factory: ProjectFactory
    hosts: Sequence[Host]
    env: dict[str, str]

    def __call__(self, *arguments: str, check: bool = True, **env: str) -> Result:
        return self.run(*arguments, cwd=self.folder, env={**self.env, **env}, check=check)

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "mcgitops", *arguments], cwd=self.folder,
            env={**os.environ, **self.env, **env}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def release(self, tag: str, slow: int = 0) -> None:
        urls = [host.url for host in self.hosts]
        self.factory.commit(self.folder, {
            "compose.yml": COMPOSE.format(name=self.name, slow=slow, hosts=urls),
            "api/Dockerfile": DOCKERFILE.format(mini=self.mini, name=self.name),
            "api/start.sh": START,
            "api/version": tag,
            "pages/index.html": f"page of {tag}",
        }, tag)  # fmt: skip
        self.factory.git(self.folder, "tag", tag)
        self("release", tag)

    def root(self, environment: str = "production") -> str:
        return f".local/share/mcgitops/{self.name}/{environment}"

    def says(self, host: Host, command: str, environment: str = "production") -> list[str]:
        return host.ssh("sh", "-c", f"cd {self.root(environment)} && {command}").stdout.split()

    def running(self) -> list[str]:
        return [get(host.http(18070) + "/version") for host in self.hosts]

    def state(self) -> list[tuple[str, list[str], str]]:
        found = json.loads(self("status", "production", "--json", check=False).stdout)
        return [(one["release"], one["drift"], one["locked_by"]) for one in found]


@pytest.fixture
def site(
    project_factory: ProjectFactory, run_mcgitops: Runner, fresh_hosts: Hosts, mini_image: str,
    unique_name: Callable[..., str],
) -> Site:  # fmt: skip
    folder = project_factory({".gitignore": ".mcgitops/\n"})
    return Site(folder, unique_name("history"), mini_image, run_mcgitops, project_factory,
                fresh_hosts, fresh_hosts.env)  # fmt: skip


def test_a_host_keeps_what_a_rollback_needs_and_little_else(site: Site) -> None:
    host = site.hosts[0]
    site.hosts = site.hosts[:1]

    def images() -> set[str]:
        listed = host.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout
        return {line for line in listed.split() if line.startswith(f"mcgitops/{site.name}/")}

    site.release("v1")
    site("deploy", "staging", "--release", "v1", PORT="18071")
    staging = images()
    host.docker("tag", next(iter(staging)), f"mcgitops/{site.name}/api:mine")
    host.docker("tag", next(iter(staging)), "mcgitops/other/api:sha256-0123456789abcdef")
    site("deploy", "production", "--release", "v1")
    for number in range(2, 5):
        site.release(f"v{number}")
        done = site("deploy", "production", "--release", f"v{number}")
        assert "not tidied up" not in done.stderr
    assert sorted(site.says(host, "ls releases")) == ["v3", "v4"]
    assert len(site.says(host, "ls files")) == 2
    # two releases of this environment, one of the other, and what isn't ours
    assert len(images()) == 4
    assert staging < images()
    assert host.docker("image", "inspect", "mcgitops/other/api:sha256-0123456789abcdef")
    assert get(host.http(18071) + "/pages/index.html") == "page of v1"

    # back without the store, without git, and without the values
    shutil.move(site.folder / ".git", site.folder / "away")
    planned = site("rollback", "production", "--dry-run", **NOWHERE)
    assert "v4 → v3" in planned.stdout
    assert "step ship" not in planned.stdout
    done = site("rollback", "production", **NOWHERE)
    assert "v3 again" in done.stdout
    assert "could not be recorded" in done.stderr
    assert site.running() == ["v3"]
    assert get(host.http(18070) + "/pages/index.html") == "page of v3"
    shutil.move(site.folder / "away", site.folder / ".git")

    refused = site("deploy", "production", "--release", "v4", check=False)
    assert refused.code == 2
    assert "rejected" in refused.stderr
    refused = site("rollback", "production", check=False)
    assert refused.code == 2, refused
    assert "no earlier release" in refused.stderr
    refused = site("rollback", "production", "--to", "v1", check=False)
    assert f"{host.url.rpartition('@')[2]} no longer has v1" in refused.stderr
    site("deploy", "production", "--release", "v4", "--force")
    assert site.running() == ["v4"]


def test_values_are_those_that_the_release_had(site: Site) -> None:
    site.release("v1")
    site("deploy", "production", "--release", "v1", WHO="ada")
    site("deploy", "production", "--release", "v1", WHO="eve")
    assert [get(host.http(18070) + "/who") for host in site.hosts] == ["eve", "eve"]
    site("rollback", "production")
    assert [get(host.http(18070) + "/who") for host in site.hosts] == ["ada", "ada"]
    assert site.state() == [("v1", [], "")] * 2
    # the same release with other values is not a bad one
    site("rollback", "production")
    assert [get(host.http(18070) + "/who") for host in site.hosts] == ["eve", "eve"]


def test_what_was_interrupted_is_healed(site: Site) -> None:
    first, second = site.hosts
    site.release("v1", slow=60)
    process = site.start("deploy", "production", "--release", "v1")
    _begun(site, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = site("heal", "production")
    assert "taken down" in done.stdout
    assert first.docker("ps", "--all", "--quiet").stdout == ""
    assert site.state() == [("", [], "")] * 2
    assert "nothing is deployed" in site("heal", "production").stdout

    site.release("v2")
    site("deploy", "production", "--release", "v2")
    site.release("v3", slow=60)
    process = site.start("deploy", "production", "--release", "v3")
    _begun(site, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    site("heal", "production", **NOWHERE)
    assert site.state() == [("v2", [], "")] * 2
    assert site.running() == ["v2", "v2"]

    # killed amid the commits: one host has it, so the other goes there too
    site.release("v4")
    site("deploy", "production", "--release", "v4")
    site.says(second, "ln -sfn $(readlink previous) current && (cd releases; echo v4/*) > attempt")
    second.docker("stop", *second.docker("ps", "--quiet").stdout.split())
    site("heal", "production", **NOWHERE)
    assert site.state() == [("v4", [], "")] * 2
    assert site.running() == ["v4", "v4"]
    assert "Nothing to do" in site("heal", "production").stdout

    # a host that is away is named, and the others are put right
    first.docker("rm", "--force", *first.docker("ps", "--quiet").stdout.split())
    with second.disconnected():
        done = site("heal", "production", check=False)
    assert done.code == 6, done
    assert second.url.rpartition("@")[2] in done.stderr
    assert "v4 runs, healthy, on" in done.stderr
    assert site.running() == ["v4", "v4"]


def test_ten_deploys_at_once_end_as_one_after_the_other(site: Site) -> None:
    site.release("v1")
    site.release("v2")
    started = [site.start("deploy", "production", "--release", f"v{1 + n % 2}") for n in range(10)]
    for process in started:
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
    state = site.state()
    assert state[0] == state[1]
    assert state[0][1:] == ([], "")
    assert site.running() == [state[0][0]] * 2


def test_a_freeze_keeps_everybody_away_until_it_ends(site: Site) -> None:
    site.release("v1")
    frozen = site("lock", "production", "--reason", "inventory\x1b[31m", "--for", "1h")
    assert "is frozen on" in frozen.stdout
    refused = site("deploy", "production", "--release", "v1", check=False)
    assert refused.code == 1
    assert "inventory" in refused.stderr
    assert "\x1b" not in refused.stderr
    assert "until 20" in refused.stderr
    again = site("lock", "production", "--reason", "mine", check=False)
    assert again.code == 1
    asked = site("unlock", "production", check=False)
    assert asked.code == 2
    assert "--yes" in asked.stderr
    one = site("unlock", "production", "--yes", "--host", site.hosts[0].url)
    assert one.stdout.count("a freeze") == 1
    assert "inventory" in one.stdout
    site("unlock", "production", "--yes")
    assert "is not locked" in site("unlock", "production", "--yes").stdout

    # a rollout at work keeps its lock
    site.release("v2", slow=300)
    compose = (site.folder / "compose.yml").read_text()
    (site.folder / "compose.yml").write_text(compose.replace("timeout: 30s", "timeout: 5m"))
    process = site.start("deploy", "production", "--release", "v2")
    _begun(site, process)
    refused = site("unlock", "production", "--yes", check=False)
    assert refused.code == 1
    assert "at work" in refused.stderr
    for words in (["deploy", "production", "--release", "v1"], ["heal", "production"]):
        refused = site(*words, "--wait", "0s", check=False)
        assert refused.code == 1, refused
        assert "deploying v2 to production" in refused.stderr
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate()
    assert process.returncode == 130, said
    assert site.state() == [("", [], "")] * 2


def test_the_audit_tells_what_store_and_hosts_know(site: Site) -> None:
    site.hosts = site.hosts[:1]
    site.release("v1")
    site("deploy", "production", "--release", "v1")
    site.release("v2")
    site("deploy", "production", "--release", "v2")
    records = site.folder / ".mcgitops" / "store" / "deployments" / site.name / "production"
    max(records.iterdir(), key=lambda path: path.name).unlink()
    site.release("v3", slow=60)
    compose = (site.folder / "compose.yml").read_text()
    (site.folder / "compose.yml").write_text(compose.replace("timeout: 30s", "timeout: 1s"))
    assert site("deploy", "production", "--release", "v3", check=False).code == 5
    site("rollback", "production")
    told = json.loads(site("audit", "production", "--json").stdout)
    assert told["problems"] == []
    short = [(one["what"], one["release"], one["ended"]) for one in told["events"]]
    assert short == [
        ("rollback", "v1", "succeeded"),
        ("deploy", "v3", "rolled-back"),
        ("deploy", "v2", "succeeded"),
        ("deploy", "v1", "succeeded"),
    ]
    line = json.dumps({"what": "deployed", "release": "\x1b[2J", "when": 1})
    site.says(site.hosts[0], f"echo {shlex.quote(line)} >> journal")
    text = site("audit", "production")
    assert "\x1b" not in text.stdout
    assert "only the hosts know it" in text.stdout
    gone = site("audit", "production", check=False, **NOWHERE)
    assert gone.code == 1
    assert "The store could not be asked" in gone.stderr
    assert "v2" in gone.stdout


def _begun(site: Site, process: subprocess.Popen[str]) -> None:
    """Wait until the rollout has started something on each host; there, since each new connection
    costs it a lot."""
    text = f'until [ -f {site.root()}/attempt ] && [ -n "$(docker ps -q)" ]; do sleep 0.2; done'
    for host in site.hosts:
        done = host.ssh("timeout", "60", "sh", "-c", text, check=False, timeout=70)
        assert process.poll() is None, process.communicate()[0]
        assert done.returncode == 0, done
