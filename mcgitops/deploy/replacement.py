"""The steps of `plan/replace.py` on one host: what they find, do and wait for.

Each looks first and may be repeated: what is done already takes no time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

from mcgitops.commands import compose_host
from mcgitops.commands.command import Command
from mcgitops.commands.ssh import on_host
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.traffic import ProxyError, Traffic
from mcgitops.deploy.watch import POLL, Unhealthy, pauses
from mcgitops.errors import McgitopsError
from mcgitops.facts import host as host_facts
from mcgitops.plan.health import is_well, judge, ready
from mcgitops.plan.replace import START_SECONDS, split
from mcgitops.project.hosts import ContainerFact, Host, HostFacts, WantedService
from mcgitops.run.process import Cancelled

_LOOSE = "already exists in network"

Containers = tuple[ContainerFact, ...]

FRESH = 2.0
"""Seconds for which a step takes what the step before it saw, where nothing was done between."""


class Sight:
    """What was last seen of a host's containers, until something is done there."""

    def __init__(self) -> None:
        self._containers: Containers = ()
        self._until = 0.0

    def note(self, containers: Containers) -> None:
        """They have just been seen."""
        self._containers, self._until = containers, time.monotonic() + FRESH

    def forget(self) -> None:
        """Something is about to change them, or has."""
        self._until = 0.0

    @property
    def fresh(self) -> Containers | None:
        """What was seen a moment ago."""
        return self._containers if time.monotonic() < self._until else None


