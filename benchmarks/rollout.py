"""Rollouts under load, against what people do today; and what a rollout takes beside a bare `up`.

The application is two replicas behind `templates/proxy/haproxy.cfg`. Each replica is an HAProxy
that answers by itself: it finishes open requests when it is stopped, and costs next to nothing,
so that two cores are enough for the load, a host and the rollouts.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from tabulate import tabulate

from benchmarks.support import projects
from benchmarks.support.load import Load, Seen
from benchmarks.support.measure import clean_environment
from tests.lab import hosts, images
from tests.lab.hosts import Host, Hosts
from tests.lab.program import ROOT

REQUESTS = 20_000
RATE = 200
REPEATS = 5
LONG = 1.0  # seconds that a long request takes
SLOWER = 2.0  # seconds that any request may take beyond its own
TIMES, MORE = 1.3, 5.0
PORT = 18090
PATIENCE = 10  # seconds that docker-rollout waits for health; its default is 60
GRACE = 10
COMPOSE = """
name: {name}
services:
  api:
    image: {image}
    command: ["haproxy", "-db", "-f", "/etc/app.cfg"]
    environment: {{VERSION: "{version}", STATUS: "{status}"}}
    configs: [{{source: app, target: /etc/app.cfg}}]
    stop_signal: SIGUSR1  # HAProxy's own: finish what is open
    stop_grace_period: {grace}s
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/health"]
      interval: 2s
      retries: 2
      start_period: 5s
      start_interval: 200ms
    deploy: {{replicas: 2}}
  proxy:
    image: {image}
    command: ["haproxy", "-W", "-db", "-f", "/etc/haproxy.cfg"]
    ports: ["{port}:80"]
    configs: [{{source: proxy, target: /etc/haproxy.cfg}}]
    depends_on: {{api: {{condition: service_healthy}}}}
    stop_grace_period: 1s
    x-mcgitops: {{proxy: {{switches: [api]}}}}
configs:
  app: {{file: ./app.cfg}}
  proxy: {{file: ./haproxy.cfg}}
x-mcgitops:
  environments:
    one: {{hosts: {one}, health_timeout: 20s}}
    three: {{hosts: {three}, health_timeout: 60s, parallel: all}}
"""
# a tarpit that ends with 200 is HAProxy's only way to take its time
APP = f"""
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout tarpit {LONG:g}s
frontend app
  bind :8080
  acl is_long path /long
  http-request return status "$STATUS" content-type text/plain string "$VERSION" if !is_long
  http-request tarpit deny_status "$STATUS" content-type text/plain string "$VERSION"
