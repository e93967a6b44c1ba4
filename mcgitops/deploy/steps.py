"""The steps of an exported rollout, one process each: `mcgitops step lock|ship|place|…`.

The lock belongs to the script that calls: it is known by the parent process, and runs out by
itself where the script dies without giving it back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mcgitops.deferred import dataclass
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.execution import place_on
from mcgitops.deploy.lock import HostLock, Owner, machine, owner_name, release_script, started
from mcgitops.deploy.names import compose_project
from mcgitops.deploy.replacement import Replacement
from mcgitops.deploy.retention import prune
from mcgitops.deploy.shipping import ship
from mcgitops.deploy.target import Target, environment_of, target
from mcgitops.errors import UsageError
from mcgitops.plan.history import stale
from mcgitops.project.base import seconds
from mcgitops.project.hosts import Host, HostFacts, Placement
from mcgitops.project.model import Project
from mcgitops.store.store import Store

LEASE = 1800


@dataclass(frozen=True)
class About:
    """What a step is about: a service, how many containers are to be left, how long to watch."""

    service: str = ""
    new: int = 0
    old: int = 0
    seconds: float = 0.0


class Steps:
    """One host's steps, each on its own: connections are opened and closed every time."""

    def __init__(
        self, project: Project, store: Store, environment: str, url: str,
        environ: Mapping[str, str], say: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.project = project
        self.store = store
        self.environment = environment
        self.spec = environment_of(project, environment)
        if url not in self.spec.hosts:
            raise UsageError(
                f"{url} is not a host of {environment}.", f"It has: {', '.join(self.spec.hosts)}."
            )
        self.host = Host.parse(url)
        self.environ = environ
        self.say = say

    def run(self, name: str, release: str, about: About, caller: int) -> None:
        """One step by its name; `caller` is the process that the lock belongs to.

        release: "" is the one that is current on the host.
        """
        if name == "lock":
            self.lock(release, caller)
        elif name == "unlock":
            self.unlock(release, caller)
        elif name == "ship":
            self.ship(release)
        elif name == "place":
            self.place(release)
        elif name == "prune":
            self.prune()
        else:
            self.replace(name, release, about)

    def replace(self, name: str, release: str, about: About) -> None:
        """A step that is about the containers on the host."""
        with self._connections() as connections:
            facts = self._look(connections)
            placement = self._placement(facts, release)
            if placement is None:
                return  # nothing is current, so nothing is to be well
            host = Replacement(
                connections, facts, compose_project(self.project.name, self.environment),
                placement.folder, placement.variables, placement.services,
                seconds(self.spec.health_timeout), lenient=not release,
            )  # fmt: skip
            service = about.service
            if service and service not in {one.name for one in placement.services}:
                raise UsageError(f"{placement.release} has no service {service}.")
            acts: dict[str, Callable[[], object]] = {
                "healthy": lambda: host.healthy(service, about.new),
                "gate": lambda: host.gate(service, about.new),
                "hold": lambda: host.hold(service),
                "surge": lambda: host.surge(service, about.new),
                "switch": lambda: host.switch(service, about.new, about.old),
                "drain": lambda: host.drain(service),
                "retire": lambda: host.retire(service, about.new, about.old),
                "watch": lambda: host.watch(service, about.seconds),
                "proxies": host.proxies,
                "open": host.open_up,
            }
            acts[name]()

    def _placement(self, facts: HostFacts, release: str) -> Placement | None:
        """The release folder that is meant: the current one, or that of a rollout's release."""
        if not release:
            return facts.current
        for one in facts.placements:
            if one.folder == facts.attempt and one.release == release:
                return one
        prepared = self._target(release).prepared
        return prepared.placement if prepared else None

    def lock(self, release: str, caller: int) -> None:
        """Take the lock for the process `caller`."""
        with self._connections() as connections:
            facts = self._look(connections)
            owner = self._owner(release, caller)
            HostLock(connections, self.host, facts.root, owner, lease=LEASE).take()

    def unlock(self, release: str, caller: int) -> None:
        """Give it back."""
        with self._connections() as connections:
            facts = self._look(connections)
            owner = self._owner(release, caller)
            connections.script(self.host, release_script(facts.root, owner))

    def ship(self, release: str) -> None:
        """Bring the images that the host lacks."""
        aim = self._target(release)
        with self._connections() as connections:
            ship.ship(connections, self._look(connections), aim.wanted.images, self.store,
                      aim.wanted.registry, say=self.say)  # fmt: skip

    def place(self, release: str) -> None:
        """Write the release folder."""
        aim = self._target(release)
        with self._connections() as connections:
            facts = self._look(connections)
            if aim.prepared is not None:
                place_on(connections, facts, aim.prepared, self.store)

    def prune(self) -> None:
        """Remove what nothing on the host needs any more."""
        with self._connections() as connections:
            facts = self._look(connections)
            prune(connections, facts, self.project.name, stale(facts, self.spec.retain))

    def _target(self, release: str) -> Target:
        return target(self.project, self.store, self.environment, release, self.environ)

    def _connections(self) -> Connections:
        return Connections(self.project.folder, self.environ, self.spec.known_hosts)

    def _look(self, connections: Connections) -> HostFacts:
        name = compose_project(self.project.name, self.environment)
        return connections.look(self.host, self.project.name, self.environment, name)

    def _owner(self, release: str, caller: int) -> Owner:
        return Owner(
            owner_name(self.environ), f"deploying {release} to {self.environment}",
            token=f"script-{machine()}-{caller}-{started(caller)}", pid=caller,
        )  # fmt: skip
