"""One release to one environment: gather the facts, have the plan made, and carry it out.

`plan_rollouts` only looks. `deploy` looks, locks, looks again, and executes the plan of the second
look, so that nothing is done on facts that no longer hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mcgitops.deploy.connection import Connections
from mcgitops.deploy.execution import Deployment, HostReport, Report, Say
from mcgitops.deploy.target import look, target
from mcgitops.plan.rollout import Rollout, plan_rollout
from mcgitops.project.model import Project
from mcgitops.store.store import Store


def plan_rollouts(
    project: Project, store: Store, environment: str, release: str, environ: Mapping[str, str]
) -> Rollout:
    """The exact commands that `deploy` would execute now. Only looks."""
    aim = target(project, store, environment, release, environ)
    with Connections(project.folder, environ, aim.spec.known_hosts) as connections:
        facts = look(aim.hosts, connections, aim.wanted)
        # the shared connection's socket is in a folder that is gone when somebody reads the plan
        options = replace(connections.options, control_path="")
        return plan_rollout(aim.wanted, facts, options)


def deploy(
    project: Project, store: Store, environment: str, release: str, environ: Mapping[str, str],
    *, say: Say = lambda _: None,
) -> Report:  # fmt: skip
    """Take a release to every host of an environment, or leave them all as they were.

    Raises `RolledBack` or `NeedsAttention`, with the report of what happened.
    """
    aim = target(project, store, environment, release, environ)
    with Connections(project.folder, environ, aim.spec.known_hosts) as connections:
        facts = look(aim.hosts, connections, aim.wanted)
        first = plan_rollout(aim.wanted, facts, connections.options)
        report = Report(environment, release, {
            one.host.url: HostReport(one.host.label, one.before.release if one.before else "",
                                     "nothing to do" if one.nothing_to_do else "untouched")
            for one in first.hosts
        })  # fmt: skip
        if first.nothing_to_do:
            return report
        return Deployment(aim, connections, facts, report, say).run()