"""


@dataclass(frozen=True)
class Event:
    """Something that happened under load, and the requests of that time."""

    way: str
    name: str
    seconds: float
    seen: Seen
    bound: bool = False

    @property
    def kept(self) -> bool:
        """Whether nobody noticed."""
        if not self.bound:
            return True
        slow = self.seen.slowest(long=False) > SLOWER or (
            self.seen.slowest(long=True) > LONG + SLOWER
        )
        return not self.seen.failed and not slow

    def cells(self) -> list[str]:
        """A row of the table."""
        seen = self.seen
        return [
            self.way, self.name, f"{self.seconds:.1f} s", f"{len(seen.requests):,}",
            f"{len(seen.failed):,}", f"{seen.slowest(long=False):.2f} s",
            f"{seen.slowest(long=True):.2f} s",
            ("kept" if self.kept else "MISSED") if self.bound else "",
        ]  # fmt: skip


class Application:
    """The project: releases, deployments, and the same by hand."""

    def __init__(self, folder: Path, name: str, fleet: Hosts) -> None:
        self.folder, self.name, self.fleet = folder, name, fleet
        self._image = images.proxy_image()
        self._env = clean_environment(**fleet.env, PYTHONPATH=str(ROOT))

    def prepare(self) -> None:
        """Two good releases and one that fails."""
        self.folder.mkdir()
        (self.folder / "app.cfg").write_text(APP)
        (self.folder / ".gitignore").write_text(".mcgitops/\n")
        template = ROOT / "templates/proxy/haproxy.cfg"
        (self.folder / "haproxy.cfg").write_text(template.read_text())
        for version, status in (("v1", 200), ("v2", 200), ("bad", 500)):
            (self.folder / "compose.yml").write_text(COMPOSE.format(
                name=self.name, image=self._image, version=version, status=status, grace=GRACE,
                port=PORT, one=[self.fleet[0].url], three=self.fleet.urls,
            ))  # fmt: skip
            projects.commit(self.folder)
            projects.git(self.folder, "tag", version)
            self.call("release", version)

    def call(self, *words: str, code: int = 0) -> float:
        """The program itself; gives the seconds that it took."""
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "mcgitops", *words], cwd=self.folder, env=self._env,
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if done.returncode != code:
            raise SystemExit(f"mcgitops {' '.join(words)}: {done.returncode}\n{done.stderr}")
        return time.monotonic() - began

    def deploy(self, environment: str, version: str) -> float:
        """A release that must succeed, or the one that must be rolled back."""
        self._forget()
        code = 5 if version == "bad" else 0
        return self.call("deploy", environment, "--release", version, code=code)

    def rollback(self, environment: str, version: str) -> float:
        """Back to a release."""
        return self.call("rollback", environment, "--to", version)

    def keep(self, environment: str) -> None:
        """Copy the release folders: ours are removed when nothing needs them any more."""
        self.fleet[0].root("cp", "-a", self._root(environment), "/kept")

    def put_back(self, environment: str) -> None:
        """All release folders, for what is done by hand."""
        self.fleet[0].root("cp", "-an", "/kept/.", self._root(environment))

    def by_hand(self, environment: str, version: str, *words: str) -> list[str]:
        """`docker compose` with the release folder as it lies on the host."""
        root = self._root(environment)
        listed = self.fleet[0].root("sh", "-c", f"ls -d {root}/releases/{version}/*")
        found = listed.stdout.strip()
        return [
            "docker", "compose", "-p", f"{self.name}-{environment}", "--project-directory", found,
            "--env-file", f"{found}/.env", "-f", f"{found}/compose.yml", *words,
        ]  # fmt: skip

    def _root(self, environment: str) -> str:
        return f"/home/{hosts.USER}/.local/share/mcgitops/{self.name}/{environment}"

    def _forget(self) -> None:
        """What was left by a rollback or failed is rejected; here it is deployed again."""
        script = f"rm -rf /home/{hosts.USER}/.local/share/mcgitops/*/*/rejected"
        for host in self.fleet:
            host.root("sh", "-c", script)


def main() -> int:
    """1 where a bound is missed."""
    with projects.workplace() as folder, hosts.running(3) as fleet:
        application = Application(folder / "project", f"{projects.PREFIX}-rollout", fleet)
        tell("the releases are made …")
        application.prepare()
        events = under_load(application)
        fleet[0].wipe()
        times = beside_up(application)
    return 1 if verdict(events) | verdict_of_times(times) else 0


def under_load(application: Application) -> list[Event]:
    """Everything that happens to the application on one host while requests come in."""
    tell("the first deploys …")
    host = application.fleet[0]
    for version in ("v1", "v2", "bad"):
        application.deploy("one", version)
    application.keep("one")
    application.deploy("one", "v1")
    events: list[Event] = []
    ours: tuple[tuple[str, Callable[[], float]], ...] = (
        ("rolling deploy", lambda: application.deploy("one", "v2")),
        ("failing deploy", lambda: application.deploy("one", "bad")),
        ("rollback", lambda: application.rollback("one", "v1")),
    )
    # what is answered while nothing happens counts for nobody, but for the 20,000
    with Load(host.http(PORT), {"v1", "v2"}, RATE) as load:
        time.sleep(2)
        while len(load.seen.requests) < REQUESTS:
            for name, act in ours:
                tell(f"{len(load.seen.requests):,} requests; {name} …")
                events.append(during(load, "mcgitops", name, act, bound=True))
    whole = Seen(load.seen.requests)
    span = whole.requests[-1].at - whole.requests[0].at
    events = [_together(events, name) for name, _ in ours]
    events.append(Event("mcgitops", "all of it", span, whole, bound=True))
    application.put_back("one")
    for way, by_hand in (("docker compose up -d", compose_up), ("docker-rollout", docker_rollout)):
        for name, version in (("rolling deploy", "v2"), ("failing deploy", "bad")):
            tell(f"{way}, {name} …")
            with Load(host.http(PORT), {"v1", "v2"}, RATE) as load:
                time.sleep(2)
                events.append(during(load, way, name, partial(by_hand, application, host, version)))
            compose_up(application, host, "v1")
            time.sleep(3)
    return events


def during(
    load: Load, way: str, name: str, act: Callable[[], object], *, bound: bool = False
) -> Event:
    """The requests from the begin of something until two seconds after its end."""
    began = time.monotonic()
    act()
    ended = time.monotonic()
    time.sleep(LONG + 2)
    return Event(way, name, ended - began, load.seen.within(began, ended + 2), bound)


def compose_up(application: Application, host: Host, version: str) -> None:
    """What the manual of Compose says."""
    host.ssh(*application.by_hand("one", version, "up", "-d"), check=False, timeout=120)


def docker_rollout(application: Application, host: Host, version: str) -> None:
    """The sequence of docker-rollout 0.13: twice the containers, wait, remove the old ones."""
    label = f"label=com.docker.compose.project={application.name}-one"
    listed = ("ps", "-q", "--filter", label, "--filter", "label=com.docker.compose.service=api")
    old = host.docker(*listed).stdout.split()
    up = ("up", "-d", "--scale", f"api={2 * len(old)}", "--no-recreate", "api")
    host.ssh(*application.by_hand("one", version, *up), check=False, timeout=120)
    new = [one for one in host.docker(*listed).stdout.split() if one not in old]
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        said = host.docker("inspect", "--format", "{{.State.Health.Status}}", *new).stdout.split()
        if said and set(said) == {"healthy"}:
            break
        time.sleep(1)
    else:
        old = new
    host.docker("stop", *old)
    host.docker("rm", *old)


@dataclass(frozen=True)
class Times:
    """One way, measured again and again, and what it must not exceed."""

    name: str
    seconds: tuple[float, ...]
    most: float | None = None

    @property
    def kept(self) -> bool:
        """Whether it doesn't."""
        return self.most is None or median(self.seconds) <= self.most


