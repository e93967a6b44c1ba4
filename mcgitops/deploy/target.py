"""What a rollout is about, before a host is asked: release, environment, values; and the asking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field
from types import MappingProxyType
from typing import Literal, TypeVar

from mcgitops.deferred import dataclass
from mcgitops.deploy import place
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.names import compose_project
from mcgitops.deploy.place import Prepared
from mcgitops.errors import HostNeedsAttention, UsageError
from mcgitops.plan.steps import Wanted
from mcgitops.project.base import seconds
from mcgitops.project.environment import Environment
from mcgitops.project.hosts import Host, HostFacts, Placement
from mcgitops.project.model import Project
from mcgitops.store.records import ReleaseImage, ReleaseRecord
from mcgitops.store.store import Store

T = TypeVar("T")
Verb = Literal["deploy", "rollback", "heal"]


@dataclass(frozen=True, repr=False)
class Target:
    """Everything that a rollout needs to know before it looks at a host."""

    project: Project
    store: Store
    environment: str
    spec: Environment
    wanted: Wanted
    environ: Mapping[str, str]
    commit: str = ""
    images: tuple[ReleaseImage, ...] = ()
    prepared: Prepared | None = None  # None: the hosts have the release folder
    verb: Verb = "deploy"
    own: Mapping[str, Wanted] = field(default_factory=dict)  # by URL, where a host's values differ
    only: tuple[Host, ...] = ()  # the hosts that can be reached, where not all need to be

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The environment's hosts, in the file's order."""
        return self.only or tuple(Host.parse(url) for url in self.spec.hosts)

    def wanted_on(self, host: Host) -> Wanted:
        """What one host is to run."""
        return self.own.get(host.url, self.wanted)


def environment_of(project: Project, name: str) -> Environment:
    """An environment by name. Raises `UsageError` with the names that there are."""
    known = project.spec.environments
    if name in known:
        return known[name]
    names = ", ".join(sorted(known)) or "none: add x-mcgitops.environments to the compose file"
    raise UsageError(f"There is no environment {name}.", f"There is {names}.")


def release_of(project: Project, store: Store, name: str) -> ReleaseRecord:
    """A release by name. Raises `UsageError` where it hasn't been made."""
    if record := store.release(project.name, name):
        return record
    raise UsageError(
        f"The store {store.url} has no release {name} of {project.name}.",
        f"Make it with mcgitops release {name}.",
    )


def target(
    project: Project, store: Store, environment: str, release: str, environ: Mapping[str, str]
) -> Target:
    """Prepare the release folder with the caller's values. Contacts no host."""
    spec = environment_of(project, environment)
    record = release_of(project, store, release)
    prepared = place.prepare(project.folder, store, record, environment, spec.services, spec.values)
    wanted = wanted_of(
        project.name, environment, spec, prepared.placement,
        files=frozenset(one.name for one in prepared.mounted),
    )  # fmt: skip
    return Target(project, store, environment, spec, wanted, environ, record.commit, record.images,
                  prepared)  # fmt: skip


def target_of_placement(
    project: Project, store: Store, environment: str, placement: Placement,
    environ: Mapping[str, str],
) -> Target:  # fmt: skip
    """A release that lies on the hosts, with the configuration and values that it has there."""
    spec = environment_of(project, environment)
    wanted = wanted_of(project.name, environment, spec, placement)
    return Target(project, store, environment, spec, wanted, environ, placement.commit)


def wanted_of(
    project: str, environment: str, spec: Environment, placement: Placement,
    files: frozenset[str] = frozenset(),
) -> Wanted:  # fmt: skip
    """A release folder as the planner wants it, under an environment's policy."""
    return Wanted(
        project=project,
        environment=environment,
        compose_project=compose_project(project, environment),
        release=placement.release,
        digest=placement.digest,
        services=placement.services,
        images=placement.images,
        variables=placement.variables,
        files=files,
        health_seconds=seconds(spec.health_timeout),
        registry=spec.registry or "",
        parallel=0 if spec.parallel == "all" else spec.parallel,
        canary=spec.canary or 0,
        monitor=seconds(spec.monitor),
        hooks=spec.hooks,
        retain=spec.retain,
    )


def look(
    hosts: Sequence[Host], connections: Connections, wanted: Wanted,
    known: Mapping[str, HostFacts] = MappingProxyType({}),
) -> list[HostFacts]:  # fmt: skip
    """All hosts' facts, asked side by side. An unusable one raises `HostNeedsAttention`.

    known: by URL, what was seen there a moment ago.
    """
    return look_at(hosts, connections, wanted.project, wanted.environment, known)


def look_at(
    hosts: Sequence[Host], connections: Connections, project: str, environment: str,
    known: Mapping[str, HostFacts] = MappingProxyType({}),
) -> list[HostFacts]:  # fmt: skip
    """The same by names."""

    def ask(host: Host) -> HostFacts:
        name = compose_project(project, environment)
        return connections.look(host, project, environment, name, known.get(host.url))

    facts = side_by_side(ask, hosts)
    for one in facts:
        if one.problem:
            raise HostNeedsAttention(f"{one.host.label}: {one.problem}", one.hint)
    return facts


def side_by_side(
    act: Callable[[Host], T], hosts: Sequence[Host], abort: Callable[[], None] = lambda: None
) -> list[T]:
    """Do it for all hosts at once; the first failure is raised when all have ended."""
    if len(hosts) == 1:
        return [act(hosts[0])]
    with ThreadPoolExecutor(max_workers=min(16, len(hosts))) as pool:
        try:
            return list(pool.map(act, hosts))
        except BaseException:
            abort()
            raise
