"""One release, one environment: what was seen on the hosts → the commands for each of them. Pure.

A rollout has phases that all hosts pass together: `prepare` changes nothing that runs (lock, ship,
place), `activate` replaces what runs, host after host, `commit` makes it final on all of them,
`finish` gives the locks back. Until the commit every host can go back: `undo` are its commands.

Later policies (surge, canary, hooks) are further steps in `_activate`; the executor only knows
phases.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from mcgitops.commands import compose_host
from mcgitops.commands.command import Command
from mcgitops.commands.ours import verb
from mcgitops.commands.ssh import SshOptions, on_host, script
from mcgitops.plan.health import Health, judge
from mcgitops.project.hosts import (
    Host,
    HostFacts,
    ImageFact,
    Pin,
    Placement,
    WantedService,
    segment,
)

Phase = Literal["prepare", "activate", "commit", "finish", "undo"]
_CLASSIC = frozenset({"aufs", "devicemapper", "overlay", "overlay2", "vfs", "windowsfilter"})
START_SECONDS = 60
"""What `docker compose up` may take over the time that health may take."""


@dataclass(frozen=True)
class Wanted:
    """What an environment shall run: a release with this environment's values."""

    project: str
    environment: str
    compose_project: str
    release: str
    digest: str  # of the release folder, values included
    services: tuple[WantedService, ...]
    images: tuple[Pin, ...] = ()
    variables: tuple[str, ...] = ()
    files: frozenset[str] = frozenset()
    health_seconds: int = 120
    registry: str = ""

    @property
    def placement(self) -> str:
        """The release folder, below `releases/`."""
        return f"{segment(self.release)}/{self.digest}"


@dataclass(frozen=True)
class Step:
    """One command of a rollout. `name` tells the executor's output what it is doing."""

    phase: Phase
    name: str
    command: Command


@dataclass(frozen=True)
class HostRollout:
    """One host's part."""

    host: Host
    before: Placement | None
    reason: str
    steps: tuple[Step, ...] = ()
    undo: tuple[Step, ...] = ()
    can_return: bool = True  # whether `undo` leads back to what ran before

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

    @property
    def nothing_to_do(self) -> bool:
        """Whether every host already runs the release, and well."""
        return all(host.nothing_to_do for host in self.hosts)

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in the order of their execution, `undo` left out."""
        acting = [host for host in self.hosts if host.steps]
        phases: tuple[Phase, ...] = ("prepare", "activate", "commit", "finish")
        return tuple(step for phase in phases for host in acting for step in host.of(phase))

    @property
    def commands(self) -> tuple[Command, ...]:
        """The commands of `steps`."""
        return tuple(step.command for step in self.steps)

    @property
    def undo(self) -> tuple[Command, ...]:
        """What brings every host back, the last one first; ends with giving back the locks."""
        acting = [host for host in reversed(self.hosts) if host.steps and host.can_return]
        back = tuple(step.command for host in acting for step in host.undo)
        unlock = tuple(
            step.command for host in self.hosts for step in host.of("finish") if host.steps
        )
        return (*back, *unlock) if back else ()


def plan_rollout(wanted: Wanted, hosts: Sequence[HostFacts], options: SshOptions) -> Rollout:
    """Decide what each host needs. Facts of a second look after success yield nothing to do."""
    return Rollout(
        wanted.environment,
        wanted.release,
        tuple(_host(wanted, facts, options) for facts in hosts),
    )


def health(wanted: Iterable[WantedService], facts: HostFacts) -> Health:
    """The judge, given a host's facts."""
    return judge(wanted, facts.containers, facts.now, facts.images)


def has_image(pin: Pin, facts: HostFacts) -> bool:
    """Whether a host holds the very image, under its name."""
    return any(
        pin.reference in image.references and same_image(pin, image) for image in facts.images
    )


def same_image(pin: Pin, image: ImageFact) -> bool:
    """Whether an image is the pinned one.

    A classic engine's image id is the digest of the configuration, which names the layers too. The
    containerd store's id is another digest; there the layers are compared, and the name, which
    holds the configuration's digest and was given after loading exactly that configuration.
    """
    if image.id == pin.config_digest:
        return True
    return image.driver not in _CLASSIC and image.diff_ids == pin.diff_ids


