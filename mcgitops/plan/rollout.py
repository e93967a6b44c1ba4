"""One release, one environment: what was seen on the hosts → the commands for each of them. Pure.

A rollout has phases that all hosts pass together: `prepare` changes nothing that runs (lock, ship,
place), `activate` replaces what runs, group of hosts after group, `monitor` watches the first ones,
`confirm` is the last chance to refuse, `commit` makes it final on all of them, `finish` tidies up
and gives the locks back. Until the commit every host can go back: `undo` are its commands. A user's
hooks stand around the phases.

How one service is replaced is decided in `replace.py`; the executor only knows phases and steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import unquote

from mcgitops.commands import compose_host, journal
from mcgitops.commands.command import Command
from mcgitops.commands.ours import verb
from mcgitops.commands.ssh import SshOptions, script
from mcgitops.deferred import dataclass
from mcgitops.plan.drift import drift
from mcgitops.plan.history import after_commit, stale
from mcgitops.plan.hooks import hook_steps
from mcgitops.plan.images import has_image, lacking
from mcgitops.plan.replace import (
    Generation,
    backward,
    forward,
    in_order,
    switchable,
    ways,
)
from mcgitops.plan.steps import PHASES, Phase, Step, Wanted
from mcgitops.project.environment import Phase as When
from mcgitops.project.hosts import (
    Host,
    HostFacts,
    Placement,
    WantedService,
    segment,
)


@dataclass(frozen=True)
class HostRollout:
    """One host's part."""

    host: Host
    before: Placement | None
    reason: str
    steps: tuple[Step, ...] = ()
    undo: tuple[Step, ...] = ()
    can_return: bool = True  # whether `undo` leads back to what ran before
    ways: tuple[tuple[str, str], ...] = ()  # service whose containers are replaced → how, and why

    @property
    def nothing_to_do(self) -> bool:
        """Whether the host already runs the release, and well."""
        return not self.steps

    def of(self, phase: Phase) -> tuple[Step, ...]:
        """The steps of one phase."""
        return tuple(step for step in self.steps if step.phase == phase)


@dataclass(frozen=True)
class Rollout:
    """The whole plan."""

    environment: str
    release: str
    hosts: tuple[HostRollout, ...]
    parallel: int = 1  # hosts at a time; 0 is all of them
    canary: int = 0
    first_alone: bool = False  # others wait for what is done only once, on the first host

    @property
    def nothing_to_do(self) -> bool:
        """Whether every host already runs the release, and well."""
        return all(host.nothing_to_do for host in self.hosts)

    @property
    def acting(self) -> tuple[HostRollout, ...]:
        """The hosts on which there is something to do."""
        return tuple(host for host in self.hosts if host.steps)

    @property
    def groups(self) -> tuple[tuple[HostRollout, ...], ...]:
        """The hosts that are changed at the same time, group after group: canaries first."""
        acting = list(self.acting)
        first, rest = acting[: self.canary], acting[self.canary :]
        found = [tuple(first)] if first else []
        if self.first_alone and first:
            found = [one for one in (tuple(first[:1]), tuple(first[1:])) if one]
        elif self.first_alone and rest:
            found, rest = [tuple(rest[:1])], rest[1:]
        width = self.parallel or len(rest) or 1
        found += [tuple(rest[at : at + width]) for at in range(0, len(rest), width)]
        return tuple(found)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in the order of their execution, `undo` left out."""
        found: list[Step] = []
        for phase in PHASES:
            if phase == "activate":
                for group in self.groups:
                    found += [step for host in group for step in host.of("activate")]
                    found += [step for host in group for step in host.of("monitor")]
            elif phase != "monitor":
                found += [step for host in self.acting for step in host.of(phase)]
        return tuple(found)

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands of `steps`."""
        return tuple(step.command for step in self.steps)

    @property
    def revocable(self) -> tuple[Command, ...]:
        """The commands before the commit: when one fails, `undo` leads back."""
        final = ("commit", "finish")
        return tuple(step.command for step in self.steps if step.phase not in final)

    def of(self, phase: Phase) -> tuple[Command, ...]:
        """The commands of one phase on all hosts."""
        return tuple(step.command for step in self.steps if step.phase == phase)

    @property
    def undo(self) -> tuple[Command, ...]:
        """What brings every host back, the last one first; ends with giving back the locks."""
        acting = [host for host in reversed(self.hosts) if host.steps and host.can_return]
        back = tuple(step.command for host in acting for step in host.undo)
        unlock = tuple(
            step.command
            for host in self.acting
            for step in host.of("finish")
            if step.name == "unlock"
        )
        return (*back, *unlock) if back else ()


