"""Releases replace each other behind an HAProxy while requests come in: none may fail."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import ProjectFactory, Result, Runner
from tests.integration.deploy.load import Load
from tests.lab.hosts import Host, Hosts

pytestmark = [pytest.mark.engine, pytest.mark.hosts]

COMPOSE = """
name: {name}
services:
  api:
    image: {image}
    command: ["sh", "/app/serve.sh"]
    init: true
    volumes: ["./app:/app:ro"]
    environment: {{VERSION: "{version}", HEALTH: "{health}"}}
    healthcheck:
      test: ["CMD", "sh", "/app/healthy.sh"]
      interval: {interval}
      retries: {retries}
      start_interval: 400ms
      start_period: {start_period}
    stop_grace_period: 10s
    deploy: {{replicas: 2, update_config: {{parallelism: {parallelism}}}}}
  worker:
    image: {image}
    command: ["sleep", "infinity"]
    init: true
    environment: {{KEPT: "the same in every release"}}
  proxy:
    image: {image}
    command: ["haproxy", "-W", "-db", "-f", "/etc/haproxy.cfg"]
    ports: ["18090:80"]
    configs: [{{source: haproxy, target: /etc/haproxy.cfg}}]
    depends_on: {{api: {{condition: service_healthy}}}}
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1/.proxy"]
      start_interval: 400ms
      start_period: 10s
    stop_grace_period: 1s
    x-mcgitops: {{proxy: {{switches: [api]}}}}
configs:
  haproxy: {{file: ./haproxy.cfg}}
x-mcgitops:
  environments:
    production:
      {{trigger: {{tag: "v*"}}, hosts: {hosts}, health_timeout: 20s, parallel: {parallel}}}
"""
# how often an engine asks: each look costs it processes, so no oftener than the test needs
LOOKS = {
    "good": {"interval": "10s", "retries": 2, "start_period": "10s"},
    "at first": {"interval": "2s", "retries": 2, "start_period": "10s"},
    # slow to be found: the longer it is there, the more requests could reach it by mistake
    "bad": {"interval": "2s", "retries": 2, "start_period": "10s"},
}
SERVE = "exec httpd -f -p 8080 -h /app/www\n"
# `at first`: well until some seconds after the first request of somebody else
HEALTHY = """
case "$HEALTH" in
  good) ;;
  "at first") test ! -e /tmp/asked || test $(($(date +%s) - $(cat /tmp/asked))) -lt 5 || exit 1;;
  *) exit 1;;
