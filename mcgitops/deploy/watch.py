"""Waits until what was started on a host is healthy, or surely is not."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from mcgitops.commands import compose_host
from mcgitops.commands.ssh import on_host
from mcgitops.deploy.connection import Connections
from mcgitops.errors import McgitopsError
from mcgitops.facts import host as host_facts
from mcgitops.plan.health import Health, judge
from mcgitops.project.hosts import ContainerFact, Host, WantedService

POLL = 0.3
LONGEST_PAUSE = 1.0
LOG_LINES = 12


class Unhealthy(McgitopsError):
    """A release did not become healthy on a host; `services` did not, where it is known."""

    def __init__(self, message: str, hint: str = "", services: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.services = services


def pauses(first: float = POLL) -> Iterator[float]:
    """Seconds to wait before each next look: short at first, since most is soon over.

    A look costs a host a process and more, just when it has a release to start.
    """
    while True:
        yield first
        first = min(first * 1.3, LONGEST_PAUSE)


def await_health(
    connections: Connections, host: Host, compose_project: str,
    wanted: Iterable[WantedService], seconds: float,
) -> None:  # fmt: skip
    """Poll until healthy. Raises `Unhealthy` when a service has failed, or after `seconds`."""
    services = tuple(wanted)
    end = time.monotonic() + seconds
    for pause in pauses():
        done = connections.script(host, host_facts.containers_script(compose_project), check=False)
        now, containers = host_facts.parse_containers(done.stdout)
        found = judge(services, containers, now)
        if found.state == "healthy":
            return
        late = time.monotonic() > end
        if found.state == "failed" or late:
            said = "; ".join(_blocking(found)) or "its services did not start"
            suffix = f" after {seconds:g} s" if late and found.state != "failed" else ""
            raise Unhealthy(f"{said}{suffix}")
        time.sleep(pause)


def _blocking(found: Health) -> tuple[str, ...]:
    return tuple(
        problem
        for service in found.services
        if service.state != "healthy"
        for problem in service.problems or (f"{service.name} is not up yet",)
    )


def failing(wanted: Iterable[WantedService], containers: Sequence[ContainerFact], now: float
            ) -> tuple[str, ...]:  # fmt: skip
    """The services that are not well."""
    found = judge(wanted, containers, now)
    return tuple(service.name for service in found.services if service.state != "healthy")


def last_lines(
    connections: Connections, host: Host, folder: str, compose_project: str,
    variables: Sequence[str], wanted: Sequence[WantedService],
) -> list[str]:  # fmt: skip
    """The last log lines of what is not well, for the error; none where they can't be had."""
    try:
        done = connections.script(host, host_facts.containers_script(compose_project), check=False)
        now, containers = host_facts.parse_containers(done.stdout)
        lines: list[str] = []
        for service in failing(wanted, containers, now)[:3]:
            argv = compose_host.logs(folder, compose_project, variables, service, LOG_LINES)
            command = on_host(host.url, argv, connections.options)
            answer = connections.execute(host, command, check=False, timeout=20)
            lines += [f"{service}: {line}" for line in answer.stdout.splitlines()[-LOG_LINES:]]
    except McgitopsError:
        return []
    return lines