def plan_rollout(
    wanted: Wanted, hosts: Sequence[HostFacts], options: SshOptions,
    own: Mapping[str, Wanted] | None = None,
) -> Rollout:  # fmt: skip
    """Decide what each host needs. Facts of a second look after success yield nothing to do.

    own: by URL, for a host that has the release with values of its own.
    """
    wants = [(own or {}).get(facts.host.url, wanted) for facts in hosts]
    planned = [_host(want, facts, options) for want, facts in zip(wants, hosts, strict=True)]
    acting = [one.host for one in planned if one.steps]
    canaries = acting[: wanted.canary] if wanted.canary < len(acting) else []
    for at, facts in enumerate(hosts):
        if facts.host in acting:
            planned[at] = _with_hooks(planned[at], wants[at], facts, options,
                                      is_first=facts.host == acting[0])  # fmt: skip
        if facts.host in canaries:
            planned[at] = _watched(planned[at], wants[at], facts, options)
    return Rollout(
        wanted.environment,
        wanted.release,
        tuple(planned),
        parallel=wanted.parallel,
        canary=len(canaries),
        first_alone=any(hook.once for hook in wanted.hooks.before_activate),
    )


def _release(wanted: Wanted) -> tuple[str, ...]:
    return ("--release", wanted.release)


def _watched(
    one: HostRollout, wanted: Wanted, facts: HostFacts, options: SshOptions
) -> HostRollout:
    """A canary: it must stay well for a while before the others follow."""
    side = Generation(wanted, facts, options, wanted.placement, wanted.variables,
                      _release(wanted), "monitor")  # fmt: skip
    step = side.verb("watch", f"the others follow if it stays well for {wanted.monitor} s",
                     seconds=wanted.monitor)  # fmt: skip
    return replace(one, steps=(*one.steps, step))


def _with_hooks(
    one: HostRollout, wanted: Wanted, facts: HostFacts, options: SshOptions, *, is_first: bool
) -> HostRollout:
    """The user's own commands around the phases; the lock and its return stay outermost."""

    def at(when: When) -> tuple[Step, ...]:
        return hook_steps(wanted.hooks, when, wanted, facts, options, is_first=is_first)

    lock, *prepare = one.of("prepare")
    begin, *activate = one.of("activate")
    *tidy, unlock = one.of("finish")
    return replace(
        one,
        steps=(
            lock, *at("before_prepare"), *prepare, *at("after_prepare"),
            begin, *at("before_activate"), *activate, *at("after_activate"),
            *at("before_commit"), *one.of("commit"),
            *at("after_commit"), *tidy, unlock,
        ),
        undo=(*at("before_rollback"), *one.undo, *at("after_rollback")) if one.undo else (),
    )  # fmt: skip


