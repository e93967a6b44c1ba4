"""A rollout that breaks at any of its steps, and the next call that has to put things right.

The cases are made from the plan that `mcgitops deploy --dry-run --json` prints: each step that a
good and a failing release would execute × what can break. `Ground.run` breaks one rollout, repairs
what is broken, calls mcgitops once more, and looks at the hosts with its own eyes.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.breaking import FILLER, Fault, Kind, Moment
from tests.lab.hosts import USER, Host, Hosts
from tests.lab.program import ROOT, LabError, run

KINDS: tuple[Kind, ...] = ("process", "host", "network", "disk")
WORDS = {
    "process": "the deploying process is killed",
    "host": "the host is killed",
    "network": "the host is cut off",
    "disk": "the host's disk is full",
}
MOMENTS: tuple[Moment, ...] = ("before", "amid", "after")
GOOD = ("a", "b")
BAD = "bad"
PORT = 18090
REPLICAS = 2
DISK = "192m"
CLOSED = 0x01 | 0x08  # srv_admin_state: maintenance or drain, by hand or by us
TEMPLATE = ROOT / "templates/proxy/haproxy.cfg"
COMPOSE = """
name: {name}
services:
  api:
    build: .
    init: true
    healthcheck:
      test: ["CMD", "wget", "-q", "-O", "-", "http://127.0.0.1:8080/healthy"]
      interval: 5s
      retries: 1
      start_period: 1s
      start_interval: 300ms
    stop_grace_period: 1s
    deploy: {{replicas: {replicas}}}
  proxy:
    image: {proxy}
    command: ["haproxy", "-W", "-db", "-f", "/etc/haproxy.cfg"]
    ports: ["{port}:80"]
    configs: [{{source: haproxy, target: /etc/haproxy.cfg}}]
    restart: unless-stopped
    stop_grace_period: 1s
    x-mcgitops: {{proxy: {{switches: [api]}}}}
configs:
  haproxy: {{file: ./haproxy.cfg}}
x-mcgitops:
  environments:
    production: {{hosts: {hosts}, health_timeout: 20s, parallel: {parallel}}}
"""
DOCKERFILE = """
FROM {mini}
COPY www /www
LABEL mclab.test={name}
CMD ["httpd", "-f", "-p", "8080", "-h", "/www"]
"""
SEEN = f"""
for file in lock lock.guard attempt incoming.*; do
  for found in /home/{USER}/.local/share/mcgitops/*/production/$file; do
    [ -e "$found" ] && echo "left $(basename "$found")"
  done
done
for link in /home/{USER}/.local/share/mcgitops/*/production/current; do
  echo "current $(readlink $link | cut -d/ -f2)"
done
docker ps --all --format '{{{{.Label "com.docker.compose.service"}}}} {{{{.Status}}}}' \
  | sed 's/^/container /'
proxy=$(docker ps --quiet --filter label=com.docker.compose.service=proxy)
echo "show servers state api" | docker exec -i "$proxy" nc 127.0.0.1 9999 \
  | sed -n 's/^[0-9]/server &/p'
