"""How the containers of one service are replaced on one host: the steps of one service. Pure.

Start-first: free servers of the proxy are held, new containers start beside the old ones, they must
become healthy and answer as they should, the proxy is switched and the old ones finish their
requests, then they are stopped. Batch after batch, as `parallelism` says. Stop-first: Compose
replaces the containers in place, which keeps their anonymous volumes.

The steps of the way back are the same towards the generation before. What there is to do is only
known when they are reached, so they are our own verbs, and each may be repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from mcgitops.commands import compose_host
from mcgitops.commands.command import Command
from mcgitops.commands.ours import verb
from mcgitops.commands.ssh import SshOptions, on_host
from mcgitops.deferred import dataclass
from mcgitops.plan.health import is_of, is_well
from mcgitops.plan.steps import Phase, Step, Wanted
from mcgitops.project.hosts import ContainerFact, HostFacts, Placement, Policy, WantedService

START_SECONDS = 60
"""What `docker compose up` may take over the time that health may take."""


@dataclass(frozen=True)
class Generation:
    """What a host is brought to: a release folder, and how our verbs name it."""

    wanted: Wanted
    facts: HostFacts
    options: SshOptions
    folder: str  # below releases/
    variables: tuple[str, ...]
    words: tuple[str, ...]  # --release NAME, or --current
    phase: Phase

    def compose(self, name: str, reason: str, service: str = "", **options: int) -> Step:
        """A step that runs Compose on the host out of the release folder."""
        path = f"{self.facts.root}/releases/{self.folder}"
        project = self.wanted.compose_project
        if name == "surge":
            argv = compose_host.surge(path, project, self.variables, service, options["scale"])
        elif service:
            argv = compose_host.up_service(
                path, project, self.variables, service, anew=bool(options.get("anew"))
            )
        else:
            argv = compose_host.up(path, project, self.variables)
        anew = bool(options.get("anew"))
        scale, left = options.get("scale", 0), options.get("left", 0)
        return Step(self.phase, name, self.guarded(argv, reason), service, scale, left, anew=anew)

    def guarded(self, argv: compose_host.Argv, reason: str) -> Command:
        """`argv` on the host, one at a time and bounded."""
        argv = compose_host.guarded(
            self.facts.root, argv, seconds=self.wanted.health_seconds + START_SECONDS,
            tools=self.facts.tools,
        )  # fmt: skip
        return on_host(self.facts.host.url, argv, self.options, tied=True, reason=reason)

    def verb(
        self, name: str, reason: str, service: str = "", new: int = 0, old: int = 0,
        seconds: float = 0.0,
    ) -> Step:  # fmt: skip
        """A step that is one of our own verbs."""
        words = [self.wanted.environment, *self.words, "--host", self.facts.host.url]
        if service:
            words += ["--service", service, "--new", str(new), "--old", str(old)]
        if seconds:
            words += ["--seconds", f"{seconds:g}"]
        command = verb("step", name, *words, reason=reason)
        return Step(self.phase, name, command, service, new, old, seconds)


def split(
    service: WantedService, containers: Iterable[ContainerFact]
) -> tuple[tuple[ContainerFact, ...], tuple[ContainerFact, ...]]:
    """A service's containers: those of the wanted generation, and all others. Oldest first."""
    every = sorted(
        (one for one in containers if one.service == service.name), key=lambda one: one.number
    )
    mine = tuple(one for one in every if is_of(service, one))
    return mine, tuple(one for one in every if not is_of(service, one))


def in_order(services: Sequence[WantedService]) -> tuple[WantedService, ...]:
    """Each service after those that it depends on, else as they are."""
    by_name = {one.name: one for one in services}
    ordered: dict[str, WantedService] = {}

    def visit(one: WantedService, above: frozenset[str]) -> None:
        if one.name in ordered or one.name in above:
            return
        for name in one.after:
            if name in by_name:
                visit(by_name[name], above | {one.name})
        ordered[one.name] = one

    for one in services:
        visit(one, frozenset())
    return tuple(ordered.values())


def switchable(service: WantedService, other: Placement | None) -> WantedService:
    """The service, without a proxy to switch where the proxy that runs isn't switched like this."""
    known = {one.name: one.behind for one in other.services} if other else {}
    if not service.behind or known.get(service.name) == service.behind:
        return service
    policy = replace(service.update, order="stop-first", why="its proxy is not switched so yet")
    return replace(service, behind=None, update=policy, back=policy)


def ways(services: Sequence[WantedService], facts: HostFacts) -> tuple[tuple[str, str], ...]:
    """For people: the services whose containers are replaced, in order, and how."""
    found = []
    for service in in_order(services):
        _, others = split(service, facts.containers)
        if others:
            running = any(one.state == "running" for one in others)
            found.append((service.name, way(switchable(service, facts.current), running=running)))
    return tuple(found)