def _host(wanted: Wanted, facts: HostFacts, options: SshOptions) -> HostRollout:
    before = facts.current
    reason = _reason(wanted, facts)
    if not reason:
        return HostRollout(facts.host, before, f"{wanted.release} runs and is healthy")
    changes = _changes(wanted, facts, options)
    steps = (
        *_prepare(wanted, facts),
        *_activate(wanted, facts, options, reason, changes),
        Step(
            "commit", "commit",
            script(
                facts.host.url,
                compose_host.commit(
                    facts.root, wanted.placement, before.folder if before else "",
                    segment(wanted.release), leaving=segment(wanted.leaving),
                    note=journal.entry(wanted.what, wanted.release, wanted.digest),
                    project_name=wanted.compose_project,
                ),
                options, reason=f"{wanted.release} is what this host runs from now on",
            ),
        ),
        *_finish(wanted, facts, options),
    )  # fmt: skip
    undo, can_return = _undo(wanted, facts, options, changes)
    return HostRollout(facts.host, before, reason, steps, undo, can_return,
                       ways(wanted.services, facts))  # fmt: skip


def _reason(wanted: Wanted, facts: HostFacts) -> str:
    """Why a host needs the rollout; "" where it doesn't."""
    current = facts.current
    if current is None:
        return f"nothing → {wanted.release}"
    if current.release != wanted.release:
        return f"{current.release} → {wanted.release}"
    if current.digest != wanted.digest:
        return f"{wanted.release} with changed values"
    if facts.attempt:
        return f"a rollout of {facts.attempt.rpartition('/')[0]} was interrupted"
    if found := drift(facts, wanted.services, wanted.images).to_mend:
        return f"{wanted.release} is not as it should be: {'; '.join(found[:3])}"
    return ""


def _prepare(wanted: Wanted, facts: HostFacts) -> list[Step]:
    steps = [
        Step("prepare", "lock", _ours("lock", wanted, facts, "one rollout at a time on a host"))
    ]
    if absent := [pin for pin in wanted.images if not has_image(pin, facts)]:
        layers = {layer for pin in absent for layer in lacking(pin, facts.images)}
        every = {layer for pin in wanted.images for layer in pin.diff_ids}
        way = f"through {wanted.registry}" if wanted.registry else "without a registry"
        reason = (
            f"{len(absent)} of {len(wanted.images)} images are not there: "
            f"{len(layers)} of {len(every)} layers to send, {way}"
        )
        steps.append(Step("prepare", "ship", _ours("ship", wanted, facts, reason)))
    if wanted.placement not in facts.placed or wanted.files - facts.files:
        reason = "the compose file, the files that it mounts and its values, in a folder of its own"
        steps.append(Step("prepare", "place", _ours("place", wanted, facts, reason)))
    return steps


def _changes(
    wanted: Wanted, facts: HostFacts, options: SshOptions
) -> tuple[tuple[WantedService, tuple[Step, ...]], ...]:
    """The services whose containers are not those of the release, with their steps, in order."""
    side = Generation(wanted, facts, options, wanted.placement, wanted.variables,
                      _release(wanted), "activate")  # fmt: skip
    services = [switchable(service, facts.current) for service in in_order(wanted.services)]
    planned = ((service, forward(side, service)) for service in services)
    found = tuple((service, steps) for service, steps in planned if steps)
    # where nothing starts first, a single `up` does the same in one go
    alone = {"surge", "switch", "retire"}
    one_by_one = any(step.name in alone or step.anew for _, steps in found for step in steps)
    return found if one_by_one and facts.containers else ()


def _activate(
    wanted: Wanted, facts: HostFacts, options: SshOptions, reason: str,
    changes: tuple[tuple[WantedService, tuple[Step, ...]], ...],
) -> list[Step]:  # fmt: skip
    side = Generation(wanted, facts, options, wanted.placement, wanted.variables,
                      _release(wanted), "activate")  # fmt: skip
    note = compose_host.begin(facts.root, wanted.placement)
    begin = script(
        facts.host.url, note, options, reason="an interrupted rollout is seen afterwards"
    )
    steps = [Step("activate", "begin", begin)]
    if changes:
        steps += [step for _, one in changes for step in one]
        reason = "everything else is as the release says, and nothing more"
    steps.append(side.compose("up", reason))
    steps.append(side.verb("healthy", f"wait at most {wanted.health_seconds} s for health"))
    if any(service.behind for service in wanted.services):
        steps.append(side.verb("proxies", "the next release must be able to replace this one"))
    if not changes:
        steps += [
            side.verb("gate", f"each {service.name} must answer as expected", service.name,
                      service.replicas, 0)
            for service in in_order(wanted.services)
            if service.serving is not None and service.serving.has_gates
        ]  # fmt: skip
    return steps