"""


@dataclass(frozen=True)
class Case:
    """One fault at one step on one host."""

    number: int
    release: str  # "good" or "bad"
    phase: str
    step: str
    service: str
    host: int
    kind: Kind
    moment: Moment
    delay: float
    parallel: str
    next: str  # "deploy" or "heal"

    @property
    def name(self) -> str:
        """For people."""
        way = "way back, " if self.phase == "undo" else ""
        about = f" {self.service}" if self.service else ""
        return f"{self.release}: {way}{self.step}{about}"

    @property
    def when(self) -> str:
        """The moment."""
        return f"{self.delay * 1000:.0f} ms into it" if self.moment == "amid" else self.moment


@dataclass(frozen=True)
class Outcome:
    """How it went."""

    case: Case
    broken: int  # exit code
    after: int  # exit code of the next call
    next: str  # what the next call was
    problems: tuple[str, ...]
    seconds: float
    repair: float  # of these, until the host was back
    runs: str = ""
    said: str = ""

    def cells(self) -> list[str]:
        """A row of the table."""
        case = self.case
        return [
            str(case.number), case.name, str(case.host + 1), WORDS[case.kind], case.when,
            case.parallel, "killed" if self.broken == -9 else str(self.broken),
            f"{self.next}: {self.after}", self.runs, f"{self.seconds:.1f} s",
            "; ".join(self.problems) or "right",
        ]  # fmt: skip


HEADS = ("", "step", "host", "what breaks", "when", "hosts at a time", "exit", "next call",
         "then runs", "took", "")  # fmt: skip


def cases(
    good: Mapping[str, object], bad: Mapping[str, object], seed: int, hosts: int
) -> list[Case]:
    """One case for each step and each kind of fault, in the order of kinds; the rest by the seed.

    good, bad: plans as `deploy --dry-run --json` prints them.
    """
    chance = random.Random(seed)
    steps = [("good", *key) for key in _steps(good)]
    failing = _steps(bad)
    fails = next(n for n, (phase, name, _) in enumerate(failing) if name == "healthy") + 1
    steps += [("bad", *key) for key in failing[:fails] if key[0] == "activate"]
    steps += [("bad", *key) for key in _steps(bad, "undo")]
    found: list[Case] = []
    for kind in KINDS:
        for release, phase, step, service in steps:
            moment = chance.choice(MOMENTS)
            verb = chance.choice(("deploy", "heal"))
            parallel, host = chance.choice(("1", "all")), chance.randrange(hosts)
            if release == "bad" and parallel == "1":
                host = 0  # no other one is reached
            delay = round(chance.uniform(0.02, 0.4), 2)
            found.append(Case(len(found) + 1, release, phase, step, service, host, kind, moment,
                              delay, parallel, verb))  # fmt: skip
    return found


def _steps(plan: Mapping[str, object], key: str = "steps") -> list[tuple[str, str, str]]:
    hosts = plan["hosts"]
    assert isinstance(hosts, list)
    every = [
        (str(step["phase"]), str(step["name"]), _service(step["argv"])) for step in hosts[0][key]
    ]
    return list(dict.fromkeys(every))


def _service(argv: Sequence[str]) -> str:
    words = list(argv)
    if "--service" in words:
        return words[words.index("--service") + 1]
    last = words[-1].split()[-1]  # of a compose command for one service
    return last if last == "api" else ""


class Ground:
    """A project with releases, deployed to hosts, to break rollouts on."""

    def __init__(self, folder: Path, name: str, fleet: Hosts, mini: str, proxy: str) -> None:
        self.folder, self.name, self.fleet = folder, name, fleet
        self._mini, self._proxy = mini, proxy
        self._env = {**os.environ, **fleet.env, "PYTHONPATH": str(ROOT)}
        self.now = ""

    def prepare(self) -> None:
        """Make the releases; deploy the first one."""
        (self.folder / "www").mkdir(parents=True)
        (self.folder / "haproxy.cfg").write_text(TEMPLATE.read_text())
        (self.folder / ".gitignore").write_text(".mcgitops/\n")
        (self.folder / "Dockerfile").write_text(DOCKERFILE.format(mini=self._mini, name=self.name))
        self._write("1")
        self._git("init", "--quiet", "--initial-branch=main")
        for tag in (*GOOD, BAD):
            (self.folder / "www/index.html").write_text(tag)
            (self.folder / "www/healthy").write_text("yes\n")
            if tag == BAD:
                (self.folder / "www/healthy").unlink()
            self._git("add", "--all")
            self._git("commit", "--quiet", "--message", tag)
            self._git("tag", tag)
            self.call("release", tag)
        self.start()

    def start(self) -> None:
        """The first release on hosts that have nothing."""
        self.call("deploy", "--release", GOOD[0])
        self.now = GOOD[0]

    def plans(self) -> tuple[dict[str, object], dict[str, object]]:
        """What a good and what a failing release would execute now."""
        self._forget()
        other = GOOD[1 - GOOD.index(self.now)]
        good, bad = (
            json.loads(self.call("deploy", "--release", tag, "--dry-run", "--json").stdout)
            for tag in (other, BAD)
        )
        return good, bad

    def run(self, case: Case) -> Outcome:
        """One case, from a healthy state to a healthy state."""
        former = self.now
        wanted = BAD if case.release == "bad" else GOOD[1 - GOOD.index(former)]
        self._forget()
        self._write(case.parallel)
        host = self.fleet[case.host]
        began = time.monotonic()
        mark = self.folder / ".mcgitops" / f"struck-{case.number}"
        mark.unlink(missing_ok=True)
        fault = Fault(
            case.kind, case.moment, case.delay, host.url, case.phase, case.step, case.service,
            host.name, host.network, str(mark),
        )  # fmt: skip
        broken = subprocess.run(
            [sys.executable, "-m", "tests.lab.breaking", "deploy", "--release", wanted],
            cwd=self.folder, env={**self._env, "MCLAB_FAULT": fault.to_json()},
            capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        repairing = time.monotonic()
        self._repair(case, host)
        repaired = time.monotonic() - repairing
        problems = [] if mark.exists() else ["the step was never reached"]
        problems += self._lies(broken.returncode, former, wanted)
        goal = wanted if case.release == "good" else former
        words = ("heal",) if case.next == "heal" else ("deploy", "--release", goal)
        after = self.call(*words, check=False)
        refused = ""
        if after.returncode == 2 and "it is rejected" in after.stderr and goal == wanted:
            # it was rolled back, which hosts remember: only the former one goes without --force
            refused, goal, words = after.stderr, former, ("deploy", "--release", former)
            after = self.call(*words, check=False)
        took = time.monotonic() - began
        seen = {self.fleet[n].url: self.look(n) for n in range(len(self.fleet))}
        running = {release for release, _ in seen.values()}
        problems += [problem for _, each in seen.values() for problem in each]
        if len(running) != 1:
            problems.append(f"different releases: {', '.join(sorted(running))}")
        elif running != {goal} and (case.next == "deploy" or running - {former, goal}):
            problems.append(f"{goal} should run")
        if after.returncode:
            problems.append(f"the next call: exit {after.returncode}")
        said = "".join(
            f"--- {name}\n{done.stdout}{done.stderr}"
            for name, done in (("broken call", broken), (" ".join(words), after))
        )
        said += f"--- refused before\n{refused}" if refused else ""
        told = (
            f"{'refused, then ' if refused else ''}{words[0]} {goal if words[1:] else ''}".strip()
        )
        self.now = min(running & set(GOOD), default=former)
        if problems:
            self._anew()
        return Outcome(case, broken.returncode, after.returncode, told, tuple(problems), took,
                       repaired, "/".join(sorted(running)), said)  # fmt: skip

    def look(self, number: int) -> tuple[str, list[str]]:
        """The release that a host says it runs, and all that isn't as it should be."""
        host = self.fleet[number]
        label = f"host {number + 1}"
        lines = host.root("sh", "-c", SEEN, check=False).stdout.splitlines()
        by_kind: dict[str, list[str]] = {}
        for line in lines:
            kind, _, rest = line.partition(" ")
            by_kind.setdefault(kind, []).append(rest)
        release = "".join(by_kind.get("current", []))
        problems = [f"{label}: {name} is left" for name in by_kind.get("left", [])]
        found = sorted(by_kind.get("container", []))
        well = [one for one in found if one.startswith("api Up") and "(healthy)" in one]
        proxy = [one for one in found if one.startswith("proxy Up")]
        if len(well) != REPLICAS or len(proxy) != 1 or len(found) != REPLICAS + 1:
            problems.append(f"{label}: containers {found}")
        servers = [row.split() for row in by_kind.get("server", [])]
        if closed := [row[3] for row in servers if len(row) > 6 and int(row[6]) & CLOSED]:
            problems.append(f"{label}: HAProxy keeps {', '.join(closed)} closed")
        answers = {get(host.http(PORT)) for _ in range(2 * REPLICAS)}
        if answers != {release}:
            problems.append(f"{label}: answers {sorted(answers)}, its release is {release}")
        return release, problems

    def call(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """The program itself."""
        done = subprocess.run(
            [sys.executable, "-m", "mcgitops", *words], cwd=self.folder, env=self._env,
            capture_output=True, text=True, timeout=200, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise LabError(f"mcgitops {' '.join(words)}: {done.returncode}\n{done.stderr}")
        return done

    @contextmanager
    def small_disks(self) -> Iterator[None]:
        """Hosts whose home and engine are on a disk of little room, so that it can be filled."""
        for host in self.fleet:
            host.wipe()
            host.root("sh", "-c", _SMALL)
        try:
            for host in self.fleet:
                host.wait()
            self.start()
            yield
        finally:
            for host in self.fleet:
                host.root("sh", "-c", _LARGE)
            for host in self.fleet:
                host.wait()

    def _repair(self, case: Case, host: Host) -> None:
        if case.kind == "host":
            host.start()
        elif case.kind == "network":
            run("docker", "network", "connect", host.network, host.name, check=False)
            host.wait()
        elif case.kind == "disk":
            host.root("rm", "-f", FILLER)

    def _lies(self, code: int, former: str, wanted: str) -> list[str]:
        """What the exit code of the broken call says, against what is current on the hosts."""
        said = {0: wanted, 5: former}.get(code)
        if said is None:
            return []
        script = f"readlink /home/{USER}/.local/share/mcgitops/*/production/current"
        current = {host.root("sh", "-c", script, check=False).stdout.split("/")[1]
                   for host in self.fleet}  # fmt: skip
        return [] if current == {said} else [f"exit {code} with {sorted(current)} current"]

    def _forget(self) -> None:
        """Let the hosts have only what they run, so that every rollout has to ship and to place."""
        script = (
            f"cd /home/{USER}/.local/share/mcgitops/*/production || exit 0;"
            "rm -rf rejected previous incoming;"
            "for one in releases/*; do"
            ' [ "$one" = "$(readlink current | cut -d/ -f1,2)" ] || rm -rf "$one"; done;'
            "docker image prune --all --force >/dev/null"
        )
        for host in self.fleet:
            host.root("sh", "-c", script)

    def _anew(self) -> None:
        """From nothing, so that one case that failed doesn't spoil the others."""
        for host in self.fleet:
            run("docker", "start", host.name)
            host.wait()
            host.wipe()
        self.start()

    def _write(self, parallel: str) -> None:
        (self.folder / "compose.yml").write_text(COMPOSE.format(
            name=self.name, proxy=self._proxy, port=PORT, replicas=REPLICAS,
            hosts=self.fleet.urls, parallel=parallel,
        ))  # fmt: skip

    def _git(self, *arguments: str) -> None:
        run("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", *arguments,
            cwd=self.folder)  # fmt: skip


_SMALL = f"""
set -e
mkdir -p /disk && mount -t tmpfs -o size={DISK} disk /disk
mkdir /disk/docker && cp -a /home/{USER} /disk/home
mount --bind /disk/home /home/{USER}
mount --bind /disk/docker /var/lib/docker
pid=$(cat /run/docker.pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done
"""
_LARGE = f"""
docker ps --all --quiet | xargs -r docker rm -fv >/dev/null
umount /home/{USER} /var/lib/docker
pid=$(cat /run/docker.pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.1; done
umount -l /disk
"""


def get(url: str) -> str:
    """What a URL answers, or why it doesn't."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode().strip()
            return text
    except (urllib.error.URLError, OSError) as error:
        return f"no answer: {error}"
