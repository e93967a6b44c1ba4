"""The steps of an exported rollout, one process each: `mcgitops step lock|ship|place|…`.

The lock belongs to the script that calls: it is known by the parent process, and runs out by
itself where the script dies without giving it back.
"""

from __future__ import annotations

from collections.abc import Mapping

from mcgitops.deploy import ship, watch
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.execution import place_on
from mcgitops.deploy.lock import HostLock, Owner, machine, owner_name, release_script, started
from mcgitops.deploy.names import compose_project
from mcgitops.deploy.target import Target, environment_of, target
from mcgitops.errors import UsageError
from mcgitops.project.base import seconds
from mcgitops.project.hosts import Host, HostFacts
from mcgitops.project.model import Project
from mcgitops.store.store import Store

LEASE = 1800


class Steps:
    """One host's steps, each on its own: connections are opened and closed every time."""

    def __init__(
        self, project: Project, store: Store, environment: str, url: str,
        environ: Mapping[str, str],
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

    def run(self, name: str, release: str, caller: int) -> None:
        """One step by its name; `caller` is the process that the lock belongs to."""
        if name == "lock":
            self.lock(release, caller)
        elif name == "unlock":
            self.unlock(release, caller)
        elif name == "ship":
            self.ship(release)
        elif name == "place":
            self.place(release)
        elif name == "healthy":
            self.healthy(release)
        else:
            raise ValueError(name)

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
            ship.ship(connections, self._look(connections), aim.pins, self.store,
                      aim.wanted.registry)  # fmt: skip

    def place(self, release: str) -> None:
        """Write the release folder."""
        aim = self._target(release)
        with self._connections() as connections:
            facts = self._look(connections)
            place_on(connections, facts, aim.prepared, self.store)

    def healthy(self, release: str) -> None:
        """Wait until the release is healthy; "" is the one that is current on the host."""
        with self._connections() as connections:
            facts = self._look(connections)
            if release:
                services = self._target(release).wanted.services
            else:
                services = facts.current.services if facts.current else ()
            watch.await_health(
                connections, self.host, compose_project(self.project.name, self.environment),
                services, seconds(self.spec.health_timeout),
            )  # fmt: skip

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