def beside_up(application: Application) -> list[Times]:
    """To three hosts at once, in turn with a bare `up --wait` on the same three at once."""
    deploys: list[float] = []
    rollbacks: list[float] = []
    bare: list[float] = []
    for version in ("v1", "v2", "v1"):
        tell(f"{version} to three hosts …")
        application.deploy("three", version)
    for number in range(REPEATS):
        tell(f"round {number + 1} of {REPEATS} …")
        deploys.append(application.deploy("three", "v2"))
        bare.append(max(up_wait(application, "v1")))
        up_wait(application, "v2")
        rollbacks.append(application.rollback("three", "v1"))
        bare.append(max(up_wait(application, "v2")))
        up_wait(application, "v1")
    most = TIMES * median(bare) + MORE
    return [
        Times("docker compose up -d --wait, the slowest of three hosts", tuple(bare)),
        Times("mcgitops deploy", tuple(deploys), most),
        Times("mcgitops rollback", tuple(rollbacks), most),
    ]


def up_wait(application: Application, version: str) -> list[float]:
    """The seconds of each host, all at once."""
    argv = application.by_hand("three", version, "up", "-d", "--wait")

    def act(host: Host) -> float:
        began = time.monotonic()
        host.ssh(*argv, timeout=120)
        return time.monotonic() - began

    with ThreadPoolExecutor(len(application.fleet)) as pool:
        return list(pool.map(act, application.fleet))


def verdict(events: Sequence[Event]) -> int:
    """Print the first table."""
    heads = ("", "", "took", "requests", "failed", "slowest", "slowest long one", "")
    bound = f"none fails, none takes {SLOWER:g} s more than its own"
    print(f"\n{RATE} requests a second, bound: {bound}")
    print(tabulate([one.cells() for one in events], heads, disable_numparse=True))
    for one in events:
        if one.bound and one.seen.failed:
            print(f"{one.name}: {[each.problem for each in one.seen.failed[:5]]}")
    whole = len(events[0].seen.requests) and max(len(one.seen.requests) for one in events)
    return int(not all(one.kept for one in events) or whole < REQUESTS)


def verdict_of_times(times: Sequence[Times]) -> int:
    """Print the second table."""
    print(f"\nThree hosts at a time, bound: {TIMES:g} × the bare up + {MORE:g} s")
    rows = [
        [one.name, f"{median(one.seconds):.2f} s",
         f"{min(one.seconds):.2f}–{max(one.seconds):.2f}",
         f"≤ {one.most:.2f} s" if one.most else "", "kept" if one.kept else "MISSED"]
        for one in times
    ]  # fmt: skip
    print(tabulate(rows, ("", "median", "range", "bound", ""), disable_numparse=True))
    return int(not all(one.kept for one in times))


def _together(events: Sequence[Event], name: str) -> Event:
    chosen = [one for one in events if one.name == name]
    requests = [each for one in chosen for each in one.seen.requests]
    seconds = median(one.seconds for one in chosen)
    return Event("mcgitops", f"{name} ×{len(chosen)}", seconds, Seen(requests), bound=True)


def tell(text: str) -> None:
    """For whoever watches."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