def way(service: WantedService, *, running: bool = True) -> str:
    """For people: how a service's containers are replaced, and why so."""
    policy = service.update
    if not running:
        return "in place: none of the old ones runs"
    if policy.order == "stop-first":
        return "stop-first" + (f": {policy.why}" if policy.why else "")
    many = policy.parallelism or service.replicas
    each = f", {many} at a time" if many < service.replicas else ""
    return f"start-first{f' behind {service.behind.service}' if service.behind else ''}{each}"


def forward(side: Generation, service: WantedService) -> tuple[Step, ...]:
    """The steps that bring one service to the wanted release; none where it is there already."""
    mine, others = split(service, side.facts.containers)
    well = all(is_well(one, side.facts.now) for one in mine)
    if not others and len(mine) == service.replicas and well:
        return ()
    if not mine and not others:
        return tuple(_in_place(side, service, f"{service.name} is new"))
    if not others and not well:
        return tuple(_in_place(side, service, f"{service.name} is not well", anew=True))
    policy = service.update
    running = [one for one in others if one.state == "running"]
    if others and (policy.order == "stop-first" or not running):
        why = f": {policy.why}" if policy.why else ""
        return tuple(_in_place(side, service, f"{service.name} stops first{why}"))
    # what stopped meanwhile is to be started again: a kill can leave it so
    up = sum(one.state == "running" or is_well(one, side.facts.now) for one in mine)
    return tuple(_surging(side, service, policy, up, len(others)))


def backward(side: Generation, service: WantedService, beside: int) -> tuple[Step, ...]:
    """The steps that bring one service back; `beside` containers of the other release may run."""
    policy = service.back
    if policy.order == "stop-first" or not beside:
        return tuple(_in_place(side, service, f"{service.name} as it was"))
    return tuple(_returning(side, service))


def _surging(
    side: Generation, service: WantedService, policy: Policy, mine: int, others: int
) -> Iterator[Step]:
    name, wanted = service.name, service.replicas
    batch = policy.parallelism or wanted
    counts = [*range(batch, wanted, batch), wanted]
    left = others
    if service.behind:
        yield side.verb("hold", f"no request for a new {name} before it is ready", name,
                        mine, others)  # fmt: skip
    for count in counts:
        keep = 0 if count == wanted else max(0, others - count)
        if count > mine:
            yield side.compose("surge", f"{name}: {left} → {left + count}, none stops yet", name,
                               scale=left + count, left=left)  # fmt: skip
        yield side.verb("healthy", f"wait at most {side.wanted.health_seconds} s for {name}",
                        name, count, keep)  # fmt: skip
        yield from _gated(side, service, count, keep)
        if service.behind:
            reason = (
                f"{service.behind.service} sends requests to the new {name}; the old ones have "
                f"{service.grace:g} s to finish theirs"
            )
            yield side.verb("switch", reason, name, count, keep)
        if policy.monitor:
            yield side.verb("watch", f"the new {name} must stay well", name, count, keep,
                            seconds=policy.monitor)  # fmt: skip
        yield side.verb("retire", f"stop the old {name}", name, count, keep)
        if policy.delay and count != wanted:
            command = Command(("sleep", f"{policy.delay:g}"), reason="update_config.delay")
            yield Step(side.phase, "pause", command)
        left = keep


def _in_place(
    side: Generation, service: WantedService, reason: str, *, anew: bool = False
) -> Iterator[Step]:
    name, count = service.name, service.replicas
    if service.behind:
        yield side.verb("drain", f"the old {name} finishes its requests", name, 0, 0)
    yield side.compose("up", reason, name, anew=anew)
    yield side.verb("healthy", f"wait at most {side.wanted.health_seconds} s for {name}", name,
                    count, 0)  # fmt: skip
    yield from _gated(side, service, count, 0)
    if service.behind:
        yield side.verb("switch", f"{service.behind.service} sends requests to it", name, count, 0)


def _returning(side: Generation, service: WantedService) -> Iterator[Step]:
    name, count = service.name, service.replicas
    if service.behind:
        yield side.verb("hold", "no request for what starts again before it is ready", name,
                        count, count)  # fmt: skip
    yield side.verb("surge", f"{count} of the former {name} beside what runs", name, count, 0)
    yield side.verb("healthy", f"the former {name} must be well", name, count, 0)
    if service.behind:
        yield side.verb("switch", f"{service.behind.service} sends requests to the former {name}",
                        name, count, 0)  # fmt: skip
    yield side.verb("retire", "stop what came after it", name, count, 0)


def _gated(side: Generation, service: WantedService, new: int, old: int) -> Iterator[Step]:
    if service.serving is not None and service.serving.has_gates:
        yield side.verb("gate", f"each new {service.name} must answer as expected", service.name,
                        new, old)  # fmt: skip
