"""Whether what runs is what is wanted: the one judge of a rollout and of `status`. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from mcgitops.deferred import dataclass
from mcgitops.project.hosts import ContainerFact, ImageFact, WantedService

SETTLED = 3.0
"""Seconds that a container without a healthcheck must have run to count as up."""
SETTLED_AFTER_RESTART = 10.0
"""The same after a restart: a service that waits for its database may fail at first; a crash loop
never runs this long."""

State = Literal["healthy", "starting", "failed"]


@dataclass(frozen=True)
class ServiceHealth:
    """One wanted service: how many of its containers are well, and what is wrong with the rest."""

    name: str
    wanted: int
    well: int
    state: State
    problems: tuple[str, ...] = ()

    @property
    def counts(self) -> str:
        """`api 2/2`, as `status` shows it."""
        return f"{self.name} {self.well}/{self.wanted}"


@dataclass(frozen=True)
class Health:
    """All wanted services together."""

    services: tuple[ServiceHealth, ...]
    strangers: tuple[str, ...] = ()  # containers of the project that the release doesn't name

    @property
    def state(self) -> State:
        """`failed` as soon as one service has failed; `healthy` when all are."""
        states = {service.state for service in self.services}
        if "failed" in states:
            return "failed"
        return "starting" if "starting" in states else "healthy"

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that isn't as wanted, as sentences without a full stop."""
        named = (f"{name} is not part of the release" for name in self.strangers)
        return (*(p for service in self.services for p in service.problems), *named)


def judge(
    wanted: Iterable[WantedService],
    containers: Sequence[ContainerFact],
    now: float,
    images: Sequence[ImageFact] = (),
) -> Health:
    """Hold the containers against what the release wants.

    now: the host's own clock. images: where given, containers made from another image than the
    release's are a problem too.
    """
    services = tuple(wanted)
    names = {service.name for service in services}
    return Health(
        tuple(
            _service(service, [c for c in containers if c.service == service.name], now, images)
            for service in services
        ),
        tuple(c.name for c in containers if c.service not in names and c.state == "running"),
    )


def is_of(service: WantedService, container: ContainerFact) -> bool:
    """Whether a container was made from exactly what is wanted."""
    if service.configuration:
        return container.configuration == service.configuration
    return not service.image or container.image == service.image


def is_well(container: ContainerFact, now: float) -> bool:
    """Whether a container is healthy, or has done its work."""
    return _container(container, now)[0] == "healthy"


def ready(
    service: WantedService, containers: Iterable[ContainerFact], now: float, count: int
) -> ServiceHealth:
    """Whether at least `count` containers of the wanted generation are well, others aside."""
    mine = [one for one in containers if one.service == service.name and is_of(service, one)]
    judged = [(one, *_container(one, now)) for one in mine]
    well = sum(state == "healthy" for _, state, _ in judged)
    problems = tuple(f"{one.name} {said}" for one, _, said in judged if said)
    state: State = "starting"
    if any(each == "failed" for _, each, _ in judged):
        state = "failed"
    elif well >= count:
        state = "healthy"
    return ServiceHealth(service.name, count, well, state, problems)


def _service(
    wanted: WantedService,
    containers: Sequence[ContainerFact],
    now: float,
    images: Sequence[ImageFact],
) -> ServiceHealth:
    judged = [(container, *_container(container, now)) for container in containers]
    well = sum(state == "healthy" for _, state, _ in judged)
    problems = [f"{container.name} {said}" for container, _, said in judged if said]
    states: set[State] = {state for _, state, _ in judged}
    if len(containers) < wanted.replicas:
        states.add("failed")
        problems.append(f"{wanted.name}: {len(containers)} of {wanted.replicas} containers exist")
    if len(containers) > wanted.replicas:
        states.add("failed")
        problems.append(f"{wanted.name}: {len(containers)} containers, {wanted.replicas} wanted")
    expected = _expected_ids(wanted, images)
    for container in containers:
        if expected and container.image_id not in expected:
            states.add("failed")
            well -= 1
            problems.append(f"{container.name} runs another image than the release's")
        elif wanted.configuration and not is_of(wanted, container):
            states.add("failed")
            well -= 1
            problems.append(f"{container.name} has another configuration than the release's")
    state: State = "healthy"
    if "failed" in states:
        state = "failed"
    elif "starting" in states:
        state = "starting"
    return ServiceHealth(wanted.name, wanted.replicas, max(0, well), state, tuple(problems))


def _expected_ids(wanted: WantedService, images: Sequence[ImageFact]) -> set[str]:
    return {image.id for image in images if wanted.image and wanted.image in image.references}


def _container(container: ContainerFact, now: float) -> tuple[State, str]:
    if container.state == "running":
        return _running(container, now)
    if container.state == "exited":
        if container.exit_code == 0 and container.restart_policy in ("no", "on-failure", ""):
            return "healthy", ""  # a one-shot service that has done its work
        ago = _ago(container, now)
        return "failed", f"exited{ago} ({container.exit_code})"
    if container.state == "restarting":
        if container.restarts < 3:
            return "starting", ""
        return "failed", f"keeps restarting (exit code {container.exit_code})"
    if container.state == "created":
        return "starting", "was created but not started"
    return "failed", f"is {container.state or 'in an unknown state'}"


def _running(container: ContainerFact, now: float) -> tuple[State, str]:
    if container.health == "unhealthy":
        return "failed", "is unhealthy" + (f": {container.said}" if container.said else "")
    if container.health == "starting":
        return "starting", "is not healthy yet" + (f": {container.said}" if container.said else "")
    if container.health == "healthy":
        return "healthy", ""
    running_for = now - container.started.timestamp() if container.started else 0.0
    needed = SETTLED_AFTER_RESTART if container.restarts else SETTLED
    if running_for >= needed:
        return "healthy", ""
    if container.restarts >= 3:
        return "failed", f"keeps restarting ({container.restarts} times)"
    return "starting", ""


def _ago(container: ContainerFact, now: float) -> str:
    if container.finished is None:
        return ""
    return f" {span(now - container.finished.timestamp())} ago"


def span(seconds: float) -> str:
    """A stretch of time for people: `12 s`, `3 min`, `5 h`, `6 days`."""
    for unit, size in (("days", 2 * 86400), ("h", 2 * 3600), ("min", 120)):
        if seconds >= size:
            return f"{seconds / {'days': 86400, 'h': 3600, 'min': 60}[unit]:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
