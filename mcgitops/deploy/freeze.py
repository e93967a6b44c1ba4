"""Locks by hand: a freeze that keeps rollouts away, and taking a lock away that was left."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Literal

from mcgitops.deferred import dataclass
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.lock import (
    BEAT,
    FREEZE,
    LEASE,
    SCRIPT,
    HostLock,
    Locked,
    Owner,
    is_dead,
    owner_name,
    release_script,
)
from mcgitops.deploy.target import environment_of, look_at
from mcgitops.deploy.visible import visible
from mcgitops.errors import UsageError
from mcgitops.project.hosts import Host, HostFacts, LockFact
from mcgitops.project.model import Project

State = Literal["freeze", "at work", "script", "silent", "dead"]
"""A person's; renewed lately; of an exported script, which has no heartbeat; not renewed; gone."""


@dataclass(frozen=True)
class Held:
    """A lock on one host, as people see it."""

    host: Host
    root: str
    lock: LockFact
    now: float

    @property
    def state(self) -> State:
        """Whether its owner is at work."""
        if self.lock.token.startswith(FREEZE):
            return "freeze"
        if is_dead(self.lock, self.lock.started):
            return "dead"
        if self.lock.token.startswith(SCRIPT):
            return "script"
        beaten = self.lock.expires - LEASE
        return "at work" if self.now - beaten < 3 * BEAT else "silent"

    def __str__(self) -> str:
        age = f", for {_span(self.now - self.lock.since)}" if self.lock.since else ""
        left = self.lock.expires - self.now
        end = f"it ends in {_span(left)}" if left > 0 else f"it ended {_span(-left)} ago"
        said = {
            "freeze": "a freeze",
            "at work": "its owner is at work",
            "script": "an exported script, which has no heartbeat",
            "silent": "its owner has not been heard of",
            "dead": "its owner is gone",
        }[self.state]
        return (f"{self.host.label}: {visible(self.lock.owner)}, {visible(self.lock.reason)}{age}; "
                f"{said}; {end}")  # fmt: skip

    def to_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "host": self.host.url,
            "owner": self.lock.owner,
            "reason": self.lock.reason,
            "state": self.state,
            "since": self.lock.since,
            "expires": self.lock.expires,
        }


def held(
    project: Project, environment: str, environ: Mapping[str, str], urls: Sequence[str] = ()
) -> list[Held]:
    """The locks on the hosts of an environment. Only looks."""
    spec = environment_of(project, environment)
    with Connections(project.folder, environ, spec.known_hosts) as connections:
        facts = look_at(_chosen(spec.hosts, urls, environment), connections, project.name,
                        environment)  # fmt: skip
    return [Held(one.host, one.root, one.lock, one.now) for one in facts if one.lock is not None]


def unlock(
    project: Project, environment: str, environ: Mapping[str, str], locks: Sequence[Held], *,
    force: bool = False,
) -> None:  # fmt: skip
    """Take these very locks away: one that somebody else has taken since stays."""
    busy = [one for one in locks if one.state == "at work"]
    if busy and not force:
        raise Locked(
            f"{', '.join(one.host.label for one in busy)}: {visible(busy[0].lock.owner)} is at "
            f"work, {visible(busy[0].lock.reason)}. Nothing was changed.",
            "Wait until that is done; --force takes the lock away all the same.",
        )
    spec = environment_of(project, environment)
    with Connections(project.folder, environ, spec.known_hosts) as connections:
        for one in locks:
            owner = Owner(one.lock.owner, one.lock.reason, token=one.lock.token)
            connections.script(one.host, release_script(one.root, owner), timeout=20)


def freeze(
    project: Project, environment: str, environ: Mapping[str, str], reason: str, seconds: int
) -> list[HostFacts]:
    """Lock all hosts of an environment for a person, or none of them. Gives the hosts."""
    spec = environment_of(project, environment)
    owner = Owner(owner_name(environ), reason, token=FREEZE + secrets.token_hex(8), pid=0)
    with Connections(project.folder, environ, spec.known_hosts) as connections:
        facts = look_at(_chosen(spec.hosts, (), environment), connections, project.name,
                        environment)  # fmt: skip
        taken: list[HostFacts] = []
        try:
            for one in sorted(facts, key=lambda each: each.host.url):
                HostLock(connections, one.host, one.root, owner, lease=seconds, until=-1.0).take()
                taken.append(one)
        except BaseException:
            for one in taken:
                connections.script(one.host, release_script(one.root, owner), check=False)
            raise
    return facts


def _chosen(hosts: Sequence[str], urls: Sequence[str], environment: str) -> list[Host]:
    unknown = [url for url in urls if url not in hosts]
    if unknown:
        raise UsageError(
            f"{unknown[0]} is not a host of {environment}.", f"It has: {', '.join(hosts)}."
        )
    return [Host.parse(url) for url in hosts if not urls or url in urls]


def _span(seconds: float) -> str:
    count = max(0, int(seconds))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if count >= 2 * size:
            return f"{count // size} {unit}"
    return f"{count} s"