class Replacement:
    """The containers of a compose project on one host, and the release that they shall be of."""

    def __init__(
        self, connections: Connections, facts: HostFacts, compose_project: str, placement: str,
        variables: Sequence[str], services: Sequence[WantedService], health_seconds: float,
        cancel: threading.Event | None = None, *, lenient: bool = False,
        sight: Sight | None = None,
    ) -> None:  # fmt: skip
        """cancel: set where the work is no longer wanted; whatever waits then raises `Cancelled`.
        lenient: on the way back, where a proxy that can't be asked doesn't keep us from it.
        sight: shared by the steps of one rollout on this host."""
        self._connections = connections
        self._facts = facts
        self._host = facts.host
        self._project = compose_project
        self._folder = f"{facts.root}/releases/{placement}"
        self._variables = tuple(variables)
        self._services = tuple(services)
        self._by_name = {one.name: one for one in services}
        self._seconds = health_seconds
        self._cancel = cancel
        self._lenient = lenient
        self._sight = sight or Sight()

    def see(self) -> tuple[float, Containers]:
        """The host's clock, and the containers of the project."""
        text = host_facts.containers_script(self._project)
        seen = host_facts.parse_containers(self._connections.script(self._host, text).stdout)
        self._sight.note(seen[1])
        return seen

    def _containers(self) -> Containers:
        """Which containers there are; for how they are, `see` looks each time."""
        fresh = self._sight.fresh
        return self.see()[1] if fresh is None else fresh

    def healthy(self, name: str, count: int) -> None:
        """Wait for `count` containers of a service; for all services, and nothing else, where the
        name is ""."""
        end = time.monotonic() + self._seconds
        for pause in pauses():
            self._go_on()
            now, containers = self.see()
            if name:
                found = ready(self._by_name[name], containers, now, count)
                state, problems = found.state, found.problems or (f"{name} is not up yet",)
                ill: tuple[str, ...] = (name,)
            else:
                health = judge(self._services, containers, now)
                ill = tuple(one.name for one in health.services if one.state != "healthy")
                state, problems = (
                    health.state,
                    tuple(
                        problem
                        for one in health.services
                        if one.state != "healthy"
                        for problem in one.problems or (f"{one.name} is not up yet",)
                    ),
                )
            if state == "healthy":
                return
            late = time.monotonic() > end
            if state == "failed" or late:
                suffix = f" after {self._seconds:g} s" if late and state != "failed" else ""
                raise Unhealthy(f"{'; '.join(problems)}{suffix}", services=ill)
            time.sleep(pause)

    def watch(self, name: str, seconds: float) -> None:
        """The service, or all of them, must stay well for so long."""
        end = time.monotonic() + seconds
        chosen = [self._by_name[name]] if name else list(self._services)
        while True:
            self._go_on()
            now, containers = self.see()
            for service in chosen:
                mine, _ = split(service, containers)
                ill = [one.name for one in mine if not is_well(one, now)]
                if ill or (len(mine) < service.replicas and not name):
                    raise Unhealthy(f"{', '.join(ill) or service.name} did not stay well")
            if time.monotonic() > end:
                return
            time.sleep(min(1.0, max(POLL, seconds / 20)))

    def gate(self, name: str, count: int) -> None:
        """Each container of the wanted generation must answer as the release says."""
        service = self._by_name[name]
        if service.serving is None:
            return
        from mcgitops.deploy import gates  # most services have none

        mine, _ = split(service, self.see()[1])
        if len(mine) < count:
            raise Unhealthy(f"{name}: {len(mine)} of {count} containers are there to be asked")
        problems = gates.check(
            self._connections, self._host, mine, service.serving, seconds=self._seconds,
            cancel=self._cancel,
        )  # fmt: skip
        if problems:
            raise Unhealthy("; ".join(problems))

    def surge(self, name: str, count: int) -> None:
        """Have `count` containers of the wanted generation, beside all others."""
        service = self._by_name[name]
        mine, others = split(service, self.see()[1])
        if sum(one.state == "running" for one in mine) >= count:
            return
        argv = compose_host.surge(
            self._folder, self._project, self._variables, name, len(others) + count
        )
        self._compose(argv)

    def hold(self, name: str) -> None:
        """No requests to what starts from now on."""
        containers = self._containers()
        traffic = self._traffic(name, containers)
        try:
            traffic.hold(_addresses(one for one in containers if one.service == name))
        except ProxyError:
            if not self._lenient:
                raise

    def proxies(self) -> None:
        """What this release starts must be replaceable by the next one."""
        containers = self._containers()
        for service in self._services:
            if service.behind:
                self._traffic(service.name, containers).check()

    def switch(self, name: str, new: int, old: int) -> float:
        """Requests to the wanted generation and to the `old` others that are to stay.

        Gives the seconds that open requests took to end.
        """
        service = self._by_name[name]
        containers = self._containers()
        mine, others = split(service, containers)
        kept, leaving = _leaving(mine, others, new, old)
        traffic = self._traffic(name, containers)
        try:
            return traffic.switch(_addresses(kept), _addresses(leaving), service.grace)
        except ProxyError:
            if leaving or not self._lenient:
                raise
            return 0.0  # it could not be switched before, so there is nothing to switch back

    def drain(self, name: str) -> float:
        """No requests to the service at all: it is about to stop. Gives the seconds it took."""
        service = self._by_name[name]
        _, containers = self.see()
        mine, others = split(service, containers)
        return self._traffic(name, containers).switch(
            (), _addresses((*mine, *others)), service.grace
        )

    def retire(self, name: str, new: int, old: int) -> None:
        """Stop and remove what is not to stay."""
        service = self._by_name[name]
        mine, others = split(service, self._containers())
        _, leaving = _leaving(mine, others, new, old)
        if not leaving:
            return
        self._sight.forget()
        text = compose_host.retire((one.name for one in leaving), service.grace)
        # guarded: if we are killed now, it goes on, and whoever comes next waits for its end
        seconds = service.grace + START_SECONDS
        argv = compose_host.guarded(
            self._facts.root, ("sh", "-c", text), seconds=int(seconds), tools=self._facts.tools
        )
        command = on_host(self._host.url, argv, self._connections.options)
        self._connections.execute(self._host, command, timeout=seconds + 15)

    def open_up(self) -> None:
        """Let proxies find containers by name again."""
        for service in self._services:
            if service.behind:
                containers = self._containers()

                def current(name: str = service.name) -> set[str]:
                    return _addresses(one for one in self._containers() if one.service == name)

                if not self._traffic(service.name, containers).open_up(current):
                    # it may be the engine itself that still names what is gone
                    text = compose_host.loose_ends(self._project)
                    self._connections.script(self._host, text, check=False)

    def _go_on(self) -> None:
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled("Another host has failed.")

    def _traffic(self, name: str, containers: Containers) -> Traffic:
        return Traffic(self._connections, self._host, self._by_name[name], containers)

    def _compose(self, argv: compose_host.Argv) -> None:
        seconds = self._seconds + START_SECONDS
        argv = compose_host.guarded(
            self._facts.root, argv, seconds=int(seconds), tools=self._facts.tools
        )
        command = on_host(self._host.url, argv, self._connections.options, tied=True)
        self._sight.forget()
        execute_compose(self._connections, self._host, self._project, command, seconds + 15)


def execute_compose(
    connections: Connections, host: Host, project: str, command: Command, timeout: float,
    name: str = "up",
) -> None:  # fmt: skip
    """Run Compose on a host. Where a full disk left something in its networks, that goes first."""
    done = connections.execute(host, command, timeout=timeout, check=False)
    if done.code != 0 and _LOOSE in done.stdout + done.stderr:
        connections.script(host, compose_host.loose_ends(project))
        done = connections.execute(host, command, timeout=timeout, check=False)
    if done.code != 0:
        said = last_line(done.stdout + done.stderr)
        raise McgitopsError(f"docker compose {name}: {said}")


def last_line(text: str) -> str:
    """The last words of a program."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"


def _leaving(
    mine: Containers, others: Containers, new: int, old: int
) -> tuple[Containers, Containers]:
    """What stays and what goes: `new` of ours, the youngest `old` of the others."""
    going = others[: max(0, len(others) - old)] + mine[new:]
    return tuple(one for one in (*mine, *others) if one not in going), going


def _addresses(containers: Iterable[ContainerFact]) -> set[str]:
    return {address for one in containers for address in one.addresses}