def lacking(pin: Pin, images: Iterable[ImageFact]) -> tuple[str, ...]:
    """The layers to send: all above the longest stack of layers that the host has."""
    known = 0
    for image in images:
        common = 0
        for ours, theirs in zip(pin.diff_ids, image.diff_ids, strict=False):
            if ours != theirs:
                break
            common += 1
        known = max(known, common)
    return pin.diff_ids[known:]


def _host(wanted: Wanted, facts: HostFacts, options: SshOptions) -> HostRollout:
    before = facts.current
    reason = _reason(wanted, facts)
    if not reason:
        return HostRollout(facts.host, before, f"{wanted.release} runs and is healthy")
    steps = (
        *_prepare(wanted, facts),
        *_activate(wanted, facts, options, reason),
        Step(
            "commit", "commit",
            script(
                facts.host.url,
                compose_host.commit(facts.root, wanted.placement, before.folder if before else ""),
                options, reason=f"{wanted.release} is what this host runs from now on",
            ),
        ),
        Step("finish", "unlock", _ours("unlock", wanted, facts, "let others deploy")),
    )  # fmt: skip
    undo, can_return = _undo(wanted, facts, options)
    return HostRollout(facts.host, before, reason, steps, undo, can_return)


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
    found = health(wanted.services, facts)
    if found.problems:
        return f"{wanted.release} is not as it should be: {'; '.join(found.problems[:3])}"
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


def _activate(wanted: Wanted, facts: HostFacts, options: SshOptions, reason: str) -> list[Step]:
    url = facts.host.url
    note = compose_host.begin(facts.root, wanted.placement)
    return [
        Step(
            "activate", "begin",
            script(url, note, options, reason="an interrupted rollout is seen afterwards"),
        ),
        Step("activate", "up", _up(wanted, facts, wanted.placement, wanted.variables, options,
                                   reason)),
        Step("activate", "healthy", _ours("healthy", wanted, facts,
                                          f"wait at most {wanted.health_seconds} s for health")),
    ]  # fmt: skip


def _undo(wanted: Wanted, facts: HostFacts, options: SshOptions) -> tuple[tuple[Step, ...], bool]:
    before = facts.current
    url = facts.host.url
    forget = Step(
        "undo", "end",
        script(url, compose_host.end_attempt(facts.root), options, reason="the host is as before"),
    )  # fmt: skip
    if before is None:
        if facts.containers and not facts.attempt:
            return (), False  # somebody else's containers: taking them down helps nobody
        folder = f"{facts.root}/releases/{wanted.placement}"
        argv = compose_host.down(folder, wanted.compose_project, wanted.variables)
        return (
            Step("undo", "down", _guarded(wanted, facts, argv, options, "nothing ran here before")),
            forget,
        ), True
    if before.key == (wanted.release, wanted.digest):
        return (), False  # it was this very release that was not well
    back = f"return to {before.release}"
    return (
        Step("undo", "up", _up(wanted, facts, before.folder, before.variables, options, back)),
        Step("undo", "healthy", verb("step", "healthy", wanted.environment, "--host", url,
                                     "--current", reason=f"{before.release} must be well again")),
        forget,
    ), True  # fmt: skip


def _up(
    wanted: Wanted, facts: HostFacts, placement: str, variables: tuple[str, ...],
    options: SshOptions, reason: str,
) -> Command:  # fmt: skip
    folder = f"{facts.root}/releases/{placement}"
    argv = compose_host.up(folder, wanted.compose_project, variables)
    return _guarded(wanted, facts, argv, options, reason)


def _guarded(
    wanted: Wanted, facts: HostFacts, argv: tuple[str, ...], options: SshOptions, reason: str
) -> Command:
    argv = compose_host.guarded(
        facts.root, argv, seconds=wanted.health_seconds + START_SECONDS, tools=facts.tools
    )
    return on_host(facts.host.url, argv, options, tied=True, reason=reason)


def _ours(name: str, wanted: Wanted, facts: HostFacts, reason: str) -> Command:
    return verb(
        "step", name, wanted.environment, "--release", wanted.release, "--host", facts.host.url,
        reason=reason,
    )  # fmt: skip
