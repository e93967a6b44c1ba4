"""One release to one environment: gather the facts, have the plan made, and carry it out.

`plan_rollouts` only looks. `deploy` looks, locks, looks again, and executes the plan of the second
look, so that nothing is done on facts that no longer hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcgitops.commands.ssh import SshOptions
from mcgitops.deploy import lock
from mcgitops.deploy.connection import Connections
from mcgitops.deploy.execution import Choose, Deployment, Say, plan_for, refuse_rejected
from mcgitops.deploy.outcome import HostReport, Report
from mcgitops.deploy.target import Target, look, target
from mcgitops.plan.rollout import Rollout
from mcgitops.project.hosts import HostFacts
from mcgitops.project.model import Project
from mcgitops.store.store import Store

WAIT = 600.0
"""Seconds to wait for another rollout that is at work."""


def plan_rollouts(
    project: Project, store: Store, environment: str, release: str, environ: Mapping[str, str]
) -> Rollout:
    """The exact commands that `deploy` would execute now. Only looks."""
    return plan_of(target(project, store, environment, release, environ))


def plan_of(aim: Target) -> Rollout:
    """The plan for a target. Only looks."""
    with Connections(aim.project.folder, aim.environ, aim.spec.known_hosts) as connections:
        facts = look(aim.hosts, connections, aim.wanted)
        # the shared connection's socket is in a folder that is gone when somebody reads the plan
        options = replace(connections.options, control_path="")
        return plan_for(aim, facts, options)


def deploy(
    project: Project, store: Store, environment: str, release: str, environ: Mapping[str, str],
    *, say: Say = lambda _: None, force: bool = False, wait: float = WAIT,
) -> Report:  # fmt: skip
    """Take a release to every host of an environment, or leave them all as they were.

    force: also one that was rolled back before. wait: seconds for another rollout to end.
    Raises `RolledBack` or `NeedsAttention`, with the report of what happened.
    """
    aim = target(project, store, environment, release, environ)
    return carry_out(aim, say=say, force=force, wait=wait)


def carry_out(
    aim: Target, *, say: Say = lambda _: None, force: bool = False, wait: float = WAIT
) -> Report:
    """Bring all hosts of an environment to a target, or leave them all as they were."""
    with Connections(aim.project.folder, aim.environ, aim.spec.known_hosts) as connections:
        facts = look(aim.hosts, connections, aim.wanted)

        def choose(seen: Sequence[HostFacts], options: SshOptions) -> tuple[Target, Rollout]:
            return aim, plan_for(aim, seen, options)

        return carry_on(choose, connections, facts, say=say, force=force, wait=wait)


def carry_on(
    choose: Choose, connections: Connections, facts: Sequence[HostFacts], *,
    say: Say = lambda _: None, force: bool = False, wait: float = WAIT,
) -> Report:  # fmt: skip
    """Carry out what is chosen: from these facts, and again when the hosts are locked."""
    aim, first = choose(facts, connections.options)
    report = Report(aim.environment, aim.wanted.release, {
        one.host.url: HostReport(one.host.label, one.before.release if one.before else "",
                                 "nothing to do" if one.nothing_to_do else "untouched")
        for one in first.hosts
    })  # fmt: skip
    if first.nothing_to_do and not any(lock.is_stranded(one) for one in facts):
        return report
    if not first.nothing_to_do:
        refuse_rejected(aim, facts, force=force)
    return Deployment(aim, connections, facts, report, say, force=force, wait=wait,
                      choose=choose).run()  # fmt: skip