def _finish(wanted: Wanted, facts: HostFacts, options: SshOptions) -> list[Step]:
    side = Generation(wanted, facts, options, wanted.placement, wanted.variables,
                      _release(wanted), "finish")  # fmt: skip
    steps = []
    if any(service.behind for service in wanted.services):
        steps.append(side.verb("open", "the proxy finds containers by name again"))
    chosen = Placement(wanted.release, wanted.digest)
    if gone := stale(after_commit(facts, chosen, wanted.leaving), wanted.retain):
        releases = sorted({unquote(folder.rpartition("/")[0]) for folder in gone})
        reason = f"the newest {wanted.retain} stay, {', '.join(releases)} can go"
        steps.append(Step("finish", "prune", _ours("prune", wanted, facts, reason)))
    return [*steps, Step("finish", "unlock", _ours("unlock", wanted, facts, "let others deploy"))]


def _undo(
    wanted: Wanted, facts: HostFacts, options: SshOptions,
    changes: tuple[tuple[WantedService, tuple[Step, ...]], ...],
) -> tuple[tuple[Step, ...], bool]:  # fmt: skip
    before = facts.current
    url = facts.host.url
    text = compose_host.end_attempt(facts.root)
    forget = Step("undo", "end", script(url, text, options, reason="the host is as before"))
    if before is None:
        if facts.containers and not facts.attempt:
            return (), False  # somebody else's containers: taking them down helps nobody
        side = Generation(wanted, facts, options, wanted.placement, wanted.variables, (), "undo")
        folder = f"{facts.root}/releases/{wanted.placement}"
        argv = compose_host.down(folder, wanted.compose_project, wanted.variables)
        return (
            Step("undo", "down", side.guarded(argv, "nothing ran here before")),
            forget,
            *_reject(wanted, facts, options),
        ), True
    if before.key == (wanted.release, wanted.digest):
        return (), False  # it was this very release that was not well
    side = Generation(wanted, facts, options, before.folder, before.variables, ("--current",),
                      "undo")  # fmt: skip
    touched = {service.name: service for service, _ in changes}
    steps: list[Step] = []
    after = Placement(wanted.release, wanted.digest, wanted.services)
    for service in in_order(before.services):
        if service.name in touched:
            former = switchable(service, after)
            steps += backward(side, former, touched[service.name].replicas)
    return (
        *steps,
        side.compose("up", f"return to {before.release}"),
        side.verb("healthy", f"{before.release} must be well again"),
        *((side.verb("open", "the proxy finds containers by name again"),)
          if any(service.behind for service in before.services) else ()),
        forget,
        *(_reject(wanted, facts, options) if before.release != wanted.release else ()),
    ), True  # fmt: skip


def _reject(wanted: Wanted, facts: HostFacts, options: SshOptions) -> tuple[Step, ...]:
    if wanted.what != "deployed":
        return ()  # where a host can't go back to it, or be healed with it, it isn't bad
    note = journal.entry("rejected", wanted.release, wanted.digest)
    text = compose_host.reject(facts.root, segment(wanted.release), note)
    reason = f"nothing deploys {wanted.release} again by itself"
    return (Step("undo", "reject", script(facts.host.url, text, options, reason=reason)),)


def _ours(name: str, wanted: Wanted, facts: HostFacts, reason: str) -> Command:
    return verb(
        "step", name, wanted.environment, *_release(wanted), "--host", facts.host.url,
        reason=reason,
    )  # fmt: skip
