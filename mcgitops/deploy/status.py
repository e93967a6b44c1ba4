"""What runs where, held against the release that should. Only looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mcgitops.deploy.connection import Connections, HostUnreachable
from mcgitops.deploy.names import compose_project
from mcgitops.deploy.target import side_by_side
from mcgitops.plan.health import Health, judge, span
from mcgitops.project.hosts import Host, HostFacts
from mcgitops.project.model import Project


@dataclass(frozen=True)
class HostStatus:
    """One host of one environment."""

    environment: str
    host: Host
    facts: HostFacts | None
    health: Health | None
    problem: str = ""

    @property
    def release(self) -> str:
        """The committed release, "" where there is none."""
        return self.facts.current.release if self.facts and self.facts.current else ""

    @property
    def seconds(self) -> float | None:
        """For how long that release has been the current one."""
        if self.facts is None or self.facts.current is None or not self.facts.since:
            return None
        return max(0.0, self.facts.now - self.facts.since)

    @property
    def drift(self) -> tuple[str, ...]:
        """How what runs differs from the release; empty where it doesn't."""
        found: list[str] = []
        if self.facts and self.facts.attempt:
            name = self.facts.attempt.rpartition("/")[0]
            verb = "is going on" if self.locked_by else "was interrupted"
            found.append(f"a rollout of {name} {verb}")
        if self.health:
            found += self.health.problems
        return tuple(found)

    @property
    def locked_by(self) -> str:
        """Who is rolling out there now."""
        lock = self.facts.lock if self.facts else None
        return lock.owner if lock and self.facts and lock.expires > self.facts.now else ""

    @property
    def is_well(self) -> bool:
        """Whether the host could be asked and runs what it should: nothing, where none is."""
        return not self.problem and not self.drift

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        services = self.health.services if self.health else ()
        return {
            "environment": self.environment,
            "host": self.host.url,
            "release": self.release,
            "since_seconds": self.seconds,
            "services": {one.name: {"healthy": one.well, "wanted": one.wanted} for one in services},
            "drift": list(self.drift),
            "locked_by": self.locked_by,
            "problem": self.problem,
        }

    def row(self) -> tuple[str, str, str, str, str, str]:
        """For people: environment, host, release, since, services, drift."""
        if self.problem:
            return (self.environment, self.host.label, "?", "", "", self.problem)
        services = self.health.services if self.health else ()
        return (
            self.environment,
            self.host.label,
            self.release or "–",
            "" if self.seconds is None else span(self.seconds),
            " ".join(one.counts for one in services),
            "; ".join(self.drift) or "–",
        )


def status(
    project: Project, environments: Sequence[str], environ: Mapping[str, str]
) -> list[HostStatus]:
    """Ask all hosts of the environments, each environment's side by side."""
    found: list[HostStatus] = []
    for name in environments:
        spec = project.spec.environments[name]
        with Connections(project.folder, environ, spec.known_hosts) as connections:

            def ask(host: Host, name: str = name, open_: Connections = connections) -> HostStatus:
                return _ask(open_, host, project.name, name)

            found += side_by_side(ask, [Host.parse(url) for url in spec.hosts])
    return found


def _ask(connections: Connections, host: Host, project: str, environment: str) -> HostStatus:
    try:
        facts = connections.look(host, project, environment, compose_project(project, environment))
    except HostUnreachable as error:
        said = error.message.removeprefix(f"{host.label}: ").rstrip(".")
        return HostStatus(environment, host, None, None, said)
    if facts.problem:
        return HostStatus(environment, host, facts, None, facts.problem.rstrip("."))
    wanted = facts.current.services if facts.current else ()
    health = judge(wanted, facts.containers, facts.now, facts.images)
    return HostStatus(environment, host, facts, health)
