"""What runs where, held against the release that should. Only looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from mcgitops.deferred import dataclass
from mcgitops.deploy.connection import Connections, HostUnreachable
from mcgitops.deploy.names import compose_project
from mcgitops.deploy.target import side_by_side
from mcgitops.plan.drift import Drift, drift
from mcgitops.plan.health import ServiceHealth, span
from mcgitops.project.hosts import Host, HostFacts, LockFact
from mcgitops.project.model import Project


@dataclass(frozen=True)
class HostStatus:
    """One host of one environment."""

    environment: str
    host: Host
    facts: HostFacts | None
    found: Drift | None
    problem: str = ""
    apart: str = ""  # how it differs from the environment's other hosts

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
    def services(self) -> tuple[ServiceHealth, ...]:
        """The release's services."""
        return self.found.health.services if self.found else ()

    @property
    def drift(self) -> tuple[str, ...]:
        """How what runs differs from the release; empty where it doesn't."""
        said: list[str] = []
        if self.facts and self.facts.attempt:
            name = self.facts.attempt.rpartition("/")[0]
            verb = "is going on" if self.lock else "was interrupted"
            said.append(f"a rollout of {name} {verb}")
        if self.apart:
            said.append(self.apart)
        if self.found:
            said += self.found.sentences
        return tuple(said)

    @property
    def lock(self) -> LockFact | None:
        """Of a rollout that is at work there; an expired lock is none."""
        lock = self.facts.lock if self.facts else None
        return lock if lock and self.facts and lock.expires > self.facts.now else None

    @property
    def rejected(self) -> tuple[str, ...]:
        """Releases that were rolled back there."""
        return tuple(sorted(self.facts.rejected)) if self.facts else ()

    @property
    def is_well(self) -> bool:
        """Whether the host could be asked and runs what it should: nothing, where none is."""
        return not self.problem and not self.drift

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        lock = self.lock
        return {
            "environment": self.environment,
            "host": self.host.url,
            "release": self.release,
            "since_seconds": self.seconds,
            "services": {
                one.name: {"healthy": one.well, "wanted": one.wanted} for one in self.services
            },
            "drift": list(self.drift),
            "locked_by": lock.owner if lock else "",
            "lock": {
                "owner": lock.owner,
                "reason": lock.reason,
                "expires": datetime.fromtimestamp(lock.expires, UTC).isoformat(),
            } if lock else None,
            "rejected": list(self.rejected),
            "problem": self.problem,
        }  # fmt: skip

    @property
    def locked(self) -> str:
        """For people: by whom, and when the lock expires."""
        if not (lock := self.lock) or self.facts is None:
            return ""
        return f"{lock.owner}, {span(lock.expires - self.facts.now)} left"

    @property
    def identity(self) -> tuple[object, ...]:
        """What `--watch` calls a change: everything but the passing of time."""
        lock = self.lock
        counts = tuple(one.counts for one in self.services)
        return (self.environment, self.host.url, self.release, counts, self.drift, self.problem,
                lock.token if lock else "", self.rejected)  # fmt: skip


class Look:
    """Asks the hosts of some environments, as often as it is called, over one connection each.

    A context manager: closing ends the connections.
    """

    def __init__(
        self, project: Project, environments: Sequence[str], environ: Mapping[str, str]
    ) -> None:
        self.project = project
        self._opened = ExitStack()
        self._connections: dict[str, Connections] = {}
        try:
            for name in environments:
                known = project.spec.environments[name].known_hosts
                self._connections[name] = self._opened.enter_context(
                    Connections(project.folder, environ, known)
                )
        except BaseException:
            self._opened.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._opened.close()

    def __call__(self) -> list[HostStatus]:
        """All hosts, each environment's side by side."""
        found: list[HostStatus] = []
        for name, connections in self._connections.items():

            def ask(host: Host, name: str = name, open_: Connections = connections) -> HostStatus:
                return _ask(open_, host, self.project.name, name)

            hosts = [Host.parse(url) for url in self.project.spec.environments[name].hosts]
            found += compared(side_by_side(ask, hosts))
        return found


def status(
    project: Project, environments: Sequence[str], environ: Mapping[str, str]
) -> list[HostStatus]:
    """Ask all hosts of the environments once."""
    with Look(project, environments, environ) as look:
        return look()


def compared(found: Sequence[HostStatus]) -> list[HostStatus]:
    """The hosts of one environment, told apart: most of them run the same release, with the same
    values. With a tie the host that was changed last counts."""
    asked = [one for one in found if one.found is not None]
    keys = {one.host.url: one.facts.current.key if one.facts and one.facts.current else ("", "")
            for one in asked}  # fmt: skip
    if len(set(keys.values())) < 2:
        return list(found)
    counts = Counter(keys.values())
    usual = max(asked, key=lambda one: (counts[keys[one.host.url]],
                                        one.facts.since if one.facts else 0.0))  # fmt: skip
    release = usual.release or "nothing"

    def told(one: HostStatus) -> HostStatus:
        if one.host.url not in keys or keys[one.host.url] == keys[usual.host.url]:
            return one
        if one.release == usual.release:
            return replace(one, apart=f"has other values than {usual.host.label}")
        return replace(one, apart=f"{usual.host.label} runs {release}")

    return [told(one) for one in found]


def _ask(connections: Connections, host: Host, project: str, environment: str) -> HostStatus:
    try:
        facts = connections.look(host, project, environment, compose_project(project, environment))
    except HostUnreachable as error:
        said = error.message.removeprefix(f"{host.label}: ").rstrip(".")
        return HostStatus(environment, host, None, None, said)
    if facts.problem:
        return HostStatus(environment, host, facts, None, facts.problem.rstrip("."))
    current = facts.current
    found = drift(facts, current.services if current else (), current.images if current else ())
    return HostStatus(environment, host, facts, found)