esac
wget -q -O - http://127.0.0.1:8080/cgi-bin/answer?health
"""
# every 13th request is a long one
ANSWER = """#!/bin/sh
case "$QUERY_STRING" in slow*) sleep 1.5;; esac
test "$HEALTH" = good -o "$QUERY_STRING" = health -o -e /tmp/asked || date +%s >/tmp/asked
printf 'Content-Type: text/plain\\r\\n\\r\\n%s' "$VERSION"
"""
TEMPLATE = Path(__file__).parents[3] / "templates/proxy/haproxy.cfg"


class Web:
    """The project on some hosts."""

    def __init__(
        self, folder: Path, name: str, image: str, factory: ProjectFactory, run: Runner,
        hosts: list[str], env: dict[str, str], parallel: str,
    ) -> None:  # fmt: skip
        self.folder, self.name, self.image = folder, name, image
        self.factory, self.run, self.hosts, self.env = factory, run, hosts, env
        self.parallel = parallel

    def __call__(self, *arguments: str, check: bool = True) -> Result:
        return self.run(*arguments, cwd=self.folder, env=self.env, check=check)

    def release(self, tag: str, health: str = "good", parallelism: int = 0) -> None:
        compose = COMPOSE.format(
            name=self.name, image=self.image, version=tag, health=health, hosts=self.hosts,
            parallelism=parallelism, parallel=self.parallel, **LOOKS[health],
        )  # fmt: skip
        self.factory.commit(self.folder, {"compose.yml": compose}, tag)
        self.factory.git(self.folder, "tag", tag)
        self("release", tag)


@pytest.fixture
def web(
    project_factory: ProjectFactory, run_mcgitops: Runner, three_hosts: Hosts, proxy_image: str,
    unique_name: Callable[..., str],
) -> Web:  # fmt: skip
    name = unique_name("web")
    folder = project_factory(
        {"haproxy.cfg": TEMPLATE.read_text(), "app/serve.sh": SERVE,
         "app/healthy.sh": HEALTHY,
         "app/www/cgi-bin/answer": ANSWER, ".gitignore": ".mcgitops/\n"}
    )  # fmt: skip
    (folder / "app/www/cgi-bin/answer").chmod(0o755)
    return Web(folder, name, proxy_image, project_factory, run_mcgitops,
               [host.url for host in three_hosts], three_hosts.env, "all")  # fmt: skip


def url(host: Host) -> str:
    return host.http(18090) + "/cgi-bin/answer"


def containers(host: Host, service: str) -> set[str]:
    label = f"label=com.docker.compose.service={service}"
    return set(host.docker("ps", "--quiet", "--filter", label).stdout.split())


def test_no_request_fails_while_releases_replace_each_other(web: Web, three_hosts: Hosts) -> None:
    web.release("v1")
    web("deploy", "--release", "v1")
    kept = {host: (containers(host, "worker"), containers(host, "proxy")) for host in three_hosts}

    def during(*arguments: str, check: bool = True) -> tuple[Result, list[Load]]:
        loads = [Load(url(host)) for host in three_hosts]
        with ExitStack() as stack:
            for load in loads:
                stack.enter_context(load)
            done = web(*arguments, check=check)
        print(done.stderr, *loads, sep="\n")
        return done, loads

    # a good release, one container after the other
    web.release("v2", parallelism=1)
    done, loads = during("deploy", "--release", "v2")
    assert "switch" in done.stderr
    for load in loads:
        assert load.failures == [], load
        assert load.answers[0] == "v1"
        assert load.answers[-1] == "v2"

    # one that never becomes healthy: it gets no request at all
    web.release("v3", health="bad")
    done, loads = during("deploy", "--release", "v3", check=False)
    assert done.code == 5, done
    for load in loads:
        assert load.failures == [], load
        assert set(load.answers) == {"v2"}
    refused = web("deploy", "--release", "v3", check=False)
    assert refused.code == 2
    assert "rejected" in refused.stderr

    # what no release changed was never touched
    assert kept == {
        host: (containers(host, "worker"), containers(host, "proxy")) for host in three_hosts
    }
    status = json.loads(web("status", "--json").stdout)
    assert [(one["release"], one["drift"]) for one in status] == [("v2", [])] * 3
    for host in three_hosts:
        assert len(containers(host, "api")) == 2


def test_an_exported_plan_replaces_without_a_lost_request_too(web: Web, three_hosts: Hosts) -> None:
    web.hosts = web.hosts[:1]
    host = three_hosts[0]
    web.release("v1")
    web("deploy", "--release", "v1")
    web.release("v2")
    event = ("plan", "--event", "tag", "--tag", "v2")
    assert " api  start-first behind proxy" in web(*event).stdout
    script = web(*event, "--shell").stdout
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with Load(url(host)) as load:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-s"], input=script, cwd=web.folder, text=True,
            capture_output=True, check=False, env={**os.environ, **web.env, "PATH": path},
        )  # fmt: skip
    assert done.returncode == 0, script + done.stdout + done.stderr
    assert load.failures == [], load
    assert load.answers[-1] == "v2", script + done.stdout + done.stderr
    assert "Nothing to do" in web("deploy", "--release", "v2").stdout


def test_a_canary_that_does_not_stay_well_spares_the_others(web: Web, three_hosts: Hosts) -> None:
    web.parallel = "all, canary: 1, monitor: 20s"
    web.release("v1")
    web("deploy", "--release", "v1")
    before = {host: containers(host, "api") for host in three_hosts}
    web.release("v2", health="at first")
    loads = [Load(url(host)) for host in three_hosts]
    with ExitStack() as stack:
        for load in loads:
            stack.enter_context(load)
        failed = web("deploy", "--release", "v2", "--json", check=False)
    assert failed.code == 5, failed.stderr
    assert "on 3 hosts" in failed.stderr
    assert "did not stay well" in failed.stderr
    outcomes = [host["outcome"] for host in json.loads(failed.stdout)["hosts"]]
    assert outcomes == ["rolled back", "untouched", "untouched"]
    assert [load.failures for load in loads] == [[], [], []]
    assert "v2" in loads[0].answers
    for host, load in zip(three_hosts.hosts[1:], loads[1:], strict=True):
        assert set(load.answers) == {"v1"}
        assert containers(host, "api") == before[host]
