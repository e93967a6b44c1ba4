"""Finishes what was interrupted: every host that can be reached runs one release again, healthy.

What is wanted is decided in `plan/heal.py` from what the hosts say, anew when they are locked. The
store is asked only where a host lacks the release.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from mcgitops.commands import compose_host, journal
from mcgitops.commands.ours import verb
from mcgitops.commands.ssh import SshOptions, script
from mcgitops.deferred import dataclass
from mcgitops.deploy.connection import Connections, HostUnreachable
from mcgitops.deploy.execution import Choose, Say, plan_for
from mcgitops.deploy.names import compose_project
from mcgitops.deploy.outcome import HostReport, NeedsAttention, Report, RolledBack
from mcgitops.deploy.rollout import WAIT, carry_on
from mcgitops.deploy.target import Target, environment_of, target, wanted_of
from mcgitops.plan.heal import Healing, decide
from mcgitops.plan.replace import Generation
from mcgitops.plan.rollout import HostRollout, Rollout
from mcgitops.plan.steps import Step, Wanted
from mcgitops.project.hosts import Host, HostFacts, Placement
from mcgitops.project.model import Project
from mcgitops.store.store import Store


@dataclass(frozen=True)
class Job:
    """What is to be healed."""

    project: Project
    store: Store
    environment: str
    environ: Mapping[str, str]


def heal(job: Job, *, say: Say = lambda _: None, wait: float = WAIT) -> Report:
    """Bring every host that can be reached to one release. Raises `NeedsAttention` with the names
    of the others."""
    spec = environment_of(job.project, job.environment)
    with Connections(job.project.folder, job.environ, spec.known_hosts) as connections:
        facts, lost = _look(job, connections, [Host.parse(url) for url in spec.hosts])
        try:
            report = carry_on(_choice(job), connections, facts, say=say, force=True, wait=wait)
        except RolledBack as error:  # it was to be mended, and is as it was
            raise NeedsAttention(
                error.message, f"See mcgitops status {job.environment}.", error.report
            ) from error
    report.hosts |= {url: one for url, (one, _) in lost.items()}
    if lost:
        report.state = "needs-attention"
        healed = ", ".join(one.host.label for one in facts)
        raise NeedsAttention(
            "\n".join(said for _, said in lost.values())
            + f"\n{_state(report)} on {healed}, which can be reached.",
            f"When it is back, mcgitops heal {job.environment} goes on.",
            report,
        )
    return report


def plan_heal(job: Job) -> Rollout:
    """The exact commands that `heal` would execute now. Only looks."""
    spec = environment_of(job.project, job.environment)
    with Connections(job.project.folder, job.environ, spec.known_hosts) as connections:
        facts, _ = _look(job, connections, [Host.parse(url) for url in spec.hosts])
        return _choice(job)(facts, replace(connections.options, control_path=""))[1]


def _state(report: Report) -> str:
    if not report.release:
        return "Nothing is deployed"
    down = any(one.outcome == "taken down" for one in report.hosts.values())
    return f"{report.release} is taken down" if down else f"{report.release} runs, healthy,"


def _look(
    job: Job, connections: Connections, hosts: Sequence[Host]
) -> tuple[list[HostFacts], dict[str, tuple[HostReport, str]]]:
    """The facts of the hosts that can be used, and a sentence on each of the others."""
    name = compose_project(job.project.name, job.environment)

    def ask(host: Host) -> HostFacts | HostUnreachable:
        try:
            return connections.look(host, job.project.name, job.environment, name)
        except HostUnreachable as error:
            return error

    with ThreadPoolExecutor(max_workers=min(16, len(hosts))) as pool:
        answers = list(pool.map(ask, hosts))
    facts: list[HostFacts] = []
    lost: dict[str, tuple[HostReport, str]] = {}
    for host, answer in zip(hosts, answers, strict=True):
        if isinstance(answer, HostFacts) and not answer.problem:
            facts.append(answer)
            continue
        said = (
            f"{host.label}: {answer.problem}" if isinstance(answer, HostFacts) else answer.message
        )
        lost[host.url] = (
            HostReport(host.label, outcome="needs attention", problem=said), said,
        )  # fmt: skip
    if not facts:
        report = Report(job.environment, "", {url: one for url, (one, _) in lost.items()},
                        "needs-attention")  # fmt: skip
        hint = f"When they are back, run mcgitops heal {job.environment} again."
        raise NeedsAttention("\n".join(said for _, said in lost.values()), hint, report)
    return facts, lost


def _choice(job: Job) -> Choose:
    def choose(facts: Sequence[HostFacts], options: SshOptions) -> tuple[Target, Rollout]:
        healing = decide(facts)
        if not healing.release:
            return _taken_down(job, facts, healing, options)
        aim = _target(job, facts, healing)
        return aim, plan_for(aim, facts, options)

    return choose


def _target(job: Job, facts: Sequence[HostFacts], healing: Healing) -> Target:
    spec = environment_of(job.project, job.environment)
    own = {url: _wanted(job, placement) for url, placement in healing.placements.items()}
    only = tuple(one.host for one in facts)
    if healing.lacking:
        aim = target(job.project, job.store, job.environment, healing.release, job.environ)
        wanted = replace(aim.wanted, what="healed")
        return replace(aim, wanted=wanted, verb="heal", own=own, only=only)
    placement = next(iter(healing.placements.values()))
    return Target(job.project, job.store, job.environment, spec, _wanted(job, placement),
                  job.environ, placement.commit, verb="heal", own=own, only=only)  # fmt: skip


def _wanted(job: Job, placement: Placement) -> Wanted:
    spec = environment_of(job.project, job.environment)
    wanted = wanted_of(job.project.name, job.environment, spec, placement)
    return replace(wanted, what="healed")


def _taken_down(
    job: Job, facts: Sequence[HostFacts], healing: Healing, options: SshOptions
) -> tuple[Target, Rollout]:
    """A first rollout was interrupted: nothing ran before, so nothing is left. Volumes stay."""
    spec = environment_of(job.project, job.environment)
    hosts: list[HostRollout] = []
    wants: dict[str, Wanted] = {}
    for one in facts:
        placement = next(
            (each for each in one.placements if each.folder == one.attempt), Placement("", "")
        )
        wanted = wants[one.host.url] = _wanted(job, placement)
        if one.host.url not in healing.down:
            hosts.append(HostRollout(one.host, None, "nothing is deployed"))
            continue
        side = Generation(wanted, one, options, wanted.placement, wanted.variables,
                          ("--release", wanted.release), "activate")  # fmt: skip
        folder = f"{one.root}/releases/{wanted.placement}"
        argv = compose_host.down(folder, wanted.compose_project, wanted.variables)
        if not wanted.release:  # its folder is gone: labels tell what belongs to it
            argv = ("docker", "compose", "--project-name", wanted.compose_project, "down",
                    "--remove-orphans")  # fmt: skip
        note = journal.entry("taken down", wanted.release, wanted.digest)
        text = compose_host.end_attempt(one.root) + f" || exit 1\n{note}"
        words = (job.environment, "--release", wanted.release, "--host", one.host.url)
        alone = "one rollout at a time on a host"
        hosts.append(HostRollout(
            one.host, None, f"the first rollout, of {wanted.release}, was interrupted",
            (
                Step("prepare", "lock", verb("step", "lock", *words, reason=alone)),
                Step("activate", "down", side.guarded(argv, "nothing ran here before")),
                Step("activate", "end", script(one.host.url, text, options,
                                               reason="the host is as before")),
                Step("finish", "unlock", verb("step", "unlock", *words, reason="it is done")),
            ),
            can_return=False,
        ))  # fmt: skip
    wanted = next((one for one in wants.values() if one.release), next(iter(wants.values())))
    aim = Target(job.project, job.store, job.environment, spec, wanted, job.environ, verb="heal",
                 own=wants, only=tuple(one.host for one in facts))  # fmt: skip
    return aim, Rollout(job.environment, wanted.release, tuple(hosts), parallel=0)
